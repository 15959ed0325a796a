//! `longshore build`: one build without a daemon, from the app folder to a named image (ARCHITECTURE.md, "One build").

mod app_layer;
mod in_place;
mod metadata_file;
mod outputs;
pub(crate) mod phases;
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
use oci_image::{BlobDigest, ImageName};

use crate::app::selection::Selection;
use crate::cli::BuildArgs;
use crate::commands::Context;
use crate::embedded_launcher::LAUNCHER;
use crate::errors;
use crate::failure::Failure;
use crate::output::{Output, size};
use crate::stack_images::{self, Bases};
use in_place::Place;
use phases::{PLATFORM_API, PhaseSandbox};
use request::Request;
use store_images::StoreImages;
use store_layers::{CNB_OWNER, StoreLayers};
use workspace::Workspace;

/// An image that was built.
#[derive(Debug)]
pub(crate) struct Built {
    pub(crate) name: ImageName,
    pub(crate) manifest: BlobDigest,
}

impl Built {
    /// The reference that says exactly which image.
    pub(crate) fn reference(&self) -> String {
        format!("{}@{}", self.name, self.manifest)
    }
}

/// Builds an app folder into an image of the store, and writes it wherever else it was asked for.
pub(crate) fn build(arguments: &BuildArgs, context: &Context) -> Result<Built, Failure> {
    let started = Instant::now();
    let output = &context.output;
    let request = request::read(arguments, context)?;
    say_what_stays_out(&request.selection, output);
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
    let scratch = context
        .store
        .temporary("build")
        .map_err(|error| errors::store(&error))?;
    let place = Place::find(&scratch, &request, context)?;
    let inside = place.inside();
    let bases = match place {
        Place::Sandbox(_) => stack_images::ensure(&request.mirrors, context)?,
        Place::Here(_) => stack_images::find_run_image(context)?,
    };
    let prepared = started.elapsed();

    let workspace = Workspace::new(
        scratch,
        &request.app,
        &request.selection,
        &bases.build_tree,
        place,
    )?;
    for (name, value) in request.platform_variables(&inside, context) {
        workspace.set_variable(&name, &value)?;
    }
    let images = StoreImages::new(&context.store);
    let layers = StoreLayers::new(
        &context.store,
        &workspace,
        &request.app,
        cache,
        seconds(context.now),
    );
    let exported = run_phases(&request, &bases, &workspace, &images, &layers, context)?;
    let built = Built {
        name: request.name.clone(),
        manifest: exported.image.manifest,
    };
    let report = metadata_file::Report {
        request: &request,
        bases: &bases,
        built: &built,
        exported: &exported,
        prepared,
        total: started.elapsed(),
    };
    outputs::write(&request, &built, context)?;
    metadata_file::write(&report, context)?;
    output.info(&format!(
        "Built {} in {:.1} s",
        built.name,
        started.elapsed().as_secs_f32()
    ));
    Ok(built)
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

/// Analyze, detect, restore, build, export: the phases of the CNB platform specification.
fn run_phases(
    request: &Request,
    bases: &Bases,
    workspace: &Workspace,
    images: &StoreImages<'_>,
    layers: &StoreLayers<'_>,
    context: &Context,
) -> Result<Exported, Failure> {
    let output = &context.output;
    let log = output.lifecycle();
    let layers_dir = workspace.layers();

    output.heading("ANALYZING");
    let inputs = AnalyzeInputs {
        previous_image: request.name.to_string(),
        run_image: bases.run_name.clone(),
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
        names: vec![request.name.to_string()],
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
        run_image: cnb_spec::run_image::RunImage {
            image: bases.run_name.clone(),
            mirrors: Vec::new(),
        },
        default_process_type: None,
        owner: CNB_OWNER,
        created: None,
        exec_env: "production".to_owned(),
        cache_time: CacheTime::After,
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
