//! A build with another builder, or with buildpacks beside ours: what stands in for the `/cnb` of this program.
//!
//! The builder's layers are the sandbox's root, `/cnb` included; buildpacks given besides are layers on top. Its lifecycle is not used: the phases are this
//! program's, which knows the store and needs no privileges, and speak the same APIs. All buildpacks stay in the sandbox, whoever wrote them.
//!
//! ```text
//! /                              overlay over the builder's trees and those of further buildpacks
//! /run/longshore/lifecycle/      this very executable, as `detector` and `builder`
//! /run/longshore/order.toml      the order, where the command line names buildpacks
//! ```

use std::path::PathBuf;

use cnb_spec::distribution::{
    BUILDER_METADATA, BUILDPACK_LAYERS, BUILDPACK_ORDER, BuilderMetadata, ModuleLayers, ModuleRef,
    OrderGroup,
};
use cnb_spec::run_image::RunImage;
use oci_image::{Image, Owner};
use serde::de::DeserializeOwned;

use super::base_images;
use super::in_place::Place;
use super::request::Request;
use crate::app::requested_buildpacks::{FROM_BUILDER, RequestedBuildpack};
use crate::builder_image::{build_user, order_toml};
use crate::commands::Context;
use crate::errors;
use crate::failure::{Exit, Failure};
use crate::modules::{self, Location, Module};
use crate::registries::Registries;
use crate::stack_images;

/// A builder, ready to be built with.
#[derive(Debug)]
pub(crate) struct Builder {
    /// The root's files, the lowest layer's first.
    pub(crate) trees: Vec<PathBuf>,
    /// Whom the programs run as, and whose the layers are.
    pub(crate) user: Owner,
    /// The builder's environment.
    pub(crate) environment: Vec<(String, String)>,
    /// The text of an order.toml, where it is not the builder's own.
    pub(crate) order: Option<String>,
    /// What apps may stand on, first choice first.
    pub(crate) run_images: Vec<RunImage>,
    /// Whether it is made on one of our stacks, whose buildpacks look for Debian packages.
    pub(crate) has_our_stack: bool,
}

/// What the builder that was named has, before buildpacks are added.
struct Base {
    image: Image,
    name: String,
    trees: Vec<PathBuf>,
    order: Vec<OrderGroup>,
    layers: ModuleLayers,
    run_images: Vec<RunImage>,
}

/// The builder that the command line asks for; `None` where what this program carries is enough.
pub(crate) fn find(
    request: &Request,
    place: &Place,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Option<Builder>, Failure> {
    let wanted = request.builder.is_some() || !request.buildpacks.is_empty();
    if wanted && matches!(place, Place::Here(_)) {
        return Err(base_images::build_image_in_place());
    }
    let base = match (&request.builder, request.buildpacks.is_empty()) {
        (Some(name), _) => named(name, registries, context)?,
        (None, false) => ours(request, registries, context)?,
        (None, true) => return Ok(None),
    };
    let user = build_user(&base.image, &base.name)?;
    let config = base.image.config();
    let environment = config
        .config
        .env
        .iter()
        .filter_map(|entry| entry.split_once('='));
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let stack = config.config.labels.get(cnb_spec::labels::STACK_ID);
    let mut builder = Builder {
        user,
        environment: environment.collect(),
        order: None,
        run_images: base.run_images.clone(),
        has_our_stack: stack.is_some_and(|id| id.starts_with("longshore.")),
        trees: Vec::new(),
    };
    let (order, added) = order(&base, request, registries, context)?;
    builder.trees.clone_from(&base.trees);
    for module in &added {
        let tree = context.tree(&module.layer);
        let tree =
            tree.map_err(|error| errors::layer("a buildpack could not be unpacked", &error))?;
        if !builder.trees.contains(&tree) {
            builder.trees.push(tree);
        }
    }
    builder.order = order.map(|order| order_toml(&order));
    Ok(Some(builder))
}

/// A builder image.
fn named(name: &str, registries: &Registries<'_>, context: &Context) -> Result<Base, Failure> {
    let found = base_images::open("--builder", name, registries, context)?;
    let found = found.ok_or_else(|| base_images::not_there("--builder", name))?;
    let image = found.image.image;
    base_images::check_platform("--builder", name, image.config())?;
    let metadata: BuilderMetadata = label(&image, BUILDER_METADATA, name)?;
    Ok(Base {
        order: label(&image, BUILDPACK_ORDER, name)?,
        layers: label(&image, BUILDPACK_LAYERS, name)?,
        run_images: metadata.run_images(),
        trees: context.trees(&image)?,
        name: name.to_owned(),
        image,
    })
}

/// Our own build image and buildpacks, for others to be put beside them.
fn ours(
    request: &Request,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Base, Failure> {
    let name = match &request.bases.build_image {
        Some(name) => name.clone(),
        None => stack_images::ensure(&request.mirrors, context)?.build_name,
    };
    let found = base_images::open("--build-image", &name, registries, context)?;
    let found = found.ok_or_else(|| base_images::not_there("--build-image", &name))?;
    let modules = modules::load(
        &Location::Ours("python-app".to_owned()),
        registries,
        context,
    )?;
    let mut trees = context.trees(&found.image.image)?;
    for module in &modules {
        let tree = context.tree(&module.layer);
        trees.push(
            tree.map_err(|error| errors::layer("a buildpack could not be unpacked", &error))?,
        );
    }
    let main = modules.first().map(reference);
    Ok(Base {
        image: found.image.image,
        name,
        trees,
        order: vec![OrderGroup {
            group: main.into_iter().collect(),
        }],
        layers: modules::layers_label(&modules),
        run_images: Vec::new(),
    })
}

fn label<T: DeserializeOwned>(image: &Image, label: &str, name: &str) -> Result<T, Failure> {
    let text = image.config().config.labels.get(label);
    let read = text
        .ok_or_else(|| "is missing".to_owned())
        .and_then(|text| {
            serde_json::from_str(text).map_err(|error| format!("cannot be read: {error}"))
        });
    read.map_err(|reason| {
        let body = format!("--builder {name}: its label {label} {reason}.\nGive a builder image: one that `longshore builder create` or `pack builder create` made.");
        Failure::new(Exit::Usage, "Not a builder", body)
    })
}

/// The order that the buildpacks asked for give, and the buildpacks that the builder does not have.
fn order(
    base: &Base,
    request: &Request,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<(Option<Vec<OrderGroup>>, Vec<Module>), Failure> {
    if request.buildpacks.is_empty() {
        return Ok((None, Vec::new()));
    }
    let mut groups = vec![OrderGroup::default()];
    let mut added = Vec::new();
    for RequestedBuildpack {
        text,
        base: folder,
        by,
    } in &request.buildpacks
    {
        if text == FROM_BUILDER {
            groups = product(&groups, &base.order);
            continue;
        }
        let entry = match in_builder(text, by, &base.layers)? {
            Some(entry) => entry,
            None => {
                let location = Location::of_uri(text, folder, by)?;
                let found = modules::load(&location, registries, context)?;
                let main = found.first().map(reference);
                modules::add(&mut added, found, text)?;
                main.ok_or_else(|| Failure::new(Exit::Usage, "No buildpack there", text.clone()))?
            }
        };
        for group in &mut groups {
            group.group.push(entry.clone());
        }
    }
    Ok((Some(groups), added))
}

fn reference(module: &Module) -> ModuleRef {
    ModuleRef {
        id: module.info.id.clone(),
        version: module.info.version.to_string(),
        optional: false,
        exec_env: Vec::new(),
    }
}

/// Each group so far, with each of the builder's behind it.
fn product(groups: &[OrderGroup], more: &[OrderGroup]) -> Vec<OrderGroup> {
    let with = |group: &OrderGroup, more: &OrderGroup| OrderGroup {
        group: group.group.iter().chain(&more.group).cloned().collect(),
    };
    groups
        .iter()
        .flat_map(|group| more.iter().map(move |more| with(group, more)))
        .collect()
}

/// `ID` or `ID@VERSION` of a buildpack of the builder.
fn in_builder(text: &str, by: &str, layers: &ModuleLayers) -> Result<Option<ModuleRef>, Failure> {
    let (id, version) = match text.split_once('@') {
        Some((id, version)) => (id, Some(version)),
        None => (text, None),
    };
    let Some(versions) = layers.get(id) else {
        return Ok(None);
    };
    let known: Vec<&str> = versions.keys().map(String::as_str).collect();
    let chosen = match (version, &known[..]) {
        (Some(version), known) if known.contains(&version) => version,
        (None, [only]) => only,
        _ => {
            let body = format!(
                "{by}: the builder has {id} in these versions: {}.\nWrite which: ID@VERSION, or `version` beside `id` in a descriptor.",
                known.join(", ")
            );
            return Err(Failure::new(Exit::Usage, "Which version?", body));
        }
    };
    let id = id.parse().map_err(|error| {
        let body = format!("{by}: {error}.");
        Failure::new(Exit::Usage, "Not a buildpack", body)
    })?;
    Ok(Some(ModuleRef {
        id,
        version: chosen.to_owned(),
        optional: false,
        exec_env: Vec::new(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(ids: &[&str]) -> OrderGroup {
        let entry = |id: &&str| ModuleRef {
            id: id.parse().unwrap(),
            version: "1".to_owned(),
            optional: false,
            exec_env: Vec::new(),
        };
        OrderGroup {
            group: ids.iter().map(entry).collect(),
        }
    }

    #[test]
    fn product_keeps_every_group_of_the_builder() {
        let found = product(&[group(&["x"])], &[group(&["a", "b"]), group(&["c"])]);
        assert_eq!(found, [group(&["x", "a", "b"]), group(&["x", "c"])]);
    }

    #[test]
    fn in_builder_versions() {
        let text = r#"{"a/b": {"1": {"api": "0.10", "layerDiffID": "x"}, "2": {"api": "0.10", "layerDiffID": "y"}}, "c": {"3": {"api": "0.10", "layerDiffID": "z"}}}"#;
        let layers: ModuleLayers = serde_json::from_str(text).unwrap();
        let version =
            |text| in_builder(text, "--buildpack", &layers).map(|found| found.map(|it| it.version));
        assert_eq!(version("c"), Ok(Some("3".to_owned())));
        assert_eq!(version("a/b@2"), Ok(Some("2".to_owned())));
        assert_eq!(version("../folder"), Ok(None));
        assert_eq!(version("a/b").unwrap_err().title, "Which version?");
    }
}
