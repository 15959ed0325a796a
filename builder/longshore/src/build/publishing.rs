//! The image on its way to registries: rights are asked for before the build, layers sent as they come, the names given last.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use oci_image::{BlobDigest, Image, Layer, Reference};
use registry::{Outcome, Push, Registry, RegistryError, Report};

use super::base_images::Given;
use super::request::Request;
use crate::failure::Failure;
use crate::registries::{self, Registries};

/// Where the image goes.
#[derive(Debug)]
pub(crate) struct Publishing {
    registry: Registry,
    targets: Vec<Reference>,
    /// Repositories that may have layers already.
    mount_from: Vec<Reference>,
    /// What the first name leads to now.
    previous: Option<BlobDigest>,
    uploads: Uploads,
    report: Mutex<Option<Report>>,
}

/// Layers on their way into a repository, while others are still being made.
#[derive(Debug, Default)]
pub(crate) struct Uploads(Mutex<Vec<Upload>>);

/// A layer that is being sent.
type Upload = JoinHandle<Result<(BlobDigest, Outcome), RegistryError>>;

impl Uploads {
    /// Begins to send a layer that was just made. Other repositories are not asked for it: what they are known to have is never made.
    pub(crate) fn begin(&self, registry: &Registry, target: &Reference, layer: &Layer) {
        let (registry, target, layer) = (registry.clone(), target.clone(), layer.clone());
        let upload = thread::spawn(move || {
            let outcome = registry.push_layer(&target, &layer, &[])?;
            Ok((layer.digest, outcome))
        });
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(upload);
    }

    /// Waits for all of them, and tells what each needed.
    pub(crate) fn end(&self) -> Result<Vec<(BlobDigest, Outcome)>, RegistryError> {
        let uploads = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let end = |upload: Upload| {
            let ended = upload.join();
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        };
        uploads.into_iter().map(end).collect()
    }
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
        Ok(Some(Self {
            registry: registries.client()?.clone(),
            targets: request.publish.clone(),
            mount_from: mount_from.collect(),
            previous,
            uploads: Uploads::default(),
            report: Mutex::default(),
        }))
    }

    /// Sends a layer while the build goes on.
    pub(crate) fn send(&self, layer: &Layer) {
        if let Some(target) = self.targets.first() {
            self.uploads.begin(&self.registry, target, layer);
        }
    }

    /// Sends what is not there yet, and gives the image its names.
    pub(crate) fn publish(&self, image: &Image) -> Result<(), RegistryError> {
        let sent = self.uploads.end()?;
        let push = Push {
            tags: &self.targets,
            mount_from: &self.mount_from,
            previous: self.previous,
        };
        let mut report = self.registry.push_image(image, &push)?;
        // What was sent before is there when all is looked through; how it came there is of interest.
        for (layer, outcome) in image.layers().iter().zip(&mut report.layers) {
            let before = sent.iter().find(|(digest, _)| *digest == layer.digest);
            if let Some((_, how)) = before {
                outcome.clone_from(how);
            }
        }
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
        Ok(())
    }

    /// `registry.example/app@sha256:…`
    pub(crate) fn references(&self, manifest: BlobDigest) -> Vec<String> {
        let exact = |target: &Reference| target.with_digest(manifest).to_string();
        self.targets.iter().map(exact).collect()
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
