//! `<layer>.toml`: what a layer is for, and what its buildpack wants to remember about it.
//!
//! ```toml
//! [types]
//! launch = true
//! build = false
//! cache = true
//!
//! [metadata]
//! version = "3.13.5"
//! ```
//!
//! *build* makes the layer available to later buildpacks, *cache* keeps its contents for the next build, *launch* puts it into the image.
//! On a rebuild the buildpack finds the file with its metadata but without types: it has to declare anew what it still wants.

use serde::{Deserialize, Serialize};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerToml {
    /// What the layer is for.
    pub types: LayerTypes,
    /// Anything.
    pub metadata: Option<toml::Value>,
}

/// `[types]`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct LayerTypes {
    /// In the image?
    #[serde(default)]
    pub launch: bool,
    /// For later buildpacks?
    #[serde(default)]
    pub build: bool,
    /// For the next build?
    #[serde(default)]
    pub cache: bool,
}

impl LayerTypes {
    /// Is it for nothing at all? The builder then renames the layer's folder to `<layer>.ignore`.
    pub fn none(self) -> bool {
        self == Self::default()
    }
}

impl LayerToml {
    /// Reads a file's text.
    pub fn parse(text: &str) -> Result<Self, LayerTomlError> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            types: LayerTypes,
            metadata: Option<toml::Value>,
            launch: Option<toml::Value>,
            build: Option<toml::Value>,
            cache: Option<toml::Value>,
        }
        let file: File = toml::from_str(text)?;
        let File {
            types,
            metadata,
            launch,
            build,
            cache,
        } = file;
        // Buildpack APIs before 0.6 had them there; a buildpack that was not moved on would silently lose its layers.
        if launch.is_some() || build.is_some() || cache.is_some() {
            return Err(LayerTomlError::TypesAtTopLevel);
        }
        Ok(Self { types, metadata })
    }

    /// The text that a restored layer has: the metadata without types.
    pub fn restored_text(metadata: Option<&toml::Value>) -> Result<String, toml::ser::Error> {
        #[derive(Serialize)]
        struct File<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            metadata: Option<&'a toml::Value>,
        }
        toml::to_string(&File { metadata })
    }
}

/// What is wrong with a `<layer>.toml`.
#[derive(Debug, thiserror::Error)]
pub enum LayerTomlError {
    /// Not TOML, or not of this form.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// `launch = true` outside `[types]`.
    #[error("the launch, cache and build flags should be in the types table")]
    TypesAtTopLevel,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layer_toml_parse() {
        let found = LayerToml::parse("[types]\nlaunch = true\n[metadata.a]\nb = [1]").unwrap();
        assert!(found.types.launch && !found.types.cache && !found.types.none());
        let text = LayerToml::restored_text(found.metadata.as_ref()).unwrap();
        assert_eq!(text, "[metadata.a]\nb = [1]\n");
        assert!(LayerToml::parse("").unwrap().types.none());
        assert_eq!(LayerToml::restored_text(None).unwrap(), "");
    }

    #[test]
    fn layer_toml_types_at_top_level() {
        let error = LayerToml::parse("launch = true").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the launch, cache and build flags should be in the types table"
        );
    }
}
