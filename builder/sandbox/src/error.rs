//! Why a sandbox could not be made.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::forbidden::Forbidden;
use crate::wire::raw;

/// Why a program did not run in a sandbox, or was lost in it.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The caller forgot the program.
    #[error("no program was given to run in the sandbox")]
    NoProgram,
    /// Root emulation is for user 0.
    #[error("root emulation needs the sandbox's user to be 0")]
    EmulationNeedsRoot,
    /// A pipe, or /dev/null, could not be opened.
    #[error("could not open the program's standard streams")]
    Streams(#[source] io::Error),
    /// The helper program could not be started.
    #[error("could not start the sandbox helper {program}", program = program.display())]
    StartHelper {
        /// The helper.
        program: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The helper could not be spoken to.
    #[error("could not talk to the sandbox helper")]
    Talk(#[source] io::Error),
    /// The helper ended without a word: it was killed, or it does not call [`crate::dispatch`].
    #[error("the sandbox helper ended without saying why (was it killed?)")]
    Lost,
    /// The kernel, or what the process runs in, forbids user namespaces.
    #[error("{0}")]
    UserNamespaces(Forbidden),
    /// The kernel refuses a new /proc, as it does where a container masks parts of its own.
    #[error(
        "the kernel refused to mount /proc in the sandbox ({source})\n\n\
         This happens in a container whose runtime hides parts of /proc. Start the container with\n\
         --security-opt systempaths=unconfined (Docker) or --security-opt unmask=ALL (Podman)."
    )]
    Proc {
        /// The kernel's answer.
        source: io::Error,
    },
    /// The kernel refuses the overlay; copying is the way out (see [`crate::flatten`]).
    #[error("the kernel refused the overlay file system at {target}: {source}{}", said(detail), target = target.display())]
    Overlay {
        /// Where it was to be mounted.
        target: PathBuf,
        /// What the kernel said about it.
        detail: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Another step failed.
    #[error("could not {action}: {source}")]
    Step {
        /// What was tried.
        action: String,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The program could not be started.
    #[error("could not start {program} in the sandbox: {source}")]
    Program {
        /// As it was given.
        program: String,
        /// The kernel's answer.
        source: io::Error,
    },
}

impl SandboxError {
    /// Whether no sandbox can be made here at all, whatever is in it.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::UserNamespaces(_) | Self::Proc { .. })
    }
}

fn said(detail: &str) -> String {
    if detail.is_empty() {
        String::new()
    } else {
        format!(" (the kernel says: {detail})")
    }
}

/// A [`SandboxError`] on its way from the helper.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Failure {
    UserNamespaces {
        errno: i32,
        step: String,
    },
    Proc {
        errno: i32,
    },
    Overlay {
        #[serde(with = "raw::path")]
        target: PathBuf,
        detail: String,
        errno: i32,
    },
    Step {
        action: String,
        errno: i32,
    },
    Program {
        program: String,
        errno: i32,
    },
}

impl Failure {
    /// A step that failed with `errno`.
    pub(crate) fn step(action: impl Into<String>) -> impl FnOnce(rustix::io::Errno) -> Self {
        move |errno| Self::Step {
            action: action.into(),
            errno: errno.raw_os_error(),
        }
    }

    /// The same, where the standard library was asked.
    pub(crate) fn step_io(action: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Step {
            action: action.into(),
            errno: error.raw_os_error().unwrap_or(0),
        }
    }
}

impl From<Failure> for SandboxError {
    fn from(failure: Failure) -> Self {
        let source = io::Error::from_raw_os_error;
        match failure {
            Failure::UserNamespaces { errno, step } => {
                Self::UserNamespaces(Forbidden::look(&step, source(errno)))
            }
            Failure::Proc { errno } => Self::Proc {
                source: source(errno),
            },
            Failure::Overlay {
                target,
                detail,
                errno,
            } => Self::Overlay {
                target,
                detail,
                source: source(errno),
            },
            Failure::Step { action, errno } => Self::Step {
                action,
                source: source(errno),
            },
            Failure::Program { program, errno } => Self::Program {
                program,
                source: source(errno),
            },
        }
    }
}
