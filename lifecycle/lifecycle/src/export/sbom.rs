//! The SBOM files of the lifecycle and of its launcher, which stand beside the buildpacks' own.

use std::fs;
use std::path::Path;

use cnb_spec::sbom::SbomFormat;

use super::{ExportError, ExportInputs, LauncherSbom};
use crate::files::{FileError, create_dir, names_in, read_bytes, write_file};
use crate::output::Output;

/// The largest SBOM file copied.
const LARGEST_SBOM: u64 = 1 << 30;

/// Copies them to `<layers>/sbom`.
pub(super) fn copy_launcher_sbom(
    inputs: &ExportInputs,
    output: &Output,
) -> Result<(), ExportError> {
    let sbom_dir = inputs.layers_dir.join("sbom");
    let build = sbom_dir.join("build/buildpacksio_lifecycle");
    let launch = sbom_dir.join("launch/buildpacksio_lifecycle/launcher");
    match &inputs.launcher_sbom {
        None => Ok(()),
        Some(LauncherSbom::Beside(programs)) => {
            copy_of_component("lifecycle", programs, &build, output)?;
            copy_of_component("launcher", programs, &launch, output)
        }
        Some(LauncherSbom::Folder(folder)) => {
            // Somebody named it, so it has to be there. The image gets the folder even if it stays empty, as with the reference implementation.
            fs::metadata(folder).map_err(|source| FileError::read(folder, source))?;
            create_dir(&launch).map_err(|source| FileError::write(&launch, source))?;
            for entry in names_in(folder)? {
                let name = entry.file_name();
                let text = name.to_string_lossy();
                let is_sbom = SbomFormat::ALL
                    .iter()
                    .any(|format| text.ends_with(format.file_name()));
                if is_sbom {
                    copy(&entry.path(), &launch.join(&name))?;
                }
            }
            Ok(())
        }
    }
}

fn copy_of_component(
    component: &str,
    from: &Path,
    to: &Path,
    output: &Output,
) -> Result<(), ExportError> {
    let name_in = |format: SbomFormat| format!("{component}.{}", format.file_name());
    let (found, missing): (Vec<_>, Vec<_>) = SbomFormat::ALL
        .into_iter()
        .partition(|format| from.join(name_in(*format)).is_file());
    // One format is enough to know what the program is made of.
    for format in missing.into_iter().filter(|_| found.is_empty()) {
        let (name, from) = (name_in(format), from.display());
        output.warn(format_args!("Did not find SBOM {name} in {from}"));
    }
    for format in found {
        let name = name_in(format);
        let path = from.join(&name);
        output.debug(format_args!("Copying SBOM {name} to {}", to.display()));
        copy(&path, &to.join(format.file_name()))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), FileError> {
    write_file(to, &read_bytes(from, LARGEST_SBOM)?)
}
