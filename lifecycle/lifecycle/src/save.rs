//! The last step of export and rebase: the image gets its names, and the platform is told.

use cnb_spec::report::ImageReport;
use oci_image::Image;

use crate::images::{CommittedImage, ImageError, ImageStore};
use crate::output::Output;

/// Keeps the image under its names. The lines are those that platforms look for.
pub fn save(
    images: &dyn ImageStore,
    names: &[String],
    image: &Image,
    output: &Output,
) -> Result<CommittedImage, ImageError> {
    let name = names.first().map_or("", String::as_str);
    output.info(format_args!("Saving {name}..."));
    let committed = images.commit(names, image)?;
    output.info(format_args!("*** Images ({committed}):"));
    for name in names {
        output.info(format_args!("      {name}"));
    }
    Ok(committed)
}

/// `[image]` of `report.toml`. A daemon keeps no manifest of its own; its id is written without the algorithm, as the reference implementation does.
pub fn image_report(names: &[String], image: &CommittedImage) -> ImageReport {
    let tags = names.to_vec();
    match image {
        CommittedImage::Manifest { digest, size } => ImageReport {
            tags,
            digest: digest.to_string(),
            manifest_size: Some(*size),
            ..ImageReport::default()
        },
        CommittedImage::InDaemon { id } => ImageReport {
            tags,
            image_id: id.hex(),
            ..ImageReport::default()
        },
    }
}
