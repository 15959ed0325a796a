//! The label `io.buildpacks.lifecycle.metadata`: what the next build and a rebase need to know of this image.

use cnb_spec::labels::{
    BuildpackLayers, LayerMetadata, LayerSha, LayersMetadata, RunImageForRebase, Store,
};
use cnb_spec::layer_toml::LayerToml;
use cnb_spec::run_image::{RunImage, Stack};
use cnb_spec::values::json_of;

use super::plan::Role;
use super::write::ExportedLayer;
use super::{BuiltBuildpack, ExportInputs};
use crate::images::OpenedImage;

pub(super) fn layers_metadata(
    inputs: &ExportInputs,
    run_image: &OpenedImage,
    buildpacks: &[BuiltBuildpack],
    layers: &[ExportedLayer],
) -> LayersMetadata {
    let sha = |layer: &ExportedLayer| LayerSha {
        sha: layer.blob.diff_id.to_string(),
    };
    let of_role = |role: &Role| layers.iter().find(|layer| layer.role == *role).map(sha);
    let is_app = |layer: &&ExportedLayer| matches!(layer.role, Role::App { .. });
    let top_layer = run_image.image.layers().last();
    // Before Platform API 0.12 the run image's name stood in `stack` only.
    let RunImage { image, mirrors } = if inputs.platform_api.at_least(12) {
        inputs.run_image.clone()
    } else {
        RunImage::default()
    };
    LayersMetadata {
        app: layers.iter().filter(is_app).map(sha).collect(),
        sbom: of_role(&Role::Sbom),
        buildpacks: buildpacks
            .iter()
            .map(|buildpack| buildpack_layers(buildpack, layers))
            .collect(),
        config: of_role(&Role::Config).unwrap_or_default(),
        launcher: of_role(&Role::Launcher).unwrap_or_default(),
        process_types: of_role(&Role::ProcessTypes).unwrap_or_default(),
        run_image: RunImageForRebase {
            top_layer: top_layer.map_or_else(String::new, |layer| layer.diff_id.to_string()),
            reference: run_image.reference.clone(),
            image,
            mirrors,
        },
        stack: Some(Stack {
            run_image: inputs.run_image.clone(),
        }),
    }
}

fn buildpack_layers(buildpack: &BuiltBuildpack, layers: &[ExportedLayer]) -> BuildpackLayers {
    let BuiltBuildpack { element, found } = buildpack;
    let sha_of = |name| {
        let role = Role::Buildpack {
            buildpack: element.id.clone(),
            layer: name,
        };
        let layer = layers.iter().find(|layer| layer.role == role);
        layer.map_or_else(String::new, |layer| layer.blob.diff_id.to_string())
    };
    let launch = found.layers.iter().filter(|layer| layer.toml.types.launch);
    BuildpackLayers {
        key: element.id.to_string(),
        version: element.version.to_string(),
        layers: launch
            .map(|layer| {
                let metadata = layer_metadata(&layer.toml, sha_of(layer.name.clone()));
                (layer.name.to_string(), metadata)
            })
            .collect(),
        store: found.store.as_ref().map(|store| Store {
            metadata: json_of(&toml::Value::Table(store.metadata.clone())),
        }),
    }
}

/// What a label remembers of a layer.
pub(super) fn layer_metadata(toml: &LayerToml, sha: String) -> LayerMetadata {
    LayerMetadata {
        sha,
        data: toml
            .metadata
            .as_ref()
            .map_or_else(Default::default, json_of),
        build: toml.types.build,
        launch: toml.types.launch,
        cache: toml.types.cache,
    }
}
