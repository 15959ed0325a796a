//! Everything that can stop this buildpack, and the words for it.

use crate::find::NoRequirements;
use crate::install::InstallError;
use crate::requirements::RequirementsError;
use buildpack_kit::interpreter::InterpreterError;
use buildpack_kit::message::{Explain, Message};
use buildpack_kit::uv::FetchUvError;
use buildpack_kit::{ProjectTomlError, TomlFileError};
use std::io;

/// Why the packages could not be installed.
#[derive(Debug, thiserror::Error)]
pub enum DepsError {
    /// There is no requirements.txt.
    #[error("there is no requirements.txt")]
    NoRequirements(NoRequirements),
    /// A requirements file is wrong.
    #[error(transparent)]
    Requirements(#[from] RequirementsError),
    /// project.toml is wrong.
    #[error(transparent)]
    ProjectToml(#[from] ProjectTomlError),
    /// No Python.
    #[error(transparent)]
    Interpreter(#[from] InterpreterError),
    /// No uv.
    #[error(transparent)]
    Uv(#[from] FetchUvError),
    /// The installer failed.
    #[error(transparent)]
    Install(#[from] InstallError),
    /// `[io.longshore.deps] installer` is neither.
    #[error("unknown installer '{found}'")]
    UnknownInstaller {
        /// What was written.
        found: String,
        /// Where: `project.toml line 3`, or a variable.
        place: String,
    },
    /// Reading or writing files failed.
    #[error("cannot {attempt}: {source}")]
    Files {
        /// What was to be done.
        attempt: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl From<NoRequirements> for DepsError {
    fn from(found: NoRequirements) -> Self {
        Self::NoRequirements(found)
    }
}

impl From<DepsError> for libcnb::Error<DepsError> {
    fn from(error: DepsError) -> Self {
        Self::BuildpackError(error)
    }
}

impl Explain for DepsError {
    fn explain(&self) -> Message {
        match self {
            Self::NoRequirements(found) => found.explain(),
            Self::Requirements(error) => error.explain(),
            Self::ProjectToml(error) => TomlFileError::explain(error),
            Self::Interpreter(error) => error.explain(),
            Self::Uv(error) => error.explain(),
            Self::Install(InstallError::Failed(failure)) => failure.explain(),
            Self::Install(InstallError::Run(error)) => Message::internal(error),
            Self::Install(error @ InstallError::Write { .. }) => Message::new(
                "Cannot write files",
                format!(
                    "Longshore {error}.\n\nCheck the free space and the permissions of that place."
                ),
            ),
            Self::UnknownInstaller { found, place } => Message::new(
                "Unknown installer",
                format!(
                    "{place} asks for the installer '{found}'. There are 'uv' (the default) and 'pip'."
                ),
            ),
            Self::Files { attempt, source } => Message::new(
                "Cannot work with files",
                format!(
                    "Longshore cannot {attempt}: {source}.\n\nCheck the free space and the permissions."
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explain_unknown_installer() {
        let error = DepsError::UnknownInstaller {
            found: "conda".into(),
            place: "project.toml line 3".into(),
        };
        insta::assert_snapshot!(error.explain().as_error(), @"
        [Error: Unknown installer]
        project.toml line 3 asks for the installer 'conda'. There are 'uv' (the default) and 'pip'.
        ");
    }
}
