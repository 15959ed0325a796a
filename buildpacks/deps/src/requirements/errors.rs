//! What can be wrong with requirements files, before any tool runs.

use super::{EntryError, Location};
use buildpack_kit::ReadAppFileError;
use buildpack_kit::message::{Explain, Message};
use std::io;

/// Why the requirements could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RequirementsError {
    /// The file itself.
    #[error(transparent)]
    Read(#[from] ReadAppFileError),
    /// A line is no requirement and no option.
    #[error("{location}: {reason}")]
    Line {
        /// Where it stands.
        location: Location,
        /// The line, variables not replaced.
        text: String,
        /// What is wrong with it.
        reason: EntryError,
    },
    /// `-r` or `-c` of a file that is not there.
    #[error("{location}: no file '{name}'")]
    MissingInclude {
        /// The line with `-r` or `-c`.
        location: Location,
        /// The file, below the app folder.
        name: String,
    },
    /// A file that includes itself, directly or not.
    #[error("{location}: '{name}' includes itself")]
    Cycle {
        /// The line that closes the circle.
        location: Location,
        /// The file that it includes.
        name: String,
    },
    /// A path that is not there.
    #[error("{location}: cannot read '{written}': {source}")]
    MissingLocal {
        /// The line with the path.
        location: Location,
        /// The path as written.
        written: String,
        /// What the system said.
        source: io::Error,
    },
    /// Something generates files without end.
    #[error("more than 500 requirements files")]
    TooManyFiles,
}

impl Explain for RequirementsError {
    fn explain(&self) -> Message {
        match self {
            Self::Read(error) => error.explain(),
            Self::Line {
                location: Location { file, line },
                text,
                reason,
            } => Message::new(
                format!("Cannot read '{file}'"),
                format!(
                    "Line {line} of '{file}' cannot be used: {reason}.\n\n{text}\n\nThe format is described at https://pip.pypa.io/en/stable/reference/requirements-file-format/."
                ),
            ),
            Self::MissingInclude {
                location: Location { file, line },
                name,
            } => Message::new(
                "A requirements file is missing",
                format!(
                    "Line {line} of '{file}' includes '{name}', but there is no such file.\n\nPaths behind -r and -c are relative to the file that holds them. Check that the file is part of the app folder and not excluded."
                ),
            ),
            Self::Cycle {
                location: Location { file, line },
                name,
            } => Message::new(
                "Requirements files include each other",
                format!(
                    "Line {line} of '{file}' includes '{name}', which is what it was included from.\n\nRemove one of the two -r lines."
                ),
            ),
            Self::MissingLocal {
                location: Location { file, line },
                written,
                source,
            } => Message::new(
                "A local package is missing",
                format!(
                    "Line {line} of '{file}' asks for '{written}', but that cannot be read: {source}.\n\n{}",
                    missing_local_advice(written)
                ),
            ),
            Self::TooManyFiles => Message::new(
                "Too many requirements files",
                "More than 500 files are included from 'requirements.txt'. Check the -r and -c lines.",
            ),
        }
    }
}

fn missing_local_advice(written: &str) -> &'static str {
    // Inside options pip's rules remove the backslashes, so a drive letter has to do.
    let is_drive =
        |path: &str| matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
    if written.contains('\\') || is_drive(written.trim_start_matches("./")) {
        "That is a folder of a Windows machine. Copy it into the app folder and ask for it by its path there, like ./tool."
    } else if written.starts_with("file:") {
        "`pip freeze` writes such lines inside conda: they name a folder of the machine where conda built the package.\nWrite the file with `pip list --format=freeze > requirements.txt` instead."
    } else {
        "Paths are relative to the app folder. Check that it is part of the app folder and not excluded."
    }
}
