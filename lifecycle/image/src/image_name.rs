//! The names people give to images: `my-app`, `team/app:1.2`, `registry.example.com:5000/app`.
//!
//! The grammar is the one of Docker's and the OCI distribution's references; a name without a tag means `latest`.

use crate::reference::{check_host, check_repository, check_tag};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// An image's name with its tag.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageName {
    registry: Option<String>,
    repository: String,
    tag: String,
}

/// The longest repository that registries take, host included.
const LONGEST_REPOSITORY: usize = 255;

impl ImageName {
    /// The tag.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Registry and repository, without the tag.
    pub fn repository(&self) -> String {
        match &self.registry {
            Some(registry) => format!("{registry}/{}", self.repository),
            None => self.repository.clone(),
        }
    }

    /// The name in full, as containerd and Docker's image store keep it: `app` is `docker.io/library/app:latest`.
    pub fn in_full(&self) -> String {
        let library = if self.repository.contains('/')
            || self
                .registry
                .as_deref()
                .is_some_and(|host| host != "docker.io")
        {
            ""
        } else {
            "library/"
        };
        let registry = self.registry.as_deref().unwrap_or("docker.io");
        format!("{registry}/{library}{}:{}", self.repository, self.tag)
    }
}

impl FromStr for ImageName {
    type Err = ParseImageNameError;

    fn from_str(text: &str) -> Result<Self, ParseImageNameError> {
        let refuse = |reason| ParseImageNameError {
            found: text.chars().take(300).collect(),
            reason,
        };
        if text.contains('@') {
            return Err(refuse("a name to be given cannot have a digest"));
        }
        let (name, tag) = match text.rsplit_once(':') {
            // A colon before a slash belongs to a port.
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (text, "latest"),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => {
                (Some(host), rest)
            }
            _ => (None, name),
        };
        if name.len() > LONGEST_REPOSITORY {
            return Err(refuse("it is longer than 255 characters"));
        }
        registry
            .map_or(Ok(()), check_host)
            .and_then(|()| check_repository(repository))
            .and_then(|()| check_tag(tag))
            .map_err(|fault| refuse(fault.reason))?;
        Ok(Self {
            registry: registry.map(str::to_owned),
            repository: repository.to_owned(),
            tag: tag.to_owned(),
        })
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.repository(), self.tag)
    }
}

impl TryFrom<String> for ImageName {
    type Error = ParseImageNameError;

    fn try_from(text: String) -> Result<Self, ParseImageNameError> {
        text.parse()
    }
}

impl From<ImageName> for String {
    fn from(name: ImageName) -> Self {
        name.to_string()
    }
}

/// Why a text is not an image's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` cannot be an image's name: {reason}")]
pub struct ParseImageNameError {
    found: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_str_table() {
        let table = [
            ("my-app", "my-app:latest", "docker.io/library/my-app:latest"),
            ("team/app:1.2", "team/app:1.2", "docker.io/team/app:1.2"),
            (
                "localhost:5000/a__b/c--d",
                "localhost:5000/a__b/c--d:latest",
                "localhost:5000/a__b/c--d:latest",
            ),
            (
                "docker.io/x",
                "docker.io/x:latest",
                "docker.io/library/x:latest",
            ),
            (
                "r.example.com/x:V_1",
                "r.example.com/x:V_1",
                "r.example.com/x:V_1",
            ),
        ];
        for (text, shown, full) in table {
            let name: ImageName = text.parse().unwrap();
            assert_eq!(
                (name.to_string().as_str(), name.in_full().as_str()),
                (shown, full)
            );
        }
    }

    #[test]
    fn from_str_refuses() {
        for text in [
            "",
            ":x",
            "App",
            "a/../b",
            "a//b",
            "/a",
            "a/",
            "a___b",
            "a._b",
            "a:",
            "a:-x",
            "a@sha256:00",
            "-a",
            "a b",
            "h.:5/x",
            "h.x:p/y",
        ] {
            assert!(text.parse::<ImageName>().is_err(), "{text}");
        }
        assert_eq!(
            "My".parse::<ImageName>().unwrap_err().to_string(),
            "`My` cannot be an image's name: letters have to be lower-case"
        );
    }
}
