//! Rebase: puts an app image on a newer run image without building it again (Platform specification, "rebaser").
//!
//! The run image's layers are replaced and nothing else is read: the app's layers stand on a base that keeps its ABI. Labels say which layers those
//! are, and whether the new run image may take the place of the old one.

mod compatible;
mod label;

use cnb_spec::api::PlatformApi;
use cnb_spec::labels::{LIFECYCLE_METADATA, LayersMetadata};
use cnb_spec::run_image::RunImage;
use oci_image::Image;

use crate::images::OpenedImage;
use crate::output::Output;
pub use compatible::IncompatibleError;

/// What rebasing needs.
#[derive(Debug)]
pub struct RebaseInputs {
    /// How the platform calls. Since 0.12 the label's run image has to name the new one, and `io.buildpacks.base.*` follow the base.
    pub platform_api: PlatformApi,
    /// The new run image's name.
    pub run_image: String,
    /// Is an unsuitable run image a warning only? Since Platform API 0.12.
    pub force: bool,
}

/// The run image, with its mirrors, that an app image says it stands on.
pub fn run_image_of(app: &OpenedImage, api: PlatformApi) -> Result<RunImage, RebaseError> {
    let metadata = metadata_of(app)?;
    let run_image = RunImage {
        image: metadata.run_image.image,
        mirrors: metadata.run_image.mirrors,
    };
    if api.at_least(12) && !run_image.image.is_empty() {
        return Ok(run_image);
    }
    let stack = metadata.stack.map(|stack| stack.run_image);
    stack
        .filter(|run_image| !run_image.image.is_empty())
        .ok_or(RebaseError::NoRunImage)
}

fn metadata_of(app: &OpenedImage) -> Result<LayersMetadata, RebaseError> {
    let text = app.label(LIFECYCLE_METADATA).unwrap_or("{}");
    serde_json::from_str(text).map_err(|error| RebaseError::Label {
        reason: error.to_string(),
    })
}

/// The app image on the new run image, to be kept with [`crate::save::save`].
pub fn rebase(
    inputs: &RebaseInputs,
    app: &OpenedImage,
    run_image: &OpenedImage,
    output: &Output,
) -> Result<Image, RebaseError> {
    compatible::check(inputs, app, run_image, output)?;
    let metadata = metadata_of(app)?;
    let top_layer = metadata.run_image.top_layer.as_str();
    let not_there = || RebaseError::NoTopLayer {
        top_layer: top_layer.to_owned(),
    };
    let top = top_layer.parse().map_err(|_| not_there())?;
    let rebased = app.image.clone().on_base(&top, &run_image.image);
    let rebased = rebased.ok_or_else(not_there)?;
    let labels = label::labels(inputs, app, run_image, output)?;
    Ok(rebased.with_config(|config| {
        config.config.labels = labels;
        // As the exporter does: all entries have the time of the image.
        for entry in &mut config.history {
            entry.created.clone_from(&config.created);
        }
    }))
}

/// Why nothing was rebased. The program exits with 72.
#[derive(Debug, thiserror::Error)]
pub enum RebaseError {
    /// The app image does not say which run image it stands on.
    #[error("-run-image is required when there is no run image metadata available")]
    NoRunImage,
    /// The label that says so cannot be read.
    #[error("get image metadata: the label '{LIFECYCLE_METADATA}' cannot be read: {reason}")]
    Label {
        /// What is wrong with it.
        reason: String,
    },
    /// The new run image is not one for this app.
    #[error(transparent)]
    Incompatible(#[from] IncompatibleError),
    /// The image's own label does not fit its layers.
    #[error(
        "rebase app image: the label '{LIFECYCLE_METADATA}' says that its run image ends with layer '{top_layer}', but the image has no such layer"
    )]
    NoTopLayer {
        /// What the label says.
        top_layer: String,
    },
}
