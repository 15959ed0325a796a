//! Reading an image from a daemon, with all of its configuration and with layers that are fetched when somebody reads them.
//!
//! The API tells the configuration's keys that the daemon knows, no more, and of a layer neither the bytes nor their number. Only an export has
//! them. So it is fetched at once, unless the caller knows the rest from an earlier time; a layer's bytes never change.

use std::collections::BTreeMap;

use oci_image::{BlobDigest, Digest, Image, ImageConfig, Layer, LayerBlob, LayerFormat};

use crate::{
    client::Daemon,
    engine::Store,
    error::DaemonError,
    export::{Export, Form},
    inspect::Inspected,
};

/// What the caller knows of images that the daemon may have.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// Configurations as they are stored. One whose digest is the image's id is its configuration.
    pub configs: &'a [&'a [u8]],
    /// Layers, in any order; what counts is the uncompressed size.
    pub layers: &'a [LayerBlob],
}

/// An image in a daemon.
#[derive(Debug, Clone)]
pub struct DaemonImage {
    /// The daemon's id of it: the digest of its configuration or, with containerd's image store, of its manifest.
    pub id: BlobDigest,
    /// What was asked for.
    pub reference: String,
    /// The image. Its layers are as the daemon exports them: plain tars, except with containerd's image store.
    pub image: Image,
}

impl Daemon {
    /// The image of this name or id; `None` if the daemon has none.
    ///
    /// If the configuration and the size of every layer are known, the daemon is only asked for what stands behind the name, and
    /// exports the image when the first of its layers is read. Else it is exported now.
    pub fn image(&self, name: &str, known: &Known<'_>) -> Result<Option<DaemonImage>, DaemonError> {
        let Some(found) = self.inspect(name)? else {
            return Ok(None);
        };
        let export = Export::new(self, &found);
        let mut forms = Form::Tar;
        let image = match from_known(&found, known) {
            Some(image) => image,
            None => {
                forms = Form::Stored;
                export.fetched()?.image().clone()
            }
        };
        let places: BTreeMap<BlobDigest, usize> = image
            .layers()
            .iter()
            .enumerate()
            .map(|(place, layer)| (layer.digest, place))
            .collect();
        let image = image.with_sources(|layer| export.source(places[&layer.digest], forms));
        Ok(Some(DaemonImage {
            id: found.id,
            reference: name.to_owned(),
            image,
        }))
    }
}

impl Daemon {
    /// The image of this name or id as the daemon describes it, without an export where that can be done without: its configuration has what
    /// the API tells. Layers have no size ([`Layer::measured`]); the first that is read is exported with all others.
    pub fn described(&self, name: &str) -> Result<Option<DaemonImage>, DaemonError> {
        let store = self.block_on(self.store(&self.budget()))?;
        if store == Store::Containerd {
            // Its manifest is needed, and only an export has it.
            return self.image(name, &Known::default());
        }
        let Some(mut found) = self.inspect(name)? else {
            return Ok(None);
        };
        let layers = found.config.rootfs.diff_ids.len();
        found.config.history = self.block_on(self.history(&found.id, layers, &self.budget()))?;
        let export = Export::new(self, &found);
        let diff_ids = found.config.rootfs.diff_ids.iter().enumerate();
        let layers = diff_ids.map(|(place, diff_id)| Layer {
            diff_id: *diff_id,
            digest: BlobDigest::new(diff_id.digest()),
            size: 0,
            format: LayerFormat::Tar,
            source: export.source(place, Form::Tar),
        });
        let layers = layers.collect();
        let image = Image::from_parts(found.config.clone(), layers, BTreeMap::new())
            .expect("there is a layer for each of the configuration's");
        Ok(Some(DaemonImage {
            id: found.id,
            reference: name.to_owned(),
            image,
        }))
    }
}

/// The image, if enough of it is known; the layers' sources are still to be set.
fn from_known(found: &Inspected, known: &Known<'_>) -> Option<Image> {
    let config = known
        .configs
        .iter()
        .find(|config| Digest::of(config) == found.id.digest())?;
    let config: ImageConfig = serde_json::from_slice(config).ok()?;
    let layers = config.rootfs.diff_ids.iter().map(|diff_id| {
        let noted = known
            .layers
            .iter()
            .find(|noted| noted.diff_id == *diff_id)?;
        let blob = LayerBlob {
            digest: BlobDigest::new(diff_id.digest()),
            size: noted.uncompressed_size,
            ..*noted
        };
        let layer = Layer::new(blob, oci_image::BlobSource::Bytes([].into()));
        debug_assert_eq!(layer.format, LayerFormat::Tar);
        Some(layer)
    });
    let layers = layers.collect::<Option<Vec<Layer>>>()?;
    Image::from_parts(config, layers, BTreeMap::new()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_image::{DiffId, RootFs};

    #[test]
    fn from_known_needs_everything() {
        let blob = LayerBlob {
            diff_id: DiffId::new(Digest::of(b"tar")),
            digest: BlobDigest::new(Digest::of(b"gzip")),
            size: 4,
            uncompressed_size: 3,
        };
        let config = ImageConfig {
            rootfs: RootFs {
                diff_ids: vec![blob.diff_id],
                ..RootFs::default()
            },
            ..ImageConfig::new("linux", "amd64")
        };
        let bytes = serde_json::to_vec(&config).unwrap();
        let found = Inspected {
            id: BlobDigest::new(Digest::of(&bytes)),
            tags: Vec::new(),
            config: config.clone(),
        };
        let configs = [&b"{}"[..], &bytes];
        let known = Known {
            configs: &configs,
            layers: &[blob],
        };
        let image = from_known(&found, &known).unwrap();
        assert_eq!(image.config(), &config);
        let [layer] = image.layers() else {
            panic!("one layer: {image:?}")
        };
        assert_eq!((layer.size, layer.format), (3, LayerFormat::Tar));
        assert_eq!(layer.digest.digest(), blob.diff_id.digest());

        let no_layer = Known {
            layers: &[],
            ..known
        };
        assert!(from_known(&found, &no_layer).is_none());
        let no_config = Known {
            configs: &configs[..1],
            ..known
        };
        assert!(from_known(&found, &no_config).is_none());
    }
}
