//! Export: makes an image of the run image, the buildpacks' launch layers, the app and the launcher, and keeps cached layers for the
//! next build (Platform specification, "exporter").
//!
//! Layers come in this order: the run image's own; of each buildpack, in the order of the build, its launch layers by name; the
//! launch SBOM; the app's slices and the rest of it; the launcher; its configuration; the entrypoints of the process types.
//! They are written in parallel, each in one pass; one whose content is known is not read at all.

mod app;
mod cached;
mod config;
mod folders;
mod label;
mod parallel;
mod pattern;
mod plan;
mod report;
mod sbom;
mod slices;
mod write;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;

use cnb_spec::analyzed::Analyzed;
use cnb_spec::api::PlatformApi;
use cnb_spec::group::{Group, GroupElement};
use cnb_spec::labels::LauncherMetadata;
use cnb_spec::metadata::BuildMetadata;
use cnb_spec::project::ProjectMetadata;
use cnb_spec::run_image::RunImage;
use oci_image::Owner;

use crate::cache::LayerCache;
use crate::contents::{AppSource, LayersView};
use crate::files::{FileError, read_toml, read_toml_if_there};
use crate::images::{CommittedImage, ImageError, ImageStore, OpenedImage};
use crate::layers_dir::{BuildpackLayersDir, read_buildpack_layers};
use crate::output::Output;
use crate::save::save;
pub use plan::Role;
pub use write::ExportedLayer;

/// What exporting needs. Differences between Platform APIs are settled when it is made, but for the API's own name in the image.
#[derive(Debug)]
pub struct ExportInputs {
    /// How the platform calls.
    pub platform_api: PlatformApi,
    /// The names that the image gets; the first is its own, the others are tags.
    pub names: Vec<String>,
    /// The layers folder on this machine.
    pub layers_dir: PathBuf,
    /// Where it is in the image.
    pub layers_dir_in_image: PathBuf,
    /// Whose the folders above layers are.
    pub folders_above: FoldersAbove,
    /// The app on this machine.
    pub app: AppSource,
    /// Where it is in the image.
    pub app_dir_in_image: PathBuf,
    /// `group.toml`
    pub group_path: PathBuf,
    /// What the analyzer found out.
    pub analyzed: Analyzed,
    /// `project-metadata.toml`; it may be missing.
    pub project_metadata_path: PathBuf,
    /// The launcher's program.
    pub launcher_program: LauncherProgram,
    /// Its version and source.
    pub launcher: LauncherMetadata,
    /// The SBOM files of the lifecycle and its launcher; none to go without. Since Platform API 0.11.
    pub launcher_sbom: Option<LauncherSbom>,
    /// `report.toml`, to be written.
    pub report_path: PathBuf,
    /// The run image and its mirrors as the platform names them, for rebase.
    pub run_image: RunImage,
    /// The process type that the platform wants to be the default.
    pub default_process_type: Option<String>,
    /// Whose the files of layers and app are.
    pub owner: Owner,
    /// The image's creation time, in seconds since 1970 (SOURCE_DATE_EPOCH); `None` is 1980-01-01T00:00:01Z.
    pub created: Option<u64>,
    /// More labels, from the platform's user; the lifecycle's own come before them.
    pub labels: BTreeMap<String, String>,
    /// The execution environment.
    pub exec_env: String,
    /// When the cache is written.
    pub cache_time: CacheTime,
}

/// Whose the folders above a layer are, and which modes they have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoldersAbove {
    /// What they are on this machine, if that is the same path; else as `Owned`.
    AsFound,
    /// They belong to the owner of the layers, with 0755.
    Owned,
}

/// The launcher's program.
#[derive(Clone, PartialEq, Eq)]
pub enum LauncherProgram {
    /// In a file.
    File(PathBuf),
    /// Carried by the program that exports.
    Carried(&'static [u8]),
}

impl std::fmt::Debug for LauncherProgram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Carried(bytes) => write!(f, "Carried({} bytes)", bytes.len()),
        }
    }
}

/// Where the SBOM files of the lifecycle and its launcher are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LauncherSbom {
    /// In the folder of the lifecycle's programs: `lifecycle.sbom.<ext>.json` and `launcher.sbom.<ext>.json`.
    Beside(PathBuf),
    /// All in a folder are the launcher's.
    Folder(PathBuf),
}

/// When the cache is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheTime {
    /// When the image is there.
    After,
    /// While the image is being finished (`-parallel`). What the next build finds changes when the image is there.
    Alongside,
}

/// Where things come from and go to.
#[derive(Clone, Copy)]
pub struct ExportPorts<'a> {
    /// The images.
    pub images: &'a dyn ImageStore,
    /// The layers' contents.
    pub view: &'a dyn LayersView,
    /// The cache, if there is one.
    pub cache: Option<&'a dyn LayerCache>,
}

impl std::fmt::Debug for ExportPorts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExportPorts").finish_non_exhaustive()
    }
}

/// What was made.
#[derive(Debug)]
pub struct Exported {
    /// The image.
    pub image: CommittedImage,
    /// Its layers above the run image, in order.
    pub layers: Vec<ExportedLayer>,
}

/// A buildpack of the group with its layers folder.
#[derive(Debug)]
struct BuiltBuildpack {
    element: GroupElement,
    found: BuildpackLayersDir,
}

/// Exports. A cache that cannot be written is a warning; everything else that goes wrong is an error, and then there is no image.
pub fn export(
    inputs: &ExportInputs,
    ports: ExportPorts<'_>,
    output: &Output,
) -> Result<Exported, ExportError> {
    let group: Group = read_toml(&inputs.group_path)?;
    let metadata: BuildMetadata = read_toml(&inputs.layers_dir.join("config/metadata.toml"))?;
    let project: Option<ProjectMetadata> = read_toml_if_there(&inputs.project_metadata_path)?;
    let default_process = config::default_process(inputs, &metadata)?;
    let run_image = open_run_image(inputs, ports.images)?;
    let previous = open_previous(inputs, ports.images, output)?;
    let buildpacks = read_buildpacks(group, inputs)?;
    sbom::copy_launcher_sbom(inputs, output)?;

    let planned = plan::plan_layers(inputs, &metadata, &buildpacks, ports.view)?;
    let layers = write::write_layers(&planned, inputs, ports.images, previous.as_ref(), output)?;
    let label = label::layers_metadata(inputs, &run_image, &buildpacks, &layers);
    let labels = config::labels(inputs, &metadata, &label, &project.unwrap_or_default());
    for name in labels.keys() {
        output.info(format_args!("Adding label '{name}'"));
    }
    match &default_process {
        Some(process) => output.info(format_args!("Setting default process type '{process}'")),
        None => output.info("no default process type"),
    }
    let image = config::image(
        inputs,
        &run_image,
        &layers,
        default_process.as_deref(),
        labels,
    );

    let save_image = || -> Result<CommittedImage, ExportError> {
        let name = inputs.names.first().ok_or(ExportError::NoName)?;
        failpoint::reach("export-before-image");
        let committed = save(ports.images, &inputs.names, &image, output);
        let committed = committed.map_err(|source| ExportError::Image {
            attempt: format!("saving image '{name}'"),
            source,
        })?;
        failpoint::reach("export-image-saved");
        report::write_report(inputs, &buildpacks, &committed)?;
        failpoint::reach("export-report-written");
        Ok(committed)
    };
    let keep = |cache| cached::keep_layers(inputs, &buildpacks, &layers, cache, ports.view, output);
    let image = match (ports.cache, inputs.cache_time) {
        (None, _) => save_image()?,
        (Some(cache), CacheTime::After) => {
            let image = save_image()?;
            cached::commit(keep(cache), cache, output);
            image
        }
        (Some(cache), CacheTime::Alongside) => thread::scope(|scope| {
            let kept = scope.spawn(|| keep(cache));
            let image = save_image()?;
            let kept = kept.join();
            let kept = kept.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            cached::commit(kept, cache, output);
            Ok::<_, ExportError>(image)
        })?,
    };
    Ok(Exported { image, layers })
}

fn open_run_image(
    inputs: &ExportInputs,
    images: &dyn ImageStore,
) -> Result<OpenedImage, ExportError> {
    let run_image = inputs.analyzed.run_image.as_ref();
    if run_image.is_some_and(|run_image| run_image.extend) {
        return Err(ExportError::Extended);
    }
    let reference = run_image.map_or("", |run_image| &run_image.reference);
    let image = images
        .open(reference)
        .map_err(|source| ExportError::Image {
            attempt: format!("reading run image '{reference}'"),
            source,
        })?;
    image.ok_or_else(|| ExportError::NoRunImage {
        reference: reference.to_owned(),
    })
}

/// The previous image. It saves work only, so that one that has gone since the analysis is no error by itself.
fn open_previous(
    inputs: &ExportInputs,
    images: &dyn ImageStore,
    output: &Output,
) -> Result<Option<OpenedImage>, ExportError> {
    let Some(reference) = inputs.analyzed.previous_image_reference() else {
        return Ok(None);
    };
    let image = images
        .open(reference)
        .map_err(|source| ExportError::Image {
            attempt: format!("reading previous image '{reference}'"),
            source,
        })?;
    if image.is_some() {
        output.info(format_args!("Reusing layers from image '{reference}'"));
    }
    Ok(image)
}

fn read_buildpacks(
    group: Group,
    inputs: &ExportInputs,
) -> Result<Vec<BuiltBuildpack>, ExportError> {
    let mut buildpacks = Vec::new();
    for element in group.group {
        let found = read_buildpack_layers(&inputs.layers_dir, &element.id)?;
        if !found.malformed.is_empty() {
            let malformed = found.malformed;
            return Err(ExportError::Malformed { malformed });
        }
        buildpacks.push(BuiltBuildpack { element, found });
    }
    Ok(buildpacks)
}

fn list_malformed(malformed: &[(String, String)]) -> String {
    let names: Vec<&str> = malformed.iter().map(|(name, _)| name.as_str()).collect();
    let reasons = malformed
        .iter()
        .map(|(name, reason)| format!("\n{name}: {reason}"));
    format!("'[{}]'{}", names.join(" "), reasons.collect::<String>())
}

/// Why nothing was exported. The program exits with 62.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// A file of the lifecycle or of a buildpack.
    #[error(transparent)]
    File(#[from] FileError),
    /// An image or a layer could not be read or written.
    #[error("{attempt}: {source}")]
    Image {
        /// What was tried.
        attempt: String,
        /// Why it did not work.
        source: ImageError,
    },
    /// The platform gave no name.
    #[error("no name was given for the image")]
    NoName,
    /// The run image is not there.
    #[error("run image '{reference}' not found")]
    NoRunImage {
        /// Which one.
        reference: String,
    },
    /// `analyzed.toml` says that the run image is to be extended.
    #[error(
        "the run image is to be extended by image extensions, which this lifecycle does not do; use a builder without image extensions"
    )]
    Extended,
    /// `<layer>.toml` files that cannot be used.
    #[error("failed to parse metadata for layers {}", list_malformed(malformed))]
    Malformed {
        /// `buildpack:layer`, and what is wrong.
        malformed: Vec<(String, String)>,
    },
    /// A layer that is to be cached has no content.
    #[error("layer '{layer}' is cache=true but has no contents")]
    CachedWithoutContents {
        /// `buildpack:layer`
        layer: String,
    },
    /// A layer has no content, and the previous image does not know it.
    #[error("cannot reuse '{layer}', previous image has no metadata for layer '{layer}'")]
    NothingToReuse {
        /// `buildpack:layer`
        layer: String,
    },
    /// A layer has no content, and the previous image, which had it, is gone or has lost it.
    #[error("cannot reuse '{layer}': {diff_id} is not in the previous image any more; build again")]
    LayerGone {
        /// `buildpack:layer`
        layer: String,
        /// Its content.
        diff_id: oci_image::DiffId,
    },
    /// The platform asked for a default process that is not there.
    #[error("tried to set {asked} to default but it doesn't exist; process types are: {}", present.join(", "))]
    NoSuchProcess {
        /// What was asked for.
        asked: String,
        /// What there is.
        present: Vec<String>,
    },
    /// A path that no layer can hold.
    #[error("'{}' cannot be the path of a layer: {source}", path.display())]
    Path {
        /// The path.
        path: PathBuf,
        /// Why not.
        source: oci_image::ParseTreePathError,
    },
    /// A slice's pattern.
    #[error("the pattern '{pattern}' of an application slice cannot be used: {reason}")]
    Slice {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}
