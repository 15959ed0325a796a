//! `project-metadata.toml`: where the app's source comes from, as the platform says it; also the label `io.buildpacks.project.metadata`.

use serde::{Deserialize, Serialize};

use crate::values::json_of;

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProjectMetadata {
    /// `[source]`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ProjectSource>,
}

/// `[source]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProjectSource {
    /// `git`, `image`, …
    #[serde(default, rename = "type", skip_serializing_if = "String::is_empty")]
    pub source_type: String,
    /// Such as `commit`.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub version: toml::Table,
    /// Such as `repository`.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub metadata: toml::Table,
}

impl ProjectMetadata {
    /// The label's JSON.
    pub fn label(&self) -> String {
        let table = |table: &toml::Table| json_of(&toml::Value::Table(table.clone()));
        let mut label = serde_json::Map::new();
        if let Some(source) = &self.source {
            let mut json = serde_json::Map::new();
            if !source.source_type.is_empty() {
                json.insert("type".to_owned(), source.source_type.as_str().into());
            }
            if !source.version.is_empty() {
                json.insert("version".to_owned(), table(&source.version));
            }
            if !source.metadata.is_empty() {
                json.insert("metadata".to_owned(), table(&source.metadata));
            }
            label.insert("source".to_owned(), json.into());
        }
        serde_json::Value::from(label).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_metadata_label() {
        let text = "[source]\ntype = 'git'\n[source.version]\ncommit = 'abc'\n[source.metadata]\nat = 2026-01-01";
        let found: ProjectMetadata = toml::from_str(text).unwrap();
        assert_eq!(
            found.label(),
            r#"{"source":{"metadata":{"at":"2026-01-01"},"type":"git","version":{"commit":"abc"}}}"#
        );
        assert_eq!(ProjectMetadata::default().label(), "{}");
    }
}
