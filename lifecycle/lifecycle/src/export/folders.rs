//! A folder as a layer: everything in it belongs to the CNB user, and the folders above it come first.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use oci_image::layer::{LayerContents, TreeRules};
use oci_image::{Owner, TreePath};

use super::{ExportError, ExportInputs, FoldersAbove};
use crate::files::FileError;

/// A folder below the layers folder, at its path in the image.
pub(super) fn layers_folder<'a>(
    inputs: &ExportInputs,
    disk: &Path,
    below: &Path,
) -> Result<LayerContents<'a>, ExportError> {
    let at = inputs.layers_dir_in_image.join(below);
    let contents = with_parents(&at, &inputs.layers_dir.join(below), inputs)?;
    let rules = TreeRules::buildpack(inputs.owner);
    Ok(contents.tree(disk, &tree_path(&at)?, rules))
}

/// The folders above `at`. With [`FoldersAbove::AsFound`], if what is there stands at the same path on this machine (as it does in a builder's container), they are as they are there, like the
/// reference implementation has them; else they are the user's own.
pub(super) fn with_parents<'a>(
    at: &Path,
    disk: &Path,
    inputs: &ExportInputs,
) -> Result<LayerContents<'a>, ExportError> {
    let path = tree_path(at)?;
    if at != disk || inputs.folders_above == FoldersAbove::Owned {
        return Ok(LayerContents::new().parents_of(&path, inputs.owner));
    }
    let mut contents = LayerContents::new();
    let parents: Vec<&Path> = at.ancestors().skip(1).collect();
    for parent in parents
        .into_iter()
        .rev()
        .filter(|path| path.parent().is_some())
    {
        let found = fs::metadata(parent).map_err(|source| FileError::read(parent, source))?;
        let owner = Owner::new(found.uid(), found.gid());
        contents = contents.folder(&tree_path(parent)?, found.mode() & 0o7777, owner);
    }
    Ok(contents)
}

pub(super) fn tree_path(path: &Path) -> Result<TreePath, ExportError> {
    TreePath::from_path(path).map_err(|source| ExportError::Path {
        path: PathBuf::from(path),
        source,
    })
}
