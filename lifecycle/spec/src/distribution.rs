//! What images of buildpacks, builders and lifecycles say in their labels (Distribution specification 0.3, and what the platforms read beyond it).
//!
//! | label | of | holds |
//! |---|---|---|
//! | `io.buildpacks.buildpack.layers` | buildpackages, builders | [`ModuleLayers`]: which layer is which buildpack |
//! | `io.buildpacks.buildpackage.metadata` | buildpackages | [`BuildpackageMetadata`]: the one that it is about |
//! | `io.buildpacks.buildpack.order` | builders | the detection order |
//! | `io.buildpacks.builder.metadata` | builders, lifecycle images | [`BuilderMetadata`] |
//! | `io.buildpacks.lifecycle.apis`, `.version` | lifecycle images | [`LifecycleApis`], and its version |
//!
//! Go writes `null` for empty lists; it is read as empty. The keys are those of the reference implementation where the specification has others.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::{BuildpackApi, PlatformApi};
use crate::id::{BuildpackId, BuildpackVersion};
use crate::run_image::{RunImage, Stack as RunImageStack};
use crate::target::{BuildpackTarget, Distro};
use crate::values::null_is_default;

/// The label that holds [`ModuleLayers`].
pub const BUILDPACK_LAYERS: &str = "io.buildpacks.buildpack.layers";
/// The label that holds [`BuildpackageMetadata`].
pub const BUILDPACKAGE_METADATA: &str = "io.buildpacks.buildpackage.metadata";
/// The label that holds a builder's detection order.
pub const BUILDPACK_ORDER: &str = "io.buildpacks.buildpack.order";
/// The label that holds [`BuilderMetadata`].
pub const BUILDER_METADATA: &str = "io.buildpacks.builder.metadata";
/// The same as [`BUILDPACK_LAYERS`] for image extensions. Tekton's task wants it to be there, `{}` where there are none.
pub const EXTENSION_LAYERS: &str = "io.buildpacks.extension.layers";
/// The label that holds [`LifecycleApis`].
pub const LIFECYCLE_APIS: &str = "io.buildpacks.lifecycle.apis";
/// The label that holds a lifecycle's version.
pub const LIFECYCLE_VERSION: &str = "io.buildpacks.lifecycle.version";

/// `buildpack.toml` as far as labels repeat it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Descriptor {
    /// The Buildpack API, as text: one that is not supported has an error of its own.
    pub api: String,
    /// `[buildpack]`
    pub buildpack: ModuleInfo,
    /// The groups of a composite buildpack.
    #[serde(default)]
    pub order: Vec<OrderGroup>,
    /// What it works for.
    #[serde(default)]
    pub targets: Vec<BuildpackTarget>,
    /// The same before Buildpack API 0.10.
    #[serde(default)]
    pub stacks: Vec<StackRef>,
}

impl Descriptor {
    /// What the label says of the layer with this diffID.
    pub fn layer(&self, diff_id: String) -> ModuleLayer {
        ModuleLayer {
            api: self.api.clone(),
            stacks: self.stacks.clone(),
            targets: self.targets.iter().map(LabelTarget::from).collect(),
            order: self.order.clone(),
            layer_diff_id: diff_id,
            homepage: self.buildpack.homepage.clone(),
            name: self.buildpack.name.clone(),
        }
    }
}

/// Which buildpack it is, and what people want to know about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleInfo {
    /// Its id.
    pub id: BuildpackId,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its version.
    pub version: BuildpackVersion,
    /// In a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub homepage: String,
    /// For who searches.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub keywords: Vec<String>,
    /// Its licences.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub licenses: Vec<License>,
}

/// A licence. Go's default names have capitals; a buildpack.toml has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct License {
    /// An SPDX identifier.
    #[serde(default, rename = "Type", alias = "type")]
    pub kind: String,
    /// Its text.
    #[serde(default, rename = "URI", alias = "uri")]
    pub uri: String,
}

/// By id, then by version.
pub type ModuleLayers = BTreeMap<String, BTreeMap<String, ModuleLayer>>;

/// One buildpack's layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModuleLayer {
    /// Its Buildpack API.
    pub api: String,
    /// The stacks that it is for.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub stacks: Vec<StackRef>,
    /// What it works for.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub targets: Vec<LabelTarget>,
    /// The groups of a composite.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub order: Vec<OrderGroup>,
    /// The layer. Several buildpacks may be in one.
    #[serde(rename = "layerDiffID")]
    pub layer_diff_id: String,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub homepage: String,
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// A stack that a buildpack is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackRef {
    /// Its id, or `*`.
    pub id: String,
    /// What it has to have besides.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub mixins: Vec<String>,
}

/// [`BuildpackTarget`] with the keys of labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelTarget {
    /// `linux`
    #[serde(default)]
    pub os: String,
    /// `amd64`
    #[serde(default)]
    pub arch: String,
    /// `v7`
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// Distributions; an empty list means any.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub distros: Vec<Distro>,
}

impl From<&BuildpackTarget> for LabelTarget {
    fn from(target: &BuildpackTarget) -> Self {
        let BuildpackTarget {
            os,
            arch,
            arch_variant,
            distros,
        } = target.clone();
        Self {
            os,
            arch,
            variant: arch_variant,
            distros,
        }
    }
}

impl From<&LabelTarget> for BuildpackTarget {
    fn from(target: &LabelTarget) -> Self {
        let LabelTarget {
            os,
            arch,
            variant,
            distros,
        } = target.clone();
        Self {
            os,
            arch,
            arch_variant: variant,
            distros,
        }
    }
}

/// A group of an order, as labels and `order.toml` write it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderGroup {
    /// Its buildpacks, in the order of the build.
    #[serde(default, deserialize_with = "null_is_default")]
    pub group: Vec<ModuleRef>,
}

/// A buildpack of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ModuleRef {
    /// Which one.
    pub id: BuildpackId,
    /// In which version; empty where there is only one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Does the group pass without it?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// The execution environments in which it is part of the group.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub exec_env: Vec<String>,
}

/// The buildpack that a buildpackage is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildpackageMetadata {
    /// Which one.
    #[serde(flatten)]
    pub buildpack: ModuleInfo,
    /// The stacks that it is for; pack writes the key always.
    #[serde(default, deserialize_with = "null_is_default")]
    pub stacks: Vec<StackRef>,
}

/// `io.buildpacks.builder.metadata`. Everything is optional for a reader: lifecycle images have the lifecycle alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BuilderMetadata {
    /// In a sentence.
    pub description: String,
    /// Those in it.
    #[serde(deserialize_with = "null_is_default")]
    pub buildpacks: Vec<ModuleInfo>,
    /// Image extensions.
    #[serde(deserialize_with = "null_is_default")]
    pub extensions: Vec<serde_json::Value>,
    /// The first run image, for readers of Platform API 0.11 and earlier.
    pub stack: RunImageStack,
    /// The lifecycle in it.
    pub lifecycle: LifecycleInfo,
    /// What made it.
    pub created_by: CreatedBy,
    /// The run images, first choice first.
    #[serde(deserialize_with = "null_is_default")]
    pub images: Vec<RunImage>,
}

impl BuilderMetadata {
    /// The run images, first choice first, also of an older builder.
    pub fn run_images(&self) -> Vec<RunImage> {
        let first = &self.stack.run_image;
        if self.images.is_empty() && !first.image.is_empty() {
            return vec![first.clone()];
        }
        self.images.clone()
    }
}

/// What made a builder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreatedBy {
    /// The program.
    #[serde(default)]
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
}

/// Which lifecycle it is, and what it understands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LifecycleInfo {
    /// Its version; platforms switch features by it.
    pub version: String,
    /// One version of each API, for platforms that read no lists.
    pub api: SingleApis,
    /// All versions.
    pub apis: LifecycleApis,
}

/// One version of each API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SingleApis {
    /// The Buildpack API.
    pub buildpack: String,
    /// The Platform API.
    pub platform: String,
}

/// The versions of both APIs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LifecycleApis {
    /// The Buildpack API's.
    pub buildpack: ApiVersions,
    /// The Platform API's.
    pub platform: ApiVersions,
}

/// The versions of an API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiVersions {
    /// Those that work, with a warning.
    #[serde(deserialize_with = "null_is_default")]
    pub deprecated: Vec<String>,
    /// Those that work.
    #[serde(deserialize_with = "null_is_default")]
    pub supported: Vec<String>,
}

impl ApiVersions {
    /// Does this version work?
    pub fn includes(&self, version: &str) -> bool {
        let mut all = self.supported.iter().chain(&self.deprecated);
        all.any(|known| known == version)
    }
}

impl LifecycleInfo {
    /// Our own lifecycle, in this version.
    pub fn ours(version: &str) -> Self {
        let supported = |versions: Vec<String>| ApiVersions {
            deprecated: Vec::new(),
            supported: versions,
        };
        Self {
            version: version.to_owned(),
            api: SingleApis {
                buildpack: BuildpackApi::OLDEST.to_string(),
                platform: PlatformApi::OLDEST.to_string(),
            },
            apis: LifecycleApis {
                buildpack: supported(BuildpackApi::supported().map(|it| it.to_string()).collect()),
                platform: supported(PlatformApi::supported().map(|it| it.to_string()).collect()),
            },
        }
    }
}

/// `lifecycle.toml`, at the root of a lifecycle's archive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LifecycleToml {
    /// One version of each API.
    pub api: SingleApis,
    /// All versions.
    pub apis: LifecycleApis,
    /// `[lifecycle]`
    pub lifecycle: LifecycleVersion,
}

/// `[lifecycle]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LifecycleVersion {
    /// Its version.
    pub version: String,
}

impl From<LifecycleInfo> for LifecycleToml {
    fn from(info: LifecycleInfo) -> Self {
        let LifecycleInfo { version, api, apis } = info;
        Self {
            api,
            apis,
            lifecycle: LifecycleVersion { version },
        }
    }
}

impl From<LifecycleToml> for LifecycleInfo {
    fn from(file: LifecycleToml) -> Self {
        let LifecycleToml {
            api,
            apis,
            lifecycle: LifecycleVersion { version },
        } = file;
        Self { version, api, apis }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_has_the_label_s_keys() {
        let text = "api = '0.10'\n[buildpack]\nid = 'a/b'\nversion = '1'\nhomepage = 'h'\n[[targets]]\nos = 'linux'\narch-variant = 'v7'\n[[targets.distros]]\nname = 'debian'\n[[order]]\n[[order.group]]\nid = 'c'\nversion = '2'\noptional = true\n";
        let descriptor: Descriptor = toml::from_str(text).unwrap();
        assert_eq!(
            serde_json::to_value(descriptor.layer("sha256:0".to_owned())).unwrap(),
            serde_json::json!({
                "api": "0.10", "layerDiffID": "sha256:0", "homepage": "h",
                "targets": [{"os": "linux", "arch": "", "variant": "v7", "distros": [{"name": "debian", "version": ""}]}],
                "order": [{"group": [{"id": "c", "version": "2", "optional": true}]}],
            })
        );
    }

    #[test]
    fn builder_metadata_of_go() {
        let text = r#"{"description":"","buildpacks":[{"id":"a","version":"1"}],"extensions":null,
            "stack":{"runImage":{"image":"r","mirrors":null}},
            "lifecycle":{"version":"0.21.0","api":{"buildpack":"0.7","platform":"0.7"},"apis":{"buildpack":{"deprecated":null,"supported":["0.7"]},"platform":{"deprecated":[],"supported":["0.15"]}}},
            "createdBy":{"name":"Pack CLI","version":"0"},"images":null}"#;
        let found: BuilderMetadata = serde_json::from_str(text).unwrap();
        assert_eq!(found.run_images()[0].image, "r");
        assert!(found.lifecycle.apis.buildpack.includes("0.7"));
        assert!(!found.lifecycle.apis.buildpack.includes("0.8"));
        // A lifecycle image has less.
        let less = r#"{"lifecycle":{"version":"0.21.0"}}"#;
        assert!(serde_json::from_str::<BuilderMetadata>(less).is_ok());
    }

    #[test]
    fn lifecycle_toml_there_and_back() {
        let ours = LifecycleInfo::ours("0.21.17+longshore.0.1.0");
        let text = toml::to_string(&LifecycleToml::from(ours.clone())).unwrap();
        let read: LifecycleToml = toml::from_str(&text).unwrap();
        assert_eq!(LifecycleInfo::from(read), ours);
        // kpack looks for one of these.
        for version in ["0.7", "0.8", "0.9"] {
            assert!(ours.apis.platform.includes(version));
        }
    }
}
