//! The SBOM files of buildpacks: `<layer>.sbom.<ext>.json`, `launch.sbom.<ext>.json`, `build.sbom.<ext>.json`. They are gathered below `<layers>/sbom`:
//!
//! ```text
//! sbom/{launch,build,cache}/<escaped buildpack id>/[<layer>/]sbom.{cdx,spdx,syft}.json
//! ```

use std::path::{Path, PathBuf};

use cnb_spec::sbom::{SbomFormat, is_sbom_file};

use super::layers::Layer;
use super::{BuildError, Current};
use crate::files::{FileError, names_in, read_bytes, write_file};

/// The largest SBOM file copied; those of big applications have tens of megabytes.
const LARGEST_SBOM: u64 = 1 << 30;

/// A file to be copied.
#[derive(Debug)]
pub(super) struct SbomFile {
    from: PathBuf,
    /// Below `<layers>/sbom`.
    to: PathBuf,
}

/// Finds a buildpack's SBOM files, and checks that it declared their formats.
pub(super) fn find_sbom_files(
    current: &Current<'_>,
    layers: &[Layer],
) -> Result<Vec<SbomFile>, BuildError> {
    let mut files = Vec::new();
    for entry in names_in(&current.layers_dir)? {
        let file_name = entry.file_name();
        let Some(file_name) = file_name.to_str().filter(|name| is_sbom_file(name)) else {
            continue;
        };
        let (stem, _) = file_name.rsplit_once(".sbom.").unwrap_or_default();
        let layer = layers.iter().find(|layer| layer.name.as_str() == stem);
        let folders: &[&str] = match (stem, layer.map(|layer| layer.types)) {
            ("launch", _) => &["launch"],
            ("build", _) => &["build"],
            // Left over from a layer that is not there any more.
            (_, None) => continue,
            (_, Some(types)) => match (types.launch, types.cache) {
                (true, true) => &["launch", "cache"],
                (true, false) => &["launch"],
                (false, true) => &["build", "cache"],
                (false, false) => &["build"],
            },
        };
        let from = entry.path();
        let format = declared_format(current, &from, file_name)?;
        let mut below = PathBuf::from(current.element.id.escaped());
        if layer.is_some() {
            below.push(stem);
        }
        below.push(format.file_name());
        files.extend(folders.iter().map(|folder| SbomFile {
            from: from.clone(),
            to: Path::new(folder).join(&below),
        }));
    }
    Ok(files)
}

fn declared_format(
    current: &Current<'_>,
    path: &Path,
    file_name: &str,
) -> Result<SbomFormat, BuildError> {
    let wrong = |reason: String| BuildError::Written {
        buildpack: current.element.to_string(),
        path: path.to_owned(),
        reason,
    };
    let (format, _) = SbomFormat::of_file(file_name).ok_or_else(|| {
        wrong("unsupported SBOM file format; .sbom.cdx.json, .sbom.spdx.json and .sbom.syft.json are supported".to_owned())
    })?;
    let declared = &current.buildpack.toml.buildpack.sbom_formats;
    if format.is_declared(declared) {
        return Ok(format);
    }
    let media_type = format.media_type();
    Err(wrong(format!(
        "undeclared SBOM media type: '{media_type}'; add it to sbom-formats in buildpack.toml"
    )))
}

/// Are there SBOM files of whatever format?
pub(super) fn has_sbom_files(layers_dir: &Path) -> Result<bool, FileError> {
    let mut entries = names_in(layers_dir)?.into_iter();
    Ok(entries.any(|entry| entry.file_name().to_str().is_some_and(is_sbom_file)))
}

/// Copies the files to `<layers>/sbom`.
pub(super) fn copy_sbom_files(files: &[SbomFile], sbom_dir: &Path) -> Result<(), FileError> {
    for SbomFile { from, to } in files {
        write_file(&sbom_dir.join(to), &read_bytes(from, LARGEST_SBOM)?)?;
    }
    Ok(())
}
