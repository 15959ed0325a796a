//! longshore/python: the interpreter that the app asks for.
//!
//! ```text
//! BP_CPYTHON_VERSION, project.toml, .python-version, runtime.txt, pyproject.toml ─> Wish ─┐
//! versions.toml, the stack's suite ──────────────────────────────────────────> Catalog ───┴─> Choice: candidates, best first
//!    Debian's packages ──> relocated prefix, private libraries ─┐
//!    python-build-standalone, through uv ───────────────────────┴─> standard library imported once, bytecode, metadata
//! ```
//!
//! Layers: `python` (launch, build, cache: the interpreter), `headers` (build, cache: for compiling), `uv` (cache; only for standalone interpreters).

mod build;
pub mod catalog;
pub mod choose;
mod debian_packages;
mod errors;
mod import_check;
mod layout;
mod metadata;
mod private_libraries;
pub mod request;
pub mod sources;
mod standalone;
pub mod version;

pub use debian_packages::DebianError;
pub use errors::PythonError;
pub use import_check::ImportCheckError;
pub use private_libraries::PrivateLibraryError;
pub use standalone::StandaloneError;

use buildpack_kit::{Variables, program};
use catalog::Catalog;
use choose::Choice;
use libcnb::build::{BuildContext, BuildResult};
use libcnb::data::build_plan::BuildPlanBuilder;
use libcnb::detect::{DetectContext, DetectResult, DetectResultBuilder};
use libcnb::generic::{GenericMetadata, GenericPlatform};
use sources::find_wishes;
use std::path::Path;
use std::process::ExitCode;

/// The program: `detect` or `build`, by its name.
pub fn run() -> ExitCode {
    program::run(&PythonBuildpack)
}

/// Which Python an app on a stack of `suite` would get, before anything is downloaded; the same checks, with the same words, as in a build.
pub fn check(
    app_dir: &Path,
    variables: &Variables,
    suite: Option<&str>,
) -> Result<Choice, PythonError> {
    let wishes = find_wishes(app_dir, variables)?;
    // Where the variables name another list of interpreters, only the build can tell what is in it.
    if variables.get(standalone::DOWNLOADS_URL_VARIABLE).is_some() {
        return Ok(Choice {
            candidates: Vec::new(),
            decided_by: wishes.into_iter().next().map(|wish| wish.place),
            warnings: Vec::new(),
        });
    }
    Ok(choose::choose(&wishes, Catalog::shipped(), suite)?)
}

/// The buildpack as libcnb sees it.
#[derive(Clone, Copy, Debug)]
pub struct PythonBuildpack;

impl libcnb::Buildpack for PythonBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = PythonError;

    /// Always passes: whether an interpreter is needed is for the buildpacks that require `python` to say, or for the app's own files.
    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, PythonError> {
        let plan = BuildPlanBuilder::new().provides("python");
        let plan = if wants_python(&context.app_dir) {
            // Required by the app itself, else by longshore/deps and its like.
            plan.requires("python").or().provides("python").build()
        } else {
            plan.build()
        };
        DetectResultBuilder::pass().build_plan(plan).build()
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, PythonError> {
        build::build(&context)
    }

    fn on_error(&self, error: libcnb::Error<PythonError>) {
        program::report(&error);
    }
}

fn wants_python(app_dir: &Path) -> bool {
    let signs = [
        "requirements.txt",
        ".python-version",
        "runtime.txt",
        "pyproject.toml",
    ];
    signs
        .iter()
        .any(|name| app_dir.join(name).symlink_metadata().is_ok())
}
