//! The images a build stands on: given (in a registry, a layout, an archive, the store), or made from Debian packages.

use std::path::PathBuf;

use cnb_spec::run_image::RunImage;
use lifecycle::images::OpenedImage;
use oci_image::{ImageConfig, Platform, Reference};

use super::builder::Builder;
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
    /// What the app's image says that it stands on.
    pub(crate) run_image: RunImage,
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

impl Given {
    /// What an app's image calls it. A daemon's images have names that other tools look for in a daemon, too, but not with our prefix.
    pub(crate) fn known_as(&self) -> &str {
        let name = &self.name;
        name.strip_prefix("docker-daemon:").unwrap_or(name)
    }
}

/// Finds or makes both images. In place, the container itself is the build image, and nothing can be made.
pub(crate) fn find(
    request: &Request,
    place: &InSandboxOrHere,
    builder: Option<&Builder>,
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
        return Ok(Bases::new(vec![PathBuf::from("/")], run));
    }
    if let Some(builder) = builder.filter(|builder| run.is_some() || !builder.run_images.is_empty())
    {
        let build_trees = builder.trees.clone();
        return match run {
            Some(run) => Ok(Bases::new(build_trees, run)),
            None => {
                run_image_of(builder, request, registries, context).map(|(run, run_image)| Bases {
                    build_trees,
                    run,
                    run_image,
                })
            }
        };
    }
    let made = match (&build, &run) {
        (Some(_), Some(_)) => None,
        _ => Some(stack_images::ensure(&request.mirrors, context)?),
    };
    let build_trees = match (build, &made) {
        _ if builder.is_some() => builder.map(|it| it.trees.clone()).unwrap_or_default(),
        (Some(build), _) => context.trees(&build.image.image)?,
        (None, Some(made)) => vec![made.build_tree.clone()],
        (None, None) => Vec::new(),
    };
    let run = match (run, made) {
        (Some(run), _) => run,
        (None, Some(made)) => made_here(&made.run_name, context)?,
        (None, None) => return Err(not_there("--run-image", "")),
    };
    Ok(Bases::new(build_trees, run))
}

impl Bases {
    fn new(build_trees: Vec<PathBuf>, run: Given) -> Self {
        let run_image = RunImage {
            image: run.known_as().to_owned(),
            mirrors: Vec::new(),
        };
        Self {
            build_trees,
            run,
            run_image,
        }
    }
}

/// The first of a builder's run images that can be read; a mirror in the registry that the app goes to comes first (Platform specification, "Run
/// Image Resolution").
fn run_image_of(
    builder: &Builder,
    request: &Request,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<(Given, RunImage), Failure> {
    let mut reasons = Vec::new();
    for run_image in &builder.run_images {
        let mut names: Vec<&str> = run_image.names().collect();
        if let Some(target) = request.publish.first() {
            let is_far = |name: &&str| {
                !name
                    .parse()
                    .is_ok_and(|it: Reference| it.registry() == target.registry())
            };
            names.sort_by_key(is_far);
        }
        for name in names {
            match open("the builder's run image", name, registries, context) {
                Ok(Some(run)) => {
                    check_platform("the builder's run image", name, run.image.image.config())?;
                    return Ok((run, run_image.clone()));
                }
                Ok(None) => reasons.push(format!("  {name}: there is no such image")),
                Err(failure) => reasons.push(format!(
                    "  {name}: {}",
                    failure.body.lines().next().unwrap_or_default()
                )),
            }
        }
    }
    let body = format!(
        "None of the builder's run images can be read:\n{}\nName one that can be with --run-image.",
        reasons.join("\n")
    );
    Err(Failure::new(Exit::Registry, "No run image", body))
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

pub(crate) fn build_image_in_place() -> Failure {
    let body = "No sandbox can be made here, so the build runs in this container itself, whatever --build-image, --builder or --buildpack name.\n\
                Leave them out, or start the container with the flags that allow the sandbox (README, \"In a container\").";
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

pub(crate) fn not_there(option: &str, name: &str) -> Failure {
    let body = format!(
        "{option}: there is no image {name}.\n\
         A name that begins with a registry's host (registry.example/team/image:tag) is looked for in that registry, any other among the \
         images built here; oci:DIR, oci-archive:FILE and docker-archive:FILE are files."
    );
    Failure::new(Exit::Usage, "No such image", body)
}

/// An image for another machine would fail at the first program that is started.
pub(crate) fn check_platform(
    option: &str,
    name: &str,
    config: &ImageConfig,
) -> Result<(), Failure> {
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
