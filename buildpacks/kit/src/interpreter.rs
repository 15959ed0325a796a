//! The Python that a build uses: found on PATH, described by the file that longshore/python leaves beside it, else by itself.

use crate::command::{Environment, RunToolError, Show, ToolCommand};
use crate::message::{Explain, Message};
use crate::output::Output;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The file in an interpreter's prefix that spares every later build from running it.
pub const INTERPRETER_FILE: &str = "longshore-python.toml";

/// An interpreter that can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// The path under which PATH finds it; stays the same when the patch version changes.
    pub executable: PathBuf,
    /// What it is.
    pub facts: InterpreterFacts,
}

/// What is worth knowing about an interpreter without running it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterpreterFacts {
    /// `3.13.5`
    pub version: String,
    /// Where it came from, in words: `Debian 13 (trixie)`.
    pub source: String,
}

impl InterpreterFacts {
    /// `3.13`
    pub fn minor_version(&self) -> &str {
        match self.version.match_indices('.').nth(1) {
            Some((end, _)) => &self.version[..end],
            None => &self.version,
        }
    }

    /// Major and minor version as numbers, for comparisons.
    pub fn minor_numbers(&self) -> (u32, u32) {
        let mut numbers = self
            .version
            .split('.')
            .map(|part| part.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }
}

impl Interpreter {
    /// The first `python3` on `path`.
    pub fn find(path: &OsStr, environment: &Environment) -> Result<Self, InterpreterError> {
        let executable = programs(path, "python3")
            .next()
            .ok_or(InterpreterError::NotFound)?;
        match beside(&executable) {
            Some(facts) => Ok(Self { executable, facts }),
            None => ask(&executable, environment),
        }
    }
}

/// Every program called `name` on `path`, in order.
pub fn programs(path: &OsStr, name: &str) -> impl Iterator<Item = PathBuf> {
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(move |folder| folder.join(name))
        .filter(|program| program.is_file())
        .collect::<Vec<_>>()
        .into_iter()
}

fn beside(executable: &Path) -> Option<InterpreterFacts> {
    let prefix = executable
        .canonicalize()
        .ok()?
        .parent()?
        .parent()?
        .to_owned();
    let text = std::fs::read_to_string(prefix.join(INTERPRETER_FILE)).ok()?;
    toml::from_str(&text).ok()
}

/// Version and true place: what PATH finds may be a wrapper script (pyenv) or another environment's link.
const QUESTION: &str = "import platform, sys; print(platform.python_version()); print(getattr(sys, '_base_executable', None) or sys.executable)";

fn ask(program: &Path, environment: &Environment) -> Result<Interpreter, InterpreterError> {
    let ran = ToolCommand::new(program, Path::new("/"), environment)
        .args(["-I", "-c", QUESTION])
        .run(Show::Nothing, &mut Output::captured())?;
    match ran.text.lines().collect::<Vec<_>>()[..] {
        [version, executable] if ran.status.success() && executable.starts_with('/') => {
            Ok(Interpreter {
                executable: executable.into(),
                facts: InterpreterFacts {
                    version: version.to_owned(),
                    source: executable.to_owned(),
                },
            })
        }
        _ => Err(InterpreterError::Broken {
            executable: program.to_owned(),
            text: ran.text,
        }),
    }
}

/// Why there is no interpreter.
#[derive(Debug, thiserror::Error)]
pub enum InterpreterError {
    /// No `python3` on PATH.
    #[error("there is no 'python3' on PATH")]
    NotFound,
    /// It cannot be started.
    #[error(transparent)]
    Run(#[from] RunToolError),
    /// It does not tell its version.
    #[error("'{}' does not work", executable.display())]
    Broken {
        /// The program.
        executable: PathBuf,
        /// What it said instead.
        text: String,
    },
}

impl Explain for InterpreterError {
    fn explain(&self) -> Message {
        match self {
            Self::NotFound => Message::new(
                "No Python",
                "No buildpack before this one provided a Python interpreter: there is no 'python3' on PATH.\n\nAdd longshore/python, or another buildpack that provides Python, before longshore/deps.",
            ),
            Self::Run(error) => Message::internal(error),
            Self::Broken { executable, text } => Message::new(
                "Python does not work",
                format!(
                    "'{}' should print its version, but said:\n{text}",
                    executable.display()
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_version_forms() {
        let facts = |version: &str| InterpreterFacts {
            version: version.into(),
            source: String::new(),
        };
        assert_eq!(facts("3.13.5").minor_version(), "3.13");
        assert_eq!(facts("3.14.0rc1").minor_version(), "3.14");
        assert_eq!(facts("3.13").minor_numbers(), (3, 13));
    }

    #[test]
    fn find_reads_the_file_beside_it() {
        let prefix = tempfile::tempdir().unwrap();
        let bin = prefix.path().join("bin");
        std::fs::create_dir(&bin).unwrap();
        std::fs::write(bin.join("python3"), "").unwrap();
        std::fs::write(
            prefix.path().join(INTERPRETER_FILE),
            "version = '3.13.5'\nsource = 'Debian'\n",
        )
        .unwrap();
        let found = Interpreter::find(bin.as_os_str(), &Environment::new()).unwrap();
        assert_eq!(found.facts.version, "3.13.5");
    }

    #[test]
    fn find_none() {
        let error = Interpreter::find(OsStr::new("/nonexistent"), &Environment::new()).unwrap_err();
        insta::assert_snapshot!(error.explain().as_error(), @"
        [Error: No Python]
        No buildpack before this one provided a Python interpreter: there is no 'python3' on PATH.

        Add longshore/python, or another buildpack that provides Python, before longshore/deps.
        ");
    }
}
