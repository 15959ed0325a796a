//! python-build-standalone's interpreters, which the pinned uv installs: its embedded list (or the one that `UV_PYTHON_DOWNLOADS_JSON_URL` names)
//! carries every digest, and `UV_PYTHON_INSTALL_MIRROR` says where else to look.

use crate::version::PythonVersion;
use buildpack_kit::command::{Environment, RunToolError, Show, ToolCommand};
use buildpack_kit::output::Output;
use buildpack_kit::variables::Variables;
use fetch::{Client, FetchError};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Names another list of interpreters, in uv's own form.
pub(crate) const DOWNLOADS_URL_VARIABLE: &str = "UV_PYTHON_DOWNLOADS_JSON_URL";

/// uv's own list is 2 MB.
const LARGEST_LIST: u64 = 64 << 20;

/// Installs `version` into a folder of its own below `folder`; gives that.
pub(crate) fn install(
    uv: &Path,
    version: &PythonVersion,
    folder: &Path,
    tools: &Environment,
    output: &mut Output,
) -> Result<PathBuf, StandaloneError> {
    let mut environment = tools.clone();
    environment.insert("UV_PYTHON_INSTALL_DIR".into(), folder.into());
    environment.insert("UV_PYTHON_DOWNLOADS".into(), "manual".into());
    environment.insert("UV_NO_CONFIG".into(), "1".into());
    let scratch = tempfile::tempdir().map_err(StandaloneError::Files)?;
    environment.insert("UV_CACHE_DIR".into(), scratch.path().into());
    let ran = ToolCommand::new(uv, folder, &environment)
        .args([
            "python",
            "install",
            "--no-bin",
            "--no-progress",
            "--color",
            "never",
        ])
        .arg(format!("cpython-{version}-linux-x86_64-gnu"))
        .run(Show::UntilError, output)?;
    if !ran.status.success() {
        return Err(StandaloneError::Uv(ran.text));
    }
    remove_extras(folder, version).map_err(StandaloneError::Files)
}

/// uv leaves a lock, a link for the minor version and a scratch folder beside the interpreter.
fn remove_extras(folder: &Path, version: &PythonVersion) -> io::Result<PathBuf> {
    let wanted = format!("cpython-{version}-");
    let mut found = None;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() && entry.file_name().to_string_lossy().starts_with(&wanted) {
            found = Some(entry.path());
        } else if kind.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    found.ok_or_else(|| io::Error::other(format!("uv installed no folder '{wanted}…'")))
}

/// One entry of uv's list. <https://docs.astral.sh/uv/reference/environment/#uv_python_downloads_json_url>
#[derive(Deserialize)]
struct Listed {
    name: String,
    arch: Arch,
    os: String,
    libc: String,
    major: u64,
    minor: u64,
    patch: u64,
    #[serde(default)]
    prerelease: Option<String>,
    #[serde(default)]
    variant: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Arch {
    Family {
        family: String,
        #[serde(default)]
        variant: Option<String>,
    },
    Name(String),
}

impl Listed {
    fn version(&self) -> Option<PythonVersion> {
        let arch = match &self.arch {
            Arch::Family {
                family,
                variant: None,
            } => family,
            Arch::Name(name) => name,
            Arch::Family { .. } => return None,
        };
        let fits = (
            self.name.as_str(),
            self.os.as_str(),
            self.libc.as_str(),
            arch.as_str(),
        ) == ("cpython", "linux", "gnu", "x86_64");
        if !fits || self.variant.is_some() {
            return None;
        }
        let prerelease = self.prerelease.as_deref().unwrap_or_default();
        format!("{}.{}.{}{prerelease}", self.major, self.minor, self.patch)
            .parse()
            .ok()
    }
}

/// The versions in the list that the variables name, newest first; `None` where they name none.
pub(crate) fn listed_versions(
    variables: &Variables,
    client: &Client,
) -> Result<Option<Vec<PythonVersion>>, StandaloneError> {
    let Some(place) = variables.get(DOWNLOADS_URL_VARIABLE) else {
        return Ok(None);
    };
    let bytes = match place.parse::<url::Url>() {
        Ok(url) => client.get(&url, LARGEST_LIST)?,
        // uv takes paths too.
        Err(_) => fs::read(place).map_err(StandaloneError::Files)?,
    };
    parse_list(&bytes).map(Some)
}

fn parse_list(bytes: &[u8]) -> Result<Vec<PythonVersion>, StandaloneError> {
    let list: BTreeMap<String, Listed> =
        serde_json::from_slice(bytes).map_err(|error| StandaloneError::List(error.to_string()))?;
    let mut versions: Vec<PythonVersion> = list.values().filter_map(Listed::version).collect();
    versions.sort();
    versions.dedup();
    versions.reverse();
    Ok(versions)
}

/// Why no standalone interpreter could be had.
#[derive(Debug, thiserror::Error)]
pub enum StandaloneError {
    /// uv cannot be started.
    #[error(transparent)]
    Run(#[from] RunToolError),
    /// uv failed.
    #[error("uv could not install it:\n{0}")]
    Uv(String),
    /// The list cannot be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The list is none.
    #[error("the list that {DOWNLOADS_URL_VARIABLE} names cannot be read: {0}")]
    List(String),
    /// Files.
    #[error("files cannot be read or written: {0}")]
    Files(io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_list_takes_what_runs_here() {
        let entry = |key: &str, name: &str, family: &str, libc: &str, patch: u64, rest: &str| {
            format!(
                r#""{key}": {{"name": "{name}", "arch": {{"family": "{family}", "variant": null}}, "os": "linux", "libc": "{libc}",
                "major": 3, "minor": 12, "patch": {patch}, "url": "http://127.0.0.1/x.tar.gz", "sha256": null{rest}}}"#
            )
        };
        let list = [
            entry(
                "a",
                "cpython",
                "x86_64",
                "gnu",
                4,
                r#", "prerelease": "", "variant": null"#,
            ),
            entry("b", "cpython", "x86_64", "gnu", 10, ""),
            entry("c", "cpython", "aarch64", "gnu", 11, ""),
            entry("d", "cpython", "x86_64", "musl", 11, ""),
            entry("e", "pypy", "x86_64", "gnu", 11, ""),
            entry(
                "f",
                "cpython",
                "x86_64",
                "gnu",
                11,
                r#", "variant": "freethreaded""#,
            ),
            entry(
                "g",
                "cpython",
                "x86_64",
                "gnu",
                0,
                r#", "prerelease": "rc1""#,
            ),
        ];
        let versions = parse_list(format!("{{{}}}", list.join(",")).as_bytes()).unwrap();
        let versions: Vec<String> = versions.iter().map(ToString::to_string).collect();
        assert_eq!(versions, ["3.12.10", "3.12.4", "3.12.0rc1"]);
    }

    #[test]
    fn parse_list_nonsense() {
        assert!(
            parse_list(b"[]")
                .unwrap_err()
                .to_string()
                .starts_with("the list that UV_PYTHON_DOWNLOADS_JSON_URL names cannot be read:")
        );
    }
}
