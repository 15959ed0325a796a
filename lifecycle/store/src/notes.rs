//! Notes: small facts that a caller wants to find again. They are a cache: one may be gone, and then is made again.

use std::path::PathBuf;

use oci_image::Digest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::StoreError;
use crate::{Store, disk};

impl Store {
    /// What was noted under this kind and key, if it still reads as a `T`.
    pub fn note<T: DeserializeOwned>(
        &self,
        kind: &str,
        key: &str,
    ) -> Result<Option<T>, StoreError> {
        disk::read_json(&self.note_path(kind, key))
    }

    /// Notes a fact. `kind` is a plain word; `key` is any text.
    pub fn write_note(
        &self,
        kind: &str,
        key: &str,
        value: &impl Serialize,
    ) -> Result<(), StoreError> {
        disk::make_folders(&self.cache.join("notes").join(kind))?;
        disk::write_json(&self.note_path(kind, key), value)
    }

    fn note_path(&self, kind: &str, key: &str) -> PathBuf {
        self.cache
            .join("notes")
            .join(kind)
            .join(format!("{}.json", Digest::of(key.as_bytes()).hex()))
    }
}
