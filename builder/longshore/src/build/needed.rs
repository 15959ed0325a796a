//! Whether a build may look into a cached layer, so that one that it will not look into need not be fetched.
//!
//! A buildpack can say in the metadata of a layer that is only cached when it will not want the contents back: while the build plan, which
//! is known before anything is restored, asks for exactly what it asked for then. It names that entry of the plan:
//!
//! ```toml
//! [metadata.restore.unless]
//! name = "python-packages"
//! metadata = { wishes = "0a1b…" }
//! ```
//!
//! Then an empty folder stands in for the layer. Left empty, the layer is what it was; what is written into it becomes the layer.
//! Other lifecycles take this for metadata like any other, and restore everything.

use std::path::Path;

use cnb_spec::build_plan::Require;
use cnb_spec::labels::LayerMetadata;
use cnb_spec::plan::Plan;

/// Whether the contents are needed, by what the layer's metadata and `plan.toml` say. What cannot be read is needed.
pub(crate) fn is_needed(layer: &LayerMetadata, layers_dir: &Path) -> bool {
    // Other layers' contents are for others, who say nothing about it.
    if layer.launch || layer.build {
        return true;
    }
    let unless = layer.data.pointer("/restore/unless");
    let unless = unless.and_then(|unless| serde_json::from_value::<Require>(unless.clone()).ok());
    let plan = std::fs::read_to_string(layers_dir.join("plan.toml"));
    let plan = plan
        .ok()
        .and_then(|text| toml::from_str::<Plan>(&text).ok());
    let (Some(unless), Some(plan)) = (unless, plan) else {
        return true;
    };
    let mut required = plan.entries.iter().flat_map(|entry| &entry.requires);
    !required.any(|require| *require == unless)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(types: &str, unless: Option<&str>) -> LayerMetadata {
        let restore = unless.map(|wishes| serde_json::json!({"unless": {"name": "packages", "metadata": {"wishes": wishes}}}));
        LayerMetadata {
            sha: String::new(),
            data: serde_json::json!({"resolved": "today", "restore": restore}),
            launch: types.contains('l'),
            build: types.contains('b'),
            cache: true,
        }
    }

    #[test]
    fn is_needed_every_case() {
        let folder = tempfile::tempdir().unwrap();
        let is_needed = |layer: &LayerMetadata| is_needed(layer, folder.path());
        assert!(is_needed(&layer("", Some("a"))), "there is no plan");
        let plan =
            "[[entries]]\n[[entries.requires]]\nname = 'packages'\nmetadata = { wishes = 'a' }\n";
        std::fs::write(folder.path().join("plan.toml"), plan).unwrap();
        for (types, unless, expected) in [
            ("", Some("a"), false),
            ("", Some("b"), true),
            ("", None, true),
            ("b", Some("a"), true),
            ("l", Some("a"), true),
        ] {
            let found = is_needed(&layer(types, unless));
            assert_eq!(found, expected, "{types} {unless:?}");
        }
    }
}
