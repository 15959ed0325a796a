//! Why the hooks could not be read or run, in words for people.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::ExitStatus;

use buildpack_kit::{Explain, Message, ProjectTomlError, ReadAppFileError};

/// Everything that can go wrong with hooks.
#[derive(Debug, thiserror::Error)]
pub enum HooksError {
    /// `app.json` cannot be read as text.
    #[error(transparent)]
    File(#[from] ReadAppFileError),
    /// `project.toml`, or its table.
    #[error(transparent)]
    Project(#[from] ProjectTomlError),
    /// Not JSON.
    #[error("'{file}' is not valid JSON: {reason}")]
    Syntax {
        /// The file.
        file: String,
        /// What the parser says, with line and column.
        reason: String,
        /// The line.
        text: String,
    },
    /// A value of the wrong kind.
    #[error("{path} in '{file}' has to be {expected}")]
    WrongKind {
        /// The file.
        file: String,
        /// The dotted path.
        path: String,
        /// What it has to be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A script with Windows line endings.
    #[error("'{}' has Windows line endings", script.display())]
    WindowsScript {
        /// Below the app's folder.
        script: PathBuf,
        /// The hook's command.
        command: String,
    },
    /// bash could not be started.
    #[error("predeploy could not be started")]
    Start(#[source] io::Error),
    /// The command failed.
    #[error("predeploy failed with {status}")]
    Failed {
        /// The hook's command.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its output.
        last_lines: Vec<String>,
    },
}

impl Explain for HooksError {
    fn explain(&self) -> Message {
        match self {
            Self::File(error) => error.explain(),
            Self::Project(error) => error.explain(),
            Self::Syntax { file, reason, text } => Message::new(
                format!("Cannot read '{file}'"),
                format!(
                    "The file '{file}' is not valid JSON: {reason}\n\n{text}\n\n\
                     Correct it there; a predeploy or postdeploy in it is not run otherwise."
                ),
            ),
            Self::WrongKind {
                file,
                path,
                expected,
                found,
            } => Message::new(
                format!("Cannot use '{file}'"),
                format!("In '{file}', {path} has to be {expected}. Found: {found}."),
            ),
            Self::WindowsScript { script, command } => {
                windows_script(&script.display().to_string(), command)
            }
            Self::Start(error) => Message::new(
                "predeploy cannot start",
                format!(
                    "bash could not be started: {error}.\n\nThe build image needs bash on its PATH."
                ),
            ),
            Self::Failed {
                command,
                status,
                last_lines,
            } => failed(command, *status, last_lines),
        }
    }
}

fn windows_script(script: &str, command: &str) -> Message {
    Message::new(
        "Script with Windows line endings",
        format!(
            "predeploy is: {command}\n'{script}' ends its lines with a carriage return, which bash takes for a part of each line's last word.\n\n\
             Convert it, and keep git from converting it back:\nsed -i 's/\\r$//' '{script}'\necho '*.sh text eol=lf' >> .gitattributes"
        ),
    )
}

fn failed(command: &str, status: ExitStatus, last_lines: &[String]) -> Message {
    let how = match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "did not succeed".to_owned(),
    };
    let shown = match last_lines {
        [] => "It printed nothing.".to_owned(),
        [only] => format!("It printed:\n  {only}"),
        lines => format!("Its last {} lines:\n  {}", lines.len(), lines.join("\n  ")),
    };
    let hint = hint(status, last_lines).map_or_else(String::new, |hint| format!("\n\n{hint}"));
    Message::new(
        "predeploy failed",
        format!("{command}\n{how}, so the build stops.\n\n{shown}{hint}"),
    )
}

/// What usually helps.
fn hint(status: ExitStatus, last_lines: &[String]) -> Option<&'static str> {
    let says = |words: &str| last_lines.iter().any(|line| line.contains(words));
    if says("are you root") || says("/var/lib/dpkg") || says("/var/lib/apt") {
        return Some(
            "predeploy runs as an ordinary user. OS packages belong into a file called 'apt-packages', a name a line.",
        );
    }
    if says("cd: /app: No such file") {
        return Some(
            "This build image has no /app. predeploy starts in the app's folder already: leave 'cd /app' out, or build with Longshore's\n\
             own stack, where /app leads there.",
        );
    }
    match status.code() {
        Some(126) => Some(
            "126 means: there, but not executable. Start it with its interpreter ('bash predeploy.sh'), or set the bit:\n\
             git update-index --chmod=+x predeploy.sh",
        ),
        Some(127) => Some(
            "127 means: command not found. predeploy has the app's own PATH and requirements, and starts in the app's folder.",
        ),
        Some(137) => Some("137 means: killed, most often because the memory was used up."),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed_with(raw: i32, lines: &[&str]) -> String {
        let last_lines = lines.iter().map(|&line| line.to_owned()).collect();
        HooksError::Failed {
            command: "bash predeploy.sh".into(),
            status: ExitStatus::from_raw(raw),
            last_lines,
        }
        .explain()
        .as_error()
    }

    #[test]
    fn message_failed() {
        insta::assert_snapshot!(failed_with(3 << 8, &["downloading", "no such file"]), @r"
        [Error: predeploy failed]
        bash predeploy.sh
        ended with exit code 3, so the build stops.

        Its last 2 lines:
          downloading
          no such file
        ");
    }

    #[test]
    fn message_failed_hints() {
        insta::assert_snapshot!(failed_with(100 << 8, &["E: Could not open lock file, are you root?"]), @r"
        [Error: predeploy failed]
        bash predeploy.sh
        ended with exit code 100, so the build stops.

        It printed:
          E: Could not open lock file, are you root?

        predeploy runs as an ordinary user. OS packages belong into a file called 'apt-packages', a name a line.
        ");
        insta::assert_snapshot!(failed_with(9, &[]), @r"
        [Error: predeploy failed]
        bash predeploy.sh
        was ended by signal 9, so the build stops.

        It printed nothing.
        ");
        assert!(
            failed_with(127 << 8, &["bash: x: command not found"])
                .contains("127 means: command not found")
        );
        assert!(
            failed_with(
                1 << 8,
                &["bash: line 1: cd: /app: No such file or directory"]
            )
            .contains("leave 'cd /app' out")
        );
        assert!(failed_with(126 << 8, &[]).contains("chmod=+x"));
    }

    #[test]
    fn message_windows_script() {
        let error = HooksError::WindowsScript {
            script: "predeploy.sh".into(),
            command: "cd /app && bash predeploy.sh".into(),
        };
        insta::assert_snapshot!(error.explain().as_error(), @r"
        [Error: Script with Windows line endings]
        predeploy is: cd /app && bash predeploy.sh
        'predeploy.sh' ends its lines with a carriage return, which bash takes for a part of each line's last word.

        Convert it, and keep git from converting it back:
        sed -i 's/\r$//' 'predeploy.sh'
        echo '*.sh text eol=lf' >> .gitattributes
        ");
    }
}
