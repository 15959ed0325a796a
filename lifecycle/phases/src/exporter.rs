//! `exporter`

use std::collections::BTreeMap;
use std::path::PathBuf;

use cnb_spec::analyzed::Analyzed;
use cnb_spec::api::PlatformApi;
use cnb_spec::group::Group;
use cnb_spec::labels::LauncherMetadata;
use cnb_spec::metadata::BuildMetadata;
use cnb_spec::run_image::RunImage;
use oci_image::Owner;

use crate::VERSION;
use crate::failure::{Failure, INVALID_ARGS, OTHER};
use crate::flags::{self, Kind};
use crate::images::{Images, Opener, cache_reference, new_names};
use crate::privileges::{User, become_user};
use crate::reach::{Asked, Rights};
use crate::restorer::restore_inputs;
use crate::settings::{Settings, read_group};
use lifecycle::analyze::RunImageFile;
use lifecycle::cache::LayerCache;
use lifecycle::contents::{AppSource, LayersFolder};
use lifecycle::export::{
    CacheTime, ExportInputs, ExportPorts, FoldersAbove, LauncherProgram, LauncherSbom, export,
};
use lifecycle::files::{FileError, read_toml, read_toml_if_there};
use lifecycle::image_name::ImageName;
use lifecycle::restore::left_behind;

/// The exit code when the export fails.
const FAILED: u8 = 62;

/// Where the lifecycle's programs are in a builder.
const PROGRAMS: &str = "/cnb/lifecycle";

pub(crate) fn flags(api: PlatformApi) -> Vec<(&'static str, Kind)> {
    let mut flags = vec![
        ("analyzed", Kind::Text),
        ("app", Kind::Text),
        ("cache-dir", Kind::Text),
        ("cache-image", Kind::Text),
        ("daemon", Kind::Bool),
        ("gid", Kind::Number),
        ("group", Kind::Text),
        // Not valid any more; accepted, to be refused with a reason.
        ("image", Kind::Text),
        ("launch-cache", Kind::Text),
        ("launcher", Kind::Text),
        ("layers", Kind::Text),
        ("parallel", Kind::Bool),
        ("process-type", Kind::Text),
        ("project-metadata", Kind::Text),
        ("report", Kind::Text),
        ("run-image", Kind::Text),
        ("uid", Kind::Number),
    ];
    if api.at_least(11) {
        flags.push(("launcher-sbom", Kind::Text));
    }
    if api.at_least(12) {
        flags.push(("extended", Kind::Text));
    }
    flags.extend(flags::of_images(api));
    flags
}

pub(crate) fn run(settings: &Settings<'_>) -> Result<(), Failure> {
    let names = settings.positionals();
    if names.iter().all(String::is_empty) {
        let reason = "at least one image argument is required";
        return Err(Failure::new(INVALID_ARGS, "parse arguments", reason));
    }
    let analyzed = read_analyzed(settings)?;
    let new = new_names(names, settings)?;
    let cache = cache_reference(settings)?.map(|cache| cache.to_string());
    settings.warn_of_launch_cache();
    let run_image = analyzed.run_image.as_ref();
    let run_image = run_image.map(|run_image| run_image.reference.as_str());
    let read = run_image
        .into_iter()
        .chain(analyzed.previous_image_reference());
    let asked = Asked {
        in_place: names
            .iter()
            .cloned()
            .chain(read.map(str::to_owned))
            .collect(),
        in_registries: cache.into_iter().collect(),
    };
    let rights = Rights::take(settings, asked)?;
    become_user(settings.user(), &settings.volumes()[1..])?;
    settings.check_launch_cache()?;
    let reach = rights.connect(settings)?;
    let group = read_group(settings)?;
    let opener = Opener::new(settings, &reach);
    let cache = opener.cache(new.first())?;
    let images = opener.images(&new)?;
    export_image(settings, names, group, analyzed, &images, cache.as_deref())
}

/// Makes the image, and keeps layers in the cache.
pub(crate) fn export_image(
    settings: &Settings<'_>,
    names: &[String],
    group: Group,
    analyzed: Analyzed,
    images: &Images,
    cache: Option<&dyn LayerCache>,
) -> Result<(), Failure> {
    let restored = restore_inputs(settings, group, analyzed.metadata.clone());
    let cached = cache.map(LayerCache::metadata).transpose();
    let cached = cached.map_err(|error| Failure::new(FAILED, "export", error))?;
    let left_behind = left_behind(&restored, &cached.unwrap_or_default());
    let inputs = inputs(settings, names, analyzed)?;
    if let Images::Layouts(layouts) = images
        && let Ok(path) = layouts.path_of(&names[0])
    {
        let path = path.display();
        settings
            .output
            .info(format_args!("Using app image: {path}"));
    }
    let ports = ExportPorts {
        images: images.store(),
        view: &LayersFolder {
            path: &inputs.layers_dir,
            left_behind,
        },
        cache,
    };
    export(&inputs, ports, &settings.output)
        .map(drop)
        .map_err(|error| Failure::new(FAILED, "export", error))
}

/// What the analyzer found out, and that the platform does not contradict it: the run image was chosen then. (kpack sets `CNB_RUN_IMAGE` all the same.)
fn read_analyzed(settings: &Settings<'_>) -> Result<Analyzed, Failure> {
    let wrong = |reason: &str| Failure::new(INVALID_ARGS, "resolve inputs", reason);
    let from_environment = settings.optional("", "CNB_RUN_IMAGE");
    if settings.optional("run-image", "CNB_RUN_IMAGE") != from_environment
        && settings.optional("run-image", "").is_some()
    {
        return Err(wrong("-run-image is unsupported"));
    }
    if settings.optional("image", "").is_some() {
        return Err(wrong("-image is unsupported"));
    }
    let analyzed: Option<Analyzed> = read_toml_if_there(&settings.analyzed_path())
        .map_err(|error| Failure::new(INVALID_ARGS, "resolve inputs", error))?;
    let analyzed = analyzed.unwrap_or_default();
    let run_image = analyzed.run_image.as_ref();
    if run_image.is_none_or(|run_image| run_image.reference.is_empty()) {
        return Err(wrong("run image not found in analyzed metadata"));
    }
    Ok(analyzed)
}

/// The launcher that was named, else the one where a builder has it, else our own.
fn launcher_program(settings: &Settings<'_>) -> LauncherProgram {
    let usual = PathBuf::from(format!("{PROGRAMS}/launcher"));
    match (
        settings.optional_path("launcher", ""),
        settings.own_launcher,
    ) {
        (Some(named), _) => LauncherProgram::File(named),
        (None, Some(own)) if !usual.is_file() => LauncherProgram::Carried(own),
        (None, _) => LauncherProgram::File(usual),
    }
}

fn inputs(
    settings: &Settings<'_>,
    names: &[String],
    analyzed: Analyzed,
) -> Result<ExportInputs, Failure> {
    let failed = |error: FileError| Failure::new(OTHER, "read run image metadata", error);
    let layers_dir = settings.layers_dir();
    let app_dir = settings.app_dir();
    let User { uid, gid } = settings.user();
    let run_image = run_image_for_label(settings, &analyzed).map_err(failed)?;
    Ok(ExportInputs {
        platform_api: settings.api,
        names: names.to_vec(),
        layers_dir_in_image: layers_dir.clone(),
        layers_dir,
        app_dir_in_image: app_dir.clone(),
        folders_above: FoldersAbove::AsFound,
        app: AppSource::folder(app_dir),
        group_path: settings.group_path(),
        analyzed,
        project_metadata_path: settings.layers_file(
            "project-metadata",
            "CNB_PROJECT_METADATA_PATH",
            "project-metadata.toml",
        ),
        launcher_program: launcher_program(settings),
        launcher: LauncherMetadata {
            version: VERSION.to_owned(),
            ..LauncherMetadata::default()
        },
        launcher_sbom: settings.api.at_least(11).then(|| launcher_sbom(settings)),
        report_path: settings.layers_file("report", "CNB_REPORT_PATH", "report.toml"),
        run_image,
        default_process_type: settings.optional("process-type", "CNB_PROCESS_TYPE"),
        owner: Owner::new(uid, gid),
        created: source_date_epoch(settings),
        labels: BTreeMap::new(),
        exec_env: settings.exec_env(),
        cache_time: if settings.yes("parallel", "CNB_PARALLEL_EXPORT") {
            CacheTime::Alongside
        } else {
            CacheTime::After
        },
    })
}

fn launcher_sbom(settings: &Settings<'_>) -> LauncherSbom {
    match settings.optional_path("launcher-sbom", "") {
        Some(folder) if folder.as_os_str() != PROGRAMS => LauncherSbom::Folder(folder),
        _ => LauncherSbom::Beside(PROGRAMS.into()),
    }
}

fn source_date_epoch(settings: &Settings<'_>) -> Option<u64> {
    let text = settings.optional("", "SOURCE_DATE_EPOCH");
    let text = text.filter(|_| settings.api.at_least(9))?;
    let seconds = text.parse().ok();
    if seconds.is_none() {
        settings.output.warn("Ignoring invalid SOURCE_DATE_EPOCH");
    }
    seconds
}

/// The run image and its mirrors for the label: the entry of `run.toml` that has the run image in it, else the first one; before Platform API 0.12 the one of `stack.toml`.
fn run_image_for_label(
    settings: &Settings<'_>,
    analyzed: &Analyzed,
) -> Result<RunImage, FileError> {
    let file = settings.run_image_file();
    let mut images = file.images(&settings.output)?;
    if images.is_empty() || matches!(file, RunImageFile::Stack(_)) {
        return Ok(images.pop().unwrap_or_default());
    }
    let chosen = analyzed.run_image.as_ref().map_or("", |image| &image.image);
    let has_chosen = |image: &RunImage| image.names().any(|name| ImageName::same(name, chosen));
    if let Some(at) = images.iter().position(has_chosen) {
        return Ok(images.swap_remove(at));
    }
    let metadata = settings.layers_dir().join("config/metadata.toml");
    let metadata: BuildMetadata = read_toml(&metadata)?;
    if metadata.extensions.is_empty() {
        return Ok(images.swap_remove(0));
    }
    // Image extensions may have chosen another one.
    Ok(RunImage {
        image: chosen.to_owned(),
        mirrors: Vec::new(),
    })
}
