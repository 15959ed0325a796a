//! What a buildpack says about the image and the build: `launch.toml`, `build.toml`, SBOM files.

use std::path::PathBuf;

use cnb_spec::bom::{BomEntry, BomOwner, OwnedBomEntry};
use cnb_spec::build_toml::BuildToml;
use cnb_spec::launch_toml::{Label, LaunchToml, Slice};
use cnb_spec::plan::BuildpackPlan;
use cnb_spec::process::Process;

use super::layers::Layer;
use super::sbom::{SbomFile, find_sbom_files, has_sbom_files};
use super::{BuildError, Current};
use crate::files::{read_text_if_there, read_toml_if_there};
use crate::output::Output;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct BuildpackOutputs {
    /// The names of the plan's entries that the buildpack provided.
    pub(super) met: Vec<String>,
    pub(super) processes: Vec<Process>,
    pub(super) labels: Vec<Label>,
    pub(super) slices: Vec<Slice>,
    pub(super) launch_bom: Vec<OwnedBomEntry>,
    pub(super) build_bom: Vec<OwnedBomEntry>,
    pub(super) sbom_files: Vec<SbomFile>,
}

pub(super) fn read_outputs(
    current: &Current<'_>,
    plan: &BuildpackPlan,
    layers: &[Layer],
    output: &Output,
) -> Result<BuildpackOutputs, BuildError> {
    let dir = &current.layers_dir;
    let wrong = |path: &PathBuf, reason: String| BuildError::Written {
        buildpack: current.element.to_string(),
        path: path.clone(),
        reason,
    };

    let build_path = dir.join("build.toml");
    let build: BuildToml = read_toml_if_there(&build_path)?.unwrap_or_default();
    let build_bom = owned_bom(build.bom.clone(), current);
    let build_bom = build_bom.map_err(|reason| wrong(&build_path, reason))?;
    let met = build.met(plan);
    let met = met.map_err(|error| wrong(&build_path, error.to_string()))?;

    let sbom_files = find_sbom_files(current, layers)?;

    let launch_path = dir.join("launch.toml");
    let launch = match read_text_if_there(&launch_path)? {
        None => LaunchToml::default(),
        Some(text) => LaunchToml::parse(&text, current.buildpack.api, &current.element.id)
            .map_err(|error| wrong(&launch_path, error.to_string()))?,
    };
    let launch_bom = owned_bom(launch.bom, current);
    let launch_bom = launch_bom.map_err(|reason| wrong(&launch_path, reason))?;
    let has_bom = !build_bom.is_empty() || !launch_bom.is_empty();
    if has_bom && !has_sbom_files(dir)? {
        output.warn("BOM table is deprecated in this buildpack api version, though it remains supported for backwards compatibility. Buildpack authors should write BOM information to <layer>.sbom.<ext>, launch.sbom.<ext>, or build.sbom.<ext>.");
    }
    for process_type in launch.without_working_dir {
        output.warn(format_args!("process working directory isn't supported in this buildpack api version. Ignoring working directory for process '{process_type}'"));
    }
    Ok(BuildpackOutputs {
        met,
        processes: launch.processes,
        labels: launch.labels,
        slices: launch.slices,
        launch_bom,
        build_bom,
        sbom_files,
    })
}

fn owned_bom(bom: Vec<BomEntry>, current: &Current<'_>) -> Result<Vec<OwnedBomEntry>, String> {
    let owner = BomOwner {
        id: current.element.id.clone(),
        version: current.element.version.clone(),
    };
    bom.into_iter()
        .map(|BomEntry { name, version, metadata }| {
            if !version.is_empty() {
                return Err(format!("bom entry '{name}' has a top level version which is not allowed. The buildpack should instead set metadata.version"));
            }
            let buildpack = owner.clone();
            Ok(OwnedBomEntry { name, metadata, buildpack })
        })
        .collect()
}
