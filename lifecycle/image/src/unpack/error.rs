//! Why an archive could not be unpacked.

use crate::archive::ReadArchiveError;
use crate::tree_path::TreePath;
use std::io;

/// Why an archive could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive itself cannot be read or is refused.
    #[error(transparent)]
    Archive(#[from] ReadArchiveError),
    /// A call failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The entry or folder.
        path: TreePath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder an entry is in is something else.
    #[error("{path} is in {parent}, which is not a folder")]
    ParentNotFolder {
        /// The entry.
        path: TreePath,
        /// What should be a folder.
        parent: TreePath,
    },
    /// The folder an entry is in is a symlink, which was not allowed, leads nowhere, or is one of too many.
    #[error("{path} is reached by the symlink {link}, which cannot be followed: {reason}")]
    ParentSymlink {
        /// The entry.
        path: TreePath,
        /// The symlink.
        link: TreePath,
        /// Why not.
        reason: &'static str,
    },
    /// The root was not a folder in the archive.
    #[error("the archive makes its root something other than a folder")]
    RootNotFolder,
    /// A hard link to something that is not there.
    #[error("{path} is a hard link to {target}, which is not there")]
    LinkTargetMissing {
        /// The link.
        path: TreePath,
        /// What it links to.
        target: TreePath,
    },
    /// A hard link to itself or to a folder.
    #[error("{path} is a hard link to {target}, which cannot be linked: {reason}")]
    LinkTarget {
        /// The link.
        path: TreePath,
        /// What it links to.
        target: TreePath,
        /// Why not.
        reason: &'static str,
    },
    /// A device node where none are allowed.
    #[error("{path} is a device node; archives for images must not bring any")]
    Device {
        /// The entry.
        path: TreePath,
    },
    /// A whiteout of `.`, `..`, nothing, or of a reserved name.
    #[error("{path} is not a valid whiteout")]
    Whiteout {
        /// The entry.
        path: TreePath,
    },
    /// A folder that is not empty where something else should go.
    #[error("{path} is a folder that is not empty; the archive has something else there")]
    FolderInTheWay {
        /// The folder.
        path: TreePath,
    },
}

impl UnpackError {
    pub(super) fn io(action: &'static str, path: &TreePath, source: impl Into<io::Error>) -> Self {
        Self::Io {
            action,
            path: path.clone(),
            source: source.into(),
        }
    }
}
