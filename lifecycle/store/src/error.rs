//! Why the store could not do something.

use std::io;
use std::path::{Path, PathBuf};

use oci_image::DiffId;
use oci_image::archive::ReadArchiveError;
use oci_image::unpack::UnpackError;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder could not be read, written, made, renamed or locked.
    #[error("{} could not be {attempt}: {source}", path.display())]
    Io {
        /// What was tried, as a participle: `written`.
        attempt: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A layer's blob does not unpack.
    #[error("the layer {diff_id} cannot be unpacked: {source}")]
    Unpack {
        /// The layer.
        diff_id: DiffId,
        /// Why.
        source: UnpackError,
    },
    /// A layer's blob holds something else than its name says.
    #[error("the blob of the layer {expected} holds {found}; it is damaged. Build the image again")]
    WrongContent {
        /// What was expected.
        expected: DiffId,
        /// What was found.
        found: DiffId,
    },
    /// It is not known whose a tree's files are.
    #[error("the unpacked layer {0} was damaged and is removed now. Build or run the image again")]
    TreeDamaged(DiffId),
    /// A layer is needed whose blob is nowhere.
    #[error("the layer {0} is not in the store; it was removed. Build the image again")]
    LayerMissing(DiffId),
}

impl StoreError {
    /// Whether a blob is not what it should be, and no reading of it again will help.
    pub(crate) fn is_damage(&self) -> bool {
        let not_as_written = |error: &io::Error| {
            use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
            matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof)
        };
        match self {
            Self::WrongContent { .. } => true,
            Self::Unpack { source, .. } => match source {
                UnpackError::Archive(ReadArchiveError::Read(error)) => not_as_written(error),
                UnpackError::Archive(_) => true,
                _ => false,
            },
            Self::Io { source, .. } => not_as_written(source),
            Self::TreeDamaged(_) | Self::LayerMissing(_) => false,
        }
    }

    pub(crate) fn io(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            attempt,
            path,
            source,
        }
    }
}
