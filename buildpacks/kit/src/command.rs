//! Runs a tool (uv, pip, python) with a given environment, shows its lines as they come, and keeps them for a diagnosis.

use crate::output::Output;
use crate::redact::redact;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Enough of a tool's last words to say what went wrong; compilers can write megabytes.
const MAX_KEPT_LINES: usize = 2000;

/// The whole environment of a tool.
pub type Environment = BTreeMap<OsString, OsString>;

/// A tool with its arguments and its whole environment.
#[derive(Clone, Debug)]
pub struct ToolCommand {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Environment,
    folder: PathBuf,
}

/// How a tool ended, and what it said.
#[derive(Debug)]
pub struct Ran {
    /// Its exit status.
    pub status: ExitStatus,
    /// Its last lines, without passwords.
    pub text: String,
}

/// Whether lines are shown while the tool runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Show {
    /// Every line.
    All,
    /// Lines up to the first that begins with `error:` or `ERROR:`; the rest belongs in the error message.
    UntilError,
    /// Nothing.
    Nothing,
}

impl ToolCommand {
    /// A command that runs in `folder` with exactly `environment`.
    pub fn new(program: impl Into<PathBuf>, folder: &Path, environment: &Environment) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: environment.clone(),
            folder: folder.to_owned(),
        }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<I: IntoIterator<Item: AsRef<OsStr>>>(mut self, arguments: I) -> Self {
        self.arguments.extend(
            arguments
                .into_iter()
                .map(|argument| argument.as_ref().to_owned()),
        );
        self
    }

    /// Runs to the end. Standard output and standard error become one stream of lines.
    pub fn run(&self, show: Show, output: &mut Output) -> Result<Ran, RunToolError> {
        let error = |source| RunToolError {
            program: self.program.clone(),
            source,
        };
        let (reader, writer) = io::pipe().map_err(error)?;
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(writer.try_clone().map_err(error)?)
            .stderr(writer)
            .spawn()
            .map_err(error)?;
        let text = read_lines(BufReader::new(reader), show, output).map_err(error)?;
        let status = child.wait().map_err(error)?;
        Ok(Ran { status, text })
    }
}

fn read_lines(mut reader: impl io::BufRead, show: Show, output: &mut Output) -> io::Result<String> {
    let mut kept = std::collections::VecDeque::new();
    let mut showing = show != Show::Nothing;
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        let line = redact(String::from_utf8_lossy(&bytes).trim_end());
        bytes.clear();
        if show == Show::UntilError && (line.starts_with("error:") || line.starts_with("ERROR:")) {
            showing = false;
        }
        if showing {
            output.line(&line);
        }
        if kept.len() == MAX_KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    Ok(kept.make_contiguous().join("\n"))
}

/// A tool could not be started or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot run '{}': {source}", program.display())]
pub struct RunToolError {
    /// The program.
    pub program: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, show: Show) -> (Ran, String) {
        let mut output = Output::captured();
        let environment = Environment::from([("WHO".into(), "you".into())]);
        let ran = ToolCommand::new("/bin/sh", Path::new("/"), &environment)
            .args(["-c", script])
            .run(show, &mut output)
            .unwrap();
        (ran, output.text().to_owned())
    }

    #[test]
    fn run_shows_both_streams_without_passwords_and_only_the_given_environment() {
        let (ran, shown) = shell(
            "echo from https://a:b@host $WHO $HOME; echo err >&2; exit 3",
            Show::All,
        );
        assert_eq!(ran.status.code(), Some(3));
        assert_eq!(shown, "from https://****@host you\nerr\n");
        assert_eq!(ran.text, "from https://****@host you\nerr");
    }

    #[test]
    fn run_until_error_keeps_the_rest_for_the_message() {
        let (ran, shown) = shell("echo one; echo error: two; echo three", Show::UntilError);
        assert_eq!(shown, "one\n");
        assert_eq!(ran.text, "one\nerror: two\nthree");
    }

    #[test]
    fn run_missing_program() {
        let error = ToolCommand::new("/nonexistent/uv", Path::new("/"), &Environment::new())
            .run(Show::All, &mut Output::captured())
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot run '/nonexistent/uv': No such file or directory (os error 2)"
        );
    }
}
