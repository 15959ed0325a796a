//! `run.toml` (Platform API 0.12) and `stack.toml` (before): the run images that an app may stand on, with their mirrors.
//!
//! ```toml
//! [[images]]
//! image = "registry.example/run:trixie"
//! mirrors = ["mirror.example/run:trixie"]
//! ```

use serde::{Deserialize, Serialize};

use crate::values::null_is_default;

/// `run.toml`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct RunToml {
    /// First choice first.
    #[serde(default)]
    pub images: Vec<RunImage>,
}

/// `stack.toml`; also the `stack` key of the label `io.buildpacks.lifecycle.metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stack {
    /// The stack's run image.
    #[serde(default, rename = "runImage", alias = "run-image")]
    pub run_image: RunImage,
}

/// A run image and its mirrors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunImage {
    /// Its name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// The same image elsewhere.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub mirrors: Vec<String>,
}

impl RunImage {
    /// The image and its mirrors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names = std::iter::once(self.image.as_str());
        names
            .chain(self.mirrors.iter().map(String::as_str))
            .filter(|name| !name.is_empty())
    }
}
