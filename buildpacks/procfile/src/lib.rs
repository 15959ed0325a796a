//! longshore/procfile: every process type of the Procfile becomes an entrypoint.
//!
//! Each command is run as `bash -c COMMAND` in the app's folder. `web` is what the image starts by itself.

pub mod fault;
pub mod missing;
pub mod name;
pub mod procfile;
pub mod reading;

mod buildpack;

pub use name::ProcessName;
pub use procfile::{Entry, Procfile, ProcfileError};
pub use reading::{Reading, ReadingError, read};

/// The program behind `bin/detect` and `bin/build`.
pub fn run() -> std::process::ExitCode {
    buildpack_kit::program::run(&buildpack::ProcfileBuildpack)
}
