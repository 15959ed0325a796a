//! `longshore build`: one build without a daemon, from the app folder to a named image (ARCHITECTURE.md, "One build").

mod app_layer;
pub(crate) mod base_images;
mod builder;
mod cache_image;
mod in_place;
mod metadata_file;
pub(crate) mod phases;
mod publishing;
mod request;
mod store_images;
mod store_layers;
pub(crate) mod workspace;

use std::path::{Path, PathBuf};
use std::time::Instant;

use cnb_spec::group::Group;
use cnb_spec::labels::LauncherMetadata;
use lifecycle::analyze::{AnalyzeInputs, analyze};
use lifecycle::export::{
    CacheTime, ExportInputs, ExportPorts, Exported, FoldersAbove, LauncherProgram, export,
};
use lifecycle::restore::{RestoreInputs, restore};
use oci_image::{BlobDigest, Image, ImageName, Owner};
use registry::Outcome;

use crate::app::selection::Selection;
use crate::cli::BuildArgs;
use crate::commands::Context;
use crate::destinations::write_places;
use crate::embedded_launcher::LAUNCHER;
use crate::errors;
use crate::failure::{Exit, Failure};
use crate::output::{Output, size};
use crate::registries::Registries;
use crate::stack_images;
use base_images::{Bases, Given};
use builder::Builder;
use cache_image::CacheImage;
use in_place::Place;
use phases::{PLATFORM_API, PhaseSandbox};
use publishing::Publishing;
use request::Request;
use store_images::StoreImages;
use store_layers::{CNB_OWNER, StoreLayers};
use workspace::Workspace;

/// An image that was built.
#[derive(Debug)]
pub(crate) struct Built {
    /// Its first name here; the name of the app where it got none.
    pub(crate) name: ImageName,
    pub(crate) manifest: BlobDigest,
    /// The image. Layers that nobody needed here may be in a registry.
    pub(crate) image: Image,
    /// By digest, in each registry.
    pub(crate) published: Vec<String>,
    /// What publishing each layer needed, the lowest first.
    pub(crate) outcomes: Vec<Outcome>,
}

impl Built {
    /// The reference that says exactly which image: in a registry, if it was published.
    pub(crate) fn reference(&self) -> String {
        match self.published.first() {
            Some(reference) => reference.clone(),
            None => format!("{}@{}", self.name, self.manifest),
        }
    }
}

/// Builds an app folder into an image of the store, and writes it wherever else it was asked for.
pub(crate) fn build(arguments: &BuildArgs, context: &Context) -> Result<Built, Failure> {
    let started = Instant::now();
    let output = &context.output;
    let request = request::read(arguments, context)?;
    say_what_stays_out(&request.selection, output);
    context
        .store
        .settle(context.now)
        .map_err(|error| errors::store(&error))?;
    let _hold = context
        .store
        .hold()
        .map_err(|error| errors::store(&error))?;
    let mut cache = context
        .store
        .app(&request.identity())
        .map_err(|error| errors::store(&error))?;
    if request.clear_cache {
        cache.clear().map_err(|error| errors::store(&error))?;
    }
    let registries = Registries::new(context, &request.insecure);
    // What may not be pushed is said before anything takes its time.
    let previous = previous_image(&request, &registries, context)?;
    let cache_image = CacheImage::open(&request, &registries, output)?;
    Publishing::check(&request, &registries)?;
    let scratch = context
        .store
        .temporary("build")
        .map_err(|error| errors::store(&error))?;
    let place = Place::find(&scratch, &request, context)?;
    let inside = place.inside();
    let builder = builder::find(&request, &place, &registries, context)?;
    let bases = base_images::find(&request, &place, builder.as_ref(), &registries, context)?;
    let given: Vec<&Given> = previous.iter().chain([&bases.run]).collect();
    let publishing = Publishing::new(&request, &registries, &given)?;
    let prepared = started.elapsed();

    let workspace = Workspace::new(
        scratch,
        &request.app,
        &request.selection,
        &bases.build_trees,
        place,
    )?;
    for (name, value) in request.platform_variables(&inside, context) {
        workspace.set_variable(&name, &value)?;
    }
    let given = given.into_iter().cloned().collect();
    let shared = cache_image.as_ref().map_or(&[][..], CacheImage::layers);
    let names = request.names.clone();
    let images = StoreImages::new(context, given, shared, names, publishing);
    let owner = builder.as_ref().map_or(CNB_OWNER, |builder| builder.user);
    let layers = StoreLayers::new(context, &workspace, &request.app, owner, cache, cache_image);
    let stage = Stage {
        request: &request,
        bases: &bases,
        builder: builder.as_ref(),
        workspace: &workspace,
        owner,
    };
    let exported = run_phases(&stage, &images, &layers, context)?;
    let built = built(&request, &images)?;
    let report = metadata_file::Report {
        request: &request,
        bases: &bases,
        built: &built,
        exported: &exported,
        prepared,
        total: started.elapsed(),
    };
    write_places(&request.outputs, &built.image, Some(&built.name), context)?;
    metadata_file::write(&report, output)?;
    for published in &built.published {
        output.info(&format!("Published {published}"));
    }
    let what = built.reference();
    let name = what.split('@').next().unwrap_or(&what);
    output.info(&format!(
        "Built {name} in {:.1} s",
        started.elapsed().as_secs_f32()
    ));
    Ok(built)
}

/// The previous image, where it is not simply the last one of that name here.
fn previous_image(
    request: &Request,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Option<Given>, Failure> {
    if request.previous_image.is_none() && request.publish.is_empty() {
        return Ok(None);
    }
    let name = request.previous_name();
    base_images::open("--previous-image", &name, registries, context)
}

fn built(request: &Request, images: &StoreImages<'_>) -> Result<Built, Failure> {
    let image = images.take_committed().ok_or_else(|| {
        let body = "the exporter gave no image. Please report this.";
        Failure::new(Exit::Other, "The exporter failed", body)
    })?;
    let manifest = image.documents().manifest.digest;
    let publishing = images.publishing();
    Ok(Built {
        name: request.name.clone(),
        manifest,
        image,
        published: publishing.map_or(Vec::new(), |it| it.references(manifest)),
        outcomes: publishing.map_or(Vec::new(), Publishing::outcomes),
    })
}

fn say_what_stays_out(selection: &Selection, output: &Output) {
    for out in &selection.left_out {
        let files = if out.files == 1 {
            "1 file".to_owned()
        } else {
            format!("{} files", out.files)
        };
        let text = format!(
            "Stays out: {} ({}; {files}, {})",
            out.path.display(),
            out.reason.words(),
            size(out.bytes)
        );
        output.info(&text);
    }
}

/// What the phases work on.
struct Stage<'a> {
    request: &'a Request,
    bases: &'a Bases,
    builder: Option<&'a Builder>,
    workspace: &'a Workspace,
    owner: Owner,
}

/// Analyze, detect, restore, build, export: the phases of the CNB platform specification.
fn run_phases(
    stage: &Stage<'_>,
    images: &StoreImages<'_>,
    layers: &StoreLayers<'_>,
    context: &Context,
) -> Result<Exported, Failure> {
    let &Stage {
        request,
        bases,
        builder,
        workspace,
        owner,
    } = stage;
    let output = &context.output;
    let log = output.lifecycle();
    let layers_dir = workspace.layers();

    output.heading("ANALYZING");
    let inputs = AnalyzeInputs {
        previous_image: request.previous_name(),
        run_image: bases.run.name.clone(),
        layers_dir: layers_dir.clone(),
        restores_sbom: true,
        records_target: true,
    };
    let analyzed =
        analyze(&inputs, images, &log).map_err(|error| errors::phase("analyzer", &error))?;
    write_toml(&layers_dir.join("analyzed.toml"), &analyzed)?;

    output.heading("DETECTING");
    let ca_bundle = context.trust.pem();
    let local_mirrors = stack_images::local_mirrors(&request.mirrors, context);
    let sandbox = |layers| PhaseSandbox {
        root: workspace.root(),
        unpacked: &context.unpacked,
        program: &context.program,
        builder,
        volumes: &request.volumes,
        reach: request.network,
        app: workspace.app_mount(),
        layers,
        platform: workspace.platform(),
        network: &context.network,
        ca_bundle: ca_bundle.as_bytes(),
        local_mirrors: &local_mirrors,
    };
    let run = |phase, restored: &[PathBuf]| {
        let ended = match workspace.place() {
            Place::Sandbox(_) => sandbox(workspace.layers_mount(restored)?).run(phase, output)?,
            Place::Here(here) => here.run(phase, restored, output)?,
        };
        ended.check(phase)
    };
    run("detector", &[])?;
    let group: Group = read_toml(&layers_dir.join("group.toml"))?;

    output.heading("RESTORING");
    let inputs = RestoreInputs {
        group,
        metadata: analyzed.metadata.clone(),
        layers_dir: layers_dir.clone(),
        skip_layers: request.clear_cache,
        restores_sbom: true,
        restores_from_cache_alone: true,
        plan: read_toml(&layers_dir.join("plan.toml"))?,
    };
    restore(&inputs, Some(layers), &log).map_err(|error| errors::phase("restorer", &error))?;

    output.heading("BUILDING");
    let lowers = layers.lowers().map_err(|error| errors::store(&error))?;
    run("builder", &lowers)?;

    output.heading("EXPORTING");
    let app = app_layer::look(request, workspace, context)?;
    let inputs = ExportInputs {
        platform_api: PLATFORM_API
            .parse()
            .expect("it is one that the lifecycle has"),
        names: all_names(request),
        layers_dir: layers_dir.clone(),
        layers_dir_in_image: "/layers".into(),
        folders_above: FoldersAbove::Owned,
        app: app.source.clone(),
        app_dir_in_image: "/workspace".into(),
        group_path: layers_dir.join("group.toml"),
        analyzed,
        project_metadata_path: layers_dir.join("project-metadata.toml"),
        launcher_program: LauncherProgram::Carried(LAUNCHER),
        launcher: launcher(),
        launcher_sbom: None,
        report_path: layers_dir.join("report.toml"),
        run_image: bases.run_image.clone(),
        default_process_type: request.default_process.clone(),
        owner,
        created: request.created,
        labels: request.labels.clone(),
        exec_env: "production".to_owned(),
        cache_time: CacheTime::Alongside,
    };
    let ports = ExportPorts {
        images,
        view: layers,
        cache: Some(layers),
    };
    let exported =
        export(&inputs, ports, &log).map_err(|error| errors::phase("exporter", &error))?;
    layers
        .keep_trees(&exported)
        .map_err(|error| errors::phase("exporter", &error))?;
    app.remember(request, &exported, context)?;
    Ok(exported)
}

/// Every name that the image gets, in registries first.
fn all_names(request: &Request) -> Vec<String> {
    let published = request.publish.iter().map(ToString::to_string);
    let here = request.names.iter().map(ToString::to_string);
    published.chain(here).collect()
}

/// Which launcher the image gets.
fn launcher() -> LauncherMetadata {
    LauncherMetadata {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..LauncherMetadata::default()
    }
}

fn seconds(time: std::time::SystemTime) -> u64 {
    time.duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn write_toml(path: &Path, value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = toml::to_string(value).expect("the lifecycle's files are TOML");
    std::fs::write(path, text).map_err(|error| {
        errors::storage(&format!("{} could not be written", path.display()), &error)
    })
}

fn read_toml<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let failed = |error| errors::storage(&format!("{} could not be read", path.display()), &error);
    let text = std::fs::read_to_string(path).map_err(failed)?;
    toml::from_str(&text).map_err(|error| failed(std::io::Error::other(error)))
}
