//! `longshore rebase`: an image, wherever it is, on a newer run image, without building it again.

use cnb_spec::api::PlatformApi;
use lifecycle::analyze::choose_mirror;
use lifecycle::image_name::ImageName as PlatformName;
use lifecycle::rebase::{RebaseError, RebaseInputs, rebase as put_on_base, run_image_of};
use oci_image::Reference;

use crate::arguments::Place;
use crate::build::base_images::{self, Given};
use crate::build::phases::PLATFORM_API;
use crate::cli::{DestinationOptions, RebaseArgs};
use crate::commands::Context;
use crate::destinations::Destinations;
use crate::errors;
use crate::failure::{Exit, Failure};
use crate::registries::Registries;

/// Puts the image on its new base, and gives it its names.
pub(crate) fn rebase(arguments: &RebaseArgs, context: &Context) -> Result<(), Failure> {
    let _hold = context
        .store
        .hold()
        .map_err(|error| errors::store(&error))?;
    let registries = Registries::new(context, &arguments.destinations.insecure);
    let destinations = Destinations::prepare(&destinations(arguments), context)?;
    let app = base_images::must_open("IMAGE", &arguments.image, &registries, context)?;
    let platform_api = PLATFORM_API
        .parse()
        .expect("it is one that the lifecycle has");
    let run_image = match &arguments.run_image {
        Some(name) => base_images::must_open("--run-image", name, &registries, context)?,
        None => run_image_named_by(&app, platform_api, &registries, context)?,
    };
    let inputs = RebaseInputs {
        platform_api,
        run_image: run_image.known_as().to_owned(),
        force: arguments.force,
    };
    let log = context.output.lifecycle();
    let image = put_on_base(&inputs, &app.image, &run_image.image, &log)
        .map_err(|error| failure(&arguments.image, &error))?;
    let before = app.image.image.documents().manifest.digest;
    if image.documents().manifest.digest == before {
        let (image, base) = (&arguments.image, &inputs.run_image);
        let text = format!("{image} stands on {base} as it is now; nothing changes");
        context.output.info(&text);
    }
    let repositories = [app.repository, run_image.repository];
    let mount_from: Vec<Reference> = repositories.into_iter().flatten().collect();
    for reference in destinations.write(&image, &mount_from, context)? {
        context.output.result(&reference);
    }
    Ok(())
}

/// The run image that the image says it stands on, or the nearest of its mirrors that can be read.
fn run_image_named_by(
    app: &Given,
    api: PlatformApi,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Given, Failure> {
    let known = run_image_of(&app.image, api).map_err(|error| failure(&app.name, &error))?;
    let near: PlatformName = match &app.repository {
        Some(repository) => repository.to_string().parse(),
        None => "app".parse(),
    }
    .expect("a reference is a name of an image");
    let place = |name: &str| {
        let is_there = |place: &String| {
            let found = base_images::open("--run-image", place, registries, context);
            found.is_ok_and(|found| found.is_some())
        };
        places(name, app).into_iter().find(is_there)
    };
    let chosen = choose_mirror(&known, &near, |name| place(name).is_some());
    let chosen = chosen.map_err(|error| {
        let body = format!("{}: {error}.\nName one with --run-image.", app.name);
        Failure::new(Exit::Usage, "The run image is not there", body)
    })?;
    let place = place(&chosen).unwrap_or(chosen);
    base_images::must_open("--run-image", &place, registries, context)
}

/// Where a run image of this name may be: in a registry or here and, where the app is an image of a daemon, in the daemon.
fn places(name: &str, app: &Given) -> Vec<String> {
    let mut places = vec![name.to_owned()];
    if let Some(Place::Daemon(_)) = Place::parse(&app.name) {
        places.push(format!("docker-daemon:{name}"));
    }
    places
}

/// What was asked for; else the image takes its own place.
fn destinations(arguments: &RebaseArgs) -> DestinationOptions {
    let mut to = arguments.destinations.clone();
    if to.tag.is_empty() && to.output.is_empty() && to.publish.is_empty() {
        let image = arguments.image.clone();
        if Place::parse(&image).is_some() {
            to.output.push(image);
        } else if base_images::names_a_registry(&image) {
            to.publish.push(image);
        } else {
            to.tag.push(image);
        }
    }
    to
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
