//! Listing folders and reading small files with as few system calls as there can be.
//!
//! The standard library asks for each file's size, sets flags twice and allocates for every folder; with a dozen env files that is half of
//! a start's time.

use std::ffi::{OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawDir, openat, statat};
use rustix::io::{Errno, read};

/// What a name in a folder stands for. A link is `Other`, wherever it leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Folder,
    Other,
}

/// The entries, sorted by name; none where there is no such folder.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<(OsString, Kind)>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = match openat(CWD, folder, flags, Mode::empty()) {
        // A variable or a program may have a process type's name: then there is no folder for that type.
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
        open => open?,
    };
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut entries = RawDir::new(&open, &mut buffer);
    let mut found = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            found.push((name.to_owned(), kind_of(&open, name, entry.file_type())?));
        }
    }
    found.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

fn kind_of(folder: impl AsFd, name: &OsStr, known: FileType) -> io::Result<Kind> {
    // Some file systems do not say in the listing.
    let kind = if known == FileType::Unknown {
        FileType::from_raw_mode(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode)
    } else {
        known
    };
    Ok(if kind == FileType::Directory {
        Kind::Folder
    } else {
        Kind::Other
    })
}

/// The whole file.
pub(crate) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let open = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut content = Vec::new();
    let mut chunk = [0; 2048];
    loop {
        match read(&open, &mut chunk)? {
            0 => return Ok(content),
            length => content.extend_from_slice(&chunk[..length]),
        }
    }
}
