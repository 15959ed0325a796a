//! Unpacking an archive below an open folder, and nowhere else.
//!
//! No path from the archive is ever given to the kernel as a whole. Folders are entered one name at a time with `O_NOFOLLOW`
//! from the open root; where a symlink stands in for a folder (Debian's `/lib -> usr/lib`), we read it and go on from the root ourselves. Files are made
//! with `O_EXCL` after what stood there was removed; mode and times are set through the file just made. So an entry can neither write
//! through a link nor change a file that it did not bring (the lessons of CVE-2021-29136, CVE-2021-32760, CVE-2026-33056).
//!
//! The files belong to whoever unpacks them; whom they belong to in the image goes into [`Owners`].

mod error;
mod folders;
mod options;
mod place;
mod remove;
mod whiteouts;

pub use error::UnpackError;
pub use options::{Devices, ExistingFolders, Parents, Placement, UnpackOptions, Whiteouts};
pub(crate) use remove::names;
pub use remove::remove_all;

use crate::archive::{Entry, Mtime, Reader};
use crate::owners::Owners;
use crate::tree_path::TreePath;
use folders::Folders;
use rustix::fs::{Mode, OFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

/// What an archive brought.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// How many entries were unpacked.
    pub entries: u64,
    /// How many bytes their files have.
    pub bytes: u64,
    /// Device nodes, which are not made but kept here ([`Devices::Record`]).
    pub devices: Vec<Entry>,
}

/// Opens the folder to unpack into.
pub fn open_root(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?)
}

/// Unpacks the tar stream `archive` below `root` and records in `owners` whose the files are in the image.
///
/// The whole stream is read, zeros at its end included, so that a digest taken of it is the archive's. After an error the
/// folder holds part of the archive, all of it below `root`.
pub fn unpack(
    archive: impl Read,
    root: BorrowedFd<'_>,
    owners: &mut Owners,
    options: UnpackOptions<'_>,
) -> Result<Unpacked, UnpackError> {
    let UnpackOptions {
        limits,
        parents,
        existing_folders,
        whiteouts,
        devices,
        mut placement,
    } = options;
    let mut reader = Reader::new(archive, limits);
    let mut unpacker = Unpacker {
        folders: Folders::new(root, parents),
        owners,
        existing_folders,
        whiteouts,
        devices,
        made: BTreeSet::new(),
        folder_times: BTreeMap::new(),
        moved: BTreeMap::new(),
        buffer: vec![0; 128 << 10],
        unpacked: Unpacked::default(),
    };
    while let Some(mut entry) = reader.next_entry()? {
        match placement(&entry) {
            Placement::AsIs => {}
            Placement::Skip => continue,
            Placement::At(path) => {
                let original = std::mem::replace(&mut entry.path, path);
                unpacker.moved.insert(original, entry.path.clone());
            }
        }
        unpacker.place(&entry, &mut reader)?;
        unpacker.unpacked.entries += 1;
    }
    unpacker.set_folder_times()?;
    Ok(unpacker.unpacked)
}

struct Unpacker<'a> {
    folders: Folders<'a>,
    owners: &'a mut Owners,
    existing_folders: ExistingFolders,
    whiteouts: Whiteouts,
    devices: Devices,
    /// What this archive made, where an opaque whiteout has to spare it.
    made: BTreeSet<TreePath>,
    /// Folders get their times last: every file made in them would change them.
    folder_times: BTreeMap<TreePath, Mtime>,
    /// Entries that were put elsewhere, for hard links to them.
    moved: BTreeMap<TreePath, TreePath>,
    buffer: Vec<u8>,
    unpacked: Unpacked,
}

#[cfg(test)]
mod tests;
