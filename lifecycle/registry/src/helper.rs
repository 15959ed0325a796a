//! Credential helpers: `docker-credential-NAME get` reads a registry's name from stdin and writes
//! `{"ServerURL":"…","Username":"…","Secret":"…"}` (github.com/docker/docker-credential-helpers). The user `<token>` means that
//! the secret is an identity token. One that hangs, asks for a password say, is ended together with what it started.

use std::{
    ffi::OsString,
    io::{self, Read, Write as _},
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;

use crate::login::Login;

/// More is not read of what a helper writes.
const LONGEST_ANSWER: u64 = 64 << 10;

/// How often we look whether a helper has ended.
const GLANCE: Duration = Duration::from_millis(10);

/// Where helpers are found, and how long they may take.
#[derive(Debug, Clone)]
pub struct Helpers {
    /// The folders of `PATH`.
    pub path: OsString,
    /// The most time for one answer.
    pub time_limit: Duration,
}

impl Default for Helpers {
    fn default() -> Self {
        Self {
            path: OsString::new(),
            time_limit: Duration::from_secs(30),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

impl Helpers {
    /// Asks a helper; `None` if it has no credentials for the registry.
    pub(crate) fn ask(&self, name: &str, registry: &str) -> Result<Option<Login>, HelperError> {
        let program = self.find(name)?;
        let failed = |problem| HelperError {
            helper: format!("docker-credential-{name}"),
            registry: registry.to_owned(),
            problem,
        };
        // Docker's helpers know Docker Hub by its oldest address.
        let address = match registry {
            "index.docker.io" => "https://index.docker.io/v1/",
            other => other,
        };
        let ended = self.run(&program, address).map_err(failed)?;
        let text = String::from_utf8_lossy(&ended.stdout);
        let says = |words: &str| text.contains(words) || ended.stderr.contains(words);
        if says("credentials not found") {
            return Ok(None);
        }
        if !ended.succeeded {
            let words = if ended.stderr.trim().is_empty() {
                &text
            } else {
                ended.stderr.as_str()
            };
            return Err(failed(HelperProblem::Failed {
                words: printable(words),
            }));
        }
        let answer: Answer =
            serde_json::from_slice(&ended.stdout).map_err(|_| failed(HelperProblem::Unreadable))?;
        Ok(match (answer.username.as_str(), answer.secret) {
            (_, secret) if secret.is_empty() => None,
            ("<token>", secret) => Some(Login::Identity(secret)),
            (user, password) => Some(Login::Basic {
                user: user.to_owned(),
                password,
            }),
        })
    }

    fn find(&self, name: &str) -> Result<PathBuf, HelperError> {
        let missing = || HelperError {
            helper: format!("docker-credential-{}", printable(name)),
            registry: String::new(),
            problem: HelperProblem::Missing,
        };
        // A name from a file must not become a path.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(missing());
        }
        std::env::split_paths(&self.path)
            .map(|folder| folder.join(format!("docker-credential-{name}")))
            .find(|path| path.is_file())
            .ok_or_else(missing)
    }

    fn run(&self, program: &PathBuf, address: &str) -> Result<Ended, HelperProblem> {
        let start = |error: io::Error| HelperProblem::Start(error.to_string());
        let mut child = Command::new(program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .map_err(start)?;
        let (Some(mut stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(HelperProblem::Start("it has no pipes".to_owned()));
        };
        let stdout = thread::spawn(move || read(stdout));
        let stderr = thread::spawn(move || read(stderr));
        // A helper may answer without reading; the name is shorter than any pipe, so this does not block.
        let asked = stdin.write_all(address.as_bytes());
        drop((stdin, asked));
        let succeeded = self.wait(&mut child, || stdout.is_finished() && stderr.is_finished())?;
        Ok(Ended {
            succeeded,
            stdout: stdout.join().unwrap_or_default(),
            stderr: String::from_utf8_lossy(&stderr.join().unwrap_or_default()).into_owned(),
        })
    }

    /// Until it has ended and nobody holds its output any more, or until its time is over.
    fn wait(&self, child: &mut Child, closed: impl Fn() -> bool) -> Result<bool, HelperProblem> {
        let until = Instant::now() + self.time_limit;
        loop {
            let status = child.try_wait();
            match status {
                Ok(Some(status)) if closed() => return Ok(status.success()),
                Err(error) => return Err(HelperProblem::Start(error.to_string())),
                Ok(_) if Instant::now() >= until => {
                    end(child);
                    return Err(HelperProblem::Hangs(self.time_limit));
                }
                Ok(_) => thread::sleep(GLANCE),
            }
        }
    }
}

/// Ends the helper and what it started: they share its process group.
fn end(child: &mut Child) {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // Whether it is already gone does not matter.
    let killed = group.map(|group| kill_process_group(group, Signal::KILL));
    drop((killed, child.wait()));
}

struct Ended {
    succeeded: bool,
    stdout: Vec<u8>,
    stderr: String,
}

fn read(stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What came before an error is what there is.
    drop(stream.take(LONGEST_ANSWER).read_to_end(&mut bytes));
    bytes
}

fn printable(text: &str) -> String {
    let plain = text
        .trim()
        .chars()
        .filter(|character| !character.is_control());
    plain.take(300).collect()
}

/// Why a helper gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the credential helper {helper} {problem}")]
pub struct HelperError {
    /// The program.
    pub helper: String,
    /// What it was asked for.
    pub registry: String,
    /// What happened.
    pub problem: HelperProblem,
}

/// What happened with a helper.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HelperProblem {
    /// No such program.
    #[error(
        "is not in any folder of PATH; install it, or remove it from credsStore or credHelpers"
    )]
    Missing,
    /// It could not be started.
    #[error("could not be run: {0}")]
    Start(String),
    /// It said that something is wrong.
    #[error("failed: {words}")]
    Failed {
        /// What it said, shortened.
        words: String,
    },
    /// It took too long.
    #[error("gave no answer in {} s and was ended; does it wait for a password?", .0.as_secs())]
    Hangs(Duration),
    /// It did not write what helpers write.
    #[error("did not write credentials as JSON")]
    Unreadable,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    fn helper(script: &str) -> (tempfile::TempDir, Helpers) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker-credential-test");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let helpers = Helpers {
            path: folder.path().into(),
            time_limit: Duration::from_secs(20),
        };
        (folder, helpers)
    }

    #[test]
    fn ask_answers() {
        let echo = r#"name=$(cat); printf '{"ServerURL":"%s","Username":"u","Secret":"%s"}' "$name" "$1 $name""#;
        let basic = |password: &str| {
            Some(Login::Basic {
                user: "u".to_owned(),
                password: password.to_owned(),
            })
        };
        for (script, registry, expected) in [
            (echo, "r.test:5000", basic("get r.test:5000")),
            (
                echo,
                "index.docker.io",
                basic("get https://index.docker.io/v1/"),
            ),
            (
                r#"echo '{"Username":"<token>","Secret":"t"}'"#,
                "r",
                Some(Login::Identity("t".into())),
            ),
            (
                "echo credentials not found in native keychain; exit 1",
                "r",
                None,
            ),
            (r#"echo '{"Username":"","Secret":""}'"#, "r", None),
        ] {
            let (_folder, helpers) = helper(script);
            assert_eq!(helpers.ask("test", registry), Ok(expected), "{script}");
        }
    }

    #[test]
    fn ask_fails() {
        for (script, expected) in [
            (
                "echo the keyring is locked >&2; exit 3",
                "the credential helper docker-credential-test failed: the keyring is locked",
            ),
            (
                "echo hello",
                "the credential helper docker-credential-test did not write credentials as JSON",
            ),
        ] {
            let (_folder, helpers) = helper(script);
            assert_eq!(helpers.ask("test", "r").unwrap_err().to_string(), expected);
        }
        let (_folder, helpers) = helper("");
        for name in ["other", "../test", ""] {
            assert_eq!(
                helpers.ask(name, "r").unwrap_err().problem,
                HelperProblem::Missing
            );
        }
    }

    #[test]
    fn ask_ends_one_that_hangs_with_its_children() {
        let (folder, mut helpers) = helper("echo $$ > \"$0.pid\"; sleep 600 & sleep 600");
        helpers.time_limit = Duration::from_millis(300);
        let error = helpers.ask("test", "r").unwrap_err();
        assert_eq!(error.problem, HelperProblem::Hangs(helpers.time_limit));
        let group = fs::read_to_string(folder.path().join("docker-credential-test.pid")).unwrap();
        let group = Pid::from_raw(group.trim().parse().unwrap()).unwrap();
        // Killed children of ours are gone at once; those of the helper when init has seen it.
        let until = Instant::now() + Duration::from_secs(20);
        while rustix::process::test_kill_process_group(group).is_ok() && Instant::now() < until {
            let alive = living_members(group);
            if !alive {
                return;
            }
            thread::sleep(GLANCE);
        }
    }

    /// Zombies that nobody has collected yet are members of a group too.
    fn living_members(group: Pid) -> bool {
        fs::read_dir("/proc").unwrap().flatten().any(|entry| {
            let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let after_name = stat
                .rsplit_once(") ")
                .map(|(_, rest)| rest)
                .unwrap_or_default();
            let words: Vec<&str> = after_name.split(' ').collect();
            words.get(2).and_then(|word| word.parse().ok()) == Some(group.as_raw_nonzero().get())
                && words.first() != Some(&"Z")
        })
    }
}
