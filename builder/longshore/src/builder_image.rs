//! `longshore builder create`: a builder image from builder.toml, with no daemon.
//!
//! ```text
//! build image          as it is
//! + folders            /workspace and /layers (the build user's), /cnb, /platform
//! + /cnb/lifecycle
//! + one layer a buildpack, as buildpackages have them
//! + /cnb/order.toml, run.toml, stack.toml, build-config/env
//! ```
//!
//! The labels and paths are what pack, kpack and Tekton's tasks read (Platform specification, "Builder"; pack's builders where that says nothing). The same
//! inputs give the same digest: nothing in it knows the time or this machine.

mod assemble;
mod definition;

use std::path::Path;

use cnb_spec::target::{BuildpackTarget, Distro, ImageTarget};
use oci_image::{Image, ImageConfig};

pub(crate) use assemble::{LAYER_TIME_TEXT, build_user, label, order_toml};

use crate::build::base_images;
use crate::cli::{BuilderArgs, MirrorOptions};
use crate::commands::Context;
use crate::destinations::Destinations;
use crate::errors;
use crate::failure::{Exit, Failure};
use crate::lifecycle_programs;
use crate::modules::{self, Location, Module};
use crate::registries::Registries;
use crate::stack_images;
use assemble::Parts;
use definition::Definition;

/// In builder.toml: the default stack's images, which are made here.
const OUR_BUILD_IMAGE: &str = "longshore:build";
const OUR_RUN_IMAGE: &str = "longshore:run";

/// `longshore builder create`
pub(crate) fn create(arguments: &BuilderArgs, context: &Context) -> Result<(), Failure> {
    let _hold = context
        .store
        .hold()
        .map_err(|error| errors::store(&error))?;
    let mut definition = Definition::read(&arguments.definition)?;
    let folder = match arguments.definition.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let destinations = Destinations::prepare(&arguments.destinations, context)?.somewhere()?;
    let registries = Registries::new(context, &arguments.destinations.insecure);
    take_flags(&mut definition, arguments);
    let base = base(&mut definition, arguments, &registries, context)?;
    let lifecycle = lifecycle_programs::find(
        definition.lifecycle.as_deref(),
        folder,
        &registries,
        context,
    )?;
    let modules = load(&definition, folder, &registries, context)?;
    check(&definition, &modules, &lifecycle, base.config(), context)?;
    let order = modules::resolve(&definition.order, &modules).map_err(|unresolved| {
        let at = definition.order_entry(unresolved.group, unresolved.position);
        Failure::new(
            Exit::Usage,
            "The order cannot be used",
            format!("{at}: {}.", unresolved.reason),
        )
    })?;
    let parts = Parts {
        definition: &definition,
        lifecycle: &lifecycle,
        modules: &modules,
        order,
    };
    let image = parts.image(base, context)?;
    for line in destinations.write(&image, &[], context)? {
        context.output.result(&line);
    }
    Ok(())
}

/// What the command line says besides the file.
fn take_flags(definition: &mut Definition, arguments: &BuilderArgs) {
    if let Some(image) = &arguments.build_image {
        definition.build_image.clone_from(image);
    }
    if let [first, mirrors @ ..] = &arguments.run_image[..] {
        definition.run_images = vec![cnb_spec::run_image::RunImage {
            image: first.clone(),
            mirrors: mirrors.to_vec(),
        }];
    }
}

/// Opens the build image; where the default stack is meant, both of its images get the names that they have here.
fn base(
    definition: &mut Definition,
    arguments: &BuilderArgs,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Image, Failure> {
    let Definition {
        path,
        build_image,
        run_images,
        ..
    } = definition;
    if build_image.is_empty() {
        let body = format!(
            "{path} has no [build] image.\nName the image that builds run in: image = \"{OUR_BUILD_IMAGE}\" for the one that is made here."
        );
        return Err(Failure::new(Exit::Usage, "No build image", body));
    }
    if run_images.is_empty() {
        let body = format!(
            "{path} has no [[run.images]].\nName the image that apps stand on, where those who build can read it: image = \"registry.example/run:1\"."
        );
        return Err(Failure::new(Exit::Usage, "No run image", body));
    }
    if run_images.iter().any(|run| run.image == OUR_RUN_IMAGE) {
        let made = stack_images::ensure(&arguments.mirrors, context)?;
        for run in run_images
            .iter_mut()
            .filter(|run| run.image == OUR_RUN_IMAGE)
        {
            run.image.clone_from(&made.run_name);
        }
    }
    open_base(
        "[build] image",
        build_image,
        &arguments.mirrors,
        registries,
        context,
    )
}

/// Opens an image that something is put on top of; the default stack's are made where they are not there.
pub(crate) fn open_base(
    option: &str,
    name: &str,
    mirrors: &MirrorOptions,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Image, Failure> {
    let name = match name {
        OUR_BUILD_IMAGE => stack_images::ensure(mirrors, context)?.build_name,
        OUR_RUN_IMAGE => stack_images::ensure(mirrors, context)?.run_name,
        other => other.to_owned(),
    };
    let found = base_images::open(option, &name, registries, context)?;
    let found = found.ok_or_else(|| base_images::not_there(option, &name))?;
    base_images::check_platform(option, &name, found.image.image.config())?;
    Ok(found.image.image)
}

fn load(
    definition: &Definition,
    folder: &Path,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Vec<Module>, Failure> {
    let mut all = Vec::new();
    for wanted in &definition.buildpacks {
        let at = definition.at_line(wanted.line);
        let location = Location::of_uri(&wanted.uri, folder, &at)?;
        let found = modules::load(&location, registries, context)?;
        let (id, version) = found
            .first()
            .map_or((String::new(), String::new()), |main| {
                (main.info.id.to_string(), main.info.version.to_string())
            });
        let differs =
            |said: &Option<String>, is: &str| said.as_deref().is_some_and(|said| said != is);
        if differs(&wanted.id, &id) || differs(&wanted.version, &version) {
            let body = format!(
                "{at}: {} is {id} {version}, not what `id` and `version` say.\nCorrect them, or leave them out.",
                wanted.uri
            );
            return Err(Failure::new(Exit::Usage, "Another buildpack", body));
        }
        modules::add(&mut all, found, &at)?;
    }
    Ok(all)
}

/// Whether the parts fit: APIs, targets, stacks, the build image's user.
fn check(
    definition: &Definition,
    modules: &[Module],
    lifecycle: &lifecycle_programs::Lifecycle,
    base: &ImageConfig,
    context: &Context,
) -> Result<(), Failure> {
    let apis = &lifecycle.info.apis.buildpack;
    let target = target_of(base);
    let stack = base.config.labels.get(cnb_spec::labels::STACK_ID);
    if let Some(stack) =
        stack.filter(|stack| !definition.stack_id.is_empty() && **stack != definition.stack_id)
    {
        let body = format!(
            "{}: [stack] id is {:?}, but the build image's label says {stack:?}.\nCorrect it, or leave it out.",
            definition.path, definition.stack_id
        );
        return Err(Failure::new(Exit::Usage, "Another stack", body));
    }
    for module in modules {
        if !apis.includes(&module.label.api) {
            let body = format!(
                "{} wants Buildpack API {}, but lifecycle {} has {}.\nTake another version of the buildpack, or another [lifecycle].",
                module.full_name(),
                module.label.api,
                lifecycle.info.version,
                apis.supported.join(", ")
            );
            return Err(Failure::new(
                Exit::Usage,
                "A buildpack that the lifecycle cannot run",
                body,
            ));
        }
        let targets: Vec<BuildpackTarget> = module
            .label
            .targets
            .iter()
            .map(BuildpackTarget::from)
            .collect();
        if !targets.is_empty() && !targets.iter().any(|it| it.includes(&target)) {
            let distro = target.distro.clone().unwrap_or_default();
            let body = format!(
                "{} is not for the build image, which is {}/{} {} {}.\nTake another build image, or leave the buildpack out.",
                module.full_name(),
                target.os,
                target.arch,
                distro.name,
                distro.version
            );
            return Err(Failure::new(
                Exit::Usage,
                "A buildpack for another image",
                body,
            ));
        }
        let stacks = &module.label.stacks;
        let fits = stacks
            .iter()
            .any(|it| it.id == "*" || Some(&it.id) == stack);
        if targets.is_empty() && !stacks.is_empty() && !fits {
            let text = format!(
                "{} names stacks, but not this one ({}); platforms before API 0.12 will refuse it",
                module.full_name(),
                stack.map_or("none", String::as_str)
            );
            context.output.warning(&text);
        }
    }
    Ok(())
}

fn target_of(base: &ImageConfig) -> ImageTarget {
    let label = |name: &str| base.config.labels.get(name).cloned().unwrap_or_default();
    let distro = Distro {
        name: label(cnb_spec::labels::BASE_DISTRO_NAME),
        version: label(cnb_spec::labels::BASE_DISTRO_VERSION),
    };
    ImageTarget {
        id: label(cnb_spec::labels::BASE_ID),
        os: base.os.clone(),
        arch: base.architecture.clone(),
        arch_variant: base.variant.clone().unwrap_or_default(),
        distro: (!distro.name.is_empty()).then_some(distro),
    }
}
