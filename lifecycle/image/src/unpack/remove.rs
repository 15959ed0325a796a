//! Removing what stands at a name, whatever it is, without following links.

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;

/// Removes the file or folder `name` in `parent` with everything below it, also where folders lack the owner's permissions
/// (overlayfs's work folder, Go's module cache). What is not there is no error.
pub fn remove_all(parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // A folder: Linux says EISDIR, POSIX allows EPERM.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(Errno::ACCESS) if is_folder(parent, name)? => {}
        Err(error) => return Err(error),
    }
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST | Errno::ACCESS) => {}
        Err(error) => return Err(error),
    }
    empty(parent, name)?;
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// The names in a folder, sorted by bytes.
pub(crate) fn names(folder: BorrowedFd<'_>) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// A folder to be emptied on the stack, so that depth costs memory and no call stack.
struct Level {
    fd: OwnedFd,
    name: Vec<u8>,
    left: Vec<Vec<u8>>,
}

fn empty(parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    let mut levels = vec![open_level(parent, name.as_bytes())?];
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.left.pop() else {
            let done = levels.pop().expect("the loop saw it");
            if let Some(above) = levels.last() {
                rustix::fs::unlinkat(&above.fd, OsStr::from_bytes(&done.name), AtFlags::REMOVEDIR)?;
            }
            continue;
        };
        match rustix::fs::unlinkat(&level.fd, OsStr::from_bytes(&name), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR | Errno::PERM) => {
                let below = open_level(level.fd.as_fd(), &name)?;
                levels.push(below);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn open_level(parent: BorrowedFd<'_>, name: &[u8]) -> Result<Level, Errno> {
    let os_name = OsStr::from_bytes(name);
    let open = || {
        rustix::fs::openat(
            parent,
            os_name,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
    };
    let fd = match open() {
        Err(Errno::ACCESS) => {
            make_accessible(parent, os_name)?;
            open()?
        }
        opened => opened?,
    };
    if rustix::fs::fstat(&fd)?.st_mode & 0o700 != 0o700 {
        rustix::fs::fchmod(&fd, Mode::from(0o700))?;
    }
    let left = names(fd.as_fd())?;
    Ok(Level {
        fd,
        name: name.to_vec(),
        left,
    })
}

/// A folder that cannot be opened for reading can still be entered as a path, and its mode changed by way of /proc.
fn make_accessible(parent: BorrowedFd<'_>, name: &OsStr) -> Result<(), Errno> {
    // `fchmodat` follows a symlink; here stands a folder, as the failed `O_NOFOLLOW` open said EACCES and not ELOOP.
    rustix::fs::chmodat(parent, name, Mode::from(0o700), AtFlags::empty())
}

fn is_folder(parent: BorrowedFd<'_>, name: &OsStr) -> Result<bool, Errno> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}
