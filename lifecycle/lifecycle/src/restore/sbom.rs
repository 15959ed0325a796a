//! SBOM files go back to the buildpacks that wrote them: `sbom/{cache,launch}/<buildpack>/<layer>/sbom.<ext>` becomes `<buildpack>/<layer>.sbom.<ext>`.

use std::path::Path;

use super::RestoreInputs;
use crate::files::{FileError, names_in, read_bytes, remove_dir, write_file};

/// The largest SBOM file copied.
const LARGEST_SBOM: u64 = 1 << 30;

/// Gives the files back and removes `<layers>/sbom`, which the builder makes anew.
pub(super) fn restore_sbom_files(inputs: &RestoreInputs) -> Result<(), FileError> {
    let sbom_dir = inputs.layers_dir.join("sbom");
    for folder in ["cache", "launch"] {
        for element in &inputs.group.group {
            let escaped = element.id.escaped();
            let to = inputs.layers_dir.join(&escaped);
            // Without a restored layer there is nothing that an SBOM file could describe.
            if to.is_dir() {
                copy_files(&sbom_dir.join(folder).join(&escaped), &to)?;
            }
        }
    }
    remove_dir(&sbom_dir)
}

fn copy_files(from: &Path, to: &Path) -> Result<(), FileError> {
    for layer in names_in(from)? {
        let layer_name = layer.file_name();
        let is_dir = layer.file_type().is_ok_and(|file_type| file_type.is_dir());
        for file in names_in(&layer.path())?.iter().filter(|_| is_dir) {
            let name = file.file_name();
            let is_file = file.file_type().is_ok_and(|file_type| file_type.is_file());
            if !is_file || !name.to_string_lossy().starts_with("sbom.") {
                continue;
            }
            let mut target = layer_name.clone();
            target.push(".");
            target.push(&name);
            let bytes = read_bytes(&file.path(), LARGEST_SBOM)?;
            write_file(&to.join(target), &bytes)?;
        }
    }
    Ok(())
}
