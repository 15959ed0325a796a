//! longshore/hooks: predeploy at build, postdeploy as a process.
//!
//! `app.json` (`scripts.dokku.predeploy`, `scripts.dokku.postdeploy`) is Dash Enterprise 4's and Dokku's; `[io.longshore.hooks]` in
//! project.toml is ours and wins. predeploy runs once, last in the build, and what it changes in the app's folder is in the image.
//! postdeploy belongs to a deployment, so it never runs here: platforms start the process type `postdeploy`, and find both in a label.

pub mod app_json;
pub mod hooks;

mod buildpack;
mod errors;
mod jsonc;
mod line_endings;
mod predeploy;

pub use errors::HooksError;
pub use hooks::{Hook, Hooks, read};

/// The program behind `bin/detect` and `bin/build`.
pub fn run() -> std::process::ExitCode {
    buildpack_kit::program::run(&buildpack::HooksBuildpack)
}
