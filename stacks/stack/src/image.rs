//! From a finished tree to an image in the store.

use std::io::{BufWriter, Write as _};
use std::num::NonZeroUsize;
use std::path::Path;

use oci_image::layer::{Compression, LayerContents, TreeRules, write_layer};
use oci_image::{
    BlobDigest, BlobSource, History, Image, ImageConfig, Layer, LayerBlob, Owners, TreePath,
};
use serde::{Deserialize, Serialize};
use store::{Durability, NamedImage, StagedTree, Store, StoreError};

use crate::definition::{Definition, ImageDefinition};
use crate::lock::{Date, ImageKind};

/// What Debian gives an ordinary user, and what root's programs need.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What there is of an image in the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackImage {
    /// Its name in the store.
    pub name: String,
    /// Its manifest.
    pub manifest: BlobDigest,
    /// Its only layer, whose tree is in the store too.
    pub layer: LayerBlob,
}

/// The name of a stack's image in the store; `key` names what the stack is made of.
pub(crate) fn image_name(suite: &str, kind: ImageKind, key: &str) -> String {
    format!(
        "longshore-stack/{suite}-{kind}:{}",
        key.get(..12).unwrap_or(key)
    )
}

/// Writes the layer, makes the folder the layer's tree, and names the image.
pub(crate) fn store_image(
    store: &Store,
    root: &Path,
    owners: &Owners,
    about: &About<'_>,
    threads: NonZeroUsize,
) -> Result<StackImage, StoreImageError> {
    let rules = TreeRules::stack(owners, about.date.seconds());
    let contents = LayerContents::new().tree(root, &TreePath::root(), rules);
    let writer = store.blob_writer(Durability::Lasting)?;
    let mut writer = BufWriter::with_capacity(1 << 20, writer);
    let blob = write_layer(&contents, &mut writer, Compression::Gzip { threads })
        .map_err(|error| StoreImageError::Layer(Box::new(error)))?;
    writer.flush().map_err(StoreImageError::Write)?;
    let writer = writer
        .into_inner()
        .map_err(|error| StoreImageError::Write(error.into_error()))?;
    let path = writer.commit(&blob.digest)?;
    store.note_layer(&blob)?;
    store.adopt_tree(&StagedTree {
        path: root,
        diff_id: blob.diff_id,
        owners,
        durability: Durability::Lasting,
    })?;
    let image = Image::new(about.config()).with_layer(
        Layer::new(blob, BlobSource::File(path)),
        History {
            created: Some(about.date.to_string()),
            created_by: Some(format!(
                "longshore stack create: Debian {}",
                about.definition.suite
            )),
            ..History::default()
        },
    );
    let documents = image.documents();
    store.write_blob(&documents.config.bytes)?;
    let manifest = store.write_blob(&documents.manifest.bytes)?;
    let name = image_name(&about.definition.suite, about.kind, about.key);
    store.name_image(&NamedImage {
        name: name.clone(),
        manifest,
    })?;
    Ok(StackImage {
        name,
        manifest,
        layer: blob,
    })
}

/// What an image's configuration says.
#[derive(Debug)]
pub(crate) struct About<'a> {
    pub(crate) definition: &'a Definition,
    pub(crate) kind: ImageKind,
    pub(crate) date: Date,
    pub(crate) key: &'a str,
}

impl About<'_> {
    /// The configuration (CNB platform specification, "Build image", "Run image"; OCI image specification, config.md).
    fn config(&self) -> ImageConfig {
        let Definition {
            id,
            architecture,
            homepage,
            maintainer,
            distribution,
            user,
            labels,
            ..
        } = self.definition;
        let ImageDefinition { description, .. } = match self.kind {
            ImageKind::Build => &self.definition.build,
            ImageKind::Run => &self.definition.run,
        };
        let mut config = ImageConfig::new("linux", architecture);
        config.created = Some(self.date.to_string());
        config.config.labels.clone_from(labels);
        config.config.user = format!("{}:{}", user.uid, user.gid);
        config.config.set_env("PATH", PATH);
        if self.kind == ImageKind::Build {
            config.config.set_env("CNB_USER_ID", &user.uid.to_string());
            config.config.set_env("CNB_GROUP_ID", &user.gid.to_string());
            config.config.set_env("CNB_STACK_ID", id);
        } else {
            config.config.cmd = vec!["/bin/bash".to_owned()];
        }
        let date = self.date.to_string();
        let both = [
            ("id", Some(id)),
            ("homepage", homepage.as_ref()),
            ("maintainer", maintainer.as_ref()),
            ("description", Some(description)),
            ("released", Some(&date)),
            ("distro.name", Some(&distribution.name)),
            ("distro.version", Some(&distribution.version)),
        ];
        // Platforms of API 0.11 and older read the first set, newer ones the second.
        for (key, value) in both {
            let Some(value) = value else { continue };
            for prefix in ["io.buildpacks.stack", "io.buildpacks.base"] {
                config
                    .config
                    .labels
                    .insert(format!("{prefix}.{key}"), value.clone());
            }
        }
        if self.kind == ImageKind::Run {
            config
                .config
                .labels
                .insert("io.buildpacks.rebasable".to_owned(), "true".to_owned());
        }
        config
    }
}

/// Why an image could not be stored.
#[derive(Debug, thiserror::Error)]
pub enum StoreImageError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The layer.
    #[error("could not write the image's layer: {0}")]
    Layer(#[source] Box<oci_image::layer::WriteLayerError>),
    /// The blob.
    #[error("could not write the image's layer: {0}")]
    Write(#[source] std::io::Error),
}
