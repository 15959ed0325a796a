//! Detect: finds the first group whose buildpacks all pass and whose needs are all met.
//!
//! Groups are tried in the order's order. A composite buildpack stands for its own order: each of its groups takes its place in turn, depth first. Once a group consists of
//! components only, their `bin/detect` run side by side, each at most once a build; then the build plan is resolved.

mod group;
mod resolve;
mod run;
mod transcript;

use std::path::PathBuf;

use cnb_spec::analyzed::Analyzed;
use cnb_spec::env::Vars;
use cnb_spec::group::Group;
use cnb_spec::order::{Order, OrderGroup, System, SystemToml};
use cnb_spec::plan::Plan;

use crate::buildpacks::{Buildpack, BuildpackError};
use crate::environment::complete_target;
use crate::files::{FileError, read_toml, read_toml_if_there};
use crate::output::Output;
use group::{Attempt, Detector};

/// What detection needs. Differences between Platform APIs are settled when it is made.
#[derive(Clone, Debug)]
pub struct DetectInputs {
    /// The app's folder, the working folder of every `bin/detect`.
    pub app_dir: PathBuf,
    /// The buildpacks.
    pub buildpacks_dir: PathBuf,
    /// The user's variables are in its `env` folder.
    pub platform_dir: PathBuf,
    /// The builder's own variables are in its `env` folder.
    pub build_config_dir: PathBuf,
    /// `order.toml`
    pub order_path: PathBuf,
    /// `system.toml`, since Platform API 0.15.
    pub system_path: Option<PathBuf>,
    /// `analyzed.toml`, for the run image's target.
    pub analyzed_path: PathBuf,
    /// Where the distribution is read if `analyzed.toml` does not say it.
    pub os_release_path: PathBuf,
    /// For files that live as long as one `bin/detect`.
    pub temp_dir: PathBuf,
    /// The lifecycle's own environment.
    pub environment: Vars,
    /// `CNB_EXEC_ENV`, given to buildpacks of API 0.12.
    pub exec_env: String,
    /// Does a buildpack's target have to fit? Since Platform API 0.12.
    pub checks_targets: bool,
    /// Does a buildpack's `exec-env` have to fit? Since Platform API 0.15.
    pub checks_exec_env: bool,
}

/// What detection found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// For `group.toml`.
    pub group: Group,
    /// For `plan.toml`.
    pub plan: Plan,
}

/// Finds the first group whose buildpacks all pass and whose needs are all met.
pub fn detect(inputs: &DetectInputs, output: &Output) -> Result<Detected, DetectError> {
    let groups = read_order(inputs, output)?;
    let analyzed = read_analyzed(inputs, output)?;
    let target = analyzed.run_image.and_then(|run_image| run_image.target);
    let target = complete_target(target, &inputs.os_release_path, output);
    let mut detector = Detector::new(inputs, target);
    let attempt = detector.try_order(&groups);
    let passed = matches!(attempt, Ok(Attempt::Passed(_)));
    detector.into_transcript().hand_over(passed, output);
    match attempt? {
        Attempt::Passed(detected) => Ok(*detected),
        Attempt::Failed => Err(DetectError::NoGroupPassed),
        Attempt::Errored => Err(DetectError::NoGroupPassedWithErrors),
    }
}

/// Reads the order, puts the system's buildpacks around every group, and makes sure that every buildpack named there can be used.
fn read_order(inputs: &DetectInputs, output: &Output) -> Result<Vec<OrderGroup>, DetectError> {
    let order: Order = read_toml(&inputs.order_path).map_err(DetectError::Start)?;
    if order
        .order_extensions
        .iter()
        .any(|ext| !ext.group.is_empty())
    {
        return Err(DetectError::Extensions {
            order_path: inputs.order_path.clone(),
        });
    }
    let mut groups = order.order;
    if let Some(system_path) = &inputs.system_path {
        let system: Option<SystemToml> =
            read_toml_if_there(system_path).map_err(DetectError::Start)?;
        let system = system.unwrap_or_default().system;
        groups = groups
            .iter()
            .map(|group| around(&system, group, output))
            .collect();
    }
    for entry in groups.iter().flat_map(|group| &group.group) {
        Buildpack::find(&inputs.buildpacks_dir, &entry.id, &entry.version)
            .map_err(DetectError::OrderedBuildpack)?;
    }
    Ok(groups)
}

fn around(system: &System, group: &OrderGroup, output: &Output) -> OrderGroup {
    let whole = system.around(group);
    let position = |id| whole.group.iter().position(|entry| &entry.id == id);
    let first = group.group.first();
    let pre = first.map_or(0, |entry| position(&entry.id).unwrap_or_default());
    let post = whole.group.len() - group.group.len() - pre;
    if pre > 0 {
        output.debug(format_args!(
            "Prepending {pre} system buildpack(s) to group"
        ));
    }
    if post > 0 {
        output.debug(format_args!(
            "Appending {post} system buildpack(s) to group"
        ));
    }
    whole
}

fn read_analyzed(inputs: &DetectInputs, output: &Output) -> Result<Analyzed, DetectError> {
    let analyzed = read_toml_if_there(&inputs.analyzed_path).map_err(DetectError::Start)?;
    Ok(analyzed.unwrap_or_else(|| {
        let path = inputs.analyzed_path.display();
        output.warn(format_args!(
            "No analyzed metadata found at path \"{path}\""
        ));
        Analyzed::default()
    }))
}

/// Why detection failed.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// A file that detection starts from.
    #[error(transparent)]
    Start(FileError),
    /// A buildpack that the order names.
    #[error(transparent)]
    OrderedBuildpack(BuildpackError),
    /// The order asks for image extensions.
    #[error(
        "'{}' asks for image extensions ([[order-extensions]]), which this lifecycle does not run; remove them from the builder, or use a builder without them",
        order_path.display()
    )]
    Extensions {
        /// The order.
        order_path: PathBuf,
    },
    /// A buildpack that a composite buildpack names.
    #[error(transparent)]
    Buildpack(#[from] BuildpackError),
    /// A composite buildpack that contains itself.
    #[error("composite buildpacks contain each other: {}", chain.join(" -> "))]
    Cycle {
        /// `id@version`, from the first to its repetition.
        chain: Vec<String>,
    },
    /// A scratch file.
    #[error("could not prepare the detection of '{buildpack}': {source}")]
    Scratch {
        /// `id@version`
        buildpack: String,
        /// Why.
        source: std::io::Error,
    },
    /// The variables in the platform's folder.
    #[error(transparent)]
    Environment(FileError),
    /// No group passed.
    #[error("no buildpacks participating")]
    NoGroupPassed,
    /// No group passed, and a buildpack failed with an error.
    #[error("buildpack(s) failed with err")]
    NoGroupPassedWithErrors,
}
