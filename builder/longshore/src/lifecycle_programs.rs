//! The lifecycle as builders hold it: `/cnb/lifecycle` in one layer; `longshore lifecycle package`, which writes it as an image and as the archive that
//! `pack builder create` takes.
//!
//! ```text
//! /cnb/lifecycle/lifecycle   the program that is all phases
//! /cnb/lifecycle/analyzer …  symlinks to it
//! /cnb/lifecycle/launcher
//! /cnb/lifecycle/{lifecycle,launcher}.sbom.cdx.json
//! /cnb/lifecycle.toml        its version and APIs
//! ```
//!
//! An image's **last** layer holds all of it, since platforms copy that layer (kpack's ClusterLifecycle, pack's `[lifecycle] uri = "docker://…"`). The archive
//! has the same files below `lifecycle/`, exactly one folder deep, and `lifecycle.toml` at its root; pack keeps symlinks in it, and breaks hard links.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use cnb_spec::distribution::{
    BUILDER_METADATA, BuilderMetadata, LIFECYCLE_APIS, LIFECYCLE_VERSION, LifecycleInfo,
    LifecycleToml,
};
use flate2::Compression;
use flate2::write::GzEncoder;
use oci_image::layer::{LAYER_TIME, LayerContents, Modes, TreeRules};
use oci_image::{History, Image, ImageConfig, Layer, TreePath};
use store::Durability;
use tar::{EntryType, Header};

use crate::builder_image::{self, LAYER_TIME_TEXT, label};
use crate::cli::LifecyclePackageArgs;
use crate::commands::Context;
use crate::destinations::Destinations;
use crate::embedded_launcher::LAUNCHER;
use crate::errors;
use crate::failure::{Exit, Failure};
use crate::lifecycle_sbom::{self, Phases};
use crate::modules::{self, ROOT};
use crate::registries::Registries;

/// The names under which the program is a phase. There is no extender: image extensions are not supported, and platforms call it only for them.
const PHASES: [&str; 7] = [
    "analyzer", "builder", "creator", "detector", "exporter", "rebaser", "restorer",
];

/// Where builders have it, and where platforms of old look for it.
const FOLDER: &str = "cnb/lifecycle";
const OLD_FOLDER: &str = "lifecycle";

/// A lifecycle that goes into a builder.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    pub(crate) info: LifecycleInfo,
    pub(crate) layer: Layer,
}

/// The lifecycle that builder.toml names, or this program.
pub(crate) fn find(
    uri: Option<&str>,
    base: &Path,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Lifecycle, Failure> {
    let Some(uri) = uri else {
        return ours(&context.program, context);
    };
    match uri.strip_prefix("docker://") {
        Some(name) => of_image(name, registries, context),
        None if modules::place_below(uri, base).is_some() => of_image(
            &modules::place_below(uri, base).unwrap_or_default(),
            registries,
            context,
        ),
        None if uri.contains("://") && !uri.starts_with("file://") => {
            let body = format!(
                "[lifecycle] uri = {uri:?} would have to be downloaded.\nDownload it and give the file, or give an image: docker://REF."
            );
            Err(Failure::new(Exit::Usage, "Not on this machine", body))
        }
        None => of_archive(
            &base.join(uri.strip_prefix("file://").unwrap_or(uri)),
            context,
        ),
    }
}

/// `longshore lifecycle package`
pub(crate) fn package(arguments: &LifecyclePackageArgs, context: &Context) -> Result<(), Failure> {
    let _hold = context
        .store
        .hold()
        .map_err(|error| errors::store(&error))?;
    let destinations = Destinations::prepare(&arguments.destinations, context)?;
    let destinations = match arguments.archive {
        Some(_) => destinations,
        None => destinations.somewhere()?,
    };
    let program = arguments.program.as_ref().unwrap_or(&context.program);
    check_program(program)?;
    if let Some(path) = &arguments.archive {
        let sboms = lifecycle_sbom::files(phases_of(program, context));
        write_archive(path, program, &sboms).map_err(|error| {
            errors::storage(&format!("{} could not be written", path.display()), &error)
        })?;
        context.output.info(&format!("Wrote {}", path.display()));
    }
    if !destinations.is_nowhere() {
        let registries = Registries::new(context, &arguments.destinations.insecure);
        let base = match &arguments.base {
            Some(name) => {
                builder_image::open_base("--base", name, &arguments.mirrors, &registries, context)?
            }
            None => accounts(context)?,
        };
        let image = image(base, &ours(program, context)?);
        for line in destinations.write(&image, &[], context)? {
            context.output.result(&line);
        }
    }
    Ok(())
}

fn check_program(program: &Path) -> Result<(), Failure> {
    File::open(program).map(drop).map_err(|error| {
        let body = format!("--program {}: {error}.\nGive the program `lifecycle`, which `cargo xtask dist` builds.", program.display());
        Failure::new(Exit::Usage, "No lifecycle there", body)
    })
}

/// What the program is: the one that `--program` names, or this one.
fn phases_of(program: &Path, context: &Context) -> Phases {
    if program == context.program {
        Phases::Longshore
    } else {
        Phases::Lifecycle
    }
}

fn ours(program: &Path, context: &Context) -> Result<Lifecycle, Failure> {
    let folder = path(FOLDER);
    let rules = TreeRules::buildpack(ROOT).with_modes(Modes::OfSources);
    let mut contents = LayerContents::new()
        .parents_of(&folder, ROOT)
        .folder(&folder, 0o755, ROOT)
        .tree(program, &folder.join(&path("lifecycle")), rules)
        .file(&folder.join(&path("launcher")), 0o755, ROOT, LAUNCHER);
    for phase in PHASES {
        contents = contents.symlink(&folder.join(&path(phase)), "lifecycle", ROOT);
    }
    let sboms = lifecycle_sbom::files(phases_of(program, context));
    for (name, sbom) in &sboms {
        contents = contents.file(&folder.join(&path(name)), 0o644, ROOT, &sbom[..]);
    }
    stored(LifecycleInfo::ours(phases::VERSION), contents, context)
}

fn stored(
    info: LifecycleInfo,
    contents: LayerContents<'_>,
    context: &Context,
) -> Result<Lifecycle, Failure> {
    // pack takes lifecycle.toml from the layer of a lifecycle image, as from an archive's root.
    let descriptor = descriptor_of(&info);
    let contents = contents
        .file(
            &path("cnb/lifecycle.toml"),
            0o644,
            ROOT,
            descriptor.as_bytes(),
        )
        .symlink(&path(OLD_FOLDER), "/cnb/lifecycle", ROOT);
    let layer = context
        .store_layer(&contents, Durability::Lasting)
        .map_err(|error| errors::layer("the lifecycle could not become a layer", &error))?;
    Ok(Lifecycle { info, layer })
}

/// `lifecycle.toml` at the root, and programs one folder deep, whatever that is called.
fn of_archive(archive: &Path, context: &Context) -> Result<Lifecycle, Failure> {
    let wrong = |reason: String| {
        let body = format!(
            "{}: {reason}.\nA lifecycle's archive has lifecycle.toml at its root and the programs one folder deep.",
            archive.display()
        );
        Failure::new(Exit::Usage, "Not a lifecycle", body)
    };
    let scratch = context.store.temporary("lifecycle");
    let scratch = scratch.map_err(|error| errors::store(&error))?;
    modules::unpack_below(archive, scratch.path()).map_err(&wrong)?;
    let text = std::fs::read_to_string(scratch.path().join("lifecycle.toml"));
    let text = text.map_err(|error| wrong(format!("lifecycle.toml: {error}")))?;
    let info: LifecycleToml =
        toml::from_str(&text).map_err(|error| wrong(format!("lifecycle.toml: {error}")))?;
    let launcher = walkdir::WalkDir::new(scratch.path())
        .min_depth(2)
        .max_depth(2)
        .into_iter()
        .filter_map(Result::ok)
        .find(|entry| entry.file_name() == "launcher");
    let launcher = launcher.ok_or_else(|| wrong("there is no launcher".to_owned()))?;
    let programs = launcher.path().parent().unwrap_or(scratch.path());
    let missing = PHASES
        .iter()
        .find(|phase| std::fs::symlink_metadata(programs.join(phase)).is_err());
    if let Some(phase) = missing.filter(|phase| **phase != "rebaser") {
        return Err(wrong(format!("there is no {phase}")));
    }
    let folder = path(FOLDER);
    let rules = TreeRules::buildpack(ROOT).with_modes(Modes::OfSources);
    let contents = LayerContents::new()
        .parents_of(&folder, ROOT)
        .tree(programs, &folder, rules);
    stored(info.into(), contents, context)
}

/// The last layer of a lifecycle image.
fn of_image(
    name: &str,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Lifecycle, Failure> {
    use crate::build::base_images;
    let found = base_images::open("[lifecycle] uri", name, registries, context)?;
    let found = found.ok_or_else(|| base_images::not_there("[lifecycle] uri", name))?;
    let image = found.image.image;
    let labels = &image.config().config.labels;
    let metadata = labels
        .get(BUILDER_METADATA)
        .and_then(|text| serde_json::from_str::<BuilderMetadata>(text).ok());
    let mut info = metadata.map(|it| it.lifecycle).unwrap_or_default();
    if let Some(apis) = labels
        .get(LIFECYCLE_APIS)
        .and_then(|text| serde_json::from_str(text).ok())
    {
        info.apis = apis;
    }
    match image.layers().last() {
        Some(layer) if !info.apis.buildpack.supported.is_empty() => Ok(Lifecycle {
            info,
            layer: layer.clone(),
        }),
        _ => {
            let body = format!(
                "{name} has no label {LIFECYCLE_APIS}, or no layer.\nGive an image that `longshore lifecycle package` made, or the reference's."
            );
            Err(Failure::new(Exit::Usage, "Not a lifecycle", body))
        }
    }
}

/// An image with nothing but what a container engine wants to know of users: pack starts the phases as `root`, by name.
fn accounts(context: &Context) -> Result<Image, Failure> {
    let mut contents = LayerContents::new()
        .folder(&path("etc"), 0o755, ROOT)
        .folder(&path("tmp"), 0o1777, ROOT);
    let files = [
        ("etc/group", "root:x:0:\n"),
        ("etc/passwd", "root:x:0:0:root:/root:/sbin/nologin\n"),
    ];
    for (name, text) in files {
        contents = contents.file(&path(name), 0o644, ROOT, text.as_bytes());
    }
    let layer = context
        .store_layer(&contents, Durability::Lasting)
        .map_err(|error| errors::layer("the lifecycle image could not be written", &error))?;
    Ok(Image::new(ImageConfig::new("linux", "amd64")).with_layer(layer, history("accounts")))
}

/// The lifecycle on top of an image.
fn image(base: Image, lifecycle: &Lifecycle) -> Image {
    let metadata = BuilderMetadata {
        lifecycle: lifecycle.info.clone(),
        ..BuilderMetadata::default()
    };
    let image = base.with_layer(lifecycle.layer.clone(), history("lifecycle"));
    image.with_config(|config| {
        config.created = Some(LAYER_TIME_TEXT.to_owned());
        "/layers".clone_into(&mut config.config.working_dir);
        config.config.labels.extend([
            (LIFECYCLE_VERSION.to_owned(), lifecycle.info.version.clone()),
            (LIFECYCLE_APIS.to_owned(), label(&lifecycle.info.apis)),
            (BUILDER_METADATA.to_owned(), label(&metadata)),
        ]);
    })
}

fn history(what: &str) -> History {
    History {
        created: Some(LAYER_TIME_TEXT.to_owned()),
        created_by: Some(format!("longshore lifecycle package: {what}")),
        ..History::default()
    }
}

/// Names are relative: pack looks for `lifecycle.toml` and `<folder>/<program>`.
fn write_archive(path: &Path, program: &Path, sboms: &[(&str, Vec<u8>)]) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let file = tempfile::Builder::new()
        .permissions(readable)
        .tempfile_in(folder)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    let descriptor = descriptor_of(&LifecycleInfo::ours(phases::VERSION));
    archive.append_data(
        &mut header(EntryType::Regular, 0o644, descriptor.len() as u64),
        "lifecycle.toml",
        descriptor.as_bytes(),
    )?;
    archive.append_data(
        &mut header(EntryType::Directory, 0o755, 0),
        "lifecycle/",
        io::empty(),
    )?;
    for phase in PHASES {
        let mut header = header(EntryType::Symlink, 0o755, 0);
        archive.append_link(&mut header, format!("lifecycle/{phase}"), "lifecycle")?;
    }
    archive.append_data(
        &mut header(EntryType::Regular, 0o755, LAUNCHER.len() as u64),
        "lifecycle/launcher",
        LAUNCHER,
    )?;
    for (name, sbom) in sboms {
        archive.append_data(
            &mut header(EntryType::Regular, 0o644, sbom.len() as u64),
            format!("lifecycle/{name}"),
            &sbom[..],
        )?;
    }
    let program = File::open(program)?;
    let size = program.metadata()?.len();
    archive.append_data(
        &mut header(EntryType::Regular, 0o755, size),
        "lifecycle/lifecycle",
        program,
    )?;
    let mut file = archive.into_inner()?.finish()?;
    file.flush()?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The text of `lifecycle.toml`.
fn descriptor_of(info: &LifecycleInfo) -> String {
    toml::to_string(&LifecycleToml::from(info.clone())).expect("versions are TOML")
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(LAYER_TIME);
    header.set_size(size);
    header
}

fn path(text: &str) -> TreePath {
    TreePath::from_path(Path::new(text)).expect("a short relative path")
}
