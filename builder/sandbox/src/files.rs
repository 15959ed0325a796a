//! The few plain files the caller's side touches.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, openat2, statat, unlinkat};

/// `/dev/null`, both ways.
pub(crate) fn null_device() -> io::Result<OwnedFd> {
    File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .map(OwnedFd::from)
}

/// Takes away the mount points that were made below `root`, children first, as long as they are empty.
/// One that someone has filled since, or taken away, is none of ours any more.
pub(crate) fn remove_mount_points(root: &Path, mount_points: &[PathBuf]) {
    for mount_point in mount_points.iter().rev() {
        remove_empty(root, mount_point).ok();
    }
}

fn remove_empty(root: &Path, mount_point: &Path) -> rustix::io::Result<()> {
    let below = mount_point.strip_prefix("/").unwrap_or(mount_point);
    let (Some(parent), Some(name)) = (below.parent(), below.file_name()) else {
        return Ok(());
    };
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = openat2(CWD, root, folder, Mode::empty(), ResolveFlags::empty())?;
    let parent = if parent == Path::new("") {
        Path::new(".")
    } else {
        parent
    };
    // The program in the sandbox may have put a symlink on the way.
    let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let parent = openat2(&root, parent, folder, Mode::empty(), inside)?;
    remove_empty_entry(&parent, name)
}

fn remove_empty_entry(parent: &OwnedFd, name: &OsStr) -> rustix::io::Result<()> {
    let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => unlinkat(parent, name, AtFlags::REMOVEDIR),
        FileType::RegularFile if stat.st_size == 0 => unlinkat(parent, name, AtFlags::empty()),
        _ => Ok(()),
    }
}
