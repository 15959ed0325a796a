//! Finding images by name or place, and `longshore inspect`.

mod describe;

use std::collections::BTreeMap;
use std::path::Path;

use oci_image::{Image, ImageConfig, Layer, Platform, read_archive, read_layout};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::arguments::{Place, image_name};
use crate::build::base_images;
use crate::cli::InspectArgs;
use crate::commands::Context;
use crate::docker;
use crate::errors;
use crate::failure::{Exit, Failure, chain};
use crate::registries::Registries;
use describe::describe;

/// An image that was found.
#[derive(Debug)]
pub(crate) struct Found {
    /// What the user called it.
    pub(crate) name: String,
    pub(crate) image: Image,
}

/// What we read of `io.buildpacks.build.metadata`.
#[derive(Default, Deserialize)]
struct BuildLabel {
    #[serde(default)]
    processes: Vec<LabelProcess>,
    #[serde(default)]
    buildpacks: Vec<LabelBuildpack>,
}

#[derive(Deserialize)]
struct LabelProcess {
    #[serde(rename = "type")]
    name: String,
    #[serde(default)]
    command: serde_json::Value,
    #[serde(default)]
    args: Vec<String>,
}

#[derive(Deserialize)]
struct LabelBuildpack {
    id: String,
    version: String,
}

impl Found {
    pub(crate) fn config(&self) -> &ImageConfig {
        self.image.config()
    }

    /// The process types, sorted.
    pub(crate) fn processes(&self) -> Vec<String> {
        self.build_label()
            .processes
            .into_iter()
            .map(|process| process.name)
            .collect()
    }

    fn build_label(&self) -> BuildLabel {
        let label = self
            .config()
            .config
            .labels
            .get(cnb_spec::labels::BUILD_METADATA);
        label
            .and_then(|label| serde_json::from_str(label).ok())
            .unwrap_or_default()
    }
}

/// The image of this name in the store, if there is one.
pub(crate) fn find_named(text: &str, context: &Context) -> Result<Option<Found>, Failure> {
    let Ok(name) = image_name(text) else {
        return Ok(None);
    };
    let Some(named) = context
        .store
        .image(&name.to_string())
        .map_err(|error| errors::store(&error))?
    else {
        return Ok(None);
    };
    match oci_image::read_image(&context.store.blobs(), &named.manifest) {
        Ok(image) => Ok(Some(Found {
            name: text.to_owned(),
            image,
        })),
        Err(error) => {
            let body = format!("{text} is damaged: {}.\nBuild it again.", chain(&error));
            Err(Failure::new(
                Exit::Storage,
                "The image cannot be read",
                body,
            ))
        }
    }
}

/// The image of this name or at this place, or an error that says what there is.
pub(crate) fn find(text: &str, context: &Context) -> Result<Found, Failure> {
    if let Some(place) = Place::parse(text) {
        return at_place(text, &place, context);
    }
    if let Some(found) = find_named(text, context)? {
        return Ok(found);
    }
    let images = context
        .store
        .images()
        .map_err(|error| errors::store(&error))?;
    let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
    let known = if names.is_empty() {
        "There are no images yet".to_owned()
    } else {
        format!("There are: {}", names.join(", "))
    };
    let body = format!(
        "{text:?} is neither a built image nor a folder. {known}.\nBuild one with: longshore build FOLDER -t NAME"
    );
    Err(Failure::new(Exit::Usage, "No such image", body))
}

fn at_place(text: &str, place: &Place, context: &Context) -> Result<Found, Failure> {
    let read = match place {
        Place::Daemon(name) => {
            let image = docker::read(name, context)?.ok_or_else(|| {
                let body = format!(
                    "The Docker daemon has no image {name}. `docker image ls` lists those it has."
                );
                Failure::new(Exit::Usage, "No such image", body)
            })?;
            let name = text.to_owned();
            return Ok(Found { name, image });
        }
        Place::Layout(folder) => read_layout(folder, None, Platform::LINUX_AMD64),
        Place::OciArchive(path) | Place::DockerArchive(path) => {
            read_archive(path, None, Platform::LINUX_AMD64)
        }
    };
    let image = read.map_err(|error| {
        Failure::new(
            Exit::Usage,
            "The image cannot be read",
            format!("{text}: {}.", chain(&error)),
        )
    })?;
    Ok(Found {
        name: text.to_owned(),
        image,
    })
}

/// Prints what an image holds: one that was named, at a place, or in a registry.
pub(crate) fn inspect(arguments: &InspectArgs, context: &Context) -> Result<(), Failure> {
    let found = if base_images::names_a_registry(&arguments.image) {
        in_registry(arguments, context)?
    } else {
        find(&arguments.image, context)?
    };
    if arguments.json {
        context.output.result(&format!("{:#}", as_json(&found)));
        return Ok(());
    }
    for line in describe(&found) {
        context.output.result(&line);
    }
    Ok(())
}

fn in_registry(arguments: &InspectArgs, context: &Context) -> Result<Found, Failure> {
    let name = &arguments.image;
    // A name with a host in front may be one of the store's, too.
    if let Some(found) = find_named(name, context)? {
        return Ok(found);
    }
    let registries = Registries::new(context, &arguments.insecure);
    let found = base_images::open("inspect", name, &registries, context)?;
    let found = found.ok_or_else(|| base_images::not_there("inspect", name))?;
    Ok(Found {
        name: name.clone(),
        image: found.image.image,
    })
}

/// Labels that hold JSON come parsed, beside the configuration as it is.
fn as_json(found: &Found) -> Value {
    let documents = found.image.documents();
    let config: Value = serde_json::from_slice(&documents.config.bytes).unwrap_or_default();
    let layer = |layer: &Layer| json!({"digest": layer.digest, "diffId": layer.diff_id, "size": layer.size});
    let layers: Vec<Value> = found.image.layers().iter().map(layer).collect();
    let labels = found.config().config.labels.iter();
    let parsed: BTreeMap<&String, Value> = labels
        .filter_map(|(name, text)| Some((name, serde_json::from_str::<Value>(text).ok()?)))
        .filter(|(_, value)| value.is_object() || value.is_array())
        .collect();
    json!({
        "name": found.name, "digest": documents.manifest.digest, "config": config, "layers": layers, "labels": parsed,
    })
}

/// Whether a text names a folder rather than an image.
pub(crate) fn is_folder(text: &str) -> bool {
    Path::new(text).is_dir()
}
