//! `longshore rebase`: an image, wherever it is, on a newer run image, without building it again.

use lifecycle::analyze::choose_mirror;
use lifecycle::image_name::ImageName as PlatformName;
use lifecycle::rebase::{RebaseError, RebaseInputs, rebase as put_on_base, run_image_of};
use oci_image::{Image, ImageName, Reference};
use registry::Push;

use crate::arguments::{self, Place};
use crate::build::base_images::{self, Given};
use crate::build::outputs;
use crate::build::phases::PLATFORM_API;
use crate::cli::RebaseArgs;
use crate::commands::Context;
use crate::errors;
use crate::failure::{Exit, Failure};
use crate::registries::{self, Registries};

/// Where the rebased image goes.
#[derive(Debug, Default)]
struct Targets {
    registry: Vec<Reference>,
    names: Vec<ImageName>,
    places: Vec<Place>,
}

/// Puts the image on its new base, and gives it its names.
pub(crate) fn rebase(arguments: &RebaseArgs, context: &Context) -> Result<(), Failure> {
    let _hold = context
        .store
        .hold()
        .map_err(|error| errors::store(&error))?;
    let registries = Registries::new(context, &arguments.insecure);
    let targets = targets(arguments)?;
    let app = base_images::must_open("IMAGE", &arguments.image, &registries, context)?;
    let inputs = RebaseInputs {
        platform_api: PLATFORM_API
            .parse()
            .expect("it is one that the lifecycle has"),
        run_image: run_image_name(arguments, &app, &registries, context)?,
        force: arguments.force,
    };
    let run_image = base_images::must_open("--run-image", &inputs.run_image, &registries, context)?;
    let log = context.output.lifecycle();
    let image = put_on_base(&inputs, &app.image, &run_image.image, &log)
        .map_err(|error| failure(&arguments.image, &error))?;
    let before = app.image.image.documents().manifest.digest;
    if image.documents().manifest.digest == before {
        let (image, base) = (&arguments.image, &inputs.run_image);
        let text = format!("{image} stands on {base} as it is now; nothing changes");
        context.output.info(&text);
    }
    for reference in write(&targets, &image, &[app, run_image], &registries, context)? {
        context.output.result(&reference);
    }
    Ok(())
}

/// The run image that was asked for, else the one that the image says it stands on, or the nearest of its mirrors that can be read.
fn run_image_name(
    arguments: &RebaseArgs,
    app: &Given,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<String, Failure> {
    if let Some(name) = &arguments.run_image {
        return Ok(name.clone());
    }
    let api = PLATFORM_API.parse().expect("as above");
    let known = run_image_of(&app.image, api).map_err(|error| failure(&app.name, &error))?;
    let near: PlatformName = match &app.repository {
        Some(repository) => repository.to_string().parse(),
        None => "app".parse(),
    }
    .expect("a reference is a name of an image");
    let there = |name: &str| {
        let found = base_images::open("--run-image", name, registries, context);
        found.is_ok_and(|found| found.is_some())
    };
    choose_mirror(&known, &near, there).map_err(|error| {
        let body = format!("{}: {error}.\nName one with --run-image.", app.name);
        Failure::new(Exit::Usage, "The run image is not there", body)
    })
}

/// What was asked for; else the image takes its own place.
fn targets(arguments: &RebaseArgs) -> Result<Targets, Failure> {
    let mut targets = Targets::default();
    for text in &arguments.publish {
        let reference = registries::reference("--publish", text)?;
        targets.registry.push(arguments::tagged(reference)?);
    }
    for text in &arguments.tag {
        targets.names.push(arguments::image_name(text)?);
    }
    for text in &arguments.output {
        targets.places.push(Place::parse_output(text)?);
    }
    if !arguments.publish.is_empty() || !arguments.tag.is_empty() || !arguments.output.is_empty() {
        return Ok(targets);
    }
    let image = &arguments.image;
    if let Some(place) = Place::parse(image) {
        targets.places.push(place);
    } else if base_images::names_a_registry(image) {
        let reference = registries::reference("IMAGE", image)?;
        targets.registry.push(arguments::tagged(reference)?);
    } else {
        targets.names.push(arguments::image_name(image)?);
    }
    Ok(targets)
}

/// Writes the image to all its places, and says what it is called in each.
fn write(
    targets: &Targets,
    image: &Image,
    from: &[Given],
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Vec<String>, Failure> {
    let manifest = image.documents().manifest.digest;
    if !targets.registry.is_empty() {
        let repositories = from.iter().filter_map(|given| given.repository.clone());
        let mount_from: Vec<Reference> = repositories.collect();
        let push = Push {
            tags: &targets.registry,
            mount_from: &mount_from,
            previous: None,
        };
        let pushed = registries.client()?.push_image(image, &push);
        pushed.map_err(|error| registries::failure(&error))?;
    }
    if !targets.names.is_empty() {
        let kept = context.keep_image(image, &targets.names);
        kept.map_err(|error| errors::layer("the image could not be kept", &error))?;
    }
    let name = targets.names.first();
    outputs::write_to(&targets.places, image, name, context)?;
    let published = targets.registry.iter();
    let published = published.map(|target| target.with_digest(manifest).to_string());
    let named = targets
        .names
        .iter()
        .map(|name| format!("{name}@{manifest}"));
    Ok(published.chain(named).collect())
}

fn failure(image: &str, error: &RebaseError) -> Failure {
    let title = match error {
        RebaseError::Incompatible(_) => "The new run image does not suit the app",
        RebaseError::NoRunImage | RebaseError::Label { .. } | RebaseError::NoTopLayer { .. } => {
            "The image cannot be rebased"
        }
    };
    let advice = match error {
        RebaseError::Incompatible(_) => "Name a run image of the same kind with --run-image.",
        RebaseError::NoRunImage => "Name the new run image with --run-image.",
        RebaseError::Label { .. } | RebaseError::NoTopLayer { .. } => "Build the app again.",
    };
    Failure::new(Exit::Usage, title, format!("{image}: {error}.\n{advice}"))
}
