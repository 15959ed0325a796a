//! What is known of a layer once it has been written.

use crate::digest::{BlobDigest, DiffId};
use serde::{Deserialize, Serialize};

/// A layer as content (its diffID) and as a blob (digest and size of the stored bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LayerBlob {
    /// The digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// The digest of the blob; equal to the diffID's where the blob is not compressed.
    pub digest: BlobDigest,
    /// The blob's size in bytes.
    pub size: u64,
    /// The uncompressed tar's size in bytes.
    pub uncompressed_size: u64,
}

impl LayerBlob {
    /// Whether the blob is the tar itself.
    pub fn is_uncompressed(&self) -> bool {
        self.digest.digest() == self.diff_id.digest()
    }
}
