//! What the registry has: blobs, which repositories have them, manifests, tags, uploads and tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use sha2::{Digest as _, Sha256};

#[derive(Debug, Default)]
pub(crate) struct Store {
    pub(crate) blobs: BTreeMap<String, Vec<u8>>,
    pub(crate) repositories: BTreeMap<String, Repository>,
    pub(crate) uploads: BTreeMap<u64, Upload>,
    /// Which scopes a token is for, and until when.
    pub(crate) tokens: BTreeMap<String, (Vec<String>, Instant)>,
    counted: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Repository {
    pub(crate) blobs: BTreeSet<String>,
    pub(crate) manifests: BTreeMap<String, Manifest>,
    pub(crate) tags: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Manifest {
    pub(crate) kind: String,
    pub(crate) bytes: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) repository: String,
    pub(crate) bytes: Vec<u8>,
}

impl Store {
    /// A number that was not given before.
    pub(crate) fn number(&mut self) -> u64 {
        self.counted += 1;
        self.counted
    }

    pub(crate) fn put_blob(&mut self, repository: &str, bytes: &[u8]) -> String {
        let digest = digest_of(bytes);
        self.blobs.insert(digest.clone(), bytes.to_vec());
        self.repository(repository).blobs.insert(digest.clone());
        digest
    }

    pub(crate) fn put_manifest(
        &mut self,
        repository: &str,
        tag: Option<&str>,
        kind: &str,
        bytes: &[u8],
    ) -> String {
        let digest = digest_of(bytes);
        let repository = self.repository(repository);
        let manifest = Manifest {
            kind: kind.to_owned(),
            bytes: bytes.to_vec(),
        };
        repository.manifests.insert(digest.clone(), manifest);
        if let Some(tag) = tag {
            repository.tags.insert(tag.to_owned(), digest.clone());
        }
        digest
    }

    pub(crate) fn repository(&mut self, name: &str) -> &mut Repository {
        self.repositories.entry(name.to_owned()).or_default()
    }
}

pub(crate) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}
