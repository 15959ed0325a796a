//! Folders for unfinished work. Beside each stands a lock file that its maker holds; one that nobody holds belongs to a
//! program that died, and is swept.

use std::path::{Path, PathBuf};

use crate::disk;
use crate::error::StoreError;
use crate::locks::Lock;

/// A folder for unfinished work, removed when the value is dropped.
#[derive(Debug)]
pub struct Temporary {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: Lock,
}

impl Temporary {
    pub(crate) fn new(parent: &Path, purpose: &str) -> Result<Self, StoreError> {
        let failed = || StoreError::io("made", parent);
        // The lock is held before the folder is there, so a sweeper never sees one without the other.
        let (lock_path, lock) = loop {
            let name = tempfile::Builder::new()
                .prefix(&format!("{purpose}-"))
                .suffix(".lock")
                .tempfile_in(parent);
            let path = name
                .map_err(failed())?
                .into_temp_path()
                .keep()
                .map_err(|error| error.error)
                .map_err(failed())?;
            // A sweeper may have taken it between these lines.
            if let Some(lock) = Lock::try_exclusive(&path)?
                && path.try_exists().map_err(failed())?
            {
                break (path, lock);
            }
        };
        let path = lock_path.with_extension("");
        std::fs::create_dir(&path).map_err(StoreError::io("made", &path))?;
        failpoint::reach("temporary-made");
        Ok(Self {
            path,
            lock_path,
            _lock: lock,
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A new empty folder in it.
    pub fn folder(&self, name: &str) -> Result<PathBuf, StoreError> {
        let path = self.path.join(name);
        std::fs::create_dir(&path).map_err(StoreError::io("made", &path))?;
        Ok(path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now, the next program sweeps.
        drop(disk::remove(&self.path));
        drop(disk::remove(&self.lock_path));
    }
}

/// Removes what dead programs left.
pub(crate) fn sweep(parent: &Path) -> Result<(), StoreError> {
    for name in disk::names(parent)? {
        let path = parent.join(&name);
        let Some(folder) = name.strip_suffix(".lock") else {
            continue;
        };
        let Some(_lock) = Lock::try_exclusive(&path)? else {
            continue;
        };
        disk::remove(&parent.join(folder))?;
        disk::remove(&path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweep_spares_what_is_held() {
        let parent = tempfile::tempdir().unwrap();
        let held = Temporary::new(parent.path(), "build").unwrap();
        std::fs::create_dir(parent.path().join("dead")).unwrap();
        std::fs::write(parent.path().join("dead/file"), "x").unwrap();
        std::fs::write(parent.path().join("dead.lock"), "").unwrap();
        sweep(parent.path()).unwrap();
        assert!(held.path().is_dir());
        assert_eq!(disk::names(parent.path()).unwrap().len(), 2);
        drop(held);
        assert_eq!(disk::names(parent.path()).unwrap(), Vec::<String>::new());
    }
}
