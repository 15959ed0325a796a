//! Blobs that are not on this machine: who holds them opens them when somebody reads.

use crate::reference::Reference;
use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;

/// Opens a blob somewhere else. Each call reads from the start.
pub trait OpenBlob: fmt::Debug + Send + Sync {
    /// The blob's bytes, `size` of them if all is well.
    fn open(&self, size: u64) -> io::Result<Box<dyn Read + Send>>;

    /// The repository that has the blob: a registry can then link it to another of its repositories without a copy.
    fn repository(&self) -> Option<&Reference> {
        None
    }
}

/// A blob that is not on this machine.
#[derive(Debug, Clone)]
pub struct RemoteBlob(Arc<dyn OpenBlob>);

impl RemoteBlob {
    /// A blob that this opens.
    pub fn new(blob: Arc<dyn OpenBlob>) -> Self {
        Self(blob)
    }

    /// The repository that has the blob.
    pub fn repository(&self) -> Option<&Reference> {
        self.0.repository()
    }

    pub(crate) fn open(&self, size: u64) -> io::Result<Box<dyn Read + Send>> {
        self.0.open(size)
    }
}

/// The same place, not the same bytes: those have a digest.
impl PartialEq for RemoteBlob {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for RemoteBlob {}
