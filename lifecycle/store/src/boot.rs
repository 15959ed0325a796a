//! Blobs and trees that are there until the machine starts anew: which boot it is, and how they get lasting places.

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

/// The name of folders for what is of this boot; `None` where the machine does not tell.
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
    /// Gives the blobs and trees of this boot lasting places, once that costs nothing, and removes what earlier boots left. Nothing happens
    /// while somebody holds the store.
    pub fn settle(&self, now: SystemTime) -> Result<(), StoreError> {
        let Some(_alone) = Lock::try_exclusive(&self.cache.join("locks/store"))? else {
            return Ok(());
        };
        let since = |folder: &Path| {
            now.duration_since(folder.metadata().ok()?.modified().ok()?)
                .ok()
        };
        let mut passing = self.passing_blobs().into_iter().chain(self.passing_trees());
        if passing.any(|folder| since(&folder).is_some_and(|since| since < WRITTEN_AFTER)) {
            return Ok(());
        }
        self.settle_alone()
    }

    /// The same at once, for who has the store alone.
    pub(crate) fn settle_alone(&self) -> Result<(), StoreError> {
        let blobs = (self.data.join("blobs"), self.blobs(), self.passing_blobs());
        let trees = (
            self.cache.join("trees"),
            self.lasting_trees(),
            self.passing_trees(),
        );
        for (all, lasting, passing) in [blobs, trees] {
            for name in disk::names(&all)? {
                let folder = all.join(&name);
                if folder == lasting {
                    continue;
                }
                if Some(&folder) == passing.as_ref() {
                    make_lasting(&folder, &lasting)?;
                }
                disk::remove(&folder)?;
            }
        }
        Ok(())
    }
}

fn make_lasting(folder: &Path, lasting: &Path) -> Result<(), StoreError> {
    disk::sync_tree(folder)?;
    for name in disk::names(folder)? {
        let (from, to) = (folder.join(&name), lasting.join(&name));
        if name.contains('.') || disk::exists(&to)? {
            continue;
        }
        // A tree's owners first, as ever; a blob has none.
        let facts = facts_path(&from);
        if disk::exists(&facts)? {
            rename(&facts, &facts_path(&to))?;
        }
        rename(&from, &to)?;
    }
    disk::sync_folder(lasting)
}

fn rename(from: &Path, to: &Path) -> Result<(), StoreError> {
    std::fs::rename(from, to).map_err(StoreError::io("renamed", from))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Durability, StagedTree, Tree};
    use oci_image::{BlobDigest, DiffId, Digest, LayerBlob, Owner, Owners};
    use std::io::Write as _;
    use std::path::PathBuf;

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

    fn write(store: &Store, content: &[u8], durability: Durability) -> (LayerBlob, PathBuf) {
        let digest = Digest::of(content);
        let blob = LayerBlob {
            diff_id: DiffId::new(digest),
            digest: BlobDigest::new(digest),
            size: content.len() as u64,
            uncompressed_size: content.len() as u64,
        };
        let mut writer = store.blob_writer(durability).unwrap();
        writer.write_all(content).unwrap();
        let path = writer.commit(&blob.digest).unwrap();
        store.note_layer(&blob).unwrap();
        (blob, path)
    }

    /// A power cut may leave zeros where the bytes of a file were to be: the right size is no proof.
    #[test]
    fn torn_blob_of_another_boot_is_not_believed() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Store::open(&folder.path().join("data"), &folder.path().join("cache"));
        let mut earlier = open().unwrap();
        earlier.boot = Some("boot-earlier".to_owned());
        let (blob, path) = write(&earlier, b"content", Durability::ThisBoot);
        assert_eq!(earlier.layer(&blob.diff_id).unwrap(), Some(blob));
        assert_eq!(earlier.lasting_blob(&blob.digest, blob.size).unwrap(), None);
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, [0; 7]).unwrap();

        let store = open().unwrap();
        assert_eq!(store.blob(&blob.digest, blob.size).unwrap(), None);
        assert_eq!(store.layer(&blob.diff_id).unwrap(), None);
        store.settle(SystemTime::now()).unwrap();
        assert!(!path.is_file(), "nobody will ever use it");
        write(&store, b"content", Durability::ThisBoot);
        let found = store.blob(&blob.digest, blob.size).unwrap().unwrap();
        assert_eq!(std::fs::read(found).unwrap(), b"content");
    }

    #[test]
    fn settle_lets_blobs_last() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data"), &folder.path().join("cache"));
        let store = store.unwrap();
        let (blob, passing) = write(&store, b"content", Durability::ThisBoot);
        let (_, lasting) = write(&store, b"another", Durability::Lasting);
        assert_eq!(passing.parent(), store.passing_blobs().as_deref());
        assert_eq!(lasting.parent(), Some(&*store.blobs()));
        assert_eq!(store.usage().unwrap().blob_bytes, 14);
        store.settle(SystemTime::now() + 2 * WRITTEN_AFTER).unwrap();
        let settled = store.lasting_blob(&blob.digest, blob.size).unwrap();
        assert_eq!(std::fs::read(settled.unwrap()).unwrap(), b"content");
        assert_eq!(store.layer(&blob.diff_id).unwrap(), Some(blob));
        assert!(!passing.is_file());
    }
}
