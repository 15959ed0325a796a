//! The cache as an image in a registry. What is to be restored is unpacked as its bytes come; what is kept goes there from the app's image where that has
//! the same layer, so that it is sent once.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use cnb_spec::labels::CacheMetadata;
use lifecycle::cache::{CachedLayer, LayerCache};
use lifecycle::cache_image::{cache_image, cached_metadata};
use lifecycle::images::ImageError;
use lifecycle::output::Output;
use lifecycle::restored_layer::restore_layer;
use oci_image::layer::{Compression, LayerContents};
use oci_image::{
    BlobDigest, DiffId, ExpansionLimits, Image, Layer, LayerReader, Platform, Reference,
};
use registry::Uploads;

use crate::registry_images::Shared;

/// The cache image as it was, and the layers of the one that takes its place.
#[derive(Debug)]
pub(crate) struct CacheImage {
    shared: Shared,
    reference: Reference,
    found: Option<(BlobDigest, Image)>,
    uploads: Uploads,
    next: Mutex<Vec<Layer>>,
}

impl CacheImage {
    /// Opens it. A cache saves work and nothing else: one that is damaged, or that cannot be reached, is as good as none.
    pub(crate) fn open(
        shared: Shared,
        reference: Reference,
        app: Option<Reference>,
        output: &Output,
    ) -> Self {
        let found = shared.registry.image(&reference, Platform::LINUX_AMD64);
        let found = found.map_err(ImageError::new).unwrap_or_else(|error| {
            output.warn(format_args!(
                "Not using the cache image '{reference}': {error}"
            ));
            None
        });
        if found.is_none() {
            output.info("Layer cache not found");
        }
        let found = found.map(|found| (found.manifest, found.image));
        if let Some((_, image)) = &found {
            shared.known.add(image.layers());
        }
        let uploads = Uploads::new(
            shared.registry.clone(),
            vec![reference.clone()],
            app.into_iter().collect(),
        );
        Self {
            shared,
            reference,
            found,
            uploads,
            next: Mutex::default(),
        }
    }

    fn layer(&self, diff_id: &DiffId) -> Option<&Layer> {
        let (_, image) = self.found.as_ref()?;
        image
            .layers()
            .iter()
            .find(|layer| layer.diff_id == *diff_id)
    }

    fn missing(diff_id: &DiffId) -> ImageError {
        ImageError::new(format!("failed to find cache layer with SHA '{diff_id}'"))
    }

    fn add(&self, layer: Layer) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        next.push(layer);
    }

    /// The layers in the order in which the metadata names them, each once, whatever order they came in.
    fn in_order(&self, metadata: &CacheMetadata) -> Vec<Layer> {
        let mut left =
            std::mem::take(&mut *self.next.lock().unwrap_or_else(PoisonError::into_inner));
        let buildpacks = metadata.buildpacks.iter();
        let named =
            buildpacks.flat_map(|buildpack| buildpack.layers.values().map(|layer| &layer.sha));
        let named = named.chain([&metadata.sbom.sha]);
        let mut layers = Vec::new();
        for sha in named {
            let is_it = |layer: &Layer| layer.diff_id.to_string() == *sha;
            if let Some(at) = left.iter().position(is_it) {
                layers.push(left.swap_remove(at));
            }
        }
        layers
    }
}

impl LayerCache for CacheImage {
    fn metadata(&self) -> Result<CacheMetadata, ImageError> {
        let found = self.found.as_ref();
        Ok(found
            .and_then(|(_, image)| cached_metadata(image))
            .unwrap_or_default())
    }

    fn has(&self, diff_id: &DiffId) -> Result<bool, ImageError> {
        let Some(layer) = self.layer(diff_id) else {
            return Ok(false);
        };
        // Registries lose blobs; the manifest says nothing of it.
        let has = self
            .shared
            .registry
            .has_blob(&self.reference, &layer.digest);
        has.map_err(ImageError::new)
    }

    fn restore(&self, layer: &CachedLayer<'_>, layers_dir: &Path) -> Result<(), ImageError> {
        let CachedLayer { diff_id, .. } = layer;
        let blob = self.layer(diff_id).ok_or_else(|| Self::missing(diff_id))?;
        let tar = LayerReader::new(
            blob.open().map_err(ImageError::new)?,
            ExpansionLimits::default(),
        );
        let tar = tar.map_err(ImageError::new)?;
        restore_layer(tar, *diff_id, &layer.folder(layers_dir)).map_err(ImageError::new)
    }

    fn leave(&self, layer: &CachedLayer<'_>, layers_dir: &Path) -> Result<(), ImageError> {
        let CachedLayer { diff_id, .. } = layer;
        self.layer(diff_id).ok_or_else(|| Self::missing(diff_id))?;
        std::fs::create_dir_all(layer.folder(layers_dir)).map_err(ImageError::new)
    }

    fn keep(
        &self,
        layer: &CachedLayer<'_>,
        contents: &LayerContents<'_>,
    ) -> Result<(), ImageError> {
        let CachedLayer { diff_id, .. } = layer;
        // What the app's image has is mounted at the end, when it is there. What the cache itself had, it has lost.
        let known = self.shared.known.get(diff_id);
        if let Some(known) = known.filter(|known| self.layer(diff_id) != Some(known)) {
            self.add(known);
            return Ok(());
        }
        let compression = Compression::Gzip {
            threads: self.shared.threads,
        };
        let written = self.shared.scratch.write_layer(contents, compression);
        let written = written.map_err(ImageError::new)?;
        if written.diff_id != *diff_id {
            let found = written.diff_id;
            return Err(ImageError::new(format!(
                "the layer {diff_id} changed while it was cached: now it is {found}"
            )));
        }
        self.uploads.send(&written);
        self.add(written);
        Ok(())
    }

    fn reuse(&self, layer: &CachedLayer<'_>) -> Result<(), ImageError> {
        let CachedLayer { diff_id, .. } = layer;
        let found = self.layer(diff_id).ok_or_else(|| Self::missing(diff_id))?;
        self.add(found.clone());
        Ok(())
    }

    fn commit(&self, metadata: &CacheMetadata) -> Result<(), ImageError> {
        let image = cache_image(self.in_order(metadata), metadata).map_err(ImageError::new)?;
        let before = self.found.as_ref().map(|(digest, _)| *digest);
        let pushed = self.uploads.finish(&image, before);
        pushed.map(drop).map_err(ImageError::new)
    }
}
