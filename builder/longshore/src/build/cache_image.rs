//! The cached layers of a build as an image in a registry, so that a build on another machine goes on from there.
//!
//! A layer that is in the app's image too is the same blob, and is sent once.

use cnb_spec::labels::CacheMetadata;
use lifecycle::cache_image::{cache_image, cached_metadata};
use lifecycle::images::ImageError;
use oci_image::{DiffId, Image, Layer, Platform, Reference};
use registry::{Push, Registry, RegistryError};

use super::request::Request;
use crate::failure::Failure;
use crate::output::Output;
use crate::registries::{self, Registries};

/// The cache image, as it was when the build began.
#[derive(Debug)]
pub(crate) struct CacheImage {
    registry: Registry,
    reference: Reference,
    found: Option<Image>,
    /// Where its layers may be already.
    mount_from: Vec<Reference>,
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
            registry: registry.clone(),
            reference: reference.clone(),
            found,
            mount_from: request.publish.clone(),
        }))
    }

    /// What the last build left, if anything.
    pub(crate) fn metadata(&self) -> Option<CacheMetadata> {
        cached_metadata(self.found.as_ref()?)
    }

    /// The layer with this content. It is fetched when it is read.
    pub(crate) fn layer(&self, diff_id: &DiffId) -> Option<Layer> {
        let mut layers = self.found.as_ref()?.layers().iter();
        layers.find(|layer| layer.diff_id == *diff_id).cloned()
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
        let push = Push {
            tags: std::slice::from_ref(&self.reference),
            mount_from: &self.mount_from,
            previous: before,
        };
        let pushed = self.registry.push_image(&image, &push);
        pushed.map(drop).map_err(ImageError::new)
    }
}
