//! The buildpacks of a builder: `<buildpacks>/<escaped id>/<version>/buildpack.toml`.

use std::path::{Path, PathBuf};

use cnb_spec::api::{ApiError, BuildpackApi};
use cnb_spec::buildpack::{BuildpackToml, LinuxPrograms};
use cnb_spec::id::{BuildpackId, BuildpackVersion};
use cnb_spec::target::BuildpackTarget;

use crate::files::{FileError, read_toml};

/// A buildpack on disk.
#[derive(Debug)]
pub(crate) struct Buildpack {
    /// Its `buildpack.toml`.
    pub(crate) toml: BuildpackToml,
    /// The API that it is written for.
    pub(crate) api: BuildpackApi,
    /// Its folder.
    pub(crate) dir: PathBuf,
    /// What it works for; empty when it does not say.
    pub(crate) targets: Vec<BuildpackTarget>,
}

impl Buildpack {
    /// Reads the buildpack of this id and version.
    pub(crate) fn find(
        buildpacks_dir: &Path,
        id: &BuildpackId,
        version: &BuildpackVersion,
    ) -> Result<Self, BuildpackError> {
        let dir = buildpacks_dir.join(id.escaped()).join(version.as_str());
        let toml: BuildpackToml = read_toml(&dir.join("buildpack.toml"))?;
        let api = supported_api(id, version, &toml.api)?;
        let programs = match dir.join("bin/build").try_exists() {
            Ok(true) => LinuxPrograms::Present,
            _ => LinuxPrograms::Absent,
        };
        let targets = toml.effective_targets(programs);
        Ok(Self {
            toml,
            api,
            dir,
            targets,
        })
    }
}

/// Checks the API that a buildpack asks for.
pub fn supported_api(
    id: &BuildpackId,
    version: &BuildpackVersion,
    api: &str,
) -> Result<BuildpackApi, BuildpackError> {
    api.parse().map_err(|source| BuildpackError::Api {
        buildpack: format!("{id}@{version}"),
        source,
    })
}

/// Why a buildpack cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BuildpackError {
    /// Its `buildpack.toml`.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is written for an API that this lifecycle does not implement. The program exits with 12.
    #[error("set API for buildpack '{buildpack}': {source}")]
    Api {
        /// `id@version`
        buildpack: String,
        /// What is wrong with the API.
        source: ApiError,
    },
}
