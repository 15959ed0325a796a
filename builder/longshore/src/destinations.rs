//! Where an image that was put together goes: names in the store, layouts, archives, a daemon, registries.

use oci_image::{ArchiveKind, Image, ImageName, Reference, write_archive_file, write_layout};
use registry::{Push, Registry};

use crate::arguments::{self, Place};
use crate::cli::DestinationOptions;
use crate::commands::Context;
use crate::docker;
use crate::errors;
use crate::failure::{Exit, Failure};
use crate::registries;

/// Everywhere one image goes.
#[derive(Debug)]
pub(crate) struct Destinations {
    names: Vec<ImageName>,
    places: Vec<Place>,
    publish: Vec<Reference>,
    registry: Option<Registry>,
}

impl Destinations {
    /// Fails where an image could not go: after it was made it would be late to hear so.
    pub(crate) fn prepare(
        options: &DestinationOptions,
        context: &Context,
    ) -> Result<Self, Failure> {
        let DestinationOptions {
            tag,
            output,
            publish,
            insecure,
        } = options;
        let names = tag.iter().map(|tag| arguments::image_name(tag));
        let places = output.iter().map(|text| Place::parse_output(text));
        let publish = publish
            .iter()
            .map(|text| arguments::tagged(registries::reference("--publish", text)?))
            .collect::<Result<Vec<Reference>, Failure>>()?;
        let registry = if publish.is_empty() {
            None
        } else {
            Some(registries::connect(context, insecure)?)
        };
        for target in &publish {
            if let Some(registry) = &registry {
                let allowed = registry.check_push(target);
                allowed.map_err(|error| registries::failure(&error))?;
            }
        }
        Ok(Self {
            names: names.collect::<Result<_, _>>()?,
            places: places.collect::<Result<_, _>>()?,
            publish,
            registry,
        })
    }

    /// Whether the image would go nowhere.
    pub(crate) fn is_nowhere(&self) -> bool {
        self.names.is_empty() && self.places.is_empty() && self.publish.is_empty()
    }

    /// The same as an error.
    pub(crate) fn somewhere(self) -> Result<Self, Failure> {
        if !self.is_nowhere() {
            return Ok(self);
        }
        let body = "Say where the image goes: --tag NAME keeps it here, --output oci:DIR (oci-archive:FILE, docker-archive:FILE, docker-daemon:NAME) \
                    writes it, --publish REF pushes it to a registry.";
        Err(Failure::new(Exit::Usage, "No destination", body))
    }

    /// Writes the image everywhere and gives what to call it, one a line: in registries by digest. Some of its layers may be in the repositories `mount_from`.
    pub(crate) fn write(
        &self,
        image: &Image,
        mount_from: &[Reference],
        context: &Context,
    ) -> Result<Vec<String>, Failure> {
        let digest = image.documents().manifest.digest;
        let mut called = Vec::new();
        if let (Some(registry), false) = (&self.registry, self.publish.is_empty()) {
            let push = Push {
                tags: &self.publish,
                mount_from,
                previous: None,
            };
            let pushed = registry.push_image(image, &push);
            pushed.map_err(|error| registries::failure(&error))?;
            let exact = |target: &Reference| target.with_digest(digest).to_string();
            called.extend(self.publish.iter().map(exact));
        }
        if !self.names.is_empty() {
            let kept = context.keep(image, &self.names);
            kept.map_err(|error| errors::storage_of(&error))?;
            called.extend(self.names.iter().map(|name| format!("{name}@{digest}")));
        }
        write_places(&self.places, image, self.names.first(), context)?;
        if called.is_empty() {
            called.push(digest.to_string());
        }
        Ok(called)
    }
}

/// Writes layouts and archives, and gives the image to daemons.
pub(crate) fn write_places(
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
