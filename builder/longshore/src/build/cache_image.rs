//! The cached layers of a build as an image in a registry, so that a build on another machine goes on from there.
//!
//! A layer that is in the app's image too is the same blob, and is sent once.

use cnb_spec::labels::CacheMetadata;
use lifecycle::cache_image::{cache_image, cached_metadata};
use lifecycle::images::ImageError;
use oci_image::{DiffId, Image, Layer, Platform};
use registry::{RegistryError, Uploads};

use super::request::Request;
use crate::failure::Failure;
use crate::output::Output;
use crate::registries::{self, Registries};

/// The cache image, as it was when the build began.
#[derive(Debug)]
pub(crate) struct CacheImage {
    found: Option<Image>,
    /// Its layers may be where the app's image goes already.
    uploads: Uploads,
}

impl CacheImage {
    /// Looks at the cache image. One that is damaged is as good as none; one that we may not read or write is an error now.
    pub(crate) fn open(
        request: &Request,
        registries: &Registries<'_>,
        output: &Output,
    ) -> Result<Option<Self>, Failure> {
        let Some(reference) = &request.cache_image else {
            return Ok(None);
        };
        let registry = registries.client()?;
        let failed = |error: &RegistryError| registries::failure(error);
        registry
            .check_push(reference)
            .map_err(|error| failed(&error))?;
        let found = match registry.image(reference, Platform::LINUX_AMD64) {
            Ok(found) => found.map(|found| found.image),
            Err(error @ RegistryError::Image { .. }) => {
                output.warning(&format!(
                    "the cache image {reference} is not used: {}",
                    failed(&error).body
                ));
                None
            }
            Err(error) => return Err(failed(&error)),
        };
        Ok(Some(Self {
            found,
            uploads: Uploads::new(
                registry.clone(),
                vec![reference.clone()],
                request.publish.clone(),
            ),
        }))
    }

    /// What the last build left, if anything.
    pub(crate) fn metadata(&self) -> Option<CacheMetadata> {
        cached_metadata(self.found.as_ref()?)
    }

    /// The layer with this content. It is fetched when it is read.
    pub(crate) fn layer(&self, diff_id: &DiffId) -> Option<Layer> {
        let mut layers = self.layers().iter();
        layers.find(|layer| layer.diff_id == *diff_id).cloned()
    }

    /// Every layer.
    pub(crate) fn layers(&self) -> &[Layer] {
        self.found.as_ref().map_or(&[], Image::layers)
    }

    /// Sends a layer that the next state will have.
    pub(crate) fn send(&self, layer: &Layer) {
        self.uploads.send(layer);
    }

    /// Puts another state in its place.
    pub(crate) fn replace(
        &self,
        layers: Vec<Layer>,
        metadata: &CacheMetadata,
    ) -> Result<(), ImageError> {
        let image = cache_image(layers, metadata).map_err(ImageError::new)?;
        let before = self
            .found
            .as_ref()
            .map(|image| image.documents().manifest.digest);
        let pushed = self.uploads.finish(&image, before);
        pushed.map(drop).map_err(ImageError::new)
    }
}
