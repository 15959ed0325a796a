//! Writing the image wherever else it was asked for: OCI layouts and archives.

use oci_image::{ArchiveKind, Image, ImageName, write_archive_file, write_layout};

use super::Built;
use super::request::Request;
use crate::arguments::Place;
use crate::commands::Context;
use crate::docker;
use crate::errors;
use crate::failure::Failure;

pub(crate) fn write(request: &Request, built: &Built, context: &Context) -> Result<(), Failure> {
    write_to(&request.outputs, &built.image, Some(&built.name), context)
}

/// Writes an image to each of the places, with this name in it.
pub(crate) fn write_to(
    places: &[Place],
    image: &Image,
    name: Option<&ImageName>,
    context: &Context,
) -> Result<(), Failure> {
    for place in places {
        let (path, written) = match place {
            Place::Layout(folder) => (folder, write_layout(folder, image, name)),
            Place::OciArchive(path) => (
                path,
                write_archive_file(path, ArchiveKind::Oci, image, name),
            ),
            Place::DockerArchive(path) => (
                path,
                write_archive_file(path, ArchiveKind::Docker, image, name),
            ),
            Place::Daemon(name) => {
                docker::write(name, image, context)?;
                continue;
            }
        };
        written.map_err(|error| errors::storage_of(&error))?;
        context.output.info(&format!("Wrote {}", path.display()));
    }
    Ok(())
}
