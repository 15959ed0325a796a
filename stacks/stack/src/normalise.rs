//! From a tree that scripts have been at to one that is the same every time.
//!
//! What depends on the day, the machine or the order of things is taken away or set: caches, logs, backups, locks, times.
//! Set-user-ID bits leave the disk, where the files belong to whoever made the tree, and are kept with the owners.

use std::fs::{self, FileTimes, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use oci_image::{Owners, TreePath};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use walkdir::WalkDir;

use crate::lock::Date;

/// Files that go, with what makes them differ or useless.
const REMOVED: &[(&str, &str)] = &[
    ("etc/.pwd.lock", "a lock"),
    ("etc/group-", "a backup"),
    ("etc/gshadow-", "a backup"),
    ("etc/passwd-", "a backup"),
    ("etc/shadow-", "a backup"),
    ("etc/subgid-", "a backup"),
    ("etc/subuid-", "a backup"),
    ("var/cache/ldconfig/aux-cache", "inode numbers and times"),
    ("var/cache/debconf/config.dat-old", "a backup"),
    ("var/cache/debconf/templates.dat-old", "a backup"),
    ("var/lib/dpkg/available", "dselect's, empty"),
    ("var/lib/dpkg/available-old", "a backup"),
    ("var/lib/dpkg/diversions-old", "a backup"),
    ("var/lib/dpkg/lock", "a lock"),
    ("var/lib/dpkg/lock-frontend", "a lock"),
    ("var/lib/dpkg/statoverride-old", "a backup"),
    ("var/lib/dpkg/status-old", "a backup"),
    ("var/lib/dpkg/triggers/Lock", "a lock"),
    ("var/log/alternatives.log", "a log with times"),
    ("var/log/bootstrap.log", "a log with times"),
    ("var/log/dpkg.log", "a log with times"),
    ("var/log/fontconfig.log", "a log with times"),
];

/// Folders whose content goes: what programs can make again.
const EMPTIED: &[&str] = &[
    "dev",
    "proc",
    "sys",
    "tmp",
    "var/cache/apt",
    "var/cache/man",
    "var/lib/apt/lists",
    "var/log/apt",
    "var/tmp",
];

/// Folders whose files go, since they are only valid while their program runs; folders in them are the packages'.
const WITHOUT_FILES: &[&str] = &["run"];

/// Files that are kept and emptied: each machine writes its own.
const BLANKED: &[&str] = &["etc/machine-id"];

/// Set-user-ID, set-group-ID.
const SPECIAL_BITS: u32 = 0o6000;

/// Normalises the tree at `root` and brings `owners` up to date with it.
pub(crate) fn normalise(
    root: &Path,
    owners: &mut Owners,
    date: Date,
) -> Result<(), NormaliseError> {
    take_away(root)?;
    let mut kept = Owners::new(owners.default_owner());
    let newest = SystemTime::UNIX_EPOCH + Duration::from_secs(date.seconds());
    // Contents first: what is done in a folder changes its time.
    for entry in WalkDir::new(root).contents_first(true) {
        let entry = entry.map_err(|error| NormaliseError {
            path: error.path().unwrap_or(root).to_owned(),
            source: error.into(),
        })?;
        let failed = |source| NormaliseError {
            path: entry.path().to_owned(),
            source,
        };
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let path = TreePath::from_path(below).map_err(|error| failed(io::Error::other(error)))?;
        let meta = entry.metadata().map_err(|error| failed(error.into()))?;
        record(entry.path(), &path, &meta, owners, &mut kept).map_err(failed)?;
        settle_time(entry.path(), &meta, newest).map_err(failed)?;
    }
    *owners = kept;
    Ok(())
}

fn take_away(root: &Path) -> Result<(), NormaliseError> {
    for path in REMOVED.iter().map(|(path, _)| root.join(path)) {
        ignore_missing(fs::remove_file(&path)).map_err(|source| NormaliseError { path, source })?;
    }
    for folder in EMPTIED.iter().map(|path| root.join(path)) {
        empty(&folder).map_err(|source| NormaliseError {
            path: folder,
            source,
        })?;
    }
    for folder in WITHOUT_FILES.iter().map(|path| root.join(path)) {
        remove_files(&folder).map_err(|source| NormaliseError {
            path: folder,
            source,
        })?;
    }
    for path in BLANKED.iter().map(|path| root.join(path)) {
        let blanked = fs::symlink_metadata(&path).and_then(|meta| {
            if meta.is_file() {
                fs::write(&path, "")
            } else {
                Ok(())
            }
        });
        ignore_missing(blanked).map_err(|source| NormaliseError { path, source })?;
    }
    Ok(())
}

fn empty(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn remove_files(folder: &Path) -> io::Result<()> {
    for entry in WalkDir::new(folder) {
        match entry {
            Ok(entry) if !entry.file_type().is_dir() => fs::remove_file(entry.path())?,
            Ok(_) => {}
            Err(error) => ignore_missing(Err(error.into()))?,
        }
    }
    Ok(())
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Writes down owner, mode and capabilities of a file that is really there.
fn record(
    file: &Path,
    path: &TreePath,
    meta: &fs::Metadata,
    owners: &Owners,
    kept: &mut Owners,
) -> io::Result<()> {
    kept.set_owner(path, owners.owner(path));
    for (name, value) in owners.xattrs(path) {
        kept.set_xattr(path, name, value);
    }
    if meta.is_symlink() {
        return Ok(());
    }
    let found = meta.mode() & 0o7777;
    let meant = owners.mode(path, found);
    // We have to be able to read it, and to remove it some day.
    let ours = if meta.is_dir() { 0o700 } else { 0o400 };
    let on_disk = found & !SPECIAL_BITS | ours;
    if on_disk != found {
        fs::set_permissions(file, Permissions::from_mode(on_disk))?;
    }
    kept.set_mode(path, on_disk, meant);
    if meta.is_file()
        && let Some(capability) = file_capability(file)?
    {
        kept.set_xattr(path, CAPABILITY, &capability);
    }
    Ok(())
}

const CAPABILITY: &str = "security.capability";

/// A file's capabilities as the image's root would have given them. Given in a user namespace, the kernel keeps the namespace's root
/// beside them (revision 3 of `struct vfs_ns_cap_data`, `capabilities(7)`); without it they are revision 2.
fn file_capability(file: &Path) -> io::Result<Option<Vec<u8>>> {
    const REVISION_3: [u8; 4] = 0x0300_0000_u32.to_le_bytes();
    const REVISION_2: u8 = 2;
    let mut value = [0; 24];
    let length = match rustix::fs::lgetxattr(file, CAPABILITY, &mut value) {
        Ok(length) => length,
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::NOTSUP) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut value = value[..length].to_vec();
    if length == 24 && value[3] == REVISION_3[3] {
        value.truncate(20);
        value[3] = REVISION_2;
    }
    Ok(Some(value))
}

/// Nothing is younger than the lock, and folders, whose times change with every file made in them, have its date.
fn settle_time(file: &Path, meta: &fs::Metadata, newest: SystemTime) -> io::Result<()> {
    if !meta.is_dir() && meta.modified()? <= newest {
        return Ok(());
    }
    if meta.is_symlink() {
        let seconds = newest
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_err(io::Error::other)?
            .as_secs();
        let time = Timespec {
            tv_sec: seconds.cast_signed(),
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        return Ok(utimensat(CWD, file, &times, AtFlags::SYMLINK_NOFOLLOW)?);
    }
    fs::File::open(file)?.set_times(FileTimes::new().set_modified(newest))
}

/// Why a tree could not be normalised.
#[derive(Debug, thiserror::Error)]
#[error("could not tidy up {path}: {source}", path = path.display())]
pub struct NormaliseError {
    path: PathBuf,
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_image::Owner;

    #[test]
    fn normalise_removes_clamps_and_records() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in ["etc", "var/log", "run/lock", "usr/bin"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in [
            "etc/passwd-",
            "etc/machine-id",
            "var/log/dpkg.log",
            "run/lock/x",
            "usr/bin/su",
            "usr/bin/old",
            "usr/bin/secret",
        ] {
            fs::write(root.join(path), "text").unwrap();
        }
        std::os::unix::fs::symlink("nowhere", root.join("usr/bin/link")).unwrap();
        let mode = |path: &str, mode| {
            fs::set_permissions(root.join(path), Permissions::from_mode(mode)).unwrap();
        };
        mode("usr/bin/su", 0o4755);
        mode("usr/bin/secret", 0);
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        fs::File::open(root.join("usr/bin/old"))
            .unwrap()
            .set_modified(old)
            .unwrap();

        let path = |text: &str| text.parse::<TreePath>().unwrap();
        let mut owners = Owners::new(Owner::ROOT);
        owners.set_owner(&path("usr/bin/su"), Owner::new(0, 42));
        owners.set_owner(&path("etc/passwd-"), Owner::new(7, 7));
        let date = Date::from_seconds(1_700_000_000);
        normalise(root, &mut owners, date).unwrap();

        let there = |path: &str| fs::symlink_metadata(root.join(path)).is_ok();
        assert!(!there("etc/passwd-") && !there("var/log/dpkg.log") && !there("run/lock/x"));
        assert!(there("run/lock"));
        assert_eq!(fs::read(root.join("etc/machine-id")).unwrap(), b"");
        let meta = |path: &str| fs::symlink_metadata(root.join(path)).unwrap();
        assert_eq!(meta("usr/bin/su").mode() & 0o7777, 0o755);
        assert_eq!(owners.mode(&path("usr/bin/su"), 0o755), 0o4755);
        assert_eq!(owners.owner(&path("usr/bin/su")), Owner::new(0, 42));
        assert_eq!(owners.mode(&path("usr/bin/secret"), 0o400), 0);
        assert_eq!(owners.facts(&path("etc/passwd-")), None);
        assert_eq!(meta("usr/bin/old").modified().unwrap(), old);
        for path in ["usr/bin/su", "usr/bin/link", "usr/bin", "run"] {
            assert_eq!(meta(path).mtime(), 1_700_000_000, "{path}");
        }
    }
}
