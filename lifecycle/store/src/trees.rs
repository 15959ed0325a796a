//! Trees: what a layer unpacks to at `/`, ready to be a lower folder of an overlay.
//!
//! Beside a tree stands a file that says whose its files are: an ordinary user cannot give a file to anyone else. It is written
//! first; the tree's own rename is what makes it exist.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::thread;

use oci_image::archive::ReadArchiveError;
use oci_image::unpack::{UnpackOptions, open_root, unpack};
use oci_image::{
    DiffId, ExpansionLimits, HashingReader, LayerBlob, LayerReader, Owner, Owners, ReadAhead,
};
use serde::{Deserialize, Serialize};

use crate::durability::Durability;
use crate::error::StoreError;
use crate::temporary::Temporary;
use crate::{Store, disk};

/// An unpacked layer. Nobody writes into it.
#[derive(Debug, Clone)]
pub struct Tree {
    /// The layer.
    pub diff_id: DiffId,
    /// Its files, from `/` on.
    pub path: PathBuf,
}

/// A folder that is to become a tree.
#[derive(Debug)]
pub struct StagedTree<'a> {
    /// The folder, on the file system of the store's cache; it is renamed.
    pub path: &'a Path,
    /// What it is as a layer.
    pub diff_id: DiffId,
    /// Whose its files are.
    pub owners: &'a Owners,
    /// Whether it has to outlive the machine's running.
    pub durability: Durability,
}

#[derive(Debug, Serialize, Deserialize)]
struct TreeFacts {
    owners: Owners,
}

impl Store {
    /// The tree of a layer, if it is unpacked. A tree whose owners are not known is none.
    pub fn tree(&self, diff_id: &DiffId) -> Result<Option<Tree>, StoreError> {
        for folder in self.tree_folders() {
            let path = folder.join(diff_id.hex());
            if disk::exists(&path)? && disk::exists(&facts_path(&path))? {
                return Ok(Some(Tree {
                    diff_id: *diff_id,
                    path,
                }));
            }
        }
        Ok(None)
    }

    /// Whose a tree's files are.
    pub fn owners(&self, tree: &Tree) -> Result<Owners, StoreError> {
        let path = facts_path(&tree.path);
        if let Some(facts) = disk::read_json::<TreeFacts>(&path)? {
            return Ok(facts.owners);
        }
        // Guessing would give files to the wrong user. Without this file the tree is absent, and is made again.
        disk::remove(&path)?;
        Err(StoreError::TreeDamaged(tree.diff_id))
    }

    /// Makes a folder a tree by renaming it. Where the same tree is there already, the folder is removed.
    pub fn adopt_tree(&self, staged: &StagedTree<'_>) -> Result<Tree, StoreError> {
        if let Some(tree) = self.tree(&staged.diff_id)? {
            disk::remove(staged.path)?;
            return Ok(tree);
        }
        let passing = self.passing_trees();
        let passing = passing.filter(|_| staged.durability == Durability::ThisBoot);
        let is_lasting = passing.is_none();
        let folder = passing.unwrap_or_else(|| self.lasting_trees());
        let path = folder.join(staged.diff_id.hex());
        make_way(&path)?;
        let facts = TreeFacts {
            owners: staged.owners.clone(),
        };
        if is_lasting {
            disk::sync_tree(staged.path)?;
            disk::write_json(&facts_path(&path), &facts)?;
        } else {
            disk::make_folders(&folder)?;
            disk::write_json_unsynced(&facts_path(&path), &facts)?;
        }
        failpoint::reach("tree-owners-written");
        if let Err(error) = std::fs::rename(staged.path, &path) {
            // Somebody else was quicker with the same files.
            if self.tree(&staged.diff_id)?.is_none() {
                return Err(StoreError::io("renamed", staged.path)(error));
            }
            disk::remove(staged.path)?;
        }
        failpoint::reach("tree-renamed");
        if is_lasting {
            disk::sync_folder(&folder)?;
        }
        Ok(Tree {
            diff_id: staged.diff_id,
            path,
        })
    }

    /// The tree of a layer, unpacked from its blob where need be. The blob is held against its diffID on the way.
    pub fn unpacked(&self, layer: &LayerBlob) -> Result<Tree, StoreError> {
        if let Some(tree) = self.tree(&layer.diff_id)? {
            return Ok(tree);
        }
        let blob = self
            .blob(&layer.digest, layer.size)?
            .ok_or(StoreError::LayerMissing(layer.diff_id))?;
        let file = File::open(&blob).map_err(StoreError::io("read", &blob))?;
        let unpacked = self.unpack(layer.diff_id, file, Durability::Lasting);
        if unpacked.as_ref().is_err_and(StoreError::is_damage) {
            self.forget_blob(&layer.digest)?;
        }
        unpacked
    }

    /// Makes the tree of a layer of a blob that may be on its way: nothing else is written, and it is unpacked while it comes. Who
    /// gives the blob holds it against its own digest: at its end `blob` fails if that is another.
    pub fn unpack(
        &self,
        diff_id: DiffId,
        blob: impl Read + Send,
        durability: Durability,
    ) -> Result<Tree, StoreError> {
        let scratch: Temporary = self.temporary("unpack")?;
        let folder = scratch.folder("tree")?;
        let owners = unpack_blob(blob, &folder, diff_id)?;
        self.adopt_tree(&StagedTree {
            path: &folder,
            diff_id,
            owners: &owners,
            durability,
        })
    }

    pub(crate) fn lasting_trees(&self) -> PathBuf {
        self.cache.join("trees/sha256")
    }

    /// Where trees of this boot alone are; nowhere, if the machine does not say which boot it is.
    pub(crate) fn passing_trees(&self) -> Option<PathBuf> {
        let boot = self.boot.as_ref()?;
        Some(self.cache.join("trees").join(boot))
    }

    /// Every folder that has trees.
    pub(crate) fn tree_folders(&self) -> impl Iterator<Item = PathBuf> {
        std::iter::once(self.lasting_trees()).chain(self.passing_trees())
    }
}

pub(crate) fn facts_path(tree: &Path) -> PathBuf {
    tree.with_extension("json")
}

/// Removes a folder whose owners are not known: it is no tree, and would be in the way of the rename. Owners are written
/// before their folder is there, so this cannot be a tree that somebody else is just making; the order of the questions matters.
fn make_way(path: &Path) -> Result<(), StoreError> {
    if disk::exists(path)? && !disk::exists(&facts_path(path))? {
        disk::remove(path)?;
    }
    Ok(())
}

/// Three threads: one fetches (and hashes the blob), one decompresses, this one hashes what comes out and writes the files.
fn unpack_blob(
    blob: impl Read + Send,
    folder: &Path,
    diff_id: DiffId,
) -> Result<Owners, StoreError> {
    thread::scope(|scope| {
        let failed = || {
            move |error| StoreError::Unpack {
                diff_id,
                source: ReadArchiveError::Read(error).into(),
            }
        };
        let blob = ReadAhead::start(scope, blob);
        let tar = LayerReader::new(blob, ExpansionLimits::default()).map_err(failed())?;
        let mut hashing = HashingReader::new(ReadAhead::start(scope, tar));
        let root = open_root(folder).map_err(StoreError::io("opened", folder))?;
        let mut owners = Owners::new(Owner::ROOT);
        let options = UnpackOptions::layer_tree();
        unpack(hashing.by_ref(), root.as_fd(), &mut owners, options)
            .map_err(|source| StoreError::Unpack { diff_id, source })?;
        let (digest, _) = hashing.finish().map_err(failed())?;
        let found = DiffId::new(digest);
        if found != diff_id {
            return Err(StoreError::WrongContent {
                expected: diff_id,
                found,
            });
        }
        Ok(owners)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_image::layer::{Compression, LayerContents, write_layer};
    use oci_image::{BlobSource, Layer, TreePath};
    use std::num::NonZeroUsize;

    fn layer(text: &'static [u8]) -> (Layer, Vec<u8>) {
        let path: TreePath = "file".parse().unwrap();
        let contents = LayerContents::new().file(&path, 0o644, Owner::ROOT, text);
        let mut bytes = Vec::new();
        let threads = NonZeroUsize::MIN;
        let blob = write_layer(&contents, &mut bytes, Compression::Gzip { threads }).unwrap();
        let source = BlobSource::Bytes(bytes.as_slice().into());
        (Layer::new(blob, source), bytes)
    }

    #[test]
    fn unpack_keeps_the_tree_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let store = Store::open(&data, &folder.path().join("cache")).unwrap();
        let (layer, _) = layer(b"text");
        let tree = store.unpack(layer.diff_id, layer.open().unwrap(), Durability::ThisBoot);
        let tree = tree.unwrap();
        assert_eq!(std::fs::read(tree.path.join("file")).unwrap(), b"text");
        assert_eq!(store.tree(&layer.diff_id).unwrap().unwrap().path, tree.path);
        assert!(disk::names(&store.blobs()).unwrap().is_empty());
        let tmp = folder.path().join("cache/tmp");
        assert!(disk::names(&tmp).unwrap().is_empty());
    }

    /// Cut off, changed, another layer's, and with something behind its end: none of it becomes a tree.
    #[test]
    fn unpack_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let store = Store::open(&folder.path().join("data"), &cache).unwrap();
        let (wanted, bytes) = layer(b"text");
        let (_, other) = layer(b"another text");
        let mut changed = bytes.clone();
        changed[bytes.len() / 2] ^= 1;
        let longer = [bytes.as_slice(), b"more"].concat();
        for blob in [&bytes[..bytes.len() - 20], &changed, &other, &longer] {
            let damaged = Layer {
                source: BlobSource::Bytes(blob.into()),
                ..wanted.clone()
            };
            // Whether or not the blob's own digest is looked at.
            for blob in [
                Box::new(damaged.open().unwrap()) as Box<dyn Read + Send>,
                Box::new(blob),
            ] {
                let unpacked = store.unpack(wanted.diff_id, blob, Durability::ThisBoot);
                assert!(unpacked.unwrap_err().is_damage());
                assert!(store.tree(&wanted.diff_id).unwrap().is_none());
            }
        }
        assert!(disk::names(&cache.join("tmp")).unwrap().is_empty());
    }
}
