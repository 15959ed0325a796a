//! The store as the lifecycle's place for images.

use std::num::NonZeroUsize;
use std::thread;

use lifecycle::images::{CommittedImage, ImageError, ImageStore, OpenedImage};
use oci_image::layer::{Compression, LayerContents, write_layer};
use oci_image::{BlobDigest, BlobSource, DiffId, Image, Layer};
use store::{NamedImage, Store};

/// Images of the store by name.
#[derive(Debug)]
pub(crate) struct StoreImages<'a> {
    store: &'a Store,
    threads: NonZeroUsize,
}

impl<'a> StoreImages<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self {
            store,
            threads: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        }
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
        let Some(manifest) = manifest_of(self.store, name)? else {
            return Ok(None);
        };
        // One that is damaged is as good as none: its parts are made again.
        let Ok(image) = oci_image::read_image(&self.store.blobs(), &manifest) else {
            return Ok(None);
        };
        let plain = name.split('@').next().unwrap_or(name);
        Ok(Some(OpenedImage {
            reference: format!("{plain}@{manifest}"),
            image,
        }))
    }

    fn layer(&self, diff_id: &DiffId) -> Result<Option<Layer>, ImageError> {
        let Some(blob) = self.store.layer(diff_id).map_err(ImageError::new)? else {
            return Ok(None);
        };
        let path = self
            .store
            .blob(&blob.digest, blob.size)
            .map_err(ImageError::new)?;
        Ok(path.map(|path| Layer::new(blob, BlobSource::File(path))))
    }

    fn write_layer(&self, contents: &LayerContents<'_>) -> Result<Layer, ImageError> {
        let mut writer = self.store.blob_writer().map_err(ImageError::new)?;
        let compression = Compression::Gzip {
            threads: self.threads,
        };
        let blob = write_layer(contents, &mut writer, compression).map_err(ImageError::new)?;
        let path = writer.commit(&blob.digest).map_err(ImageError::new)?;
        self.store.note_layer(&blob).map_err(ImageError::new)?;
        Ok(Layer::new(blob, BlobSource::File(path)))
    }

    fn commit(&self, names: &[String], image: &Image) -> Result<CommittedImage, ImageError> {
        let documents = image.documents();
        self.store
            .write_blob(&documents.config.bytes)
            .map_err(ImageError::new)?;
        let manifest = self
            .store
            .write_blob(&documents.manifest.bytes)
            .map_err(ImageError::new)?;
        for name in names {
            let named = NamedImage {
                name: name.clone(),
                manifest,
            };
            self.store.name_image(&named).map_err(ImageError::new)?;
        }
        Ok(CommittedImage {
            manifest,
            manifest_size: documents.manifest.bytes.len() as u64,
        })
    }
}
