//! What a cached layer's own file (`<layer>.toml`) says, read before libcnb decides, and how reuse is told.
//!
//! libcnb deletes a layer inside its callback; our buildpacks first look (what changed, what can be salvaged), then act.

use crate::output::Output;
use libcnb::Buildpack;
use libcnb::build::BuildContext;
use libcnb::data::layer::LayerName;
use libcnb::generic::GenericMetadata;
use libcnb::layer::{CachedLayerDefinition, InvalidMetadataAction, LayerRef, RestoredLayerAction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// What is known about a layer from the last build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restored<M> {
    /// Nothing came back.
    Absent,
    /// It came back, but its metadata is of another version of Longshore.
    Foreign,
    /// Contents and metadata came back.
    Present(M),
}

#[derive(serde::Deserialize)]
struct LayerToml<M> {
    metadata: M,
}

impl<M: DeserializeOwned> Restored<M> {
    /// Looks at `<layers>/<name>/` and `<layers>/<name>.toml`.
    pub fn read(layers_dir: &Path, name: &LayerName) -> Self {
        let folder = layers_dir.join(name.as_str());
        let file = layers_dir.join(format!("{name}.toml"));
        if !folder.is_dir() {
            return Self::Absent;
        }
        let Ok(text) = std::fs::read_to_string(file) else {
            return Self::Absent;
        };
        match toml::from_str::<LayerToml<M>>(&text) {
            Ok(LayerToml { metadata }) => Self::Present(metadata),
            Err(_) => Self::Foreign,
        }
    }
}

impl<M> Restored<M> {
    /// Why the layer cannot be used as it is; empty where it can. `changes` compares what was with what is.
    pub fn reasons(&self, changes: impl FnOnce(&M) -> Vec<String>) -> Vec<String> {
        match self {
            Self::Absent => vec!["there is none from an earlier build".to_owned()],
            Self::Foreign => vec!["it was made by another version of Longshore".to_owned()],
            Self::Present(metadata) => changes(metadata),
        }
    }
}

/// `[metadata.restore]` of a cached layer: its buildpack will not look into it while the build plan has this entry. Our lifecycle then
/// leaves the contents in the cache, and an empty folder stands in for them. Left empty, the layer stays what it was; the rules are in
/// `lifecycle/lifecycle/src/restore/needed.rs`. To other lifecycles it is metadata like any other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// The entry.
    pub unless: PlanEntry,
}

/// `[[requires]]` of a build plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanEntry {
    /// What is required.
    pub name: String,
    /// What its provider should know.
    pub metadata: BTreeMap<String, String>,
}

/// Who needs a cached layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Later buildpacks and the app.
    BuildAndLaunch,
    /// Later buildpacks.
    Build,
    /// The next build.
    CacheOnly,
}

/// A layer whose fate was decided before libcnb asked.
pub type Layer<B> = LayerRef<B, (), ()>;

/// Keeps a restored layer as it is: only its types are written again, beside it, since the lifecycle takes them away.
pub fn keep_layer<B: Buildpack, M: Serialize + DeserializeOwned>(
    context: &BuildContext<B>,
    name: LayerName,
    usage: Use,
) -> libcnb::Result<Layer<B>, B::Error> {
    context.cached_layer(
        name,
        CachedLayerDefinition {
            build: usage != Use::CacheOnly,
            launch: usage == Use::BuildAndLaunch,
            invalid_metadata_action: &|_| InvalidMetadataAction::DeleteLayer,
            restored_layer_action: &|_: &M, _| RestoredLayerAction::KeepLayer,
        },
    )
}

/// An empty layer, whatever was there.
pub fn new_layer<B: Buildpack>(
    context: &BuildContext<B>,
    name: LayerName,
    usage: Use,
) -> libcnb::Result<Layer<B>, B::Error> {
    context.cached_layer(
        name,
        CachedLayerDefinition {
            build: usage != Use::CacheOnly,
            launch: usage == Use::BuildAndLaunch,
            invalid_metadata_action: &|_| InvalidMetadataAction::DeleteLayer,
            restored_layer_action: &|_: &GenericMetadata, _| RestoredLayerAction::DeleteLayer,
        },
    )
}

/// One line for a reused layer, or the reasons why it was not.
pub fn tell_reuse(output: &mut Output, what: &str, reasons: &[String]) {
    match reasons {
        [] => output.line(format!("{what}: reused from the last build")),
        [reason] => output.line(format!("{what}: made anew, because {reason}")),
        reasons => {
            output.line(format!("{what}: made anew, because"));
            for reason in reasons {
                output.line(format!("  - {reason}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libcnb::data::layer_name;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Metadata {
        version: String,
    }

    #[test]
    fn read_every_state() {
        let layers = tempfile::tempdir().unwrap();
        let name = layer_name!("python");
        let read = || Restored::<Metadata>::read(layers.path(), &name);
        assert_eq!(read(), Restored::Absent);
        let toml = layers.path().join("python.toml");
        std::fs::write(&toml, "[metadata]\nversion = '3.13'\n").unwrap();
        assert_eq!(read(), Restored::Absent);
        std::fs::create_dir(layers.path().join("python")).unwrap();
        assert_eq!(
            read(),
            Restored::Present(Metadata {
                version: "3.13".into()
            })
        );
        std::fs::write(&toml, "[metadata]\nother = 1\n").unwrap();
        assert_eq!(read(), Restored::Foreign);
    }

    #[test]
    fn tell_reuse_wording() {
        let mut output = Output::captured();
        tell_reuse(&mut output, "uv", &[]);
        tell_reuse(&mut output, "uv", &["a changed".into()]);
        tell_reuse(&mut output, "uv", &["a changed".into(), "b changed".into()]);
        assert_eq!(
            output.text(),
            "uv: reused from the last build\nuv: made anew, because a changed\nuv: made anew, because\n  - a changed\n  - b changed\n"
        );
    }
}
