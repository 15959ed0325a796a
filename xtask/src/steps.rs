//! What every chore is made of: commands in the repository's root, and words on standard error.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask is a folder of the repository")
}

/// A command in the repository's root.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    let mut command = command(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What `cargo run` sets for us would make a nested cargo build things again.
    for (name, _) in std::env::vars_os() {
        let ours = name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR");
        if ours {
            command.env_remove(name);
        }
    }
    // It halves what a build leaves on the disk, and speeds up nothing that is built once.
    command.env("CARGO_INCREMENTAL", "0");
    command
}

/// Says and runs a command; anything but success is an error.
pub(crate) fn run(command: &mut Command) -> Result<(), ChoreError> {
    say(&format!("+ {}", words(command)));
    let status = command
        .status()
        .map_err(|source| ChoreError::start(command, source))?;
    if status.success() {
        Ok(())
    } else {
        Err(ChoreError::Failed {
            command: words(command),
            status,
        })
    }
}

/// A command's standard output.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>, ChoreError> {
    let output = command
        .output()
        .map_err(|source| ChoreError::start(command, source))?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    say(String::from_utf8_lossy(&output.stderr).trim_end());
    Err(ChoreError::Failed {
        command: words(command),
        status: output.status,
    })
}

/// The words that a person would type.
pub(crate) fn words(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Speaks to the person at the terminal.
#[expect(
    clippy::print_stderr,
    reason = "the one function of this program that prints"
)]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// Where cargo puts the programs it builds with this profile.
pub(crate) fn built(profile: &str) -> Result<PathBuf, ChoreError> {
    let target = metadata()?["target_directory"].as_str().map(PathBuf::from);
    let target = target.ok_or(ChoreError::Metadata)?;
    // `build.target` in .cargo/config.toml adds the host's triple to the path.
    Ok(target
        .join(format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .join(profile))
}

/// What `cargo metadata` says of our own crates.
pub(crate) fn metadata() -> Result<serde_json::Value, ChoreError> {
    let text = output(cargo().args(["metadata", "--format-version=1", "--no-deps"]))?;
    serde_json::from_slice(&text).map_err(|_| ChoreError::Metadata)
}

/// Why a chore ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChoreError {
    #[error("{0}")]
    Usage(&'static str),
    #[error("`{command}` could not be started: {source}")]
    Start { command: String, source: io::Error },
    #[error("`{command}` failed ({status})")]
    Failed { command: String, status: ExitStatus },
    #[error("`cargo metadata` says something that this program does not understand")]
    Metadata,
    #[error("{path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("{0}")]
    Said(String),
}

impl ChoreError {
    pub(crate) fn start(command: &Command, source: io::Error) -> Self {
        Self::Start {
            command: words(command),
            source,
        }
    }

    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
