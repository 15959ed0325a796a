//! What a stack's maker tells while it works; how it is shown is the caller's business.

use crate::lock::ImageKind;

/// One step forward.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event<'a> {
    /// Signed indexes are being read and packages chosen.
    Resolving,
    /// Packages are being downloaded.
    Downloading {
        /// Bytes that are there.
        bytes: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Packages are being unpacked.
    Unpacking {
        /// So many are.
        done: usize,
        /// Of so many.
        total: usize,
    },
    /// A line of what the maintainer scripts print.
    Configuring {
        /// The image they run in.
        image: ImageKind,
        /// What they print.
        line: &'a str,
    },
    /// The image's layer is being written.
    Writing {
        /// The image.
        image: ImageKind,
    },
    /// Something that deserves a word.
    Notice(&'a str),
}

/// Hears of each step, from any thread.
pub type Progress<'a> = &'a (dyn Fn(Event<'_>) + Sync);
