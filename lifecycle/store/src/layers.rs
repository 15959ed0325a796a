//! Which blob holds a layer's content, so that a layer whose files did not change is not compressed again.

use std::path::PathBuf;

use oci_image::{DiffId, LayerBlob};

use crate::error::StoreError;
use crate::{Store, disk};

impl Store {
    /// The blob with this content, if it is there.
    pub fn layer(&self, diff_id: &DiffId) -> Result<Option<LayerBlob>, StoreError> {
        let noted: Option<LayerBlob> = disk::read_json(&self.layer_path(diff_id))?;
        let Some(layer) = noted.filter(|layer| layer.diff_id == *diff_id) else {
            return Ok(None);
        };
        Ok(self.blob(&layer.digest, layer.size)?.map(|_| layer))
    }

    /// Remembers which blob holds a layer's content, for as long as the blob is there. It is there already.
    pub fn note_layer(&self, layer: &LayerBlob) -> Result<(), StoreError> {
        let path = self.layer_path(&layer.diff_id);
        match self.lasting_blob(&layer.digest, layer.size)? {
            Some(_) => disk::write_json(&path, layer),
            None => disk::write_json_unsynced(&path, layer),
        }
    }

    pub(crate) fn layer_path(&self, diff_id: &DiffId) -> PathBuf {
        self.data
            .join("layers")
            .join(format!("{}.json", diff_id.hex()))
    }
}
