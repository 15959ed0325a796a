//! The pinned uv: which wheel, and how the build image's own pip fetches it, so that pip's index, proxy and certificate settings hold for it too.

use crate::command::{Environment, RunToolError, Show, ToolCommand};
use crate::diagnosis::advice;
use crate::interpreter::programs;
use crate::layers::{Restore, Restored, Use, keep_layer, new_layer, tell_reuse};
use crate::message::{Explain, Message};
use crate::output::Output;
use libcnb::Buildpack;
use libcnb::build::BuildContext;
use libcnb::data::layer_name;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

static PINNED: LazyLock<UvRelease> = LazyLock::new(|| {
    toml::from_str(include_str!("../uv.toml")).expect("uv.toml is part of this crate and tested")
});

/// The program in its layer.
const PROGRAM: &str = "uv";

/// A released uv, known by its wheels' digests.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UvRelease {
    /// `0.13.8`
    pub version: String,
    /// One a platform.
    pub sha256: Vec<String>,
}

impl UvRelease {
    /// The uv that this Longshore was made and tested with.
    pub fn pinned() -> &'static Self {
        &PINNED
    }

    /// The line for pip: any other bytes are refused. PEP 503 indexes and pip's hash-checking mode.
    fn requirement(&self) -> String {
        let mut line = format!("uv=={}", self.version);
        for digest in &self.sha256 {
            write!(line, " --hash=sha256:{digest}").expect("writing to a string cannot fail");
        }
        line.push('\n');
        line
    }

    /// Installs uv into `folder` and gives the path of its program.
    pub fn fetch(
        &self,
        folder: &Path,
        environment: &Environment,
        output: &mut Output,
    ) -> Result<PathBuf, FetchUvError> {
        let write = |path: &Path| {
            let path = path.to_owned();
            move |source| FetchUvError::Write { path, source }
        };
        let pip = pip_python(environment)?;
        let scratch = tempfile::tempdir().map_err(write(&std::env::temp_dir()))?;
        let requirement = scratch.path().join("uv.txt");
        fs::write(&requirement, self.requirement()).map_err(write(&requirement))?;
        let target = scratch.path().join("target");
        let ran = ToolCommand::new(&pip, scratch.path(), environment)
            .args([
                "-m",
                "pip",
                "install",
                "--require-hashes",
                "--no-deps",
                "--only-binary",
                ":all:",
                "--no-compile",
            ])
            .args([
                "--no-input",
                "--progress-bar",
                "off",
                "--disable-pip-version-check",
                "--no-cache-dir",
                "--quiet",
            ])
            .args(["--root-user-action", "ignore"])
            .args([
                OsStr::new("--target"),
                target.as_os_str(),
                OsStr::new("--requirement"),
                requirement.as_os_str(),
            ])
            .run(Show::Nothing, output)?;
        if !ran.status.success() {
            return Err(FetchUvError::Pip {
                version: self.version.clone(),
                text: ran.text,
            });
        }
        let program = folder.join(PROGRAM);
        fs::create_dir_all(folder).map_err(write(folder))?;
        // A copy: the scratch folder may be on another file system. It keeps the permission to execute.
        fs::copy(target.join("bin/uv"), &program).map_err(write(&program))?;
        let ran = ToolCommand::new(&program, folder, environment)
            .arg("--version")
            .run(Show::Nothing, output)?;
        if ran.status.success() {
            Ok(program)
        } else {
            Err(FetchUvError::DoesNotStart { text: ran.text })
        }
    }
}

/// The uv layer's metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UvMetadata {
    version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    restore: Option<Restore>,
}

impl UvMetadata {
    fn changes_to(&self, now: &Self) -> Vec<String> {
        let Self {
            version,
            restore: _,
        } = self;
        if *version == now.version {
            Vec::new()
        } else {
            vec![format!(
                "its version changed from {version} to {}",
                now.version
            )]
        }
    }
}

/// Keeps the uv of an earlier build for later ones, where this build does not need it.
pub fn keep_uv_layer<B: Buildpack>(
    context: &BuildContext<B>,
    output: &mut Output,
) -> libcnb::Result<(), B::Error> {
    if let Restored::Present(_) =
        Restored::<UvMetadata>::read(&context.layers_dir, &layer_name!("uv"))
    {
        keep_layer::<B, UvMetadata>(context, layer_name!("uv"), Use::CacheOnly)?;
        tell_reuse(output, "uv", &[]);
    }
    Ok(())
}

/// The pinned uv's program, from the layer `uv` of an earlier build or fetched into it. `restore` says when the next build will not want it.
pub fn uv_layer<B: Buildpack>(
    context: &BuildContext<B>,
    environment: &Environment,
    restore: Option<Restore>,
    output: &mut Output,
) -> libcnb::Result<PathBuf, B::Error>
where
    B::Error: From<FetchUvError>,
{
    let release = UvRelease::pinned();
    let now = UvMetadata {
        version: release.version.clone(),
        restore,
    };
    let restored = Restored::<UvMetadata>::read(&context.layers_dir, &layer_name!("uv"));
    let mut reasons = restored.reasons(|last| last.changes_to(&now));
    let program = context.layers_dir.join("uv").join(PROGRAM);
    if reasons.is_empty() && !program.is_file() {
        reasons.push("it stayed in the cache image".to_owned());
    }
    tell_reuse(output, &format!("uv {}", release.version), &reasons);
    if reasons.is_empty() {
        let layer = keep_layer::<B, UvMetadata>(context, layer_name!("uv"), Use::CacheOnly)?;
        layer.write_metadata(now)?;
        return Ok(program);
    }
    let layer = new_layer(context, layer_name!("uv"), Use::CacheOnly)?;
    let program = release
        .fetch(&layer.path(), environment, output)
        .map_err(|error| libcnb::Error::BuildpackError(error.into()))?;
    layer.write_metadata(now)?;
    Ok(program)
}

/// The first `python3` on PATH that has pip: the build image's own, since Debian's interpreters for apps come without.
fn pip_python(environment: &Environment) -> Result<PathBuf, FetchUvError> {
    let path = environment
        .get(OsStr::new("PATH"))
        .cloned()
        .unwrap_or_default();
    let mut tried = Vec::new();
    for python in programs(&path, "python3") {
        let ran = ToolCommand::new(&python, Path::new("/"), environment)
            .args(["-m", "pip", "--version"])
            .run(Show::Nothing, &mut Output::captured())?;
        if ran.status.success() {
            return Ok(python);
        }
        tried.push(python);
    }
    Err(FetchUvError::NoPip { tried })
}

/// Finds an interpreter that has pip, for whoever needs pip itself.
pub fn find_pip(environment: &Environment) -> Result<PathBuf, FetchUvError> {
    pip_python(environment)
}

/// Why uv could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchUvError {
    /// No interpreter on PATH can run pip.
    #[error("no python3 on PATH has pip")]
    NoPip {
        /// The interpreters that were tried.
        tried: Vec<PathBuf>,
    },
    /// A tool cannot be started.
    #[error(transparent)]
    Run(#[from] RunToolError),
    /// pip failed.
    #[error("pip could not fetch uv {version}")]
    Pip {
        /// The version that was asked for.
        version: String,
        /// pip's words.
        text: String,
    },
    /// The program does not run here.
    #[error("uv does not start")]
    DoesNotStart {
        /// What the system said.
        text: String,
    },
    /// A file cannot be written.
    #[error("cannot write '{}': {source}", path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Explain for FetchUvError {
    fn explain(&self) -> Message {
        match self {
            Self::NoPip { tried } => Message::new(
                "The build image has no pip",
                format!(
                    "Longshore fetches its installer, uv, with the pip of the build image, but no 'python3' on PATH has pip. Tried: {}.\n\nUse a build image that holds Debian's python3-pip.",
                    if tried.is_empty() {
                        "none, since there is no 'python3'".to_owned()
                    } else {
                        tried
                            .iter()
                            .map(|path| path.display().to_string())
                            .collect::<Vec<_>>()
                            .join(", ")
                    }
                ),
            ),
            Self::Run(error) => Message::internal(error),
            Self::Pip { version, text } => {
                let advice = advice(text).unwrap_or("Check that the package index that pip is configured for holds uv, and build again.");
                Message::new(
                    format!("Cannot fetch uv {version}"),
                    format!(
                        "pip could not fetch the installer uv {version}:\n\n{}\n\n{advice}",
                        text.trim()
                    ),
                )
            }
            Self::DoesNotStart { text } => Message::new(
                "uv does not start",
                format!(
                    "The installer uv was fetched, but does not run in this build image:\n\n{}\n\nIt needs glibc 2.17 and libgcc_s.so.1 (Debian: libgcc-s1).",
                    text.trim()
                ),
            ),
            Self::Write { .. } => Message::new(
                "Cannot write files",
                format!("{self}.\n\nCheck the free space and the permissions of that place."),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pinned_parses() {
        let release = UvRelease::pinned();
        assert!(release.sha256.iter().all(|digest| digest.len() == 64));
        assert!(
            release
                .requirement()
                .starts_with(&format!("uv=={} --hash=sha256:", release.version))
        );
    }

    #[test]
    fn fetch_without_python() {
        let folder = tempfile::tempdir().unwrap();
        let environment = Environment::from([("PATH".into(), "/nonexistent".into())]);
        let error = UvRelease::pinned()
            .fetch(folder.path(), &environment, &mut Output::captured())
            .unwrap_err();
        insta::assert_snapshot!(error.explain().as_error(), @"
        [Error: The build image has no pip]
        Longshore fetches its installer, uv, with the pip of the build image, but no 'python3' on PATH has pip. Tried: none, since there is no 'python3'.

        Use a build image that holds Debian's python3-pip.
        ");
    }

    #[test]
    fn pip_error_with_advice() {
        let error = FetchUvError::Pip {
            version: "0.13.8".into(),
            text: "ERROR: CERTIFICATE_VERIFY_FAILED\n".into(),
        };
        insta::assert_snapshot!(error.explain().as_error(), @"
        [Error: Cannot fetch uv 0.13.8]
        pip could not fetch the installer uv 0.13.8:

        ERROR: CERTIFICATE_VERIFY_FAILED

        The server's certificate is not signed by anyone this build trusts. Behind a proxy that inspects TLS, that is expected:
        give the company's CA certificates with --ca-cert FILE, or SSL_CERT_FILE=FILE in the environment of `longshore build`.
        They serve the build only and never enter the image.
        ");
    }
}
