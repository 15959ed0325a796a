//! Trees that are there until the machine starts anew: which boot it is, and how they get lasting places.

use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::error::StoreError;
use crate::locks::Lock;
use crate::trees::facts_path;
use crate::{Store, disk};

/// Linux's own name for the time since it was started (random(4)).
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// By then the kernel has written what it was given (`vm.dirty_expire_centisecs` is 30 s), and a sync has nothing left to wait for.
const WRITTEN_AFTER: Duration = Duration::from_mins(1);

/// The folder's name for the trees of this boot; `None` where the machine does not tell.
pub(crate) fn folder_name() -> Option<String> {
    let id = std::fs::read_to_string(BOOT_ID).ok()?;
    let id = id.trim();
    let is_id = !id.is_empty()
        && id
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    is_id.then(|| format!("boot-{id}"))
}

impl Store {
    /// Gives the trees of this boot lasting places, once that costs nothing, and removes what earlier boots left. Nothing happens
    /// while somebody holds the store.
    pub fn settle(&self, now: SystemTime) -> Result<(), StoreError> {
        let Some(_alone) = Lock::try_exclusive(&self.cache.join("locks/store"))? else {
            return Ok(());
        };
        let since = |folder: &Path| {
            now.duration_since(folder.metadata().ok()?.modified().ok()?)
                .ok()
        };
        match self.passing_trees() {
            Some(folder) if since(&folder).is_some_and(|since| since < WRITTEN_AFTER) => Ok(()),
            _ => self.settle_alone(),
        }
    }

    /// The same at once, for who has the store alone.
    pub(crate) fn settle_alone(&self) -> Result<(), StoreError> {
        let trees = self.cache.join("trees");
        for name in disk::names(&trees)? {
            let folder = trees.join(&name);
            if folder == self.lasting_trees() {
                continue;
            }
            if Some(&folder) == self.passing_trees().as_ref() {
                self.make_lasting(&folder)?;
            }
            disk::remove(&folder)?;
        }
        Ok(())
    }

    fn make_lasting(&self, folder: &Path) -> Result<(), StoreError> {
        disk::sync_tree(folder)?;
        let lasting = self.lasting_trees();
        for name in disk::names(folder)? {
            let (tree, target) = (folder.join(&name), lasting.join(&name));
            if name.contains('.')
                || target
                    .try_exists()
                    .map_err(StoreError::io("read", &target))?
            {
                continue;
            }
            // Owners first, as ever.
            for (from, to) in [(facts_path(&tree), facts_path(&target)), (tree, target)] {
                std::fs::rename(&from, &to).map_err(StoreError::io("renamed", &from))?;
            }
        }
        disk::sync_folder(&lasting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Durability, StagedTree, Tree};
    use oci_image::{DiffId, Digest, Owner, Owners};

    fn adopt(store: &Store, content: &str) -> Tree {
        let scratch = store.temporary("test").unwrap();
        let path = scratch.folder("tree").unwrap();
        std::fs::write(path.join("file"), content).unwrap();
        let tree = StagedTree {
            path: &path,
            diff_id: DiffId::new(Digest::of(content.as_bytes())),
            owners: &Owners::new(Owner::ROOT),
            durability: Durability::ThisBoot,
        };
        store.adopt_tree(&tree).unwrap()
    }

    #[test]
    fn settle_keeps_this_boots_trees_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(&folder.path().join("data"), &folder.path().join("cache"));
        let mut earlier = open().unwrap();
        earlier.boot = Some("boot-earlier".to_owned());
        let lost = adopt(&earlier, "lost");

        let store = open().unwrap();
        assert!(store.tree(&lost.diff_id).unwrap().is_none());
        let kept = adopt(&store, "kept");
        assert_eq!(kept.path.parent(), store.passing_trees().as_deref());
        assert_eq!(store.usage().unwrap().trees, 1);

        let now = SystemTime::now();
        store.settle(now).unwrap();
        assert!(kept.path.is_dir(), "the kernel may still be writing");
        let hold = store.hold().unwrap();
        store.settle(now + 2 * WRITTEN_AFTER).unwrap();
        assert!(kept.path.is_dir(), "somebody may use it");
        drop(hold);
        store.settle(now + 2 * WRITTEN_AFTER).unwrap();
        let settled = store.tree(&kept.diff_id).unwrap().unwrap();
        assert_eq!(settled.path.parent(), Some(&*store.lasting_trees()));
        assert_eq!(std::fs::read(settled.path.join("file")).unwrap(), b"kept");
        store.owners(&settled).unwrap();
        assert!(!kept.path.is_dir() && !lost.path.is_dir());
    }
}
