//! The app's layers: one for each slice that a buildpack declared, and one for the rest.
//!
//! Entries come in the order of their paths' bytes, which is not the order of a walk: `app`, `app.py`, `app/x`. The reference implementation sorts them so,
//! and other orders would be other layers.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cnb_spec::launch_toml::Slice;
use oci_image::TreePath;
use oci_image::layer::{FileKind, LayerContents, TreeRules};

use super::folders::{tree_path, with_parents};
use super::pattern::Pattern;
use super::slices::Division;
use super::{ExportError, ExportInputs};
use crate::files::{FileError, names_in};

/// The paths, relative to the app's folder, that make up each of the app's layers.
pub(super) fn divide(
    inputs: &ExportInputs,
    slices: &[Slice],
) -> Result<Vec<Vec<Vec<u8>>>, ExportError> {
    let mut paths = vec![Vec::new()];
    walk(inputs, &mut Vec::new(), &mut paths)?;
    let mut division = Division::new(paths);
    let mut layers = Vec::new();
    for slice in slices {
        let patterns = slice.paths.iter().map(|text| {
            Pattern::new(text).map_err(|reason| ExportError::Slice {
                pattern: text.clone(),
                reason,
            })
        });
        let patterns: Vec<Pattern> = patterns.collect::<Result<_, _>>()?;
        layers.push(division.take(&patterns));
    }
    layers.push(division.rest());
    Ok(layers)
}

fn walk(
    inputs: &ExportInputs,
    below: &mut Vec<u8>,
    paths: &mut Vec<Vec<u8>>,
) -> Result<(), ExportError> {
    let folder = disk_path(inputs, below);
    // A folder that is not there is no empty folder here.
    fs::symlink_metadata(&folder).map_err(|source| FileError::read(&folder, source))?;
    for entry in names_in(&folder)? {
        let length = below.len();
        if length > 0 {
            below.push(b'/');
        }
        below.extend_from_slice(entry.file_name().as_bytes());
        let path = TreePath::from_bytes(below).map_err(|source| ExportError::Path {
            path: entry.path(),
            source,
        })?;
        if !inputs.app.hidden.contains(&path) {
            paths.push(below.clone());
            let file_type = entry.file_type();
            let file_type = file_type.map_err(|source| FileError::read(&entry.path(), source))?;
            if file_type.is_dir() {
                walk(inputs, below, paths)?;
            }
        }
        below.truncate(length);
    }
    Ok(())
}

fn disk_path(inputs: &ExportInputs, below: &[u8]) -> PathBuf {
    match below {
        [] => inputs.app.path.clone(),
        below => inputs.app.path.join(OsStr::from_bytes(below)),
    }
}

/// A layer of these paths. One of no paths is empty.
pub(super) fn contents<'a>(
    inputs: &ExportInputs,
    paths: &[Vec<u8>],
) -> Result<LayerContents<'a>, ExportError> {
    if paths.is_empty() {
        return Ok(LayerContents::new());
    }
    let app = &inputs.app_dir_in_image;
    let modes = inputs.app.modes;
    let mut contents = with_parents(app, &inputs.app.path, inputs)?;
    for below in paths {
        let disk = disk_path(inputs, below);
        let at = match &below[..] {
            [] => app.clone(),
            below => app.join(Path::new(OsStr::from_bytes(below))),
        };
        let at = tree_path(&at)?;
        // The app's own folder may be given by a link.
        let found = if below.is_empty() {
            fs::metadata(&disk)
        } else {
            fs::symlink_metadata(&disk)
        };
        let found = found.map_err(|source| FileError::read(&disk, source))?;
        contents = if found.is_dir() {
            let mode = match inputs.app.own_mode {
                Some(mode) if below.is_empty() => mode,
                _ => modes.of(FileKind::Folder, found.mode()),
            };
            contents.folder(&at, mode, inputs.owner)
        } else {
            let rules = TreeRules::buildpack(inputs.owner).with_modes(modes);
            contents.tree(disk, &at, rules)
        };
    }
    Ok(contents)
}
