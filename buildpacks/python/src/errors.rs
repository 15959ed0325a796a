//! Everything that can stop this buildpack, and the words for it.

use crate::catalog::Candidate;
use crate::choose::ChooseError;
use crate::debian_packages::DebianError;
use crate::import_check::ImportCheckError;
use crate::private_libraries::PrivateLibraryError;
use crate::sources::WishError;
use crate::standalone::StandaloneError;
use buildpack_kit::diagnosis::advice;
use buildpack_kit::message::{Explain, Message, with_causes};
use buildpack_kit::network::NetworkSettingsError;
use buildpack_kit::stack::StackError;
use buildpack_kit::uv::FetchUvError;
use std::io;

/// Why there is no interpreter.
#[derive(Debug, thiserror::Error)]
pub enum PythonError {
    /// A file that asks for a version.
    #[error(transparent)]
    Wish(#[from] WishError),
    /// No version fits.
    #[error(transparent)]
    Choose(#[from] ChooseError),
    /// The build image.
    #[error(transparent)]
    Stack(#[from] StackError),
    /// A mirror's address.
    #[error(transparent)]
    Network(#[from] NetworkSettingsError),
    /// Debian's archive was reached, and something is wrong.
    #[error(transparent)]
    Debian(#[from] DebianError),
    /// uv, for standalone interpreters.
    #[error(transparent)]
    Uv(#[from] FetchUvError),
    /// The list of standalone interpreters.
    #[error(transparent)]
    Standalone(#[from] StandaloneError),
    /// No source could be reached.
    #[error("no source of Python {version} could be reached")]
    Unreachable {
        /// The best version.
        version: String,
        /// Each source and why not.
        attempts: Vec<(Candidate, String)>,
    },
    /// Its libraries.
    #[error(transparent)]
    Libraries(#[from] PrivateLibraryError),
    /// It does not work.
    #[error(transparent)]
    ImportCheck(#[from] ImportCheckError),
    /// Reading or writing files failed.
    #[error("cannot {attempt}: {source}")]
    Files {
        /// What was to be done.
        attempt: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl From<PythonError> for libcnb::Error<PythonError> {
    fn from(error: PythonError) -> Self {
        Self::BuildpackError(error)
    }
}

impl Explain for PythonError {
    fn explain(&self) -> Message {
        match self {
            Self::Wish(error) => error.explain(),
            Self::Choose(error) => error.explain(),
            Self::Stack(error) => error.explain(),
            Self::Network(error) => error.explain(),
            Self::Debian(error) => Message::new(
                "Debian's Python packages cannot be used",
                format!(
                    "{}\n\nNothing that fails its checks is used. Check the mirror, or give another one.",
                    with_causes(error)
                ),
            ),
            Self::Uv(error) => error.explain(),
            Self::Standalone(error) => Message::new(
                "The list of Python versions cannot be used",
                with_causes(error),
            ),
            Self::Unreachable { version, attempts } => {
                let tried: Vec<String> = attempts
                    .iter()
                    .map(|(candidate, reason)| {
                        format!(
                            "{} from {}:\n{}",
                            candidate.version,
                            candidate.source,
                            indented(reason)
                        )
                    })
                    .collect();
                let all = tried.join("\n\n");
                // What concerns the package index is not what is missing here.
                let advice = advice(&all).filter(|advice| !advice.starts_with("The package index")).unwrap_or(
                    "Debian's packages come from the mirror that --debian-mirror or LONGSHORE_DEBIAN_MIRROR names; standalone interpreters from where\nUV_PYTHON_INSTALL_MIRROR says. Make one of them reachable, or ask for another version.",
                );
                Message::new(
                    format!("Python {version} cannot be fetched"),
                    format!("{all}\n\n{advice}"),
                )
            }
            Self::Libraries(error) => Message::internal(with_causes(error)),
            Self::ImportCheck(error) => Message::internal(format!(
                "The interpreter that was fetched is not whole: {}",
                with_causes(error)
            )),
            Self::Files { attempt, source } => Message::new(
                "Cannot work with files",
                format!(
                    "Longshore cannot {attempt}: {source}.\n\nCheck the free space and the permissions."
                ),
            ),
        }
    }
}

fn indented(text: &str) -> String {
    text.trim()
        .lines()
        .map(|line| format!("  {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Source;

    #[test]
    fn explain_unreachable() {
        let candidate = |version: &str, source| Candidate {
            version: version.parse().unwrap(),
            source,
        };
        let error = PythonError::Unreachable {
            version: "3.11.2".into(),
            attempts: vec![
                (
                    candidate(
                        "3.11.2",
                        Source::Debian {
                            suite: "bookworm".into(),
                        },
                    ),
                    "no Debian mirror is known.\nGive one.".into(),
                ),
                (
                    candidate("3.11.9", Source::Standalone),
                    "error: strange".into(),
                ),
            ],
        };
        insta::assert_snapshot!(error.explain().as_error(), @"
        [Error: Python 3.11.2 cannot be fetched]
        3.11.2 from Debian bookworm:
          no Debian mirror is known.
          Give one.

        3.11.9 from python-build-standalone:
          error: strange

        Debian's packages come from the mirror that --debian-mirror or LONGSHORE_DEBIAN_MIRROR names; standalone interpreters from where
        UV_PYTHON_INSTALL_MIRROR says. Make one of them reachable, or ask for another version.
        ");
    }
}
