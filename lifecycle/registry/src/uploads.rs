//! Layers on their way while others are still being made; then the image, when all of them are there.

use std::{
    sync::{Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use oci_image::{BlobDigest, Image, Layer, Reference};

use crate::{
    blob::Outcome,
    client::Registry,
    error::RegistryError,
    push::{Push, Report},
};

/// An image that is being pushed layer by layer.
#[derive(Debug)]
pub struct Uploads {
    registry: Registry,
    targets: Vec<Reference>,
    mount_from: Vec<Reference>,
    running: Mutex<Vec<Upload>>,
}

/// A layer that is being sent.
type Upload = JoinHandle<Result<(BlobDigest, Outcome), RegistryError>>;

impl Uploads {
    /// Pushes to these names, the first of which gets the layers as they come; the repositories to mount from may have some of them already.
    pub fn new(registry: Registry, targets: Vec<Reference>, mount_from: Vec<Reference>) -> Self {
        Self {
            registry,
            targets,
            mount_from,
            running: Mutex::default(),
        }
    }

    /// The names.
    pub fn targets(&self) -> &[Reference] {
        &self.targets
    }

    /// Sends a layer in the background. Its bytes have to stay where they are until the image is there.
    pub fn send(&self, layer: &Layer) {
        let Some(target) = self.targets.first().cloned() else {
            return;
        };
        let (registry, layer) = (self.registry.clone(), layer.clone());
        let mount_from = self.mount_from.clone();
        let upload = thread::spawn(move || {
            let outcome = registry.push_layer(&target, &layer, &mount_from)?;
            Ok((layer.digest, outcome))
        });
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.push(upload);
    }

    /// Sends what is not there yet, and gives the image its names. `previous` is what the first one led to, if somebody looked.
    pub fn finish(
        &self,
        image: &Image,
        previous: Option<BlobDigest>,
    ) -> Result<Report, RegistryError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sent = Vec::new();
        for upload in running.drain(..) {
            let ended = upload.join();
            sent.push(ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        let push = Push {
            tags: &self.targets,
            mount_from: &self.mount_from,
            previous,
        };
        let mut report = self.registry.push_image(image, &push)?;
        // What was sent before is there when all is looked through; how it came there is of interest.
        for (layer, outcome) in image.layers().iter().zip(&mut report.layers) {
            let before = sent.iter().find(|(digest, _)| *digest == layer.digest);
            if let Some((_, how)) = before {
                outcome.clone_from(how);
            }
        }
        Ok(report)
    }
}
