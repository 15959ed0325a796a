//! Trees: what a layer unpacks to at `/`, ready to be a lower folder of an overlay.
//!
//! Beside a tree stands a file that says whose its files are: an ordinary user cannot give a file to anyone else. It is written
//! first; the tree's own rename is what makes it exist.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use oci_image::unpack::{UnpackOptions, open_root, unpack};
use oci_image::{DiffId, HashingReader, LayerBlob, LayerReader, Owner, Owners};
use serde::{Deserialize, Serialize};

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
}

#[derive(Debug, Serialize, Deserialize)]
struct TreeFacts {
    owners: Owners,
}

impl Store {
    /// The tree of a layer, if it is unpacked. A tree whose owners are not known is none.
    pub fn tree(&self, diff_id: &DiffId) -> Result<Option<Tree>, StoreError> {
        let path = self.tree_path(diff_id);
        let facts = self.tree_facts_path(diff_id);
        let there = path.try_exists().map_err(StoreError::io("read", &path))?
            && facts.try_exists().map_err(StoreError::io("read", &facts))?;
        Ok(there.then_some(Tree {
            diff_id: *diff_id,
            path,
        }))
    }

    /// Whose a tree's files are.
    pub fn owners(&self, tree: &Tree) -> Result<Owners, StoreError> {
        let path = self.tree_facts_path(&tree.diff_id);
        if let Some(facts) = disk::read_json::<TreeFacts>(&path)? {
            return Ok(facts.owners);
        }
        // Guessing would give files to the wrong user. Without this file the tree is absent, and is made again.
        disk::remove(&path)?;
        Err(StoreError::TreeDamaged(tree.diff_id))
    }

    /// Makes a folder a tree by renaming it. Where the same tree is there already, the folder is removed.
    pub fn adopt_tree(&self, staged: &StagedTree<'_>) -> Result<Tree, StoreError> {
        let path = self.tree_path(&staged.diff_id);
        if self.tree(&staged.diff_id)?.is_some() {
            disk::remove(staged.path)?;
            return Ok(Tree {
                diff_id: staged.diff_id,
                path,
            });
        }
        self.make_way(staged.diff_id)?;
        disk::sync_tree(staged.path)?;
        let facts = TreeFacts {
            owners: staged.owners.clone(),
        };
        disk::write_json(&self.tree_facts_path(&staged.diff_id), &facts)?;
        failpoint::reach("tree-owners-written");
        if let Err(error) = std::fs::rename(staged.path, &path) {
            // Somebody else was quicker with the same files.
            if self.tree(&staged.diff_id)?.is_none() {
                return Err(StoreError::io("renamed", staged.path)(error));
            }
            disk::remove(staged.path)?;
        }
        failpoint::reach("tree-renamed");
        disk::sync_folder(&self.cache.join("trees/sha256"))?;
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
        let scratch: Temporary = self.temporary("unpack")?;
        let folder = scratch.folder("tree")?;
        let owners = match unpack_blob(&blob, &folder, layer) {
            Ok(owners) => owners,
            Err(error) => {
                if error.is_damage() {
                    self.forget_blob(&layer.digest)?;
                }
                return Err(error);
            }
        };
        self.adopt_tree(&StagedTree {
            path: &folder,
            diff_id: layer.diff_id,
            owners: &owners,
        })
    }

    /// Removes a folder whose owners are not known: it is no tree, and would be in the way of the rename. Owners are written
    /// before their folder is there, so this cannot be a tree that somebody else is just making; the order of the questions matters.
    fn make_way(&self, diff_id: DiffId) -> Result<(), StoreError> {
        let (path, facts) = (self.tree_path(&diff_id), self.tree_facts_path(&diff_id));
        let exists = |path: &Path| path.try_exists().map_err(StoreError::io("read", path));
        if exists(&path)? && !exists(&facts)? {
            disk::remove(&path)?;
        }
        Ok(())
    }

    pub(crate) fn tree_path(&self, diff_id: &DiffId) -> PathBuf {
        self.cache.join("trees/sha256").join(diff_id.hex())
    }

    pub(crate) fn tree_facts_path(&self, diff_id: &DiffId) -> PathBuf {
        self.cache
            .join("trees/sha256")
            .join(format!("{}.json", diff_id.hex()))
    }
}

fn unpack_blob(blob: &Path, folder: &Path, layer: &LayerBlob) -> Result<Owners, StoreError> {
    let file = File::open(blob).map_err(StoreError::io("read", blob))?;
    let reader = LayerReader::new(file, oci_image::ExpansionLimits::default())
        .map_err(StoreError::io("read", blob))?;
    let mut hashing = HashingReader::new(reader);
    let root = open_root(folder).map_err(StoreError::io("opened", folder))?;
    let mut owners = Owners::new(Owner::ROOT);
    unpack(
        hashing.by_ref(),
        root.as_fd(),
        &mut owners,
        UnpackOptions::layer_tree(),
    )
    .map_err(|source| StoreError::Unpack {
        diff_id: layer.diff_id,
        source,
    })?;
    let (digest, _) = hashing.finish().map_err(StoreError::io("read", blob))?;
    let found = DiffId::new(digest);
    if found != layer.diff_id {
        return Err(StoreError::WrongContent {
            expected: layer.diff_id,
            found,
        });
    }
    Ok(owners)
}
