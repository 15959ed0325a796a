//! References to images in registries: `[host[:port]/]repository[:tag][@digest]`, as Docker's tools read them.
//!
//! What is left out is filled in: the registry `index.docker.io`, its `library/` folder, the tag `latest`. The first part is
//! a registry if it has a dot or a colon, or is `localhost`. The grammar is that of github.com/distribution/reference v0.6;
//! repositories and tags are those of the OCI distribution specification 1.1, "Pulling manifests".

use crate::digest::BlobDigest;
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The registry of names that have none.
const DOCKER_HUB: &str = "index.docker.io";

/// Where Docker Hub's API is; the name in references is not its address.
const DOCKER_HUB_API: &str = "registry-1.docker.io";

/// The longest repository that registries take, host included.
const LONGEST_REPOSITORY: usize = 255;

/// The longest tag (OCI distribution specification 1.1).
const LONGEST_TAG: usize = 128;

/// The name of an image, or of the repository it is in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<BlobDigest>,
}

impl Reference {
    /// The registry's host, with its port: `index.docker.io` for Docker Hub.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The host, with its port, where the registry's API is.
    pub fn api_host(&self) -> &str {
        match self.registry.as_str() {
            DOCKER_HUB => DOCKER_HUB_API,
            registry => registry,
        }
    }

    /// The repository in the registry, `library/` included.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; `latest` if there is neither a tag nor a digest.
    pub fn tag(&self) -> Option<&str> {
        match (&self.tag, &self.digest) {
            (Some(tag), _) => Some(tag),
            (None, Some(_)) => None,
            (None, None) => Some("latest"),
        }
    }

    /// The digest, if the reference has one.
    pub fn digest(&self) -> Option<&BlobDigest> {
        self.digest.as_ref()
    }

    /// What the API is asked for: the digest, else the tag. A tag before a digest says nothing.
    pub fn identifier(&self) -> String {
        match &self.digest {
            Some(digest) => digest.to_string(),
            None => self.tag().unwrap_or("latest").to_owned(),
        }
    }

    /// The image with this digest in the same repository.
    #[must_use]
    pub fn with_digest(&self, digest: BlobDigest) -> Self {
        Self {
            tag: None,
            digest: Some(digest),
            ..self.clone()
        }
    }

    /// The image with this tag in the same repository.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ParseReferenceError> {
        check_tag(tag).map_err(|fault| fault.in_text(tag, 0))?;
        Ok(Self {
            tag: Some(tag.to_owned()),
            digest: None,
            ..self.clone()
        })
    }

    /// Are both in one repository?
    pub fn is_beside(&self, other: &Self) -> bool {
        self.registry == other.registry && self.repository == other.repository
    }

    /// Registry and repository alone.
    pub fn in_registry(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = self.tag() {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, ParseReferenceError> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let start = name.len() + 1;
                let digest = digest.parse().map_err(|_| {
                    let reason = "the digest has to be `sha256:` and 64 digits of 0-9 and a-f";
                    Fault { at: 0, reason }.in_text(text, start)
                })?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        let (registry, rest) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':', '[']) || first == "localhost" => {
                (Some(first), rest)
            }
            _ => (None, name),
        };
        if let Some(registry) = registry {
            check_host(registry).map_err(|fault| fault.in_text(text, 0))?;
        }
        let start = name.len() - rest.len();
        let (repository, tag) = match rest.split_once(':') {
            Some((repository, tag)) => {
                check_tag(tag)
                    .map_err(|fault| fault.in_text(text, start + repository.len() + 1))?;
                (repository, Some(tag.to_owned()))
            }
            None => (rest, None),
        };
        check_repository(repository).map_err(|fault| fault.in_text(text, start))?;
        let registry = match registry {
            None | Some("docker.io" | DOCKER_HUB | DOCKER_HUB_API) => DOCKER_HUB,
            Some(registry) => registry,
        };
        let repository = if registry == DOCKER_HUB && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        if registry.len() + 1 + repository.len() > LONGEST_REPOSITORY {
            let reason = "registry and repository are longer than 255 characters";
            return Err(Fault {
                at: LONGEST_REPOSITORY,
                reason,
            }
            .in_text(text, 0));
        }
        Ok(Self {
            // Host names have no case; credentials and caches are found by them.
            registry: registry.to_ascii_lowercase(),
            repository,
            tag,
            digest,
        })
    }
}

/// What is wrong with a part, and where in it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    at: usize,
    pub(crate) reason: &'static str,
}

impl Fault {
    fn in_text(self, text: &str, start: usize) -> ParseReferenceError {
        let at = (start + self.at).min(text.len());
        let before = text.get(..at).unwrap_or(text);
        ParseReferenceError {
            text: text.chars().take(300).collect(),
            column: before.chars().count() + 1,
            found: text.get(at..).and_then(|rest| rest.chars().next()),
            reason: self.reason,
        }
    }
}

/// Host names, IPv4 addresses, IPv6 addresses in brackets; with an optional port.
pub(crate) fn check_host(text: &str) -> Result<(), Fault> {
    let bad = |at, reason| Err(Fault { at, reason });
    let (host_len, port) = if let Some(rest) = text.strip_prefix('[') {
        let Some((address, after)) = rest.split_once(']') else {
            return bad(text.len(), "an IPv6 address has to end with `]`");
        };
        if address.parse::<Ipv6Addr>().is_err() {
            return bad(1, "what stands in brackets is not an IPv6 address");
        }
        let len = address.len() + 2;
        match after.strip_prefix(':') {
            Some(port) => (len, Some(port)),
            None if after.is_empty() => (len, None),
            None => return bad(len, "after `]` there can only be a port"),
        }
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        check_host_name(host)?;
        (host.len(), port)
    };
    match port {
        Some(port) if !is_port(port) => {
            bad(host_len + 1, "the port has to be a number up to 65535")
        }
        _ => Ok(()),
    }
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

fn check_host_name(host: &str) -> Result<(), Fault> {
    let mut start = 0;
    for label in host.split('.') {
        let wrong = label
            .bytes()
            .position(|byte| !byte.is_ascii_alphanumeric() && byte != b'-');
        let reason = "the part before the first `/` is not a host name";
        if let Some(at) = wrong {
            return Err(Fault {
                at: start + at,
                reason,
            });
        }
        if label.is_empty() || label.starts_with('-') {
            return Err(Fault { at: start, reason });
        }
        if label.ends_with('-') {
            let at = start + label.len() - 1;
            return Err(Fault { at, reason });
        }
        start += label.len() + 1;
    }
    Ok(())
}

/// Parts of the form `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` with `/` between them.
pub(crate) fn check_repository(repository: &str) -> Result<(), Fault> {
    let mut start = 0;
    for part in repository.split('/') {
        check_component(part).map_err(|fault| Fault {
            at: start + fault.at,
            ..fault
        })?;
        start += part.len() + 1;
    }
    Ok(())
}

fn check_component(part: &str) -> Result<(), Fault> {
    const SHAPE: &str =
        "parts have to be letters and digits, with single `.` or `_` or dashes between them";
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    for (at, byte) in part.bytes().enumerate() {
        if byte.is_ascii_uppercase() {
            let reason = "letters have to be lower-case";
            return Err(Fault { at, reason });
        }
        if !plain(byte) && !matches!(byte, b'.' | b'_' | b'-') {
            return Err(Fault { at, reason: SHAPE });
        }
    }
    let mut at = 0;
    for between in bytes.split(|byte| plain(*byte)) {
        let fits = matches!(between, b"" | b"." | b"_" | b"__")
            || between.iter().all(|byte| *byte == b'-');
        let ends_here = !between.is_empty() && (at == 0 || at + between.len() == bytes.len());
        if !fits || ends_here {
            return Err(Fault { at, reason: SHAPE });
        }
        at += between.len() + 1;
    }
    if bytes.is_empty() {
        return Err(Fault {
            at: 0,
            reason: SHAPE,
        });
    }
    Ok(())
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
pub(crate) fn check_tag(tag: &str) -> Result<(), Fault> {
    let reason = "the tag has to be up to 128 letters, digits, `_`, `.` or `-`, the first a letter, digit or `_`";
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let wrong = tag
        .bytes()
        .enumerate()
        .position(|(at, byte)| !(word(byte) || (at > 0 && matches!(byte, b'.' | b'-'))));
    match wrong {
        Some(at) => Err(Fault { at, reason }),
        None if tag.is_empty() => Err(Fault { at: 0, reason }),
        None if tag.len() > LONGEST_TAG => Err(Fault {
            at: LONGEST_TAG,
            reason,
        }),
        None => Ok(()),
    }
}

/// Why a text is not a reference, and where it stops being one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an image reference: {reason} (column {column}, {})", shown(*found))]
pub struct ParseReferenceError {
    /// The start of the text.
    pub text: String,
    /// The character at which it goes wrong, counted from 1.
    pub column: usize,
    /// That character; none at the end.
    pub found: Option<char>,
    /// What it would have to be.
    pub reason: &'static str,
}

fn shown(found: Option<char>) -> String {
    match found {
        Some(found) => format!("at {found:?}"),
        None => "where it ends".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn from_str_fills_in() {
        let digest = format!("r.io/a:t@sha256:{HEX}");
        let table = [
            ("ubuntu", "index.docker.io/library/ubuntu:latest"),
            ("docker.io/a/b:1", "index.docker.io/a/b:1"),
            ("registry-1.docker.io/a", "index.docker.io/library/a:latest"),
            ("a/b", "index.docker.io/a/b:latest"),
            ("localhost/b", "localhost/b:latest"),
            ("localhost:5000", "index.docker.io/library/localhost:5000"),
            (
                "127.0.0.1:5000/a/b__c/d--e:x.Y_z",
                "127.0.0.1:5000/a/b__c/d--e:x.Y_z",
            ),
            ("[::1]:5000/a", "[::1]:5000/a:latest"),
            ("[2001:db8::1]/a", "[2001:db8::1]/a:latest"),
            ("R.Example.com/a", "r.example.com/a:latest"),
            (&digest, &digest),
        ];
        for (text, full) in table {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), full, "{text}");
            assert_eq!(full.parse::<Reference>().unwrap(), full.parse().unwrap());
        }
    }

    #[test]
    fn from_str_parts() {
        let reference: Reference = format!("ubuntu:24.04@sha256:{HEX}").parse().unwrap();
        assert_eq!(reference.registry(), "index.docker.io");
        assert_eq!(reference.api_host(), "registry-1.docker.io");
        assert_eq!(reference.repository(), "library/ubuntu");
        assert_eq!(reference.tag(), Some("24.04"));
        assert_eq!(reference.identifier(), format!("sha256:{HEX}"));
        assert_eq!(
            reference.with_tag("x").unwrap().to_string(),
            "index.docker.io/library/ubuntu:x"
        );
    }

    #[test]
    fn from_str_says_where() {
        let table = [
            ("", 1, None),
            ("App", 1, Some('A')),
            ("r.io/team/aPp", 12, Some('P')),
            ("a b", 2, Some(' ')),
            ("a//b", 3, Some('/')),
            ("a/", 3, None),
            ("/a", 1, Some('/')),
            ("../a", 1, Some('.')),
            ("a.._b", 2, Some('.')),
            ("a-", 2, Some('-')),
            ("a:", 3, None),
            ("a:.x", 3, Some('.')),
            ("a:b:c", 4, Some(':')),
            ("r.io:99999/a", 6, Some('9')),
            ("r.io:/a", 6, Some('/')),
            ("-r.io/a", 1, Some('-')),
            ("r_o.io/a", 2, Some('_')),
            ("[::1/a", 5, Some('/')),
            ("[x]:1/a", 2, Some('x')),
            ("a@sha256:1", 3, Some('s')),
            ("é", 1, Some('é')),
        ];
        for (text, column, found) in table {
            let error = text.parse::<Reference>().unwrap_err();
            assert_eq!(
                (error.column, error.found),
                (column, found),
                "{text}: {error}"
            );
        }
        assert_eq!(
            "r.io/team/aPp"
                .parse::<Reference>()
                .unwrap_err()
                .to_string(),
            "`r.io/team/aPp` is not an image reference: letters have to be lower-case (column 12, at 'P')"
        );
        assert_eq!(
            "a:".parse::<Reference>().unwrap_err().to_string(),
            "`a:` is not an image reference: the tag has to be up to 128 letters, digits, `_`, `.` or `-`, \
             the first a letter, digit or `_` (column 3, where it ends)"
        );
    }

    proptest::proptest! {
        #[test]
        fn from_str_round_trip(text in "([a-z0-9.:\\[\\]-]{0,12}/)?[a-zA-Z0-9._/é-]{0,12}(:[a-zA-Z0-9._-]{0,6})?") {
            match text.parse::<Reference>() {
                Ok(reference) => {
                    let again: Reference = reference.to_string().parse().unwrap();
                    proptest::prop_assert_eq!(again.to_string(), reference.to_string());
                }
                Err(error) => {
                    let at = text.chars().nth(error.column - 1);
                    proptest::prop_assert_eq!(at, error.found);
                }
            }
        }
    }

    #[test]
    fn is_beside_ignores_tags() {
        let parse = |text: &str| text.parse::<Reference>().unwrap();
        assert!(parse("a:1").is_beside(&parse("docker.io/library/a:2")));
        assert!(!parse("r.io/a").is_beside(&parse("r.io/b")));
    }
}
