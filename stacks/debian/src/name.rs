//! Package and architecture names as types (Debian policy 5.6.7 and 5.6.8).

use std::{borrow::Borrow, fmt, str::FromStr};

/// A package's name: at least two lower-case letters, digits, `+`, `-` and `.`, beginning with a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageName(Box<str>);

impl PackageName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PackageName {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = text.bytes();
        let starts_well = bytes
            .next()
            .is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        let goes_on_well = bytes.all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte)
        });
        // Longer names would not fit into a file name with their version.
        if !starts_well || !goes_on_well || text.len() < 2 || text.len() > 200 {
            return Err(ParseNameError {
                text: text.chars().take(80).collect(),
            });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for PackageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Borrow<str> for PackageName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl serde::Serialize for PackageName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for PackageName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An architecture's name: `amd64`, `all`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Architecture(Box<str>);

impl Architecture {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True for packages that run everywhere.
    pub fn is_all(&self) -> bool {
        &*self.0 == "all"
    }

    /// 64-bit x86.
    pub fn amd64() -> Self {
        Self("amd64".into())
    }
}

impl FromStr for Architecture {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if text.is_empty() || text.len() > 40 || !text.bytes().all(allowed) {
            return Err(ParseNameError {
                text: text.chars().take(80).collect(),
            });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl serde::Serialize for Architecture {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Architecture {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is not a package's or architecture's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{text}' is not a name that Debian allows: lower-case letters, digits, '+', '-' and '.', beginning with a letter or digit"
)]
pub struct ParseNameError {
    /// What stood there.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_name_cases() {
        for good in ["gcc", "libstdc++6", "python3.13", "0ad", "7zip", "a2"] {
            assert_eq!(
                good.parse::<PackageName>()
                    .map(|name| name.to_string())
                    .as_deref(),
                Ok(good)
            );
        }
        for bad in [
            "", "a", "GCC", "-x", "+x", "a b", "a/b", "a:amd64", "a=1", "a\r", "a*", "é1",
        ] {
            assert!(bad.parse::<PackageName>().is_err(), "{bad:?}");
        }
    }
}
