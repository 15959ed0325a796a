//! The rules by which files on disk become entries of a layer.

use crate::owners::{Owner, Owners};
use crate::tree_path::TreePath;
use std::fmt;

/// 1980-01-01T00:00:01Z, the time of everything in a buildpack's layer: the earliest that also zip files can hold, and a second more,
/// because some tools take the earliest for "none" (reference lifecycle, `archive.NormalizedModTime`).
pub const LAYER_TIME: u64 = 315_532_801;

/// How a folder on disk becomes entries.
#[derive(Clone, Copy)]
pub struct TreeRules<'a> {
    /// Whose the entries are.
    pub owners: OwnerRule<'a>,
    /// Which modes they have.
    pub modes: Modes,
    /// Which times they have.
    pub times: Times,
    /// What becomes of files with several names.
    pub hardlinks: Hardlinks,
    /// What becomes of overlayfs's marks for removed files.
    pub whiteouts: TreeWhiteouts,
    /// Says what goes in. The path is the one in the image.
    pub selection: &'a (dyn Fn(&TreePath, FileKind) -> Selection + Sync),
}

impl<'a> TreeRules<'a> {
    /// A buildpack's or the app's layer: everything belongs to `owner`, everything else as the reference lifecycle has it.
    pub fn buildpack(owner: Owner) -> Self {
        Self {
            owners: OwnerRule::All(owner),
            modes: Modes::AsFound,
            times: Times::Fixed(LAYER_TIME),
            hardlinks: Hardlinks::AsFiles,
            whiteouts: TreeWhiteouts::AsFound,
            selection: &|_, _| Selection::Take,
        }
    }

    /// A stack's layer: recorded owners, files keep their times up to `newest`, hard links are kept.
    pub fn stack(owners: &'a Owners, newest: u64) -> Self {
        Self {
            owners: OwnerRule::Recorded(owners),
            times: Times::FilesUpTo(newest),
            hardlinks: Hardlinks::Keep,
            ..Self::buildpack(Owner::ROOT)
        }
    }

    /// With another rule for modes.
    #[must_use]
    pub fn with_modes(self, modes: Modes) -> Self {
        Self { modes, ..self }
    }

    /// With another rule for what goes in.
    #[must_use]
    pub fn selected_by(
        self,
        selection: &'a (dyn Fn(&TreePath, FileKind) -> Selection + Sync),
    ) -> Self {
        Self { selection, ..self }
    }
}

impl fmt::Debug for TreeRules<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            owners: _,
            modes,
            times,
            hardlinks,
            whiteouts,
            selection: _,
        } = self;
        f.debug_struct("TreeRules")
            .field("modes", modes)
            .field("times", times)
            .field("hardlinks", hardlinks)
            .field("whiteouts", whiteouts)
            .finish_non_exhaustive()
    }
}

/// Whose entries are.
#[derive(Debug, Clone, Copy)]
pub enum OwnerRule<'a> {
    /// All belong to one user.
    All(Owner),
    /// Owners, differing modes and extended attributes are taken from the record, by the path in the image.
    Recorded(&'a Owners),
}

/// Which modes entries have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Modes {
    /// Those on disk.
    AsFound,
    /// Those that every copy of a source tree can have: 0755 for folders and for files that their owner may execute, else 0644. That is
    /// all that git keeps; the rest is the umask of whoever made the copy.
    OfSources,
}

impl Modes {
    /// The mode of an entry whose mode on disk is `found`; only the twelve permission bits.
    pub fn of(self, kind: FileKind, found: u32) -> u32 {
        match self {
            Self::AsFound => found & 0o7777,
            Self::OfSources if kind == FileKind::Folder || found & 0o100 != 0 => 0o755,
            Self::OfSources => 0o644,
        }
    }
}

/// Which times entries have, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Times {
    /// All the same.
    Fixed(u64),
    /// Files and symlinks keep theirs if they are not later than this; folders, whose times change with every file
    /// made in them, all get this one.
    FilesUpTo(u64),
}

impl Times {
    pub(super) fn of(self, kind: FileKind, seconds: i64) -> u64 {
        match self {
            Self::Fixed(time) => time,
            Self::FilesUpTo(newest) if kind == FileKind::Folder => newest,
            Self::FilesUpTo(newest) => u64::try_from(seconds).unwrap_or(0).min(newest),
        }
    }
}

/// What becomes of files with several names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hardlinks {
    /// Each name is written as a file of its own.
    AsFiles,
    /// The first name is the file, the others link to it.
    Keep,
}

/// What becomes of overlayfs's marks for removed files in an upper folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeWhiteouts {
    /// Nothing special: a character device 0:0 is written as one.
    AsFound,
    /// A character device 0:0 becomes `.wh.<name>`, an opaque folder gets a `.wh..wh..opq` (OCI image specification, layer.md).
    ForLayer,
}

/// What kind of file stands on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A pipe or device.
    Special,
}

/// Whether a file goes into the layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selection {
    /// It does.
    Take,
    /// The folder itself does not, but what is in it is asked for in turn.
    Inside,
    /// It does not, nor does anything in it.
    Leave,
}
