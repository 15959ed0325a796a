//! What making a stack takes, and the stack's folder read.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use debian::keyring::{Keyring, KeyringError};
use debian::mirror::MirrorSettings;
use debian::release::Freshness;
use fetch::Client;
use oci_image::Digest;
use sandbox::Helper;

use crate::definition::{Definition, DefinitionError};
use crate::lock::{Lock, LockError};

/// What making a stack takes beside the store.
#[derive(Debug)]
pub struct StackInputs<'a> {
    /// The folder with `stack.toml`, `stack.lock` and `debian-archive-keyring.pgp`.
    pub folder: &'a Path,
    /// For downloads.
    pub client: &'a Client,
    /// Where Debian's archive is.
    pub mirrors: &'a MirrorSettings,
    /// Whether outdated suites are refused.
    pub freshness: Freshness,
    /// What the lock means.
    pub lock_use: LockUse,
    /// The time it is.
    pub now: SystemTime,
    /// The program that sets up sandboxes.
    pub helper: Helper,
    /// How many threads unpack and compress.
    pub threads: NonZeroUsize,
}

/// What the lock means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockUse {
    /// It is followed as long as the mirror has its packages; what is gone is resolved afresh, and said.
    Prefer,
    /// It is followed, or there is no stack (`--locked`).
    Require,
}

/// Names in a stack's folder.
pub(crate) const DEFINITION: &str = "stack.toml";
pub(crate) const LOCK: &str = "stack.lock";
pub(crate) const KEYRING: &str = "debian-archive-keyring.pgp";

/// Changes when the same lock is to give other bytes, so that no older stack is found for it.
const REVISION: &str = "1";

/// A stack's folder, read.
#[derive(Debug)]
pub(crate) struct StackFolder {
    pub(crate) definition: Definition,
    pub(crate) definition_text: String,
    /// `None` before the first `stack lock`.
    pub(crate) lock: Option<(Lock, String)>,
    pub(crate) keyring_bytes: Vec<u8>,
}

impl StackFolder {
    pub(crate) fn read(folder: &Path) -> Result<Self, StackFolderError> {
        let read = |name: &str| {
            let path = folder.join(name);
            std::fs::read(&path).map_err(|source| StackFolderError::Read { path, source })
        };
        let text = |name: &str| {
            String::from_utf8(read(name)?).map_err(|_| StackFolderError::NotText(folder.join(name)))
        };
        let definition_text = text(DEFINITION)?;
        let definition = Definition::parse(&definition_text, &folder.join(DEFINITION))?;
        let lock = match text(LOCK) {
            Ok(text) => Some((Lock::parse(&text, &folder.join(LOCK))?, text)),
            Err(StackFolderError::Read { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            definition,
            definition_text,
            lock,
            keyring_bytes: read(KEYRING)?,
        })
    }

    pub(crate) fn keyring(&self) -> Result<Keyring, StackFolderError> {
        Ok(Keyring::from_bytes(&self.keyring_bytes)?)
    }

    /// Names what a stack of this folder is made of.
    pub(crate) fn key(&self) -> String {
        let lock = self.lock.as_ref().map_or("", |(_, text)| text);
        let all = [
            REVISION.as_bytes(),
            self.definition_text.as_bytes(),
            lock.as_bytes(),
            &self.keyring_bytes,
        ];
        let parts: Vec<String> = all.iter().map(|part| Digest::of(part).hex()).collect();
        Digest::of(parts.join("\n").as_bytes()).hex()
    }
}

/// Why a stack's folder could not be read.
#[derive(Debug, thiserror::Error)]
pub enum StackFolderError {
    /// A file.
    #[error("could not read {path}: {source}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Not UTF-8.
    #[error("{path} is not UTF-8 text", path = .0.display())]
    NotText(PathBuf),
    /// `stack.toml`.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// `stack.lock`.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The keyring.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
}
