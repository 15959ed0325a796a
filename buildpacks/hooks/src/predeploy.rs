//! Running predeploy: the command in the app's folder, its output shown as it comes and its last lines kept.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use buildpack_kit::Output;

use crate::errors::HooksError;

/// How many lines a failure shows.
const LINES_KEPT: usize = 50;

/// A line longer than this is shown in pieces: a progress bar without line ends must not fill the memory.
const LONGEST_LINE: u64 = 16 << 10;

/// How long output may still come when the command has ended: a program left in the background keeps the pipe open for ever.
const AFTERMATH: Duration = Duration::from_secs(2);

/// Where scripts written for Dash Enterprise 4, Heroku and Dokku expect the app.
const TRADITIONAL_APP_DIR: &str = "/app";

/// Runs the command with the given environment. Dokku's rule: `set -eo pipefail`.
pub(crate) fn run(
    command: &str,
    app_dir: &Path,
    environment: &[(OsString, OsString)],
    output: &mut Output,
) -> Result<(), HooksError> {
    let (status, last_lines) =
        show(command, &working_dir(app_dir), environment, output).map_err(HooksError::Start)?;
    if status.success() {
        Ok(())
    } else {
        Err(HooksError::Failed {
            command: command.to_owned(),
            status,
            last_lines,
        })
    }
}

/// `/app` where that is the app's folder under its traditional name.
fn working_dir(app_dir: &Path) -> PathBuf {
    let same = |a: &Path, b: &Path| {
        a.canonicalize()
            .ok()
            .is_some_and(|a| b.canonicalize().is_ok_and(|b| a == b))
    };
    let traditional = Path::new(TRADITIONAL_APP_DIR);
    if same(traditional, app_dir) {
        traditional.to_owned()
    } else {
        app_dir.to_owned()
    }
}

/// What the lifecycle tells buildpacks is none of the app's business. Python writes no bytecode: it would stay in the image, with the times of
/// the sources in it, which are others in every copy of the app.
pub(crate) fn environment_of_app(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Vec<(OsString, OsString)> {
    let no_bytecode = ("PYTHONDONTWRITEBYTECODE".into(), "1".into());
    std::iter::once(no_bytecode)
        .chain(variables.filter(|(name, _)| !name.to_string_lossy().starts_with("CNB_")))
        .collect()
}

fn show(
    command: &str,
    folder: &Path,
    environment: &[(OsString, OsString)],
    output: &mut Output,
) -> io::Result<(ExitStatus, Vec<String>)> {
    let (mut child, lines) = start(command, folder, environment)?;
    let mut last_lines = VecDeque::new();
    let mut ended: Option<(ExitStatus, Instant)> = None;
    loop {
        match lines.recv_timeout(Duration::from_millis(50)) {
            Ok(line) => {
                output.line(format!("  {line}"));
                if last_lines.len() == LINES_KEPT {
                    last_lines.pop_front();
                }
                last_lines.push_back(line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        match ended {
            Some((_, since)) if since.elapsed() > AFTERMATH => break,
            Some(_) => {}
            None => ended = child.try_wait()?.map(|status| (status, Instant::now())),
        }
    }
    let status = match ended {
        Some((status, _)) => status,
        None => child.wait()?,
    };
    Ok((status, last_lines.into()))
}

/// Standard output and error share one pipe, so that their lines keep their order.
fn start(
    command: &str,
    folder: &Path,
    environment: &[(OsString, OsString)],
) -> io::Result<(Child, Receiver<String>)> {
    let (reader, writer) = io::pipe()?;
    let variables = environment
        .iter()
        .map(|(name, value)| (name.as_os_str(), value.as_os_str()));
    let child = Command::new("bash")
        .args(["-e", "-o", "pipefail", "-c", command])
        .current_dir(folder)
        .env_clear()
        .envs(variables)
        .env("PWD", folder)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()?;
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut bytes = Vec::new();
        while reader
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|length| length > 0)
        {
            let line = String::from_utf8_lossy(&bytes)
                .trim_end_matches(['\n', '\r'])
                .to_owned();
            bytes.clear();
            // Nobody listens any more: the command has ended and its time for last words is over.
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    Ok((child, lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn environment() -> Vec<(OsString, OsString)> {
        vec![
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("GREETING".into(), "hello".into()),
        ]
    }

    fn run_in(app: &Path, command: &str) -> (Result<(), HooksError>, String) {
        let mut output = Output::captured();
        let result = run(command, app, &environment(), &mut output);
        (result, output.text().to_owned())
    }

    #[test]
    fn run_changes_the_app_folder_and_shows_both_streams_in_order() {
        let app = tempfile::tempdir().unwrap();
        let (result, text) = run_in(
            app.path(),
            "echo one; echo two >&2; echo $GREETING > made; printf three",
        );
        result.unwrap();
        assert_eq!(text, "  one\n  two\n  three\n");
        assert_eq!(
            fs::read_to_string(app.path().join("made")).unwrap(),
            "hello\n"
        );
    }

    #[test]
    fn run_stops_at_the_first_failure() {
        let app = tempfile::tempdir().unwrap();
        for command in ["false; echo on", "false | true; echo on"] {
            let (result, text) = run_in(app.path(), command);
            assert!(
                matches!(result, Err(HooksError::Failed { .. })),
                "{command}"
            );
            assert_eq!(text, "", "{command}");
        }
    }

    #[test]
    fn run_keeps_the_last_fifty_lines() {
        let app = tempfile::tempdir().unwrap();
        let (result, text) = run_in(app.path(), "seq 200; exit 3");
        let Err(HooksError::Failed {
            status, last_lines, ..
        }) = result
        else {
            panic!("{result:?}")
        };
        assert_eq!(status.code(), Some(3));
        assert_eq!(
            last_lines,
            (151..=200)
                .map(|number| number.to_string())
                .collect::<Vec<_>>()
        );
        assert_eq!(text.lines().count(), 200);
    }

    #[test]
    fn run_does_not_wait_for_what_is_left_in_the_background() {
        let app = tempfile::tempdir().unwrap();
        let started = Instant::now();
        let (result, text) = run_in(app.path(), "sleep 60 & echo done");
        result.unwrap();
        assert_eq!(text, "  done\n");
        assert!(started.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn run_endless_line_is_cut() {
        let app = tempfile::tempdir().unwrap();
        let (result, text) = run_in(app.path(), "head -c 100000 /dev/zero | tr '\\0' x");
        result.unwrap();
        assert_eq!(text.lines().count(), 7);
    }

    #[test]
    fn environment_of_app_drops_the_lifecycle_s_own() {
        let variables = [
            ("CNB_LAYERS_DIR", "/layers"),
            ("PATH", "/bin"),
            ("CNB_TARGET_OS", "linux"),
            ("A", "b"),
        ];
        let left = environment_of_app(
            variables
                .iter()
                .map(|&(name, value)| (name.into(), value.into())),
        );
        assert_eq!(
            left,
            [
                ("PYTHONDONTWRITEBYTECODE".into(), "1".into()),
                ("PATH".into(), "/bin".into()),
                (OsString::from("A"), OsString::from("b"))
            ]
        );
    }
}
