//! Starting a buildpack's `bin/detect` and `bin/build`: folder, environment, and what became of the process.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use cnb_spec::env::Vars;

/// How a buildpack's program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// A command with exactly this environment, which reads nothing.
pub(crate) fn command(program: &Path, app_dir: &Path, vars: &Vars) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(app_dir)
        .env_clear()
        .envs(vars)
        .stdin(Stdio::null());
    command
}

/// Why a program could not be started.
pub(crate) fn start_error(program: &Path, app_dir: &Path, source: io::Error) -> StartError {
    let program = program.to_owned();
    match source.kind() {
        // The same error stands for a missing program, a missing interpreter in its first line, and a missing working folder.
        io::ErrorKind::NotFound if !app_dir.is_dir() => StartError::NoAppDir {
            app_dir: app_dir.to_owned(),
        },
        io::ErrorKind::NotFound if program.is_file() => StartError::NoInterpreter { program },
        // And this one for a program without the mode to be run and a folder that may not be entered, which `.` in it needs.
        io::ErrorKind::PermissionDenied if app_dir.join(".").metadata().is_err() => {
            StartError::ClosedAppDir {
                app_dir: app_dir.to_owned(),
            }
        }
        io::ErrorKind::PermissionDenied => StartError::NotExecutable { program },
        _ => StartError::Other { program, source },
    }
}

impl From<ExitStatus> for Ended {
    fn from(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code), _) => Self::Code(code),
            (None, signal) => Self::Signal(signal.unwrap_or_default()),
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "killed by signal {number} ({signal})"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
        }
    }
}

/// Why a buildpack's program could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No permission.
    #[error("'{}' is not executable; try chmod +x", program.display())]
    NotExecutable {
        /// Which program.
        program: PathBuf,
    },
    /// The file is there, what its first line names is not.
    #[error("'{}' names an interpreter in its first line that does not exist here", program.display())]
    NoInterpreter {
        /// Which program.
        program: PathBuf,
    },
    /// The app folder is missing.
    #[error("the app folder '{}' does not exist", app_dir.display())]
    NoAppDir {
        /// Which folder.
        app_dir: PathBuf,
    },
    /// The app folder may not be entered.
    #[error("the app folder '{}' cannot be entered by the user of the build; try chmod +rx", app_dir.display())]
    ClosedAppDir {
        /// Which folder.
        app_dir: PathBuf,
    },
    /// Anything else.
    #[error("could not start '{}': {source}", program.display())]
    Other {
        /// Which program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
}
