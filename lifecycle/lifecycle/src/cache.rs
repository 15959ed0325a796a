//! Where layers wait for the next build: what restore and export ask of a volume ([`crate::volume_cache::VolumeCache`]), an image or the store.

use std::path::{Path, PathBuf};

use cnb_spec::id::{BuildpackId, LayerName};
use cnb_spec::labels::CacheMetadata;
use oci_image::DiffId;
use oci_image::layer::{LayerContents, diff_id};

use crate::images::ImageError;

/// A cache of layers. A new state replaces the old one as a whole, with [`LayerCache::commit`].
pub trait LayerCache: Sync {
    /// What the last build left; empty where there is nothing, or nothing that can be read.
    fn metadata(&self) -> Result<CacheMetadata, ImageError>;

    /// Is the layer's content there, whole?
    fn has(&self, diff_id: &DiffId) -> Result<bool, ImageError>;

    /// Makes the layer's content available below `layers_dir`, at the path that its tar names. After an error nothing of it is there; the build goes on without
    /// the layer. Called from several threads.
    fn restore(&self, layer: &CachedLayer<'_>, layers_dir: &Path) -> Result<(), ImageError>;

    /// Puts an empty folder where the layer's content would be, which this build will not look into; or the content, where that costs nothing.
    /// An error as of [`LayerCache::restore`] if the content is not there.
    fn leave(&self, layer: &CachedLayer<'_>, layers_dir: &Path) -> Result<(), ImageError>;

    /// Is the content of a layer that was left there still there? It is not looked at before somebody wants it.
    fn still_has(&self, diff_id: &DiffId) -> Result<bool, ImageError> {
        self.has(diff_id)
    }

    /// The digest of a layer's content that is not known yet. A cache that will want the layer as a blob makes it now, so that its files are
    /// read once. Called from several threads.
    fn measure(
        &self,
        layer: Option<(&BuildpackId, &LayerName)>,
        contents: &LayerContents<'_>,
    ) -> Result<DiffId, ImageError> {
        let _ = layer;
        diff_id(contents)
            .map(|(diff_id, _)| diff_id)
            .map_err(ImageError::new)
    }

    /// Keeps a layer for the next build. Called from several threads.
    fn keep(&self, layer: &CachedLayer<'_>, contents: &LayerContents<'_>)
    -> Result<(), ImageError>;

    /// Keeps a layer that is in the cache already, unchanged.
    fn reuse(&self, layer: &CachedLayer<'_>) -> Result<(), ImageError>;

    /// Makes what was kept and reused the cache's state.
    fn commit(&self, metadata: &CacheMetadata) -> Result<(), ImageError>;
}

/// A layer in a cache. The cache's SBOM layer has neither buildpack nor name.
#[derive(Debug, Clone, Copy)]
pub struct CachedLayer<'a> {
    /// Whose it is, and its name.
    pub layer: Option<(&'a BuildpackId, &'a LayerName)>,
    /// Its content.
    pub diff_id: DiffId,
}

impl CachedLayer<'_> {
    /// Where it belongs.
    pub fn folder(&self, layers_dir: &Path) -> PathBuf {
        match self.layer {
            Some((id, name)) => layers_dir.join(id.escaped()).join(name.as_str()),
            None => layers_dir.join("sbom/cache"),
        }
    }
}
