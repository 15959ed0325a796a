//! The image on its way to registries: rights are asked for before the build, layers sent as they come, the names given last.

use std::sync::{Mutex, PoisonError};

use oci_image::{BlobDigest, Image, Layer};
use registry::{Outcome, RegistryError, Report, Uploads};

use super::base_images::Given;
use super::request::Request;
use crate::failure::Failure;
use crate::registries::{self, Registries};

/// Where the image goes.
#[derive(Debug)]
pub(crate) struct Publishing {
    uploads: Uploads,
    /// What the first name leads to now.
    previous: Option<BlobDigest>,
    report: Mutex<Option<Report>>,
}

impl Publishing {
    /// Fails where publishing would not be allowed: after the build it would be late to hear so.
    pub(crate) fn check(request: &Request, registries: &Registries<'_>) -> Result<(), Failure> {
        let failed = |error: RegistryError| registries::failure(&error);
        for (index, target) in request.publish.iter().enumerate() {
            let seen = request.publish[..index]
                .iter()
                .any(|before| before.is_beside(target));
            if !seen {
                registries.client()?.check_push(target).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// `None` where nothing is to be published.
    pub(crate) fn new(
        request: &Request,
        registries: &Registries<'_>,
        given: &[&Given],
    ) -> Result<Option<Self>, Failure> {
        let Some(first) = request.publish.first() else {
            return Ok(None);
        };
        let mount_from = given
            .iter()
            .filter_map(|given| given.repository.clone())
            .filter(|repository| !repository.is_beside(first));
        let previous = given
            .iter()
            .filter(|given| given.repository.as_ref() == Some(first))
            .map(|given| given.image.image.documents().manifest.digest)
            .next();
        let registry = registries.client()?.clone();
        Ok(Some(Self {
            uploads: Uploads::new(registry, request.publish.clone(), mount_from.collect()),
            previous,
            report: Mutex::default(),
        }))
    }

    /// Sends a layer while the build goes on.
    pub(crate) fn send(&self, layer: &Layer) {
        self.uploads.send(layer);
    }

    /// Sends what is not there yet, and gives the image its names.
    pub(crate) fn publish(&self, image: &Image) -> Result<(), RegistryError> {
        let report = self.uploads.finish(image, self.previous)?;
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
        Ok(())
    }

    /// `registry.example/app@sha256:…`
    pub(crate) fn references(&self, manifest: BlobDigest) -> Vec<String> {
        let targets = self.uploads.targets().iter();
        targets
            .map(|target| target.with_digest(manifest).to_string())
            .collect()
    }

    /// What each layer needed, the lowest first.
    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report
            .as_ref()
            .map(|report| report.layers.clone())
            .unwrap_or_default()
    }
}
