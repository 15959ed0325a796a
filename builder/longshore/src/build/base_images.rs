//! The images a build stands on: given (in a registry, a layout, an archive, the store), or made from Debian packages.

use std::path::PathBuf;

use lifecycle::images::OpenedImage;
use oci_image::{ImageConfig, Platform, Reference};

use super::in_place::Place as InSandboxOrHere;
use super::request::Request;
use crate::arguments::Place;
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::inspect;
use crate::registries::{self, Registries};
use crate::stack_images;

/// What a build stands on.
#[derive(Debug)]
pub(crate) struct Bases {
    /// The build image's files, the lowest layer's first.
    pub(crate) build_trees: Vec<PathBuf>,
    pub(crate) run: Given,
}

/// An image that somebody named, and where it was found.
#[derive(Debug, Clone)]
pub(crate) struct Given {
    /// As it was named.
    pub(crate) name: String,
    pub(crate) image: OpenedImage,
    /// Where its layers are, if that is a registry.
    pub(crate) repository: Option<Reference>,
}

/// Finds or makes both images. In place, the container itself is the build image, and nothing can be made.
pub(crate) fn find(
    request: &Request,
    place: &InSandboxOrHere,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Bases, Failure> {
    let open = |option: &str, name: Option<&String>| -> Result<Option<Given>, Failure> {
        let given = name.map(|name| must_open(option, name, registries, context));
        given.transpose()
    };
    let build = open("--build-image", request.bases.build_image.as_ref())?;
    let run = open("--run-image", request.bases.run_image.as_ref())?;
    if let InSandboxOrHere::Here(_) = place {
        if build.is_some() {
            return Err(build_image_in_place());
        }
        let run = match run {
            Some(run) => run,
            None => made_here(&stack_images::find_run_image(context)?, context)?,
        };
        let build_trees = vec![PathBuf::from("/")];
        return Ok(Bases { build_trees, run });
    }
    let made = match (&build, &run) {
        (Some(_), Some(_)) => None,
        _ => Some(stack_images::ensure(&request.mirrors, context)?),
    };
    let build_trees = match (build, &made) {
        (Some(build), _) => context.trees(&build.image.image)?,
        (None, Some(made)) => vec![made.build_tree.clone()],
        (None, None) => Vec::new(),
    };
    let run = match (run, made) {
        (Some(run), _) => run,
        (None, Some(made)) => made_here(&made.run_name, context)?,
        (None, None) => return Err(not_there("--run-image", "")),
    };
    Ok(Bases { build_trees, run })
}

/// The image of a name, which has to be there and to be for this machine.
pub(crate) fn must_open(
    option: &str,
    name: &str,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Given, Failure> {
    let given = open(option, name, registries, context)?;
    let given = given.ok_or_else(|| not_there(option, name))?;
    check_platform(option, name, given.image.image.config())?;
    Ok(given)
}

/// The image of a name; `None` where there is none. A name that begins with a registry's host is looked for there, any other in the store.
pub(crate) fn open(
    option: &str,
    name: &str,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Option<Given>, Failure> {
    if Place::parse(name).is_some() {
        let found = inspect::find(name, context)?;
        let digest = found.image.documents().manifest.digest;
        return Ok(Some(Given {
            name: name.to_owned(),
            image: OpenedImage {
                reference: format!("{name}@{digest}"),
                image: found.image,
            },
            repository: None,
        }));
    }
    if !names_a_registry(name) {
        return open_here(name, context);
    }
    let reference = registries::reference(option, name)?;
    let found = registries
        .client()?
        .image(&reference, Platform::LINUX_AMD64)
        .map_err(|error| registries::failure(&error))?;
    Ok(found.map(|found| Given {
        name: name.to_owned(),
        image: OpenedImage {
            reference: found.reference.to_string(),
            image: found.image,
        },
        repository: Some(reference),
    }))
}

/// The run image that was made here.
fn made_here(name: &str, context: &Context) -> Result<Given, Failure> {
    open_here(name, context)?.ok_or_else(|| not_there("the run image", name))
}

fn build_image_in_place() -> Failure {
    let body = "No sandbox can be made here, so the build runs in this container itself, whatever --build-image names.\n\
                Leave --build-image out, or start the container with the flags that allow the sandbox (README, \"In a container\").";
    Failure::new(Exit::Usage, "The container is the build image", body)
}

/// An image of the store.
fn open_here(name: &str, context: &Context) -> Result<Option<Given>, Failure> {
    let found = inspect::find_named(name, context)?;
    Ok(found.map(|found| {
        let digest = found.image.documents().manifest.digest;
        Given {
            name: name.to_owned(),
            image: OpenedImage {
                reference: format!("{name}@{digest}"),
                image: found.image,
            },
            repository: None,
        }
    }))
}

/// Docker's rule for the first part of a reference.
pub(crate) fn names_a_registry(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(first, _)| first.contains(['.', ':', '[']) || first == "localhost")
}

fn not_there(option: &str, name: &str) -> Failure {
    let body = format!(
        "{option}: there is no image {name}.\n\
         A name that begins with a registry's host (registry.example/team/image:tag) is looked for in that registry, any other among the \
         images built here; oci:DIR, oci-archive:FILE and docker-archive:FILE are files."
    );
    Failure::new(Exit::Usage, "No such image", body)
}

/// An image for another machine would fail at the first program that is started.
fn check_platform(option: &str, name: &str, config: &ImageConfig) -> Result<(), Failure> {
    let Platform {
        os, architecture, ..
    } = Platform::LINUX_AMD64;
    if config.os == os && config.architecture == architecture {
        return Ok(());
    }
    let body = format!(
        "{option} {name} is for {}/{}; builds here are for {os}/{architecture}.\nGive an image for {os}/{architecture}, or an index that has one.",
        config.os, config.architecture
    );
    Err(Failure::new(
        Exit::Usage,
        "An image for another machine",
        body,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_a_registry_docker_s_rule() {
        for (name, expected) in [
            ("app", false),
            ("team/app:1", false),
            ("localhost/app", true),
            ("127.0.0.1:5000/app", true),
            ("registry.example/app", true),
            ("[::1]:5000/app", true),
            ("app:1", false),
        ] {
            assert_eq!(names_a_registry(name), expected, "{name}");
        }
    }

    #[test]
    fn check_platform_of_another_machine() {
        let config = ImageConfig::new("linux", "arm64");
        let failure = check_platform("--run-image", "r.example/run", &config).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.body.contains("linux/arm64"), "{}", failure.body);
        assert!(check_platform("", "", &ImageConfig::new("linux", "amd64")).is_ok());
    }
}
