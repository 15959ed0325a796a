//! The labels of images, as names and as JSON.
//!
//! `io.buildpacks.lifecycle.metadata` is what the next build reads: which layer has which diffID, and what its buildpack remembers about it. Go writes `null` for
//! empty lists and maps; it is read as empty.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bom::{OwnedBomEntry, label_json};
use crate::group::GroupElement;
use crate::metadata::BuildMetadata;
use crate::process::{Command, Process};
use crate::run_image::Stack;
use crate::values::null_is_default;

/// The label that holds [`LayersMetadata`].
pub const LIFECYCLE_METADATA: &str = "io.buildpacks.lifecycle.metadata";
/// The label that holds [`BuildMetadataLabel`].
pub const BUILD_METADATA: &str = "io.buildpacks.build.metadata";
/// The label that holds [`crate::project::ProjectMetadata`].
pub const PROJECT_METADATA: &str = "io.buildpacks.project.metadata";
/// The cache image's label, and the name of the file in a cache folder, that hold [`CacheMetadata`].
pub const CACHE_METADATA: &str = "io.buildpacks.lifecycle.cache.metadata";
/// The execution environment that an image was built for (Platform API 0.15).
pub const EXEC_ENV: &str = "io.buildpacks.exec-env";
/// The stack that a base image belongs to.
pub const STACK_ID: &str = "io.buildpacks.stack.id";
/// The mixins of a base image, a list in JSON (Platform API before 0.12).
pub const STACK_MIXINS: &str = "io.buildpacks.stack.mixins";
/// `false` on images that cannot be rebased.
pub const REBASABLE: &str = "io.buildpacks.rebasable";
/// The target that a base image is.
pub const BASE_ID: &str = "io.buildpacks.base.id";
/// Its distribution.
pub const BASE_DISTRO_NAME: &str = "io.buildpacks.base.distro.name";
/// Its distribution's version.
pub const BASE_DISTRO_VERSION: &str = "io.buildpacks.base.distro.version";

/// `io.buildpacks.lifecycle.metadata`. Keys come in the reference implementation's order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayersMetadata {
    /// The slices of the app folder; the last one is the rest.
    #[serde(default, deserialize_with = "null_is_default")]
    pub app: Vec<LayerSha>,
    /// The launch SBOM layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sbom: Option<LayerSha>,
    /// In the order of the build.
    #[serde(default, deserialize_with = "null_is_default")]
    pub buildpacks: Vec<BuildpackLayers>,
    /// The launcher's configuration.
    #[serde(default)]
    pub config: LayerSha,
    /// The launcher.
    #[serde(default)]
    pub launcher: LayerSha,
    /// The symlinks in `/cnb/process`.
    #[serde(default, rename = "process-types")]
    pub process_types: LayerSha,
    /// What the app stands on.
    #[serde(default, rename = "runImage")]
    pub run_image: RunImageForRebase,
    /// The same for readers of Platform API 0.11 and earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<Stack>,
}

/// The diffID of a layer; empty where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerSha {
    /// `sha256:…`
    #[serde(default)]
    pub sha: String,
}

/// The layers of one buildpack.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BuildpackLayers {
    /// The buildpack's id.
    pub key: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// By name.
    #[serde(default, deserialize_with = "null_is_default")]
    pub layers: BTreeMap<String, LayerMetadata>,
    /// Its `store.toml`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<Store>,
}

/// A buildpack's layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerMetadata {
    /// Its diffID.
    #[serde(default)]
    pub sha: String,
    /// `[metadata]` of its `<layer>.toml`.
    #[serde(default)]
    pub data: serde_json::Value,
    /// For later buildpacks?
    #[serde(default)]
    pub build: bool,
    /// In the image?
    #[serde(default)]
    pub launch: bool,
    /// For the next build?
    #[serde(default)]
    pub cache: bool,
}

/// A buildpack's `store.toml`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Store {
    /// Anything.
    #[serde(default)]
    pub metadata: serde_json::Value,
}

/// What `rebase` needs to know about the run image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunImageForRebase {
    /// The diffID of its last layer.
    #[serde(default, rename = "topLayer")]
    pub top_layer: String,
    /// Which image it was, exactly.
    #[serde(default)]
    pub reference: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The same image elsewhere.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub mirrors: Vec<String>,
}

/// `io.buildpacks.lifecycle.cache.metadata`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CacheMetadata {
    /// The cache SBOM layer.
    #[serde(default)]
    pub sbom: LayerSha,
    /// In the order of the build.
    #[serde(default, deserialize_with = "null_is_default")]
    pub buildpacks: Vec<BuildpackLayers>,
}

impl LayersMetadata {
    /// The layers of one buildpack, if it took part.
    pub fn of_buildpack(&self, id: &str) -> Option<&BuildpackLayers> {
        self.buildpacks.iter().find(|layers| layers.key == id)
    }
}

impl CacheMetadata {
    /// The layers of one buildpack, if it took part.
    pub fn of_buildpack(&self, id: &str) -> Option<&BuildpackLayers> {
        self.buildpacks.iter().find(|layers| layers.key == id)
    }
}

/// `io.buildpacks.build.metadata`
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BuildMetadataLabel {
    /// The old bill of materials, before Platform API 0.9.
    #[serde(skip_serializing_if = "Option::is_none")]
    bom: Option<Vec<serde_json::Value>>,
    buildpacks: Vec<GroupElement>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    extensions: Vec<GroupElement>,
    launcher: LauncherMetadata,
    processes: Vec<LabelProcess>,
    #[serde(
        rename = "buildpack-default-process-type",
        skip_serializing_if = "String::is_empty"
    )]
    default_process_type: String,
}

/// Which launcher an image has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LauncherMetadata {
    /// Its version.
    pub version: String,
    /// Its source.
    pub source: LauncherSource,
}

/// Where a launcher comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LauncherSource {
    /// Always git.
    pub git: LauncherGit,
}

/// A launcher's source code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LauncherGit {
    /// Its address.
    pub repository: String,
    /// The commit.
    pub commit: String,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
struct LabelProcess {
    #[serde(rename = "type")]
    process_type: String,
    command: Command,
    args: Vec<String>,
    direct: bool,
    #[serde(rename = "buildpackID")]
    buildpack_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_dir: Option<String>,
    #[serde(skip_serializing_if = "crate::exec_env::ExecEnvs::is_unsaid")]
    exec_env: crate::exec_env::ExecEnvs,
}

impl BuildMetadataLabel {
    /// The label for an image. `bom` is given before Platform API 0.9 only.
    pub fn new(
        metadata: &BuildMetadata,
        launcher: LauncherMetadata,
        bom: Option<&[OwnedBomEntry]>,
    ) -> Self {
        let process = |process: &Process| {
            let Process {
                process_type,
                command,
                args,
                direct,
                default: _,
                buildpack_id,
                working_dir,
                exec_env,
            } = process.clone();
            LabelProcess {
                process_type: process_type.to_string(),
                command,
                args,
                direct,
                buildpack_id: buildpack_id.to_string(),
                working_dir,
                exec_env,
            }
        };
        // The label does not have their APIs.
        let buildpacks = metadata.buildpacks.iter().map(|element| GroupElement {
            api: String::new(),
            ..element.clone()
        });
        Self {
            bom: bom.map(label_json),
            buildpacks: buildpacks.collect(),
            extensions: metadata.extensions.clone(),
            launcher,
            processes: metadata.processes.iter().map(process).collect(),
            default_process_type: metadata.buildpack_default_process_type.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_metadata_reads_go_nulls() {
        let text = r#"{"app":null,"buildpacks":[{"key":"a","version":"1","layers":null}],"config":{"sha":""},"launcher":{"sha":"sha256:x"},"process-types":{"sha":""},"runImage":{"topLayer":"t","reference":"r","mirrors":null},"more":1}"#;
        let found: LayersMetadata = serde_json::from_str(text).unwrap();
        assert_eq!(found.launcher.sha, "sha256:x");
        assert!(found.of_buildpack("a").unwrap().layers.is_empty());
        assert!(found.of_buildpack("b").is_none());
    }

    #[test]
    fn layers_metadata_key_order() {
        let metadata = LayersMetadata {
            app: vec![LayerSha { sha: "1".into() }],
            buildpacks: vec![BuildpackLayers {
                key: "a".into(),
                version: "1".into(),
                layers: [("l".to_owned(), LayerMetadata::default())].into(),
                store: None,
            }],
            ..LayersMetadata::default()
        };
        assert_eq!(
            serde_json::to_string(&metadata).unwrap(),
            r#"{"app":[{"sha":"1"}],"buildpacks":[{"key":"a","version":"1","layers":{"l":{"sha":"","data":null,"build":false,"launch":false,"cache":false}}}],"config":{"sha":""},"launcher":{"sha":""},"process-types":{"sha":""},"runImage":{"topLayer":"","reference":""}}"#
        );
    }

    #[test]
    fn build_metadata_label() {
        let metadata: BuildMetadata = toml::from_str(
            "buildpack-default-process-type = 'web'\n[[buildpacks]]\nid = 'a/b'\nversion = '1'\napi = '0.10'\n[[processes]]\ntype = 'web'\ncommand = ['x']\ndirect = true\nbuildpack-id = 'a/b'\n",
        )
        .unwrap();
        let label = BuildMetadataLabel::new(&metadata, LauncherMetadata::default(), None);
        assert_eq!(
            serde_json::to_string(&label).unwrap(),
            r#"{"buildpacks":[{"id":"a/b","version":"1"}],"launcher":{"version":"","source":{"git":{"repository":"","commit":""}}},"processes":[{"type":"web","command":["x"],"args":[],"direct":true,"buildpackID":"a/b"}],"buildpack-default-process-type":"web"}"#
        );
    }
}
