//! A buildpack from its folder, or from a tar of it.

use std::fs::File;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cnb_spec::distribution::Descriptor;
use oci_image::layer::{LayerContents, Modes, TreeRules};
use oci_image::unpack::{UnpackOptions, open_root};
use oci_image::{ExpansionLimits, Layer, LayerReader, Owners};
use store::Durability;

use super::{Module, ROOT, folder_in_image};
use crate::commands::Context;
use crate::errors;
use crate::failure::{Exit, Failure, chain};

/// The buildpack in a folder.
pub(crate) fn module(folder: &Path, context: &Context) -> Result<Module, Failure> {
    let descriptor = descriptor(folder)?;
    check_programs(folder, &descriptor)?;
    let at = folder_in_image(&descriptor.buildpack);
    let rules = TreeRules::buildpack(ROOT).with_modes(Modes::OfSources);
    let contents = LayerContents::new()
        .parents_of(&at, ROOT)
        .tree(folder, &at, rules);
    let layer = context
        .store_layer(&contents, Durability::Lasting)
        .map_err(|error| {
            let what = format!("{} could not become a layer", folder.display());
            errors::layer(&what, &error)
        })?;
    Ok(of_layer(descriptor, layer))
}

pub(super) fn of_layer(descriptor: Descriptor, layer: Layer) -> Module {
    Module {
        label: descriptor.layer(layer.diff_id.to_string()),
        info: descriptor.buildpack,
        layer,
    }
}

/// The buildpack in a tar, gzipped or not, with buildpack.toml at its root.
pub(super) fn module_of_archive(path: &Path, context: &Context) -> Result<Module, Failure> {
    let scratch = context.store.temporary("buildpack");
    let scratch = scratch.map_err(|error| errors::store(&error))?;
    unpack_below(path, scratch.path()).map_err(|reason| {
        let body = format!(
            "{}: {reason}.\nGive a tar of a buildpack's folder, or a .cnb file.",
            path.display()
        );
        Failure::new(Exit::Usage, "The archive cannot be unpacked", body)
    })?;
    if !scratch.path().join("buildpack.toml").is_file() {
        let body = format!(
            "{} has no buildpack.toml at its root.\nPack the folder's contents: tar -C FOLDER -czf FILE .",
            path.display()
        );
        return Err(Failure::new(Exit::Usage, "No buildpack there", body));
    }
    module(scratch.path(), context)
}

/// Unpacks a tar, gzipped or not, strictly.
pub(crate) fn unpack_below(path: &Path, folder: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let reader =
        LayerReader::new(file, ExpansionLimits::default()).map_err(|error| error.to_string())?;
    let root = open_root(folder).map_err(|error| error.to_string())?;
    let mut owners = Owners::new(ROOT);
    oci_image::unpack(
        reader,
        root.as_fd(),
        &mut owners,
        UnpackOptions::debian_package(),
    )
    .map(drop)
    .map_err(|error| chain(&error))
}

/// Reads buildpack.toml; what is wrong in it is said with its line.
pub(crate) fn descriptor(folder: &Path) -> Result<Descriptor, Failure> {
    let path = folder.join("buildpack.toml");
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let body = format!("{} cannot be read: {error}.", path.display());
        Failure::new(Exit::Usage, "No buildpack there", body)
    })?;
    toml::from_str(&text).map_err(|error| {
        let body = format!("{}: {error}", path.display());
        Failure::new(Exit::Usage, "buildpack.toml cannot be used", body)
    })
}

/// A component has both programs (Buildpack specification, "Buildpack Implementations"); without them every build with it would fail.
fn check_programs(folder: &Path, descriptor: &Descriptor) -> Result<(), Failure> {
    if !descriptor.order.is_empty() {
        return Ok(());
    }
    for name in ["bin/detect", "bin/build"] {
        let program = folder.join(name);
        let executable = program
            .metadata()
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
        // A link may lead to where only an image has something.
        if !executable && !program.is_symlink() {
            let body = format!(
                "{}: {name} is missing or not executable.\nA buildpack without an [[order]] has the programs bin/detect and bin/build.",
                folder.display()
            );
            return Err(Failure::new(
                Exit::Usage,
                "A buildpack without programs",
                body,
            ));
        }
    }
    Ok(())
}
