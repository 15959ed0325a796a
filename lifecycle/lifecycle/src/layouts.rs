//! Images as OCI layouts in a folder, one layout an image (Platform specification 0.12, "OCI layout"):
//!
//! ```text
//! <layout-dir>/<registry>/<repository>/<tag>/{oci-layout,index.json,blobs/}
//! <layout-dir>/<registry>/<repository>/sha256/<digest>/…     an image that is named by its digest
//! ```
//!
//! What `analyzed.toml` keeps is `<that path>@sha256:<manifest>`.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroUsize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use oci_image::layer::{Compression, LayerContents, write_layer};
use oci_image::{
    BlobDigest, BlobSource, DiffId, Image, Layer, LayerBlob, read_image, write_layout,
};
use serde::Deserialize;

use crate::files::{create_dir, read_text_if_there};
use crate::image_name::ImageName;
use crate::images::{CommittedImage, ImageError, ImageStore, OpenedImage};

/// The tag (OCI image specification, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// A folder of OCI layouts. New layers are written to where the new image will be.
#[derive(Debug)]
pub struct OciLayouts {
    dir: PathBuf,
    /// The new image's layout.
    new: PathBuf,
    threads: NonZeroUsize,
}

impl OciLayouts {
    /// The layouts below `dir`. `new` is the image that will be made; `threads` compress a layer.
    pub fn new(dir: &Path, new: &ImageName, threads: NonZeroUsize) -> Self {
        Self {
            dir: dir.to_owned(),
            new: dir.join(new.layout_path()),
            threads,
        }
    }

    /// The layout of the image of this name.
    pub fn path_of(&self, name: &str) -> Result<PathBuf, ImageError> {
        let name: ImageName = name.parse().map_err(ImageError::new)?;
        Ok(self.dir.join(name.layout_path()))
    }

    /// Opens `<path>@sha256:<manifest>`.
    fn open_exactly(path: &Path, digest: &str) -> Result<OpenedImage, ImageError> {
        let digest: BlobDigest = digest.parse().map_err(ImageError::new)?;
        let image = read_image(&path.join("blobs/sha256"), &digest).map_err(ImageError::new)?;
        let reference = format!("{}@{digest}", path.display());
        Ok(OpenedImage { reference, image })
    }
}

/// `index.json`
#[derive(Deserialize)]
struct Index {
    #[serde(default)]
    manifests: Vec<IndexEntry>,
}

#[derive(Deserialize)]
struct IndexEntry {
    digest: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl IndexEntry {
    fn is_named(&self, tag: &str) -> bool {
        let annotations = self.annotations.as_ref();
        annotations
            .and_then(|all| all.get(REF_NAME))
            .is_some_and(|found| found == tag)
    }
}

/// The manifest, or index of manifests, that a layout has under a name: the only one, or the one with the tag.
fn manifest_named(index: &Index, name: &ImageName) -> Result<String, ImageError> {
    let named = || {
        let mut all = index.manifests.iter();
        all.find(|entry| entry.is_named(&name.identifier()))
    };
    let entry = match &index.manifests[..] {
        [only] => Some(only),
        _ => named(),
    };
    let entry = entry.ok_or_else(|| {
        let count = index.manifests.len();
        let tag = name.identifier();
        ImageError::new(format!(
            "its OCI layout has {count} images and none of them is annotated with the tag '{tag}'"
        ))
    })?;
    Ok(entry.digest.clone())
}

impl ImageStore for OciLayouts {
    fn open(&self, name: &str) -> Result<Option<OpenedImage>, ImageError> {
        if let Some((path, digest)) = name.rsplit_once('@')
            && Path::new(path).starts_with(&self.dir)
        {
            return Self::open_exactly(Path::new(path), digest).map(Some);
        }
        let name: ImageName = name.parse().map_err(ImageError::new)?;
        let path = self.dir.join(name.layout_path());
        let index = read_text_if_there(&path.join("index.json")).map_err(ImageError::new)?;
        let Some(index) = index else {
            return Ok(None);
        };
        let index: Index = serde_json::from_str(&index).map_err(ImageError::new)?;
        let digest = manifest_named(&index, &name)?;
        Self::open_exactly(&path, &digest).map(Some)
    }

    fn layer(&self, _: &DiffId) -> Result<Option<Layer>, ImageError> {
        // Beside the previous image, which the exporter looks at itself, nobody remembers what a blob unpacks to.
        Ok(None)
    }

    fn write_layer(&self, contents: &LayerContents<'_>) -> Result<Layer, ImageError> {
        let blobs = self.new.join("blobs/sha256");
        let write = || -> io::Result<(LayerBlob, PathBuf)> {
            create_dir(&blobs)?;
            // The name's start lets the layout's writer remove it if this program dies.
            let mut file = tempfile::Builder::new()
                .prefix(".longshore-layer-")
                .permissions(std::fs::Permissions::from_mode(0o644))
                .tempfile_in(&self.new)?;
            let compression = Compression::Gzip {
                threads: self.threads,
            };
            let written = write_layer(contents, &mut file, compression);
            let blob = written.map_err(io::Error::other)?;
            file.as_file().sync_all()?;
            let path = blobs.join(blob.digest.hex());
            file.persist(&path)?;
            Ok((blob, path))
        };
        let (blob, path) = write().map_err(ImageError::new)?;
        Ok(Layer::new(blob, BlobSource::File(path)))
    }

    fn commit(&self, names: &[String], image: &Image) -> Result<CommittedImage, ImageError> {
        for name in names {
            let path = self.path_of(name)?;
            let annotated: oci_image::ImageName = name.parse().map_err(ImageError::new)?;
            write_layout(&path, image, Some(&annotated)).map_err(ImageError::new)?;
        }
        Ok(CommittedImage::with_manifest(image))
    }
}
