//! The store as the lifecycle's place for images. Where the image is to be published, each layer is sent as soon as it is written, while
//! others are still being made.

use std::sync::{Mutex, PoisonError};

use lifecycle::images::{CommittedImage, ImageError, ImageStore, OpenedImage};
use oci_image::layer::LayerContents;
use oci_image::{BlobDigest, DiffId, Image, ImageName, Layer, LayerFormat};
use store::{Durability, Store};

use super::base_images::Given;
use super::publishing::Publishing;
use crate::commands::Context;

/// Images of the store by name, and those that were found elsewhere for this build.
pub(crate) struct StoreImages<'a> {
    context: &'a Context,
    /// The run image and the previous image.
    given: Vec<Given>,
    /// Layers of the cache image.
    shared: Vec<Layer>,
    /// What the new image is called here.
    names: Vec<ImageName>,
    publishing: Option<Publishing>,
    committed: Mutex<Option<Image>>,
}

impl<'a> StoreImages<'a> {
    pub(crate) fn new(
        context: &'a Context,
        given: Vec<Given>,
        shared: &[Layer],
        names: Vec<ImageName>,
        publishing: Option<Publishing>,
    ) -> Self {
        Self {
            context,
            given,
            shared: shared.to_vec(),
            names,
            publishing,
            committed: Mutex::new(None),
        }
    }

    pub(crate) fn publishing(&self) -> Option<&Publishing> {
        self.publishing.as_ref()
    }

    /// The image that was made.
    pub(crate) fn take_committed(&self) -> Option<Image> {
        self.committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Layers that go to a registry alone can be had again from there.
    fn durability(&self) -> Durability {
        match (&self.publishing, &self.names[..]) {
            (Some(_), []) => Durability::ThisBoot,
            _ => Durability::Lasting,
        }
    }

    fn store(&self) -> &'a Store {
        &self.context.store
    }
}

/// The digest of `name@sha256:…`, or the one that the name leads to.
fn manifest_of(store: &Store, reference: &str) -> Result<Option<BlobDigest>, ImageError> {
    if let Some((_, digest)) = reference.split_once('@') {
        return digest.parse().map(Some).map_err(ImageError::new);
    }
    Ok(store
        .image(reference)
        .map_err(ImageError::new)?
        .map(|named| named.manifest))
}

impl ImageStore for StoreImages<'_> {
    fn open(&self, name: &str) -> Result<Option<OpenedImage>, ImageError> {
        let given = self
            .given
            .iter()
            .find(|given| given.name == name || given.image.reference == name);
        if let Some(given) = given {
            return Ok(Some(given.image.clone()));
        }
        let Some(manifest) = manifest_of(self.store(), name)? else {
            return Ok(None);
        };
        // One that is damaged is as good as none: its parts are made again.
        let Ok(image) = oci_image::read_image(&self.store().blobs(), &manifest) else {
            return Ok(None);
        };
        let plain = name.split('@').next().unwrap_or(name);
        Ok(Some(OpenedImage {
            reference: format!("{plain}@{manifest}"),
            image,
        }))
    }

    fn layer(&self, diff_id: &DiffId) -> Result<Option<Layer>, ImageError> {
        let stored = self.context.stored_layer(diff_id);
        let stored = stored.map_err(ImageError::new)?;
        let shared = || {
            let mut shared = self.shared.iter();
            // An image is the same whatever the cache holds: what was packed for the cache alone is packed anew.
            shared.find(|layer| layer.diff_id == *diff_id && layer.format == LayerFormat::Gzip)
        };
        Ok(stored.or_else(|| shared().cloned()))
    }

    fn write_layer(&self, contents: &LayerContents<'_>) -> Result<Layer, ImageError> {
        let layer = self
            .context
            .store_layer(contents, self.durability())
            .map_err(ImageError::new)?;
        if let Some(publishing) = &self.publishing {
            publishing.send(&layer);
        }
        Ok(layer)
    }

    fn commit(&self, _: &[String], image: &Image) -> Result<CommittedImage, ImageError> {
        if let Some(publishing) = &self.publishing {
            publishing.publish(image).map_err(ImageError::new)?;
        }
        if !self.names.is_empty() {
            let kept = self.context.keep(image, &self.names);
            kept.map_err(ImageError::new)?;
        }
        *self
            .committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(image.clone());
        Ok(CommittedImage::with_manifest(image))
    }
}
