//! The buildpacks that this program carries, as layers.
//!
//! This very program is what their `bin/detect` and `bin/build` are. It stands once, in the composite's folder; the others' programs are links to
//! it, so that each buildpack still has a layer of its own, as the Distribution specification wants it, and platforms that pick layers by buildpack
//! (kpack, pack) need to know nothing.

use std::path::Path;

use cnb_spec::distribution::Descriptor;
use oci_image::TreePath;
use oci_image::layer::{LayerContents, Modes, TreeRules};
use store::Durability;

use super::{Module, ROOT, folder_in_image};
use crate::commands::Context;
use crate::embedded::{BUILDPACKS, COMPOSITE};
use crate::errors;
use crate::failure::{Exit, Failure};

/// What the program is called in the composite's folder.
const PROGRAM: &str = "bin/longshore";

/// All of them, the one of this name first: each needs the composite's program.
pub(super) fn modules(name: &str, context: &Context) -> Result<Vec<Module>, Failure> {
    let composite = read(COMPOSITE);
    let program = folder_in_image(&composite.buildpack).join(&path(PROGRAM));
    let mut modules = vec![module(composite, COMPOSITE, Programs::Here, context)?];
    for buildpack in &BUILDPACKS {
        let text = buildpack.descriptor;
        modules.push(module(read(text), text, Programs::Link(&program), context)?);
    }
    let wanted = format!("longshore/{name}");
    let Some(position) = modules.iter().position(|it| it.info.id.as_str() == wanted) else {
        let names = modules
            .iter()
            .filter_map(|it| it.info.id.as_str().strip_prefix("longshore/"));
        let body = format!(
            "longshore:{name} is no buildpack of this program. There are: {}.",
            names.collect::<Vec<_>>().join(", ")
        );
        return Err(Failure::new(Exit::Usage, "No such buildpack", body));
    };
    modules[..=position].rotate_right(1);
    Ok(modules)
}

/// Where a buildpack's programs are.
enum Programs<'a> {
    Here,
    Link(&'a TreePath),
}

fn module(
    descriptor: Descriptor,
    text: &str,
    programs: Programs<'_>,
    context: &Context,
) -> Result<Module, Failure> {
    let at = folder_in_image(&descriptor.buildpack);
    let bin = at.join(&path("bin"));
    let rules = TreeRules::buildpack(ROOT).with_modes(Modes::OfSources);
    let contents = LayerContents::new()
        .parents_of(&at, ROOT)
        .folder(&at, 0o755, ROOT)
        .folder(&bin, 0o755, ROOT);
    let contents = match programs {
        Programs::Here => contents.tree(&context.program, &at.join(&path(PROGRAM)), rules),
        Programs::Link(program) => {
            // bin -> version -> id -> buildpacks -> cnb -> root
            let target = format!("../../../../../{}", program.as_path().display());
            contents
                .symlink(&bin.join(&path("build")), &target, ROOT)
                .symlink(&bin.join(&path("detect")), &target, ROOT)
        }
    };
    let contents = contents.file(
        &at.join(&path("buildpack.toml")),
        0o644,
        ROOT,
        text.as_bytes(),
    );
    let layer = context
        .store_layer(&contents, Durability::Lasting)
        .map_err(|error| {
            errors::layer(
                "a buildpack of this program could not become a layer",
                &error,
            )
        })?;
    Ok(super::folder::of_layer(descriptor, layer))
}

fn read(text: &str) -> Descriptor {
    toml::from_str(text).expect("our own descriptors are valid; a test reads them")
}

fn path(text: &str) -> TreePath {
    TreePath::from_path(Path::new(text)).expect("a short relative path")
}
