//! Names that become parts of paths: buildpack ids, process types, layer names. Checked once, here, so that no name from outside can lead
//! out of the folder it is meant for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest name taken: file names end at 255 bytes, and suffixes such as `.sbom.spdx.json` are added.
const LONGEST_NAME: usize = 200;

/// A buildpack's id, such as `longshore/python`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildpackId(String);

/// A process type, such as `web`. It names the file `/cnb/process/<type>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessType(String);

/// A layer's name: `<layers>/<buildpack>/<name>.toml`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LayerName(String);

/// A buildpack's version: `<buildpacks>/<escaped id>/<version>/`. Any text that is a folder's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildpackVersion(String);

impl BuildpackVersion {
    /// The version as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BuildpackVersion {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_name("buildpack version", text, text)?;
        Ok(Self(text.to_owned()))
    }
}

impl BuildpackId {
    /// The id as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder name: every `/` becomes `_` (Buildpack specification, "Layer types" paths).
    pub fn escaped(&self) -> String {
        self.0.replace('/', "_")
    }
}

impl ProcessType {
    /// The type as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl LayerName {
    /// The name as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BuildpackId {
    type Err = NameError;

    /// The Buildpack specification allows letters, digits, `.`, `/` and `-`; the reference checks nothing. We refuse what cannot be a folder's name and
    /// the folders that the lifecycle itself keeps beside the buildpacks'.
    fn from_str(text: &str) -> Result<Self, NameError> {
        check_name("buildpack id", text, &text.replace('/', "_"))?;
        match text {
            "config" | "app" | "sbom" => Err(NameError::Reserved {
                kind: "buildpack id",
                name: text.to_owned(),
            }),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

impl FromStr for ProcessType {
    type Err = NameError;

    /// Letters, digits, `.`, `_` and `-` (Buildpack specification, `launch.toml`).
    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        check_name("process type", text, text)?;
        match text.chars().find(|&c| !allowed(c)) {
            Some(_) => Err(NameError::Character {
                kind: "process type",
                name: text.to_owned(),
            }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl FromStr for LayerName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        check_name("layer name", text, text)?;
        match text {
            "build" | "launch" | "store" => Err(NameError::Reserved {
                kind: "layer name",
                name: text.to_owned(),
            }),
            _ => Ok(Self(text.to_owned())),
        }
    }
}

fn check_name(kind: &'static str, text: &str, file_name: &str) -> Result<(), NameError> {
    let name = || text.chars().take(LONGEST_NAME).collect::<String>();
    if text.is_empty() {
        return Err(NameError::Empty { kind });
    }
    if text.len() > LONGEST_NAME {
        return Err(NameError::TooLong { kind, name: name() });
    }
    let not_a_file_name = matches!(file_name, "." | "..") || file_name.contains('/');
    if not_a_file_name || text.chars().any(char::is_control) {
        return Err(NameError::Character { kind, name: name() });
    }
    Ok(())
}

macro_rules! text_form {
    ($($type:ty),*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
text_form!(BuildpackId, BuildpackVersion, ProcessType, LayerName);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("the {kind} is empty")]
    Empty {
        /// What was being named.
        kind: &'static str,
    },
    /// Longer than a file name can be.
    #[error("the {kind} `{name}…` is longer than {LONGEST_NAME} bytes")]
    TooLong {
        /// What was being named.
        kind: &'static str,
        /// Its beginning.
        name: String,
    },
    /// A character that it may not have.
    #[error("the {kind} {name:?} has a character that it may not have, or is not a file name")]
    Character {
        /// What was being named.
        kind: &'static str,
        /// What was found.
        name: String,
    },
    /// A name that the lifecycle uses itself.
    #[error("the {kind} `{name}` is reserved for the lifecycle")]
    Reserved {
        /// What was being named.
        kind: &'static str,
        /// What was found.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buildpack_id_escaped() {
        let id: BuildpackId = "longshore/python-app".parse().unwrap();
        assert_eq!(id.escaped(), "longshore_python-app");
    }

    #[test]
    fn names_refused() {
        for text in ["", ".", "..", "config", "sbom", "a\0b", "a\nb"] {
            assert!(text.parse::<BuildpackId>().is_err(), "{text:?}");
        }
        for text in ["", "..", "a/b", "web worker", "ü"] {
            assert!(text.parse::<ProcessType>().is_err(), "{text:?}");
        }
        for text in ["", "..", "a/b", "launch", "store", "build"] {
            assert!(text.parse::<LayerName>().is_err(), "{text:?}");
        }
        assert!("x".repeat(201).parse::<LayerName>().is_err());
        assert!("my.layer_1".parse::<LayerName>().is_ok());
    }
}
