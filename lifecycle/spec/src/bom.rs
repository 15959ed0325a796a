//! The old, unstructured bill of materials (`[[bom]]` in launch.toml and build.toml), which SBOM files have replaced since Buildpack API 0.7.
//! It is still read, and ends up in `sbom.legacy.json`, or before Platform API 0.9 in the label and the report.

use serde::{Deserialize, Serialize};

use crate::id::{BuildpackId, BuildpackVersion};
use crate::values::json_of;

/// `[[bom]]` as a buildpack writes it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct BomEntry {
    /// Of a dependency.
    #[serde(default)]
    pub name: String,
    /// Not allowed any more: `metadata.version` is used instead.
    #[serde(default)]
    pub version: String,
    /// About it.
    #[serde(default)]
    pub metadata: toml::Table,
}

/// An entry with the buildpack that wrote it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnedBomEntry {
    /// Of a dependency.
    pub name: String,
    /// About it.
    #[serde(default)]
    pub metadata: toml::Table,
    /// Who wrote it.
    pub buildpack: BomOwner,
}

/// The buildpack that wrote an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BomOwner {
    /// Its id.
    pub id: BuildpackId,
    /// Its version.
    pub version: BuildpackVersion,
}

/// The form of an entry in JSON. Keys come in the reference implementation's order.
#[derive(Serialize)]
struct JsonEntry<'a> {
    name: &'a str,
    metadata: serde_json::Value,
    buildpack: &'a BomOwner,
}

impl OwnedBomEntry {
    fn json(&self) -> JsonEntry<'_> {
        let metadata = toml::Value::Table(self.metadata.clone());
        let no_metadata = self.metadata.is_empty();
        JsonEntry {
            name: &self.name,
            metadata: if no_metadata {
                serde_json::Value::Null
            } else {
                json_of(&metadata)
            },
            buildpack: &self.buildpack,
        }
    }
}

/// The text of `sbom.legacy.json`, byte for byte as the reference implementation writes it, since the file is part of the launch SBOM layer: `null` for no
/// entries, and a newline at the end.
pub fn legacy_json(bom: &[OwnedBomEntry]) -> String {
    if bom.is_empty() {
        return "null\n".to_owned();
    }
    let entries: Vec<_> = bom.iter().map(OwnedBomEntry::json).collect();
    // Texts and tables with text keys always have a JSON form.
    let text = serde_json::to_string(&entries).unwrap_or_default();
    go_json(&text) + "\n"
}

/// Entries as part of a label.
pub(crate) fn label_json(bom: &[OwnedBomEntry]) -> Vec<serde_json::Value> {
    let values = bom.iter().map(|entry| serde_json::to_value(entry.json()));
    values.map(Result::unwrap_or_default).collect()
}

/// JSON text with the escapes that Go adds. The characters occur inside of strings only, so that this is the same value.
pub(crate) fn go_json(text: &str) -> String {
    text.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn legacy_json_as_go_writes_it() {
        assert_eq!(legacy_json(&[]), "null\n");
        let entry = OwnedBomEntry {
            name: "a & b".into(),
            metadata: toml::from_str("v = '<1>'").unwrap(),
            buildpack: BomOwner {
                id: "x/y".parse().unwrap(),
                version: "1".parse().unwrap(),
            },
        };
        assert_eq!(
            legacy_json(&[entry]),
            "[{\"name\":\"a \\u0026 b\",\"metadata\":{\"v\":\"\\u003c1\\u003e\"},\"buildpack\":{\"id\":\"x/y\",\"version\":\"1\"}}]\n"
        );
    }
}
