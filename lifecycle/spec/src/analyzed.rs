//! `analyzed.toml`: what the analyzer found out about the previous image and the run image, for the later phases.
//!
//! Its `[metadata]` is the label `io.buildpacks.lifecycle.metadata` in TOML, with other names for some keys: `run-image.top-layer` for `runImage.topLayer`,
//! and a layer's `metadata` for `data`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::labels::{
    BuildpackLayers, LayerMetadata, LayerSha, LayersMetadata, RunImageForRebase, Store,
};
use crate::run_image::{RunImage, Stack};
use crate::target::ImageTarget;
use crate::values::{json_of, toml_of};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Analyzed {
    /// The previous image; an empty reference where there is none.
    #[serde(default, rename = "image", skip_serializing_if = "Option::is_none")]
    pub previous_image: Option<ImageIdentifier>,
    /// The build image, where image extensions extend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_image: Option<ImageIdentifier>,
    /// The run image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_image: Option<AnalyzedRunImage>,
    /// The layers of the previous image.
    #[serde(default, with = "layers_as_toml")]
    pub metadata: LayersMetadata,
}

/// An image, exactly: `name@sha256:…` in a registry, an id in a daemon, `folder@sha256:…` in OCI layouts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageIdentifier {
    /// The reference.
    #[serde(default)]
    pub reference: String,
}

/// `[run-image]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnalyzedRunImage {
    /// Exactly which image.
    #[serde(default)]
    pub reference: String,
    /// The name by which the platform gave it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Is it to be extended?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extend: bool,
    /// What it is (Platform API 0.12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ImageTarget>,
}

impl Analyzed {
    /// The previous image's reference, if there is a previous image.
    pub fn previous_image_reference(&self) -> Option<&str> {
        let reference = self.previous_image.as_ref()?.reference.as_str();
        (!reference.is_empty()).then_some(reference)
    }
}

/// `[metadata]`
#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct TomlLayers {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    app: Vec<LayerSha>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sbom: Option<LayerSha>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    buildpacks: Vec<TomlBuildpack>,
    config: LayerSha,
    launcher: LayerSha,
    process_types: LayerSha,
    run_image: TomlRunImage,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<TomlStack>,
}

#[derive(Serialize, Deserialize)]
struct TomlBuildpack {
    key: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    layers: BTreeMap<String, TomlLayer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<TomlStore>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct TomlLayer {
    sha: String,
    build: bool,
    launch: bool,
    cache: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<toml::Value>,
}

#[derive(Serialize, Deserialize)]
struct TomlStore {
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<toml::Value>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct TomlRunImage {
    top_layer: String,
    reference: String,
    #[serde(flatten)]
    names: RunImage,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
struct TomlStack {
    run_image: RunImage,
}

mod layers_as_toml {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::{LayersMetadata, TomlLayers};

    pub(super) fn serialize<S: Serializer>(
        layers: &LayersMetadata,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        TomlLayers::from(layers.clone()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<LayersMetadata, D::Error> {
        TomlLayers::deserialize(deserializer).map(LayersMetadata::from)
    }
}

impl From<LayersMetadata> for TomlLayers {
    fn from(layers: LayersMetadata) -> Self {
        let layer = |(name, layer): (String, LayerMetadata)| {
            let toml = TomlLayer {
                sha: layer.sha,
                build: layer.build,
                launch: layer.launch,
                cache: layer.cache,
                metadata: toml_of(&layer.data),
            };
            (name, toml)
        };
        let buildpack = |buildpack: BuildpackLayers| TomlBuildpack {
            key: buildpack.key,
            version: buildpack.version,
            layers: buildpack.layers.into_iter().map(layer).collect(),
            store: buildpack.store.map(|store| TomlStore {
                metadata: toml_of(&store.metadata),
            }),
        };
        Self {
            app: layers.app,
            sbom: layers.sbom,
            buildpacks: layers.buildpacks.into_iter().map(buildpack).collect(),
            config: layers.config,
            launcher: layers.launcher,
            process_types: layers.process_types,
            run_image: TomlRunImage {
                top_layer: layers.run_image.top_layer,
                reference: layers.run_image.reference,
                names: RunImage {
                    image: layers.run_image.image,
                    mirrors: layers.run_image.mirrors,
                },
            },
            stack: layers.stack.map(|stack| TomlStack {
                run_image: stack.run_image,
            }),
        }
    }
}

impl From<TomlLayers> for LayersMetadata {
    fn from(layers: TomlLayers) -> Self {
        let json =
            |value: Option<toml::Value>| value.as_ref().map_or_else(Default::default, json_of);
        let layer = |(name, layer): (String, TomlLayer)| {
            let label = LayerMetadata {
                sha: layer.sha,
                data: json(layer.metadata),
                build: layer.build,
                launch: layer.launch,
                cache: layer.cache,
            };
            (name, label)
        };
        let buildpack = |buildpack: TomlBuildpack| BuildpackLayers {
            key: buildpack.key,
            version: buildpack.version,
            layers: buildpack.layers.into_iter().map(layer).collect(),
            store: buildpack.store.map(|store| Store {
                metadata: json(store.metadata),
            }),
        };
        Self {
            app: layers.app,
            sbom: layers.sbom,
            buildpacks: layers.buildpacks.into_iter().map(buildpack).collect(),
            config: layers.config,
            launcher: layers.launcher,
            process_types: layers.process_types,
            run_image: RunImageForRebase {
                top_layer: layers.run_image.top_layer,
                reference: layers.run_image.reference,
                image: layers.run_image.names.image,
                mirrors: layers.run_image.names.mirrors,
            },
            stack: layers.stack.map(|stack| Stack {
                run_image: stack.run_image,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn analyzed_there_and_back() {
        let label = r#"{"app":[{"sha":"sha256:1"}],"sbom":{"sha":"sha256:2"},"buildpacks":[{"key":"a/b","version":"1","layers":{"l":{"sha":"sha256:3","data":{"v":[1,"x"]},"build":false,"launch":true,"cache":true}},"store":{"metadata":{"k":"v"}}}],"config":{"sha":"sha256:4"},"launcher":{"sha":"sha256:5"},"process-types":{"sha":""},"runImage":{"topLayer":"sha256:6","reference":"r@sha256:7","image":"r","mirrors":["m"]},"stack":{"runImage":{"image":"r"}}}"#;
        let analyzed = Analyzed {
            previous_image: Some(ImageIdentifier {
                reference: "p".into(),
            }),
            run_image: Some(AnalyzedRunImage {
                reference: "r".into(),
                target: Some(ImageTarget {
                    os: "linux".into(),
                    arch: "amd64".into(),
                    ..ImageTarget::default()
                }),
                ..AnalyzedRunImage::default()
            }),
            metadata: serde_json::from_str(label).unwrap(),
            build_image: None,
        };
        let text = toml::to_string(&analyzed).unwrap();
        for line in [
            "[metadata.buildpacks.layers.l.metadata]",
            "[metadata.buildpacks.store.metadata]",
            "top-layer = \"sha256:6\"",
            "[metadata.stack.run-image]",
            "[run-image.target]",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert_eq!(toml::from_str::<Analyzed>(&text).unwrap(), analyzed);
        assert_eq!(serde_json::to_string(&analyzed.metadata).unwrap(), label);
    }

    #[test]
    fn analyzed_empty() {
        let found: Analyzed = toml::from_str("").unwrap();
        assert_eq!(found, Analyzed::default());
        assert_eq!(found.previous_image_reference(), None);
        let found: Analyzed = toml::from_str("[image]\nreference = ''").unwrap();
        assert_eq!(found.previous_image_reference(), None);
    }
}
