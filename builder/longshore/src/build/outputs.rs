//! Writing the image wherever else it was asked for: OCI layouts and archives.

use oci_image::{ArchiveKind, write_archive_file, write_layout};

use super::Built;
use super::request::Request;
use crate::arguments::Place;
use crate::commands::Context;
use crate::docker;
use crate::errors;
use crate::failure::Failure;

pub(crate) fn write(request: &Request, built: &Built, context: &Context) -> Result<(), Failure> {
    for place in &request.outputs {
        let name = Some(&built.name);
        let (path, written) = match place {
            Place::Layout(folder) => (folder, write_layout(folder, &built.image, name)),
            Place::OciArchive(path) => (
                path,
                write_archive_file(path, ArchiveKind::Oci, &built.image, name),
            ),
            Place::DockerArchive(path) => (
                path,
                write_archive_file(path, ArchiveKind::Docker, &built.image, name),
            ),
            Place::Daemon(name) => {
                docker::write(name, &built.image, context)?;
                continue;
            }
        };
        written.map_err(|error| errors::storage_of(&error))?;
        context.output.info(&format!("Wrote {}", path.display()));
    }
    Ok(())
}
