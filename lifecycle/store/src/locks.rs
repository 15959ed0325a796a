//! File locks (`flock`): the kernel gives them back when their holder ends, however it ends.

use std::fs::{File, OpenOptions};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::StoreError;

/// A lock that is held until the value is dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    pub(crate) fn shared(path: &Path) -> Result<Self, StoreError> {
        Self::wait(path, FlockOperation::LockShared)
    }

    pub(crate) fn exclusive(path: &Path) -> Result<Self, StoreError> {
        Self::wait(path, FlockOperation::LockExclusive)
    }

    /// `None` where somebody else holds it.
    pub(crate) fn try_exclusive(path: &Path) -> Result<Option<Self>, StoreError> {
        let file = open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(StoreError::io("locked", path)(error.into())),
        }
    }

    fn wait(path: &Path, operation: FlockOperation) -> Result<Self, StoreError> {
        let file = open(path)?;
        loop {
            match flock(&file, operation) {
                Ok(()) => return Ok(Self(file)),
                Err(Errno::INTR) => {}
                Err(error) => return Err(StoreError::io("locked", path)(error.into())),
            }
        }
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    let opened = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    opened.map_err(StoreError::io("opened", path))
}
