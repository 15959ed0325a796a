//! A path inside an image, relative to its root: bytes without `.`, `..`, empty parts or NUL.
//!
//! Paths of images are bytes, not text. Where one has to be text (JSON), bytes that are not UTF-8, control characters and
//! the backslash are written `\xNN`, so that every path survives a round trip.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fmt;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::str::FromStr;

/// The longest path Linux takes in one call (`PATH_MAX`, less its NUL).
pub(crate) const LONGEST_PATH: usize = 4095;

/// The longest name in a folder on Linux's file systems (`NAME_MAX`).
pub(crate) const LONGEST_NAME: usize = 255;

/// A path below an image's root; the root itself is empty. Ordered as a sorted walk meets paths: a folder, then what is in it.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct TreePath(Vec<u8>);

impl TreePath {
    /// The image's root.
    pub const fn root() -> Self {
        Self(Vec::new())
    }

    /// Reads a name as it stands in an archive: a leading `/` or `./`, doubled slashes and a trailing slash mean nothing.
    pub fn from_bytes(name: &[u8]) -> Result<Self, ParseTreePathError> {
        let mut path = Vec::with_capacity(name.len());
        for part in name
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty() && *part != b".")
        {
            if part == b".." {
                return Err(ParseTreePathError::DotDot {
                    found: escaped(name),
                });
            }
            if part.contains(&0) {
                return Err(ParseTreePathError::Nul {
                    found: escaped(name),
                });
            }
            if part.len() > LONGEST_NAME {
                return Err(ParseTreePathError::TooLong {
                    found: escaped(&name[..name.len().min(200)]),
                });
            }
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(part);
        }
        if path.len() > LONGEST_PATH {
            return Err(ParseTreePathError::TooLong {
                found: escaped(&name[..200]),
            });
        }
        Ok(Self(path))
    }

    /// Reads a path, absolute or relative to the root.
    pub fn from_path(path: &Path) -> Result<Self, ParseTreePathError> {
        Self::from_bytes(path.as_os_str().as_bytes())
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes, without a leading slash.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// As a relative path; the root is `.`, so that it can be given to calls that take a folder and a path below it.
    pub fn as_path(&self) -> &Path {
        if self.is_root() {
            Path::new(".")
        } else {
            Path::new(OsStr::from_bytes(&self.0))
        }
    }

    /// The folder this is in; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => Some(Self(self.0[..slash].to_vec())),
            None if self.is_root() => None,
            None => Some(Self::root()),
        }
    }

    /// The last part; empty for the root.
    pub fn file_name(&self) -> &OsStr {
        let start = self
            .0
            .iter()
            .rposition(|byte| *byte == b'/')
            .map_or(0, |slash| slash + 1);
        OsStr::from_bytes(&self.0[start..])
    }

    /// This path and all its parents below the root, the outermost first.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> + '_ {
        let ends = (1..self.0.len())
            .filter(|index| self.0[*index] == b'/')
            .chain((!self.is_root()).then_some(self.0.len()));
        ends.map(|end| Self(self.0[..end].to_vec()))
    }

    /// The path of `below` inside this folder.
    #[must_use]
    pub fn join(&self, below: &Self) -> Self {
        match (self.is_root(), below.is_root()) {
            (true, _) => below.clone(),
            (_, true) => self.clone(),
            _ => Self([&self.0[..], b"/", &below.0[..]].concat()),
        }
    }

    /// One name further down.
    pub fn child(&self, name: &OsStr) -> Result<Self, ParseTreePathError> {
        Self::from_bytes(name.as_bytes()).map(|below| self.join(&below))
    }

    /// Whether this is `folder` or lies below it; compares parts, never string prefixes.
    pub fn starts_with(&self, folder: &Self) -> bool {
        self.strip_prefix(folder).is_some()
    }

    /// The path relative to `folder`, if it lies there.
    pub fn strip_prefix(&self, folder: &Self) -> Option<Self> {
        if folder.is_root() {
            return Some(self.clone());
        }
        match self.0.strip_prefix(&folder.0[..])? {
            [] => Some(Self::root()),
            [b'/', rest @ ..] => Some(Self(rest.to_vec())),
            _ => None,
        }
    }

    /// How many parts the path has.
    pub fn depth(&self) -> usize {
        if self.is_root() {
            0
        } else {
            self.0.split(|byte| *byte == b'/').count()
        }
    }
}

/// Bytes in the order of a sorted walk: `/` before everything else, so that `a/b` comes before `a-c`.
fn walk_order(path: &[u8]) -> impl Iterator<Item = u8> + '_ {
    path.iter()
        .map(|byte| if *byte == b'/' { 0 } else { *byte })
}

/// How many bytes at the start of two paths are the same, at least: a multiple of 16, which processors compare at once.
fn same_start(a: &[u8], b: &[u8]) -> usize {
    let (a, b) = (a.as_chunks::<16>().0, b.as_chunks::<16>().0);
    let same = a.iter().zip(b).take_while(|(a, b)| a == b);
    16 * same.count()
}

impl Ord for TreePath {
    /// Most paths that are compared are in the same deep folder.
    fn cmp(&self, other: &Self) -> Ordering {
        let same = same_start(&self.0, &other.0);
        walk_order(&self.0[same..]).cmp(walk_order(&other.0[same..]))
    }
}

impl PartialOrd for TreePath {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", escaped(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TreePath {
    type Err = ParseTreePathError;

    fn from_str(text: &str) -> Result<Self, ParseTreePathError> {
        Self::from_bytes(text.as_bytes())
    }
}

impl Serialize for TreePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&escaped(&self.0))
    }
}

impl<'de> Deserialize<'de> for TreePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = unescaped(&text)
            .ok_or_else(|| serde::de::Error::custom(format!("`{text}` has a broken escape")))?;
        Self::from_bytes(&bytes).map_err(serde::de::Error::custom)
    }
}

/// The bytes as text, reversibly.
pub(crate) fn escaped(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '\\' || (character.is_ascii() && character.is_ascii_control()) {
                write!(text, "\\x{:02x}", u32::from(character))
                    .expect("writing to a string cannot fail");
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            write!(text, "\\x{byte:02x}").expect("writing to a string cannot fail");
        }
    }
    text
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'\\' {
            let [b'x', high, low, tail @ ..] = rest else {
                return None;
            };
            let mut byte = [0];
            hex::decode_to_slice([*high, *low], &mut byte).ok()?;
            bytes.push(byte[0]);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    Some(bytes)
}

/// Why a name cannot be a path of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseTreePathError {
    /// It has a `..` part.
    #[error("the name `{found}` leads upwards with `..`")]
    DotDot {
        /// The name.
        found: String,
    },
    /// It has a NUL byte.
    #[error("the name `{found}` has a NUL byte")]
    Nul {
        /// The name.
        found: String,
    },
    /// It is longer than Linux allows: 255 bytes a part, 4095 in all.
    #[error("the name `{found}…` is too long: 255 bytes a part and 4095 in all are the limit")]
    TooLong {
        /// The start of the name.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn from_bytes_normalises() {
        for (name, path) in [
            ("./usr/bin/", "/usr/bin"),
            ("/", "/"),
            (".", "/"),
            ("a//b/./c", "/a/b/c"),
            ("..a/b..", "/..a/b.."),
        ] {
            assert_eq!(name.parse::<TreePath>().unwrap().to_string(), path);
        }
    }

    #[test]
    fn from_bytes_refuses() {
        for name in ["..", "a/../b", "/..", "a/.."] {
            assert!(
                matches!(
                    name.parse::<TreePath>(),
                    Err(ParseTreePathError::DotDot { .. })
                ),
                "{name}"
            );
        }
        assert!(matches!(
            TreePath::from_bytes(b"a\0b"),
            Err(ParseTreePathError::Nul { .. })
        ));
        assert!(matches!(
            "x".repeat(256).parse::<TreePath>(),
            Err(ParseTreePathError::TooLong { .. })
        ));
        assert!(matches!(
            "x/".repeat(2050).parse::<TreePath>(),
            Err(ParseTreePathError::TooLong { .. })
        ));
    }

    #[test]
    fn order_is_walk_order() {
        // Behind names of every length, since the start is compared 16 bytes at a time.
        for length in 1..40 {
            let above = "x".repeat(length);
            let below = ["a-c", "a/b", "a", "a.b", "a/b/c", "a/b-"];
            let path = |below: &str| format!("{above}{below}").parse().unwrap();
            let mut paths: Vec<TreePath> = below.map(path).into();
            paths.sort();
            let expected = ["a", "a/b", "a/b/c", "a/b-", "a-c", "a.b"].map(path);
            assert_eq!(paths, expected);
        }
    }

    #[test]
    fn parents_and_prefixes() {
        let path: TreePath = "usr/lib/x".parse().unwrap();
        assert_eq!(
            format!("{:?}", path.ancestors().collect::<Vec<_>>()),
            "[/usr, /usr/lib, /usr/lib/x]"
        );
        assert_eq!(path.parent().unwrap().to_string(), "/usr/lib");
        assert_eq!(
            path.strip_prefix(&"usr".parse().unwrap())
                .unwrap()
                .to_string(),
            "/lib/x"
        );
        assert!(!path.starts_with(&"us".parse().unwrap()));
        assert_eq!(TreePath::root().ancestors().count(), 0);
        assert_eq!(path.file_name(), "x");
    }

    proptest! {
        #[test]
        fn json_round_trip(name in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(path) = TreePath::from_bytes(&name) {
                let json = serde_json::to_string(&path).unwrap();
                prop_assert_eq!(serde_json::from_str::<TreePath>(&json).unwrap(), path);
            }
        }
    }
}
