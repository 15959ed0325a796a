//! Unpacks one folder of a layer to where its name says. Everything else in the layer, and everything that would leave the folder, is left out.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use oci_image::archive::Kind;
use oci_image::unpack::{Parents, Placement, UnpackError, UnpackOptions, open_root};
use oci_image::{Owner, Owners, ParseTreePathError, TreePath};

use crate::files::create_dir;

/// Unpacks what is in or below `folder`, an absolute path. The whole stream is read.
pub(crate) fn unpack_below(tar: impl Read, folder: &Path) -> Result<(), UnpackBelowError> {
    let at = TreePath::from_path(folder)?;
    let parent = folder.parent().unwrap_or(Path::new("/"));
    let open = || -> io::Result<_> {
        create_dir(parent)?;
        open_root(parent)
    };
    let root = open().map_err(|source| UnpackBelowError::Folder {
        path: parent.to_owned(),
        source,
    })?;
    let above = at.parent().unwrap_or_default();
    let mut files = 0;
    let mut options = UnpackOptions::layer().placed_by(|entry| {
        let inside = entry.path.starts_with(&at);
        files += u64::from(inside && matches!(entry.kind, Kind::File { .. }));
        if files == 2 {
            failpoint::reach("restore-layer-half-unpacked");
        }
        let below = entry.path.strip_prefix(&above).filter(|_| inside);
        below.map_or(Placement::Skip, Placement::At)
    });
    options.parents = Parents::NoSymlinks;
    let mut owners = Owners::new(Owner::ROOT);
    oci_image::unpack(tar, root.as_fd(), &mut owners, options)?;
    Ok(())
}

/// Why a folder could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackBelowError {
    /// The path is not one that a layer can hold.
    #[error(transparent)]
    Path(#[from] ParseTreePathError),
    /// The folder above cannot be opened.
    #[error("could not open '{}': {source}", path.display())]
    Folder {
        /// The folder above.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The archive, or the disk.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
}
