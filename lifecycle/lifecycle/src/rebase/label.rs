//! The labels of the rebased image: what is said of the base follows the base, all else stays.
//!
//! `io.buildpacks.lifecycle.metadata` is changed in place, so that keys which this version does not know stay in it.

use std::collections::BTreeMap;

use cnb_spec::labels::LIFECYCLE_METADATA;
use serde_json::{Map, Value, json};

use super::compatible::IncompatibleError;
use super::{RebaseError, RebaseInputs};
use crate::image_name::ImageName;
use crate::images::OpenedImage;
use crate::output::Output;

pub(super) fn labels(
    inputs: &RebaseInputs,
    app: &OpenedImage,
    run_image: &OpenedImage,
    output: &Output,
) -> Result<BTreeMap<String, String>, RebaseError> {
    let of_base = |name: &str| {
        let since_0_12 = inputs.platform_api.at_least(12);
        name.starts_with("io.buildpacks.stack.")
            || (since_0_12 && name.starts_with("io.buildpacks.base."))
    };
    let mut labels = app.image.config().config.labels.clone();
    labels.retain(|name, _| !of_base(name));
    let base = run_image.image.config().config.labels.iter();
    let base = base.filter(|(name, _)| of_base(name));
    labels.extend(base.map(|(name, value)| (name.clone(), value.clone())));

    let text = app.label(LIFECYCLE_METADATA).unwrap_or("{}");
    let mut metadata: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| RebaseError::Label {
            reason: error.to_string(),
        })?;
    set_run_image(&mut metadata, inputs, run_image, output)?;
    let metadata = Value::Object(metadata).to_string();
    labels.insert(LIFECYCLE_METADATA.to_owned(), metadata);
    Ok(labels)
}

fn set_run_image(
    metadata: &mut Map<String, Value>,
    inputs: &RebaseInputs,
    run_image: &OpenedImage,
    output: &Output,
) -> Result<(), IncompatibleError> {
    if inputs.platform_api.at_least(12) && !is_listed(metadata, &inputs.run_image) {
        let error = IncompatibleError::NotListed {
            new: inputs.run_image.clone(),
            known: known(metadata),
        };
        if !inputs.force {
            return Err(error);
        }
        output.warn(error.without_advice());
        let chosen = json!({ "image": inputs.run_image });
        set(metadata, "image", chosen["image"].clone());
        set(metadata, "mirrors", json!([]));
        metadata.insert("stack".to_owned(), json!({ "runImage": chosen }));
    }
    let top_layer = run_image.image.layers().last();
    let top_layer = top_layer.map_or_else(String::new, |layer| layer.diff_id.to_string());
    set(metadata, "topLayer", top_layer.into());
    set(metadata, "reference", run_image.reference.as_str().into());
    Ok(())
}

/// Sets a key of `runImage`.
fn set(metadata: &mut Map<String, Value>, key: &str, value: Value) {
    let run_image = metadata.entry("runImage").or_insert_with(|| json!({}));
    if let Some(run_image) = run_image.as_object_mut() {
        run_image.insert(key.to_owned(), value);
    }
}

/// The two places that name a run image and its mirrors.
fn places(metadata: &Map<String, Value>) -> [&Value; 2] {
    let stack = metadata.get("stack").unwrap_or(&Value::Null);
    [
        metadata.get("runImage").unwrap_or(&Value::Null),
        &stack["runImage"],
    ]
}

fn is_listed(metadata: &Map<String, Value>, name: &str) -> bool {
    let names = places(metadata).into_iter().flat_map(|place| {
        let mirrors = place["mirrors"].as_array().into_iter().flatten();
        std::iter::once(&place["image"]).chain(mirrors)
    });
    let mut names = names.filter_map(Value::as_str);
    names.any(|known| ImageName::same(known, name))
}

fn known(metadata: &Map<String, Value>) -> String {
    let mut named = places(metadata).into_iter();
    let named = named.find(|place| place["image"].as_str().is_some_and(|name| !name.is_empty()));
    named.map_or_else(|| "not found".to_owned(), Value::to_string)
}
