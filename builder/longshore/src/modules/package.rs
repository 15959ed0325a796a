//! The buildpacks of a buildpackage: an image whose labels say which layer is which buildpack.

use std::collections::BTreeMap;

use cnb_spec::distribution::{
    BUILDPACK_LAYERS, BUILDPACKAGE_METADATA, BuildpackageMetadata, ModuleInfo, ModuleLayer,
    ModuleLayers,
};
use oci_image::{Image, Layer};
use serde::de::DeserializeOwned;

use super::Module;
use crate::build::base_images;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::registries::Registries;

/// Opens a buildpackage and takes its buildpacks, the one that it is about first.
pub(super) fn modules_of_image(
    name: &str,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Vec<Module>, Failure> {
    let found = base_images::open("the buildpack", name, registries, context)?;
    let found = found.ok_or_else(|| base_images::not_there("the buildpack", name))?;
    modules(&found.image.image).map_err(|reason| {
        let body = format!(
            "{name}: {reason}.\nA buildpackage is what `longshore buildpack package` and `pack buildpack package` write."
        );
        Failure::new(Exit::Usage, "Not a buildpackage", body)
    })
}

fn modules(image: &Image) -> Result<Vec<Module>, String> {
    let main: BuildpackageMetadata = label(image, BUILDPACKAGE_METADATA)?;
    let layers: ModuleLayers = label(image, BUILDPACK_LAYERS)?;
    let mut modules = all(&layers, image)?;
    let position = modules.iter().position(|module| {
        module.info.id == main.buildpack.id && module.info.version == main.buildpack.version
    });
    let position = position.ok_or_else(|| {
        format!(
            "its label {BUILDPACK_LAYERS} has no {} {}, which it is about",
            main.buildpack.id, main.buildpack.version
        )
    })?;
    modules[..=position].rotate_right(1);
    modules[0].info = main.buildpack;
    Ok(modules)
}

/// Every buildpack that a label names, with its layer in the image.
pub(super) fn all(layers: &ModuleLayers, image: &Image) -> Result<Vec<Module>, String> {
    let by_diff_id: BTreeMap<String, &Layer> = image
        .layers()
        .iter()
        .map(|layer| (layer.diff_id.to_string(), layer))
        .collect();
    let mut modules = Vec::new();
    for (id, versions) in layers {
        for (version, entry) in versions {
            let layer = by_diff_id.get(&entry.layer_diff_id).ok_or_else(|| {
                format!("its label {BUILDPACK_LAYERS} says that {id} {version} is in the layer {}, which it does not have", entry.layer_diff_id)
            })?;
            modules.push(Module {
                info: info(id, version, entry)?,
                label: entry.clone(),
                layer: (*layer).clone(),
            });
        }
    }
    Ok(modules)
}

fn info(id: &str, version: &str, entry: &ModuleLayer) -> Result<ModuleInfo, String> {
    Ok(ModuleInfo {
        id: id.parse().map_err(|error| format!("{error}"))?,
        name: entry.name.clone(),
        version: version.parse().map_err(|error| format!("{error}"))?,
        description: String::new(),
        homepage: entry.homepage.clone(),
        keywords: Vec::new(),
        licenses: Vec::new(),
    })
}

fn label<T: DeserializeOwned>(image: &Image, name: &str) -> Result<T, String> {
    let labels = &image.config().config.labels;
    let text = labels
        .get(name)
        .ok_or_else(|| format!("it has no label {name}"))?;
    serde_json::from_str(text).map_err(|error| format!("its label {name} cannot be read: {error}"))
}
