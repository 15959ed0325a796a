//! Build: runs `bin/build` of every buildpack of the group, one after another, and collects what they say about the image.
//!
//! Between two buildpacks the environment grows by the build layers of the first. At the end stand `<layers>/config/metadata.toml` and the SBOM files in `<layers>/sbom`.

mod execute;
mod layers;
mod outputs;
mod processes;
mod sbom;

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use cnb_spec::analyzed::Analyzed;
use cnb_spec::api::PlatformApi;
use cnb_spec::bom::legacy_json;
use cnb_spec::env::Vars;
use cnb_spec::group::{Group, GroupElement};
use cnb_spec::metadata::BuildMetadata;
use cnb_spec::plan::Plan;
use cnb_spec::target::ImageTarget;

use crate::buildpacks::{Buildpack, BuildpackError, supported_api};
use crate::environment::{BuildEnvironment, complete_target};
use crate::files::{FileError, read_toml, read_toml_if_there, remove_dir, write_file};
use crate::output::Output;
use crate::programs::StartError;
use layers::process_layers;
use outputs::{BuildpackOutputs, read_outputs};
use processes::Processes;
use sbom::copy_sbom_files;

/// What building needs. Differences between Platform APIs are settled when it is made.
#[derive(Debug)]
pub struct BuildInputs {
    /// How the platform calls.
    pub platform_api: PlatformApi,
    /// The app's folder, the working folder of every `bin/build`.
    pub app_dir: PathBuf,
    /// Where buildpacks put their layers.
    pub layers_dir: PathBuf,
    /// The user's variables are in its `env` folder.
    pub platform_dir: PathBuf,
    /// The buildpacks.
    pub buildpacks_dir: PathBuf,
    /// The builder's own variables are in its `env` folder.
    pub build_config_dir: PathBuf,
    /// `group.toml`
    pub group_path: PathBuf,
    /// `plan.toml`
    pub plan_path: PathBuf,
    /// `analyzed.toml`, for the run image's target.
    pub analyzed_path: PathBuf,
    /// Where the distribution is read if `analyzed.toml` does not say it.
    pub os_release_path: PathBuf,
    /// For files that live as long as one `bin/build`.
    pub temp_dir: PathBuf,
    /// The lifecycle's own environment.
    pub environment: Vars,
    /// `CNB_EXEC_ENV`, given to buildpacks of API 0.12.
    pub exec_env: String,
    /// Where buildpacks print to, standard error included.
    pub buildpack_output: OwnedFd,
}

/// A buildpack that is about to run.
struct Current<'a> {
    element: &'a GroupElement,
    buildpack: Buildpack,
    /// `<layers>/<escaped id>`
    layers_dir: PathBuf,
}

/// Builds.
pub fn build(inputs: &BuildInputs, output: &Output) -> Result<(), BuildError> {
    let group: Group = read_toml(&inputs.group_path).map_err(BuildError::Start)?;
    let mut plan: Plan = read_toml(&inputs.plan_path).map_err(BuildError::Start)?;
    for element in &group.group {
        supported_api(&element.id, &element.version, &element.api).map_err(BuildError::Api)?;
    }
    let target = read_target(inputs, output)?;
    let sbom_dir = inputs.layers_dir.join("sbom");
    remove_dir(&sbom_dir)?;

    let mut environment = BuildEnvironment::new(&inputs.environment);
    let mut processes = Processes::default();
    let mut all = Collected::default();
    for element in &group.group {
        output.debug(format_args!("Running build for buildpack {element}"));
        let current = Current {
            buildpack: Buildpack::find(&inputs.buildpacks_dir, &element.id, &element.version)?,
            layers_dir: inputs.layers_dir.join(element.id.escaped()),
            element,
        };
        let buildpack_plan = plan.for_buildpack(&element.id);
        execute::run_build(&current, &buildpack_plan, &environment, &target, inputs)?;
        let layers = process_layers(&current)?;
        for layer in layers.iter().filter(|layer| layer.types.build) {
            let dir = current.layers_dir.join(layer.name.as_str());
            environment.add_layer(&dir)?;
        }
        let outputs = read_outputs(&current, &buildpack_plan, &layers, output)?;
        plan.remove_met(&outputs.met);
        if let Some(warning) = processes.add(&outputs.processes) {
            output.warn(warning);
        }
        all.add(outputs);
        output.debug(format_args!(
            "Finished running build for buildpack {element}"
        ));
    }

    if inputs.platform_api.at_least(8) {
        copy_sbom_files(&all.sbom_files, &sbom_dir)?;
    }
    let mut launch_bom = all.launch_bom;
    if inputs.platform_api.at_least(9) {
        let legacy = |folder: &str| sbom_dir.join(folder).join("sbom.legacy.json");
        write_file(&legacy("launch"), legacy_json(&launch_bom).as_bytes())?;
        write_file(&legacy("build"), legacy_json(&all.build_bom).as_bytes())?;
        launch_bom.clear();
    }
    let metadata = BuildMetadata {
        buildpack_default_process_type: processes.default_type(),
        bom: launch_bom,
        buildpacks: group.group,
        extensions: group.group_extensions,
        labels: all.labels,
        processes: processes.list(inputs.platform_api),
        slices: all.slices,
    };
    let path = inputs.layers_dir.join("config/metadata.toml");
    let text = metadata.text().map_err(|source| FileError::Encode {
        path: path.clone(),
        reason: source.to_string(),
    })?;
    Ok(write_file(&path, text.as_bytes())?)
}

fn read_target(inputs: &BuildInputs, output: &Output) -> Result<ImageTarget, BuildError> {
    let path = &inputs.analyzed_path;
    let analyzed: Option<Analyzed> = read_toml_if_there(path).map_err(BuildError::Start)?;
    if analyzed.is_none() {
        let path = path.display();
        output.warn(format_args!(
            "No analyzed metadata found at path \"{path}\""
        ));
    }
    let run_image = analyzed.unwrap_or_default().run_image;
    let target = run_image.and_then(|run_image| run_image.target);
    Ok(complete_target(target, &inputs.os_release_path, output))
}

/// What the buildpacks so far said about the image.
#[derive(Default)]
struct Collected {
    labels: Vec<cnb_spec::launch_toml::Label>,
    slices: Vec<cnb_spec::launch_toml::Slice>,
    launch_bom: Vec<cnb_spec::bom::OwnedBomEntry>,
    build_bom: Vec<cnb_spec::bom::OwnedBomEntry>,
    sbom_files: Vec<sbom::SbomFile>,
}

impl Collected {
    fn add(&mut self, outputs: BuildpackOutputs) {
        let BuildpackOutputs {
            met: _,
            processes: _,
            labels,
            slices,
            launch_bom,
            build_bom,
            sbom_files,
        } = outputs;
        self.labels.extend(labels);
        self.slices.extend(slices);
        self.launch_bom.extend(launch_bom);
        self.build_bom.extend(build_bom);
        self.sbom_files.extend(sbom_files);
    }
}

/// Why the build failed.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file that the build starts from.
    #[error(transparent)]
    Start(FileError),
    /// The group has a buildpack that this lifecycle cannot run.
    #[error(transparent)]
    Api(BuildpackError),
    /// A buildpack failed. The program exits with 51.
    #[error("buildpack '{buildpack}': {ended}")]
    Failed {
        /// `id@version`
        buildpack: String,
        /// How its `bin/build` ended.
        ended: String,
    },
    /// A buildpack's `bin/build` could not be started. The program exits with 51.
    #[error("buildpack '{buildpack}': {source}")]
    NotStarted {
        /// `id@version`
        buildpack: String,
        /// Why.
        source: StartError,
    },
    /// A buildpack that the group names.
    #[error(transparent)]
    Buildpack(#[from] BuildpackError),
    /// A file of the lifecycle or of a buildpack.
    #[error(transparent)]
    File(#[from] FileError),
    /// A buildpack wrote something that it may not write.
    #[error("'{}' of buildpack '{buildpack}': {reason}", path.display())]
    Written {
        /// `id@version`
        buildpack: String,
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}
