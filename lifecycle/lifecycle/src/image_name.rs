//! Names of images: `[registry/]repository[:tag][@digest]`, as Docker's tools read them.
//!
//! What is left out is filled in: the registry `index.docker.io`, its `library/` folder, the tag `latest`. A first part is a registry if it has a dot or a colon, or is `localhost`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

const DEFAULT_REGISTRY: &str = "index.docker.io";
/// The longest repository name (distribution specification: registry and repository together).
const LONGEST_REPOSITORY: usize = 255;
const LONGEST_TAG: usize = 128;

/// A name of an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName {
    registry: String,
    repository: String,
    reference: Reference,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reference {
    Tag(String),
    /// A tag before a digest says nothing.
    Digest(String),
}

impl ImageName {
    /// The registry's host, with its port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The tag or the digest.
    pub fn identifier(&self) -> &str {
        match &self.reference {
            Reference::Tag(text) | Reference::Digest(text) => text,
        }
    }

    /// Where the image is in a folder of OCI layouts: `<registry>/<repository>/<tag>`, or `…/<algorithm>/<digest>`.
    pub fn layout_path(&self) -> PathBuf {
        let mut path = PathBuf::from(&self.registry);
        path.push(&self.repository);
        path.extend(self.identifier().split(':'));
        path
    }

    /// Do two texts name the same image? Digests do not count, only names do; texts that are no names have to be equal.
    pub fn same(a: &str, b: &str) -> bool {
        let normal = |text: &str| {
            let without_digest = text.split_once("@sha256:").map_or(text, |(name, _)| name);
            match without_digest.parse::<Self>() {
                Ok(name) => name.to_string(),
                Err(_) => text.to_owned(),
            }
        };
        normal(a) == normal(b)
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            registry,
            repository,
            reference,
        } = self;
        match reference {
            Reference::Tag(tag) => write!(f, "{registry}/{repository}:{tag}"),
            Reference::Digest(digest) => write!(f, "{registry}/{repository}@{digest}"),
        }
    }
}

impl FromStr for ImageName {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, ImageNameError> {
        let error = |reason| ImageNameError {
            text: text.chars().take(300).collect(),
            reason,
        };
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        // A colon behind the last slash begins a tag, one before it a port.
        let tag_at = name
            .rfind(':')
            .filter(|&colon| !name[colon..].contains('/'));
        let (name, tag) = match tag_at {
            Some(colon) => (&name[..colon], Some(&name[colon + 1..])),
            None => (name, None),
        };
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => {
                (first, rest.to_owned())
            }
            Some(_) => (DEFAULT_REGISTRY, name.to_owned()),
            None => (DEFAULT_REGISTRY, format!("library/{name}")),
        };
        let registry = match registry {
            "docker.io" => DEFAULT_REGISTRY,
            registry => registry,
        };
        if !good_registry(registry) {
            return Err(error("the registry is not a host with an optional port"));
        }
        if !good_repository(&repository) {
            return Err(error(
                "the repository has to consist of lower-case letters, digits, and `.`, `_`, `-` between them",
            ));
        }
        let reference = match (tag, digest) {
            (_, Some(digest)) => {
                let hex = digest.strip_prefix("sha256:").unwrap_or_default();
                let good = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
                if !good {
                    return Err(error(
                        "the digest is not `sha256:` and 64 hexadecimal digits",
                    ));
                }
                Reference::Digest(digest.to_owned())
            }
            (Some(tag), None) if !good_tag(tag) => {
                return Err(error(
                    "the tag has to consist of at most 128 letters, digits, `.`, `_` and `-`",
                ));
            }
            (tag, None) => Reference::Tag(tag.unwrap_or("latest").to_owned()),
        };
        Ok(Self {
            registry: registry.to_owned(),
            repository,
            reference,
        })
    }
}

fn good_registry(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    let host_good = !host.is_empty()
        && !host.starts_with(['.', '-'])
        && !host.contains("..")
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'));
    host_good && port.parse::<u16>().is_ok()
}

fn good_repository(text: &str) -> bool {
    let allowed =
        |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let good_part = |part: &str| {
        !part.is_empty()
            && part.chars().all(allowed)
            && !part.starts_with(['.', '_', '-'])
            && !part.ends_with(['.', '_', '-'])
    };
    text.len() <= LONGEST_REPOSITORY && text.split('/').all(good_part)
}

fn good_tag(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=LONGEST_TAG).contains(&text.len())
        && text.chars().all(allowed)
        && !text.starts_with(['.', '-'])
}

/// Why a text is not the name of an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not parse reference: {text}: {reason}")]
pub struct ImageNameError {
    text: String,
    reason: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn image_name_layout_path() {
        for (text, expected) in [
            ("ubuntu", "index.docker.io/library/ubuntu/latest".to_owned()),
            ("docker.io/a/b:1", "index.docker.io/a/b/1".to_owned()),
            ("a/b", "index.docker.io/a/b/latest".to_owned()),
            ("localhost/b", "localhost/b/latest".to_owned()),
            (
                "127.0.0.1:5000/a/b/c:x.Y_z",
                "127.0.0.1:5000/a/b/c/x.Y_z".to_owned(),
            ),
            (
                &format!("r.io/a:t@sha256:{HEX}"),
                format!("r.io/a/sha256/{HEX}"),
            ),
        ] {
            let name: ImageName = text.parse().unwrap();
            assert_eq!(name.layout_path(), PathBuf::from(expected), "{text}");
        }
    }

    #[test]
    fn image_name_refused() {
        for text in [
            "",
            "A",
            "a/",
            "/a",
            "a:",
            "a b",
            "../a",
            "r.io/../a",
            "a:b:c",
            "r.io/a:.x",
            "a@sha256:1",
            "r.io:x/a",
            "..x/a",
            "a//b",
            "r..io/a",
        ] {
            assert!(text.parse::<ImageName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn image_name_same() {
        let digest = format!("docker.io/library/a@sha256:{HEX}");
        for (a, b, expected) in [
            ("a", "index.docker.io/library/a:latest", true),
            ("a", digest.as_str(), true),
            ("a:1", "a:2", false),
            ("NO NAME", "NO NAME", true),
            ("NO NAME", "a", false),
        ] {
            assert_eq!(ImageName::same(a, b), expected, "{a} {b}");
        }
    }
}
