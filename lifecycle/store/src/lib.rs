//! The content-addressed store on disk: blobs, unpacked layer trees, named images, app caches, locks, garbage collection.
//!
//! ```text
//! <data>/blobs/sha256/<hex>            layers, configurations, manifests
//! <data>/blobs/boot-<id>/<hex>         the same, not waited for until it is on disk; worth nothing after the machine starts anew
//! <data>/layers/<diffID hex>.json      which blob holds a layer's content
//! <data>/images/<escaped name>.json    a name -> the digest of a manifest
//! <cache>/trees/sha256/<hex>/          what a layer unpacks to at `/`
//! <cache>/trees/sha256/<hex>.json      whose its files are
//! <cache>/trees/boot-<id>/             the same, for as long as the machine runs
//! <cache>/downloads/sha256/<hex>       files fetched by digest
//! <cache>/apps/<key>.json              the cached layers of an app
//! <cache>/notes/<kind>/<key>.json      what a caller wants to remember; may go at any time
//! <data|cache>/tmp/, <cache>/locks/
//! ```
//!
//! Everything gets its name by one rename after it is complete and on disk, so a reader sees it whole or not at all, after
//! `SIGKILL` and after a power cut. Readers take no locks. Who builds holds the store shared; who collects garbage has it alone.

pub mod apps;
mod blobs;
mod boot;
mod disk;
mod durability;
mod error;
mod images;
mod layers;
mod locks;
mod notes;
pub mod overlay;
mod prune;
pub mod snapshot;
mod temporary;
mod trees;

pub use blobs::BlobWriter;
pub use durability::Durability;
pub use error::StoreError;
pub use images::NamedImage;
pub use locks::Lock;
pub use prune::{Limits, Pruned, Usage};
pub use temporary::Temporary;
pub use trees::{StagedTree, Tree};

use std::path::{Path, PathBuf};

/// Every moment of a write at which tests let the program die, in the order in which a build first reaches them.
pub const FAILPOINTS: [&str; 8] = [
    "temporary-made",
    "blob-written",
    "blob-renamed",
    "tree-owners-written",
    "tree-renamed",
    "file-written",
    "file-renamed",
    "app-saved",
];

/// The store, in its two folders.
#[derive(Debug, Clone)]
pub struct Store {
    data: PathBuf,
    cache: PathBuf,
    /// The name of the folders for this boot's blobs and trees.
    boot: Option<String>,
}

impl Store {
    /// Opens the store, made where it is not there yet, and takes away what programs that died left unfinished.
    pub fn open(data: &Path, cache: &Path) -> Result<Self, StoreError> {
        let store = Self {
            data: data.to_owned(),
            cache: cache.to_owned(),
            boot: boot::folder_name(),
        };
        let folders = [
            store.data.join("blobs/sha256"),
            store.data.join("layers"),
            store.data.join("images"),
            store.data.join("tmp"),
            store.cache.join("trees/sha256"),
            store.cache.join("downloads/sha256"),
            store.cache.join("apps"),
            store.cache.join("notes"),
            store.cache.join("locks"),
            store.cache.join("tmp"),
        ];
        for folder in &folders {
            disk::make_folders(folder)?;
        }
        let notes = store.cache.join("notes");
        let kinds = disk::names(&notes)?;
        let kinds = kinds.iter().map(|kind| notes.join(kind));
        for folder in folders.iter().cloned().chain(kinds) {
            disk::sweep_unfinished(&folder)?;
        }
        temporary::sweep(&store.data.join("tmp"))?;
        temporary::sweep(&store.cache.join("tmp"))?;
        Ok(store)
    }

    /// A folder for unfinished work, on the file system of the trees; gone when the value is dropped or its program dies.
    pub fn temporary(&self, purpose: &str) -> Result<Temporary, StoreError> {
        Temporary::new(&self.cache.join("tmp"), purpose)
    }

    /// Where a download with this digest is, or belongs.
    pub fn downloads(&self) -> PathBuf {
        self.cache.join("downloads/sha256")
    }

    /// Keeps garbage collection away while a build uses what nothing names yet.
    pub fn hold(&self) -> Result<Lock, StoreError> {
        Lock::shared(&self.cache.join("locks/store"))
    }

    /// Whether somebody holds the store just now, so that [`Store::prune`] will wait.
    pub fn is_held(&self) -> Result<bool, StoreError> {
        Lock::try_exclusive(&self.cache.join("locks/store")).map(|lock| lock.is_none())
    }

    fn hold_alone(&self) -> Result<Lock, StoreError> {
        Lock::exclusive(&self.cache.join("locks/store"))
    }
}
