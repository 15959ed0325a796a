//! Images in registries. New layers are compressed into files of this program's and sent while later ones are still made; layers that a registry has
//! are not read, and not sent to it again. The image gets its names when all of it is there.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use lifecycle::images::{CommittedImage, ImageError, ImageStore, OpenedImage};
use oci_image::layer::{Compression, LayerContents};
use oci_image::{BlobDigest, DiffId, Image, Layer, Platform, Reference};
use registry::{Registry, RegistryError, Uploads};

use crate::scratch::Scratch;

/// Layers by their content, of all images that this program has seen or made: an app's and its cache's are often the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct KnownLayers(Arc<Mutex<BTreeMap<DiffId, Layer>>>);

impl KnownLayers {
    /// The newest place of a layer counts: an old one may have lost it.
    pub(crate) fn add(&self, layers: &[Layer]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(layers.iter().map(|layer| (layer.diff_id, layer.clone())));
    }

    pub(crate) fn get(&self, diff_id: &DiffId) -> Option<Layer> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(diff_id).cloned()
    }
}

/// What images and the cache of one program share.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    pub(crate) registry: Registry,
    pub(crate) known: KnownLayers,
    pub(crate) scratch: Arc<Scratch>,
    /// How many compress a layer.
    pub(crate) threads: NonZeroUsize,
}

/// Images in registries.
#[derive(Debug)]
pub(crate) struct RegistryImages {
    shared: Shared,
    uploads: Uploads,
    /// What was looked at. One program means one image by one name, whatever happens to the name meanwhile.
    opened: Mutex<BTreeMap<String, Option<OpenedImage>>>,
}

impl RegistryImages {
    /// Opens images, and makes one with the names `new`. The cache's image, in `cache`, may have some of its layers.
    pub(crate) fn new(shared: Shared, new: Vec<Reference>, cache: Option<Reference>) -> Self {
        let cache = cache.into_iter().collect();
        Self {
            uploads: Uploads::new(shared.registry.clone(), new, cache),
            shared,
            opened: Mutex::default(),
        }
    }

    /// Can this image be read? One that is not there can, and so can one that is broken: both are others' matters.
    pub(crate) fn check_read(&self, name: &str) -> Result<(), RegistryError> {
        match self.find(name) {
            Ok(_) | Err(RegistryError::Image { .. } | RegistryError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn find(&self, name: &str) -> Result<Option<OpenedImage>, RegistryError> {
        let lock = || self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(opened) = lock().get(name) {
            return Ok(opened.clone());
        }
        // Names are checked with the program's arguments, and this program wrote the references in analyzed.toml.
        let Ok(reference) = name.parse::<Reference>() else {
            return Ok(None);
        };
        let found = self
            .shared
            .registry
            .image(&reference, Platform::LINUX_AMD64)?;
        let opened = found.map(|found| {
            self.shared.known.add(found.image.layers());
            OpenedImage {
                // The image itself rather than an index that leads to it: rebase compares layers.
                reference: exactly(&reference, found.manifest),
                image: found.image,
            }
        });
        lock().insert(name.to_owned(), opened.clone());
        Ok(opened)
    }

    /// What the new image's first name leads to, or led to when somebody looked.
    fn previous(&self) -> Option<BlobDigest> {
        let target = self.uploads.targets().first()?;
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.values().flatten().find_map(|opened| {
            let reference: Reference = opened.reference.parse().ok()?;
            reference
                .is_beside(target)
                .then(|| reference.digest().copied())?
        })
    }
}

/// `registry/repository@sha256:…`
fn exactly(reference: &Reference, manifest: BlobDigest) -> String {
    reference.with_digest(manifest).to_string()
}

impl ImageStore for RegistryImages {
    fn open(&self, name: &str) -> Result<Option<OpenedImage>, ImageError> {
        self.find(name).map_err(ImageError::new)
    }

    fn layer(&self, diff_id: &DiffId) -> Result<Option<Layer>, ImageError> {
        Ok(self.shared.known.get(diff_id))
    }

    fn write_layer(&self, contents: &LayerContents<'_>) -> Result<Layer, ImageError> {
        let compression = Compression::Gzip {
            threads: self.shared.threads,
        };
        let written = self.shared.scratch.write_layer(contents, compression);
        let layer = written.map_err(ImageError::new)?;
        self.shared.known.add(std::slice::from_ref(&layer));
        self.uploads.send(&layer);
        Ok(layer)
    }

    fn commit(&self, _: &[String], image: &Image) -> Result<CommittedImage, ImageError> {
        let pushed = self.uploads.finish(image, self.previous());
        pushed.map_err(ImageError::new)?;
        Ok(CommittedImage::with_manifest(image))
    }
}
