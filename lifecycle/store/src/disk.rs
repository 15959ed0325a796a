//! The few ways in which the store touches the disk: whole files by temp + fsync + rename, folders, removal.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::NamedTempFile;

use crate::error::StoreError;

pub(crate) fn make_folders(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(StoreError::io("made", path))
}

pub(crate) fn exists(path: &Path) -> Result<bool, StoreError> {
    path.try_exists().map_err(StoreError::io("read", path))
}

/// Unfinished files start like this: hidden, and nobody's digest.
const UNFINISHED: &str = ".new-";

/// A file beside the one it is to become. Its writer holds a lock on it, so that a sweeper can tell it from what a dead program left.
pub(crate) fn new_file(folder: &Path) -> io::Result<NamedTempFile> {
    loop {
        let file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .tempfile_in(folder)?;
        // A sweeper may come between these lines; then it has the lock, or the file has no name any more.
        let locked = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if locked && file.as_file().metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Removes the unfinished files that dead programs left in a folder.
pub(crate) fn sweep_unfinished(folder: &Path) -> Result<(), StoreError> {
    let failed = || StoreError::io("swept", folder);
    for entry in fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        if !entry
            .file_name()
            .as_bytes()
            .starts_with(UNFINISHED.as_bytes())
        {
            continue;
        }
        // It may have got its name, or gone, since it was listed.
        let Ok(file) = File::open(entry.path()) else {
            continue;
        };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Writes a file whole: its old content or the new one is there at any moment, on disk when this returns.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let failed = || StoreError::io("written", path);
    let folder = path.parent().expect("the store's files are in folders");
    let mut file = new_file(folder).map_err(failed())?;
    file.write_all(bytes).map_err(failed())?;
    file.as_file().sync_all().map_err(failed())?;
    failpoint::reach("file-written");
    file.persist(path)
        .map_err(|error| error.error)
        .map_err(failed())?;
    failpoint::reach("file-renamed");
    sync_folder(folder)
}

pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    let bytes = serde_json::to_vec(value)
        .map_err(io::Error::from)
        .map_err(StoreError::io("written", path))?;
    write_whole(path, &bytes)
}

/// The same for what may be lost: nobody reads it after a power cut.
pub(crate) fn write_json_unsynced(path: &Path, value: &impl Serialize) -> Result<(), StoreError> {
    let failed = || StoreError::io("written", path);
    let folder = path.parent().expect("the store's files are in folders");
    let mut file = new_file(folder).map_err(failed())?;
    let bytes = serde_json::to_vec(value).map_err(io::Error::from);
    file.write_all(&bytes.map_err(failed())?)
        .map_err(failed())?;
    file.persist(path)
        .map_err(|error| error.error)
        .map_err(failed())?;
    Ok(())
}

/// Reads a JSON file. One that is missing or does not parse is `None`: whoever wrote it will do so again.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, StoreError> {
    match fs::read(path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", path)(error)),
    }
}

/// A rename is on disk when its folder is.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(StoreError::io("synced", folder))
}

/// Everything below `folder` to disk with one call: cheaper than one for each of thousands of files.
pub(crate) fn sync_tree(folder: &Path) -> Result<(), StoreError> {
    let failed = StoreError::io("synced", folder);
    let open = File::open(folder)
        .and_then(|file| rustix::fs::syncfs(file.as_fd()).map_err(io::Error::from));
    open.map_err(failed)
}

/// Removes a file or a whole folder; what is not there is no error.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Ok(());
    };
    let opened = match File::open(folder) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io("removed", path)(error)),
    };
    oci_image::unpack::remove_all(opened.as_fd(), name)
        .map_err(|error| StoreError::io("removed", path)(error.into()))
}

/// The names in a folder, sorted; hidden ones (unfinished writes) left out.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let failed = || StoreError::io("read", folder);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        if let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}
