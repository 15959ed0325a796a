//! `stack.toml`: what the two images of a stack are made of.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

/// A stack's definition.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Definition {
    /// The stack's identifier, for the label `io.buildpacks.stack.id`.
    pub id: String,
    /// The Debian release's name. Its updates and security suites count too.
    pub suite: String,
    /// The archive's areas, `main` above all.
    pub components: Vec<String>,
    /// Debian's name of the machine type.
    pub architecture: String,
    /// Where to read about the stack.
    #[serde(default)]
    pub homepage: Option<String>,
    /// Who keeps it.
    #[serde(default)]
    pub maintainer: Option<String>,
    /// The distribution, for the labels.
    pub distribution: Distribution,
    /// The user of builds and apps.
    pub user: CnbUser,
    /// More labels of both images.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Which files of the packages stay out.
    #[serde(default)]
    pub files: Files,
    /// The run image.
    pub run: ImageDefinition,
    /// The build image. It has all of the run image's packages too.
    pub build: ImageDefinition,
}

/// A distribution's name and version, as `/etc/os-release` and buildpacks' targets say them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// `debian`
    pub name: String,
    /// `13`
    pub version: String,
}

/// The user of builds and apps.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CnbUser {
    /// Its name; the group has the same.
    pub name: String,
    /// Its number.
    pub uid: u32,
    /// Its group's number.
    pub gid: u32,
    /// Its home.
    pub home: String,
}

/// dpkg's `path-exclude` and `path-include`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// Patterns of files that stay out.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// Patterns of files that come in again.
    #[serde(default)]
    pub include: Vec<String>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageDefinition {
    /// What it is for, in a line.
    pub description: String,
    /// The packages asked for; what they need comes along.
    pub packages: Vec<String>,
}

impl Definition {
    /// Reads `stack.toml`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, DefinitionError> {
        let definition: Self = toml::from_str(text).map_err(|source| DefinitionError::Parse {
            path: path.display().to_string(),
            source: Box::new(source),
        })?;
        definition.check(path)?;
        Ok(definition)
    }

    /// What goes into files of the image line by line must not break the line.
    fn check(&self, path: &Path) -> Result<(), DefinitionError> {
        let CnbUser {
            name, home, uid, ..
        } = &self.user;
        let wrong = |what: &'static str, found: &str| DefinitionError::Value {
            path: path.display().to_string(),
            what,
            found: found.to_owned(),
        };
        let plain = |text: &str| {
            !text.is_empty()
                && text
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !plain(name) {
            return Err(wrong("user.name", name));
        }
        if !home.starts_with('/') || !home.split('/').skip(1).all(plain) || home.contains("..") {
            return Err(wrong("user.home", home));
        }
        if *uid == 0 {
            return Err(wrong("user.uid", "0"));
        }
        for (what, value) in [
            ("id", &self.id),
            ("suite", &self.suite),
            ("architecture", &self.architecture),
        ] {
            if !plain(value) {
                return Err(wrong(what, value));
            }
        }
        Ok(())
    }
}

/// Why a stack's definition could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DefinitionError {
    /// Not TOML, or not these keys.
    #[error("{path} is not a stack definition: {source}")]
    Parse {
        /// The file.
        path: String,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value that cannot be.
    #[error("{path}: {what} cannot be {found:?}")]
    Value {
        /// The file.
        path: String,
        /// The key.
        what: &'static str,
        /// Its value.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIXIE: &str = include_str!("../../trixie/stack.toml");

    #[test]
    fn parse_the_trixie_stack() {
        let definition = Definition::parse(TRIXIE, Path::new("stack.toml")).unwrap();
        assert_eq!(definition.suite, "trixie");
        assert_eq!((definition.user.uid, definition.user.gid), (1000, 1000));
        assert!(definition.build.packages.contains(&"python3".to_owned()));
        // The interpreter is a layer of its own.
        assert!(
            !definition
                .run
                .packages
                .iter()
                .any(|name| name.contains("python"))
        );
    }

    #[test]
    fn parse_says_what_is_wrong() {
        let parse = |text: &str| {
            Definition::parse(text, Path::new("a/stack.toml"))
                .unwrap_err()
                .to_string()
        };
        assert!(parse("idd = 1").starts_with("a/stack.toml is not a stack definition: "));
        let cases = [
            (
                "name = \"cnb\"",
                "name = \"c:b\"",
                "a/stack.toml: user.name cannot be \"c:b\"",
            ),
            (
                "/home/cnb",
                "/home/../etc",
                "a/stack.toml: user.home cannot be \"/home/../etc\"",
            ),
            (
                "uid = 1000",
                "uid = 0",
                "a/stack.toml: user.uid cannot be \"0\"",
            ),
        ];
        for (from, to, expected) in cases {
            assert_eq!(parse(&TRIXIE.replace(from, to)), expected);
        }
    }
}
