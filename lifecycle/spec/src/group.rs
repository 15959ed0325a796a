//! `group.toml`: the buildpacks that take part in the build, as the detector found them.

use serde::{Deserialize, Serialize};

use crate::id::{BuildpackId, BuildpackVersion};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Group {
    /// In the order of the build.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group: Vec<GroupElement>,
    /// Image extensions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub group_extensions: Vec<GroupElement>,
}

/// A buildpack of a group; also `[[buildpacks]]` in `metadata.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupElement {
    /// Its id.
    pub id: BuildpackId,
    /// Its version.
    pub version: BuildpackVersion,
    /// The Buildpack API that it is written for, as text (see [`crate::buildpack::BuildpackToml::api`]).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api: String,
    /// Where to read more.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub homepage: String,
}

impl std::fmt::Display for GroupElement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.id, self.version)
    }
}
