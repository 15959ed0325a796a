//! Names of images: `[registry/]repository[:tag][@digest]`, as Docker's tools read them.
//!
//! What is left out is filled in: the registry `index.docker.io`, its `library/` folder, the tag `latest`. A first part is a registry if it has a dot or a colon, or is `localhost`.

use oci_image::{ParseReferenceError, Reference};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A name of an image.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ImageName(Reference);

impl ImageName {
    /// The registry's host, with its port.
    pub fn registry(&self) -> &str {
        self.0.registry()
    }

    /// The name as registries' clients take it.
    pub fn reference(&self) -> &Reference {
        &self.0
    }

    /// The tag or the digest.
    pub fn identifier(&self) -> String {
        self.0.identifier()
    }

    /// Where the image is in a folder of OCI layouts: `<registry>/<repository>/<tag>`, or `…/<algorithm>/<digest>`.
    pub fn layout_path(&self) -> PathBuf {
        let mut path = PathBuf::from(self.0.registry());
        path.push(self.0.repository());
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
        write!(f, "{}", self.0)
    }
}

impl FromStr for ImageName {
    type Err = ImageNameError;

    fn from_str(text: &str) -> Result<Self, ImageNameError> {
        let reference: Reference = text.parse().map_err(ImageNameError)?;
        // A tag before a digest says nothing.
        Ok(Self(match reference.digest() {
            Some(digest) => reference.with_digest(*digest),
            None => reference,
        }))
    }
}

/// Why a text is not the name of an image. The words before the reason are the reference lifecycle's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not parse reference: {}: {} (column {})", .0.text, .0.reason, .0.column)]
pub struct ImageNameError(ParseReferenceError);

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
