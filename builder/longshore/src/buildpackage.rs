//! `longshore buildpack package`: a buildpack, with those that it consists of, as an image or a `.cnb` file (Distribution specification, "Buildpackage").
//!
//! `package.toml`, which a composite needs, says where the others are:
//!
//! ```toml
//! [buildpack]
//! uri = "."
//! [[dependencies]]
//! uri = "../java"         # or image = "registry.example/java:1"
//! ```

use std::path::{Path, PathBuf};

use cnb_spec::distribution::{BUILDPACK_LAYERS, BUILDPACKAGE_METADATA, BuildpackageMetadata};
use oci_image::{History, Image, ImageConfig};
use serde::Deserialize;

use crate::arguments::Place;
use crate::builder_image::{LAYER_TIME_TEXT, label};
use crate::cli::BuildpackPackageArgs;
use crate::commands::Context;
use crate::destinations::{Destinations, write_places};
use crate::errors;
use crate::failure::{Exit, Failure};
use crate::modules::{self, Location, Module};
use crate::registries::Registries;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PackageToml {
    #[serde(default)]
    buildpack: Itself,
    #[serde(default)]
    dependencies: Vec<Dependency>,
    /// Read and not needed: builds here are for Linux on amd64.
    #[serde(default, rename = "platform")]
    _platform: toml::Table,
    #[serde(default, rename = "targets")]
    _targets: Vec<toml::Table>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Itself {
    uri: String,
}

impl Default for Itself {
    fn default() -> Self {
        Self {
            uri: ".".to_owned(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dependency {
    uri: Option<String>,
    image: Option<String>,
}

/// `longshore buildpack package`
pub(crate) fn package(arguments: &BuildpackPackageArgs, context: &Context) -> Result<(), Failure> {
    let _hold = context
        .store
        .hold()
        .map_err(|error| errors::store(&error))?;
    let destinations = Destinations::prepare(&arguments.destinations, context)?;
    let destinations = match arguments.file {
        Some(_) => destinations,
        None => destinations.somewhere()?,
    };
    let registries = Registries::new(context, &arguments.destinations.insecure);
    let modules = load(arguments, &registries, context)?;
    let image = image(&modules)?;
    if let Some(file) = &arguments.file {
        // A .cnb file is an OCI layout in a tar, which must not be compressed.
        write_places(&[Place::OciArchive(file.clone())], &image, None, context)?;
    }
    if destinations.is_nowhere() {
        context
            .output
            .result(&image.documents().manifest.digest.to_string());
        return Ok(());
    }
    for line in destinations.write(&image, &[], context)? {
        context.output.result(&line);
    }
    Ok(())
}

/// The buildpack first, then what package.toml names.
fn load(
    arguments: &BuildpackPackageArgs,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Vec<Module>, Failure> {
    let here = Path::new(".");
    let beside = Path::new(&arguments.buildpack).join("package.toml");
    let config: Option<PathBuf> = arguments
        .config
        .clone()
        .or_else(|| beside.is_file().then_some(beside));
    let Some(config) = config else {
        return modules::load(
            &Location::of_uri(&arguments.buildpack, here, "the buildpack")?,
            registries,
            context,
        );
    };
    let shown = config.display().to_string();
    let wrong = |reason: String| {
        Failure::new(
            Exit::Usage,
            "package.toml cannot be used",
            format!("{shown}: {reason}"),
        )
    };
    let text = std::fs::read_to_string(&config).map_err(|error| wrong(format!("{error}.")))?;
    let file: PackageToml = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
    let base = config.parent().unwrap_or(here);
    let main = match arguments.config {
        Some(_) => Location::of_uri(&file.buildpack.uri, base, &shown)?,
        None => Location::of_uri(&file.buildpack.uri, Path::new(&arguments.buildpack), &shown)?,
    };
    let mut all = modules::load(&main, registries, context)?;
    for dependency in &file.dependencies {
        let uri = match (&dependency.uri, &dependency.image) {
            (Some(uri), None) => uri.clone(),
            (None, Some(image)) => format!("docker://{image}"),
            _ => {
                return Err(wrong(
                    "a dependency has either `uri` or `image`.".to_owned(),
                ));
            }
        };
        let found = modules::load(&Location::of_uri(&uri, base, &shown)?, registries, context)?;
        modules::add(&mut all, found, &uri)?;
    }
    Ok(all)
}

/// Everything that the composite's groups name has to be in it.
fn image(modules: &[Module]) -> Result<Image, Failure> {
    let Some(main) = modules.first() else {
        return Err(Failure::new(
            Exit::Usage,
            "No buildpack",
            "There is nothing to package.",
        ));
    };
    for module in modules {
        modules::resolve(&module.label.order, modules).map_err(|unresolved| {
            let body = format!(
                "{}: {}.\nName it in package.toml: [[dependencies]] uri = \"…\".",
                module.full_name(),
                unresolved.reason
            );
            Failure::new(Exit::Usage, "A buildpack is missing", body)
        })?;
    }
    let metadata = BuildpackageMetadata {
        buildpack: main.info.clone(),
        stacks: main.label.stacks.clone(),
    };
    let mut config = ImageConfig::new("linux", "amd64");
    config.created = Some(LAYER_TIME_TEXT.to_owned());
    let labels = &mut config.config.labels;
    labels.insert(BUILDPACKAGE_METADATA.to_owned(), label(&metadata));
    labels.insert(
        BUILDPACK_LAYERS.to_owned(),
        label(&modules::layers_label(modules)),
    );
    let mut image = Image::new(config);
    for module in modules {
        let there = image
            .layers()
            .iter()
            .any(|layer| layer.diff_id == module.layer.diff_id);
        if !there {
            let history = History {
                created: Some(LAYER_TIME_TEXT.to_owned()),
                created_by: Some(format!(
                    "longshore buildpack package: {}",
                    module.full_name()
                )),
                ..History::default()
            };
            image = image.with_layer(module.layer.clone(), history);
        }
    }
    Ok(image)
}
