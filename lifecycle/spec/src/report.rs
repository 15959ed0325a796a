//! `report.toml`: what the exporter made. Tekton's tasks grep it: exactly one line holds the word `digest`.

use serde::{Deserialize, Serialize};

use crate::bom::OwnedBomEntry;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `[image]`
    pub image: ImageReport,
    /// `[build]`, before Platform API 0.9.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildReport>,
}

/// `[image]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageReport {
    /// All names that the image got.
    pub tags: Vec<String>,
    /// In a Docker daemon.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image_id: String,
    /// Of the manifest, in a registry.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// In bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_size: Option<u64>,
}

/// `[build]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BuildReport {
    /// The old bill of materials of the build.
    pub bom: Vec<OwnedBomEntry>,
}
