//! Finding images by name or place, and `longshore inspect`.

use std::path::Path;

use oci_image::{Image, ImageConfig, Platform, read_archive, read_layout};
use serde::Deserialize;

use crate::arguments::{Place, image_name};
use crate::cli::InspectArgs;
use crate::commands::Context;
use crate::docker;
use crate::errors;
use crate::failure::{Exit, Failure, chain};
use crate::output::size;

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

/// Prints what an image holds.
pub(crate) fn inspect(arguments: &InspectArgs, context: &Context) -> Result<(), Failure> {
    let found = find(&arguments.image, context)?;
    let documents = found.image.documents();
    if arguments.json {
        let config: serde_json::Value =
            serde_json::from_slice(&documents.config.bytes).unwrap_or_default();
        let layers: Vec<serde_json::Value> = found
            .image
            .layers()
            .iter()
            .map(|layer| serde_json::json!({"digest": layer.digest, "diffId": layer.diff_id, "size": layer.size}))
            .collect();
        let all = serde_json::json!({
            "name": found.name, "digest": documents.manifest.digest, "config": config, "layers": layers,
        });
        context.output.result(&format!("{all:#}"));
        return Ok(());
    }
    for line in describe(&found) {
        context.output.result(&line);
    }
    Ok(())
}

fn describe(found: &Found) -> Vec<String> {
    let config = found.config();
    let label = found.build_label();
    let documents = found.image.documents();
    let total: u64 = found.image.layers().iter().map(|layer| layer.size).sum();
    let mut lines = vec![
        format!("Name:       {}", found.name),
        format!("Digest:     {}", documents.manifest.digest),
        format!("Platform:   {}/{}", config.os, config.architecture),
        format!(
            "Size:       {} compressed, {} layers",
            size(total),
            found.image.layers().len()
        ),
        format!("User:       {}", config.config.user),
        format!("Starts:     {}", config.config.entrypoint.join(" ")),
    ];
    if let Some(python) = config.config.labels.get("io.longshore.python") {
        lines.push(format!("Python:     {python}"));
    }
    if !label.processes.is_empty() {
        lines.push("Processes:".to_owned());
    }
    for process in &label.processes {
        let words = match &process.command {
            serde_json::Value::Array(words) => words
                .iter()
                .filter_map(|word| word.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        lines.push(
            format!("  {}: {} {}", process.name, words, process.args.join(" "))
                .trim_end()
                .to_owned(),
        );
    }
    if !label.buildpacks.is_empty() {
        lines.push("Buildpacks:".to_owned());
    }
    lines.extend(
        label
            .buildpacks
            .iter()
            .map(|buildpack| format!("  {} {}", buildpack.id, buildpack.version)),
    );
    lines.push("Layers:".to_owned());
    for (layer, history) in found.image.layers().iter().zip(layer_history(config)) {
        lines.push(format!(
            "  {:>9}  {}  {history}",
            size(layer.size),
            layer.diff_id
        ));
    }
    lines
}

fn layer_history(config: &ImageConfig) -> impl Iterator<Item = &str> {
    let entries = config.history.iter().filter(|entry| !entry.empty_layer);
    entries
        .map(|entry| entry.created_by.as_deref().unwrap_or_default())
        .chain(std::iter::repeat(""))
}

/// Whether a text names a folder rather than an image.
pub(crate) fn is_folder(text: &str) -> bool {
    Path::new(text).is_dir()
}
