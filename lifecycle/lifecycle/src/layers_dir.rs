//! `<layers>/<buildpack>`, as restore and export find it: the layers that have a `.toml`, and `store.toml`.
//!
//! What is here was written by buildpacks and may be read outside their container, so nothing is read through links that lead out of the layers folder.

use std::path::{Path, PathBuf};

use cnb_spec::build_toml::StoreToml;
use cnb_spec::id::{BuildpackId, LayerName};
use cnb_spec::layer_toml::LayerToml;

use crate::files::{FileError, names_in, parse_toml, read_text_below};

/// The layers of one buildpack, sorted by name.
#[derive(Debug, Default)]
pub(crate) struct BuildpackLayersDir {
    /// Those with a `.toml` that can be understood.
    pub(crate) layers: Vec<FoundLayer>,
    /// What is wrong with the others: `buildpack:layer`, and why.
    pub(crate) malformed: Vec<(String, String)>,
    /// `store.toml`
    pub(crate) store: Option<StoreToml>,
}

/// A layer with its `.toml`.
#[derive(Clone, Debug)]
pub(crate) struct FoundLayer {
    pub(crate) name: LayerName,
    pub(crate) toml: LayerToml,
}

/// Reads the `.toml` files of one buildpack.
pub(crate) fn read_buildpack_layers(
    layers_dir: &Path,
    id: &BuildpackId,
) -> Result<BuildpackLayersDir, FileError> {
    let folder = PathBuf::from(id.escaped());
    let mut found = BuildpackLayersDir::default();
    for entry in names_in(&layers_dir.join(&folder))? {
        let file_name = entry.file_name();
        let Some(name) = file_name
            .to_str()
            .and_then(|name| name.strip_suffix(".toml"))
        else {
            continue;
        };
        let file_type = entry.file_type();
        let path = entry.path();
        let file_type = file_type.map_err(|source| FileError::read(&path, source))?;
        // Folders are layers with a strange name; a character device stands where an overlay's file was removed.
        if matches!(name, "launch" | "build") || !(file_type.is_file() || file_type.is_symlink()) {
            continue;
        }
        let Some(text) = read_text_below(layers_dir, &folder.join(&file_name))? else {
            continue;
        };
        if name == "store" {
            found.store = Some(parse_toml(&path, &text)?);
            continue;
        }
        let layer = name.parse::<LayerName>().map_err(|error| error.to_string());
        let toml = LayerToml::parse(&text).map_err(|error| error.to_string());
        match layer.and_then(|name| toml.map(|toml| FoundLayer { name, toml })) {
            Ok(layer) => found.layers.push(layer),
            Err(reason) => found.malformed.push((format!("{id}:{name}"), reason)),
        }
    }
    found.layers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn read_buildpack_layers_sorts_and_reports() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("a_b");
        fs::create_dir_all(dir.join("folder.toml")).unwrap();
        for (name, text) in [
            ("z.toml", "[types]\nlaunch = true"),
            ("a.toml", ""),
            ("a-b.toml", ""),
            ("bad.toml", "x = "),
            ("launch.toml", "x = "),
            ("store.toml", "[metadata]\nk = 1"),
            ("other", ""),
        ] {
            fs::write(dir.join(name), text).unwrap();
        }
        let found = read_buildpack_layers(scratch.path(), &"a/b".parse().unwrap()).unwrap();
        let names: Vec<_> = found
            .layers
            .iter()
            .map(|layer| layer.name.as_str())
            .collect();
        assert_eq!(names, ["a", "a-b", "z"]);
        let [(name, reason)] = &found.malformed[..] else {
            panic!("one malformed layer")
        };
        assert!(name == "a/b:bad" && reason.contains("line 1"));
        assert!(found.store.is_some());
        let none = read_buildpack_layers(scratch.path(), &"x".parse().unwrap()).unwrap();
        assert!(none.layers.is_empty());
    }
}
