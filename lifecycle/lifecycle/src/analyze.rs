//! Analyze: looks at the previous image and at the run image before anything is built.

mod run_image;

use std::path::PathBuf;

use cnb_spec::analyzed::{Analyzed, AnalyzedRunImage, ImageIdentifier};
use cnb_spec::labels::{LIFECYCLE_METADATA, LayersMetadata};
use cnb_spec::target::ImageTarget;
use oci_image::{DiffId, ExpansionLimits, LayerReader, Platform};

use crate::images::{ImageError, ImageStore, OpenedImage};
use crate::output::Output;
use crate::unpack_below::unpack_below;
pub use run_image::{ChooseRunImageError, RunImageFile, choose_mirror, choose_run_image};

/// What analysis needs. Differences between Platform APIs are settled when it is made.
#[derive(Clone, Debug)]
pub struct AnalyzeInputs {
    /// The image of the last build.
    pub previous_image: String,
    /// The run image, by the name that the platform gave or that [`choose_run_image`] chose.
    pub run_image: String,
    /// Where the layers will be. The SBOM files of the previous image's launch layers are put there.
    pub layers_dir: PathBuf,
    /// Are SBOM files restored? Since Platform API 0.8, unless layers are skipped.
    pub restores_sbom: bool,
    /// Does `analyzed.toml` say the run image's name and target? Since Platform API 0.12.
    pub records_target: bool,
}

/// Reads the previous image's metadata and the run image's target.
pub fn analyze(
    inputs: &AnalyzeInputs,
    images: &dyn ImageStore,
    output: &Output,
) -> Result<Analyzed, AnalyzeError> {
    let previous = open_previous(&inputs.previous_image, images, output)?;
    let metadata = previous
        .as_ref()
        .and_then(|image| metadata_of(image, output));
    if let (Some(image), Some(metadata), true) = (&previous, &metadata, inputs.restores_sbom)
        && let Some(sbom) = metadata.sbom.as_ref().filter(|sbom| !sbom.sha.is_empty())
    {
        output.info("Restoring data for SBOM from previous image");
        restore_sbom(image, &sbom.sha, inputs)?;
    }
    let run_image = open(&inputs.run_image, images, output)?;
    // One that is not there yet counts as one for this machine, as it does in the reference implementation: detection goes on, and the exporter
    // says that it is missing.
    let target = run_image.as_ref().map_or_else(here, OpenedImage::target);
    if inputs.records_target && target.os.is_empty() {
        return Err(AnalyzeError::NoOs {
            run_image: inputs.run_image.clone(),
        });
    }
    warn_of_other_platform(&inputs.run_image, &target, output);
    let reference = |image: Option<OpenedImage>| image.map(|image| image.reference);
    Ok(Analyzed {
        previous_image: Some(ImageIdentifier {
            reference: reference(previous).unwrap_or_default(),
        }),
        build_image: None,
        run_image: Some(AnalyzedRunImage {
            reference: reference(run_image).unwrap_or_default(),
            image: if inputs.records_target {
                inputs.run_image.clone()
            } else {
                String::new()
            },
            extend: false,
            target: inputs.records_target.then_some(target),
        }),
        metadata: metadata.unwrap_or_default(),
    })
}

/// A platform may mean a run image of another architecture (with a launcher for it), so that is no error; mostly it is a mistake, which otherwise
/// shows when the app is started.
fn warn_of_other_platform(run_image: &str, target: &ImageTarget, output: &Output) {
    let ImageTarget { os, arch, .. } = target;
    let here = here();
    if (os, arch) != (&here.os, &here.arch) {
        output.warn(format_args!(
            "the run image '{run_image}' is for {os}/{arch}, this lifecycle and its launcher for {}/{}; name a run image for that, or the app will not start",
            here.os, here.arch
        ));
    }
}

fn here() -> ImageTarget {
    let Platform {
        os, architecture, ..
    } = Platform::LINUX_AMD64;
    ImageTarget {
        os: os.to_owned(),
        arch: architecture.to_owned(),
        ..ImageTarget::default()
    }
}

fn open(
    name: &str,
    images: &dyn ImageStore,
    output: &Output,
) -> Result<Option<OpenedImage>, AnalyzeError> {
    let image = images.open(name).map_err(|source| AnalyzeError::Image {
        attempt: format!("reading image '{name}'"),
        source,
    })?;
    match &image {
        Some(OpenedImage { reference, .. }) => {
            output.debug(format_args!("Found image with identifier \"{reference}\""));
        }
        None => output.info(format_args!("Image with name \"{name}\" not found")),
    }
    Ok(image)
}

/// The previous image. One that is broken is not used; the build makes a new one in its place.
fn open_previous(
    name: &str,
    images: &dyn ImageStore,
    output: &Output,
) -> Result<Option<OpenedImage>, AnalyzeError> {
    match open(name, images, output) {
        Err(AnalyzeError::Image { source, .. }) => {
            output.info(format_args!(
                "Ignoring image \"{name}\" because it was corrupt: {source}"
            ));
            Ok(None)
        }
        result => result,
    }
}

/// The label of the last build; none if there is none that can be read.
fn metadata_of(image: &OpenedImage, output: &Output) -> Option<LayersMetadata> {
    let metadata = serde_json::from_str(image.label(LIFECYCLE_METADATA)?);
    if let Err(error) = &metadata {
        output.warn(format_args!(
            "ignoring the previous image: its label '{LIFECYCLE_METADATA}' cannot be read: {error}"
        ));
    }
    metadata.ok()
}

/// Unpacks `<layers>/sbom/launch` of the previous image.
fn restore_sbom(
    image: &OpenedImage,
    sha: &str,
    inputs: &AnalyzeInputs,
) -> Result<(), AnalyzeError> {
    let error = |source: ImageError| AnalyzeError::Image {
        attempt: format!("retrieving launch SBOM layer {sha}"),
        source,
    };
    let diff_id: DiffId = sha.parse().map_err(ImageError::new).map_err(error)?;
    let layer = image.layer(&diff_id);
    let layer =
        layer.ok_or_else(|| error(ImageError::new("the previous image does not have it")))?;
    let layer = layer.measured().map_err(ImageError::new).map_err(error)?;
    let blob = layer.open().map_err(ImageError::new).map_err(error)?;
    let tar = LayerReader::new(blob, ExpansionLimits::default());
    let tar = tar.map_err(ImageError::new).map_err(error)?;
    let folder = inputs.layers_dir.join("sbom/launch");
    unpack_below(tar, &folder)
        .map_err(ImageError::new)
        .map_err(error)
}

/// Why analysis failed. The program exits with 32.
#[derive(Debug, thiserror::Error)]
pub enum AnalyzeError {
    /// An image could not be read.
    #[error("{attempt}: {source}")]
    Image {
        /// What was tried.
        attempt: String,
        /// Why it did not work.
        source: ImageError,
    },
    /// The run image's configuration does not say which operating system it is for.
    #[error("failed to find OS in run image config of '{run_image}'")]
    NoOs {
        /// Its name.
        run_image: String,
    },
}
