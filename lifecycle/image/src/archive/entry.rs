//! One entry of an archive, as its headers together describe it.

use crate::owners::Owner;
use crate::tree_path::TreePath;
use std::collections::BTreeMap;

/// A file, folder or link in an archive, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it goes, relative to the root.
    pub path: TreePath,
    /// What it is.
    pub kind: Kind,
    /// The 12 permission bits.
    pub mode: u32,
    /// Who owns it, by number; names in archives are never used.
    pub owner: Owner,
    /// When its content was last changed.
    pub mtime: Mtime,
    /// Extended attributes (pax `SCHILY.xattr.*`).
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of `size` bytes, which follow.
    File {
        /// The number of bytes.
        size: u64,
    },
    /// A folder.
    Directory,
    /// A symbolic link; its target is any text, not a checked path.
    Symlink {
        /// The target's bytes, as they are.
        target: Vec<u8>,
    },
    /// Another name for a file that came before.
    Hardlink {
        /// The other name.
        target: TreePath,
    },
    /// A character device.
    CharDevice {
        /// The major number.
        major: u32,
        /// The minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// The major number.
        major: u32,
        /// The minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
}

/// A time: seconds since 1970 and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mtime {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// What is left, below 10^9.
    pub nanoseconds: u32,
}
