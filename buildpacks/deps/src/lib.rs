//! longshore/deps: requirements.txt into one environment, with uv.
//!
//! ```text
//! requirements.txt ─read─> RequirementSet ─┐                       ┌─ unchanged: the layer stays, nothing runs
//! pip.conf, PIP_*  ─read─> PackageSources ─┼─> Inputs ─compare─────┤
//! python3 on PATH  ─read─> Interpreter ────┘   (last build's)      └─ changed: uv installs, bytecode, metadata
//! ```
//!
//! Layers: `environment` (launch, build, cache: what the app runs in), `wheels` (cache: downloads), `uv` (cache: the installer). All
//! say in their metadata that this buildpack does not look into them while the app wants the same packages (`wishes.rs`).

mod build;
mod environment;
mod errors;
mod failure;
mod find;
mod flat;
mod imports;
mod install;
mod installed;
mod installer;
mod leftovers;
mod metadata;
mod pip_settings;
mod pkg_resources;
pub mod requirements;
mod sources;
mod tidy;
mod wishes;

pub use errors::DepsError;
pub use failure::InstallFailure;
pub use find::NoRequirements;
pub use install::InstallError;

use buildpack_kit::{Variables, program};
use libcnb::Platform as _;
use libcnb::build::{BuildContext, BuildResult};
use libcnb::data::build_plan::BuildPlanBuilder;
use libcnb::detect::{DetectContext, DetectResult, DetectResultBuilder};
use libcnb::generic::{GenericMetadata, GenericPlatform};
use requirements::{RequirementSet, RequirementsError};
use std::path::Path;
use std::process::ExitCode;

/// The program: `detect` or `build`, by its name.
pub fn run() -> ExitCode {
    program::run(&DepsBuildpack)
}

/// What can be said about an app's requirements before anything is downloaded; the same checks, with the same words, as in a build.
pub fn check(app_dir: &Path, variables: &Variables) -> Result<(), DepsError> {
    read_requirements(app_dir, variables).map(drop)
}

fn read_requirements(app_dir: &Path, variables: &Variables) -> Result<RequirementSet, DepsError> {
    let found: Result<Option<RequirementSet>, RequirementsError> =
        RequirementSet::read(app_dir, variables);
    match found? {
        Some(set) => Ok(set),
        None => Err(NoRequirements::look(app_dir)
            .map_err(|source| DepsError::Files {
                attempt: "read the app's folder",
                source,
            })?
            .into()),
    }
}

/// The buildpack as libcnb sees it.
#[derive(Clone, Copy, Debug)]
pub struct DepsBuildpack;

impl libcnb::Buildpack for DepsBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = DepsError;

    /// Passes where there is a requirements.txt. A folder that looks like a Python app without one is an error with advice; anything else is not ours.
    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, DepsError> {
        let has_file = context
            .app_dir
            .join(requirements::REQUIREMENTS_TXT)
            .symlink_metadata()
            .is_ok();
        if !has_file {
            let found =
                NoRequirements::look(&context.app_dir).map_err(|source| DepsError::Files {
                    attempt: "read the app's folder",
                    source,
                })?;
            return if found.looks_like_python() {
                Err(DepsError::from(found).into())
            } else {
                DetectResultBuilder::fail().build()
            };
        }
        let lifecycle = Variables::from(&libcnb::Env::from_current());
        let platform = Variables::from(context.platform.env());
        let plan = BuildPlanBuilder::new()
            .provides(wishes::PACKAGES)
            .requires(wishes::require(&context.app_dir, &lifecycle, &platform))
            .requires("python")
            .build();
        DetectResultBuilder::pass().build_plan(plan).build()
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, DepsError> {
        build::build(&context)
    }

    fn on_error(&self, error: libcnb::Error<DepsError>) {
        program::report(&error);
    }
}
