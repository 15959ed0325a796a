//! The layers that a buildpack left behind: `<layers>/<buildpack>/<layer>.toml` and the folder beside it.

use std::fs;
use std::path::Path;

use cnb_spec::id::LayerName;
use cnb_spec::layer_toml::{LayerToml, LayerTypes};

use super::{BuildError, Current};
use crate::files::{FileError, is_missing, names_in, read_text, remove_dir};

/// A layer, and what it is for.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) name: LayerName,
    pub(super) types: LayerTypes,
}

/// Reads every `<layer>.toml`, in the order of the file names. The folder of a layer that is for nothing is put out of the way: `<layer>.ignore`.
pub(super) fn process_layers(current: &Current<'_>) -> Result<Vec<Layer>, BuildError> {
    let mut layers = Vec::new();
    for entry in names_in(&current.layers_dir)? {
        let path = entry.path();
        let file_name = entry.file_name();
        let Some(name) = file_name
            .to_str()
            .and_then(|name| name.strip_suffix(".toml"))
        else {
            continue;
        };
        if path.is_dir() || matches!(name, "build" | "launch" | "store") {
            continue;
        }
        let wrong = |reason: String| BuildError::Written {
            buildpack: current.element.to_string(),
            path: path.clone(),
            reason,
        };
        let name: LayerName = name.parse().map_err(|error| wrong(format!("{error}")))?;
        let toml = LayerToml::parse(&read_text(&path)?);
        let types = toml.map_err(|error| wrong(error.to_string()))?.types;
        if types.none() {
            set_aside(&current.layers_dir.join(name.as_str()))?;
        }
        layers.push(Layer { name, types });
    }
    Ok(layers)
}

fn set_aside(layer_dir: &Path) -> Result<(), FileError> {
    let mut ignored = layer_dir.as_os_str().to_os_string();
    ignored.push(".ignore");
    let ignored = Path::new(&ignored);
    match fs::symlink_metadata(layer_dir) {
        Err(error) if is_missing(&error) => return Ok(()),
        // The one of the last build, where layers stay on disk.
        _ => remove_dir(ignored)?,
    }
    fs::rename(layer_dir, ignored).map_err(|source| FileError::write(layer_dir, source))
}
