//! A released Python: three numbers, perhaps a pre-release.

use pep440_rs::Version;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// `3.13.5`, `3.15.0rc1`
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PythonVersion(Version);

impl PythonVersion {
    /// Major and minor number.
    pub fn minor(&self) -> (u64, u64) {
        (self.number(0), self.number(1))
    }

    /// The third number.
    pub fn patch(&self) -> u64 {
        self.number(2)
    }

    /// Whether it is an alpha, beta or release candidate.
    pub fn is_prerelease(&self) -> bool {
        self.0.any_prerelease()
    }

    /// As PEP 440 has it, for ranges.
    pub(crate) fn as_pep440(&self) -> &Version {
        &self.0
    }

    /// Whether `other` is the next patch of the same minor version.
    pub(crate) fn is_followed_by(&self, other: &Self) -> bool {
        let final_releases = !self.is_prerelease() && !other.is_prerelease();
        final_releases && self.minor() == other.minor() && other.patch() == self.patch() + 1
    }

    fn number(&self, index: usize) -> u64 {
        self.0.release().get(index).copied().unwrap_or(0)
    }
}

impl fmt::Display for PythonVersion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl FromStr for PythonVersion {
    type Err = ParsePythonVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParsePythonVersionError(text.to_owned());
        let version = Version::from_str(text).map_err(|_| error())?;
        let is_plain = version.release().len() == 3
            && version.epoch() == 0
            && !version.is_local()
            && !version.is_post()
            && !version.is_dev();
        if is_plain {
            Ok(Self(version))
        } else {
            Err(error())
        }
    }
}

impl TryFrom<String> for PythonVersion {
    type Error = ParsePythonVersionError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<PythonVersion> for String {
    fn from(version: PythonVersion) -> Self {
        version.to_string()
    }
}

/// Not a whole version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no Python version of three numbers")]
pub struct ParsePythonVersionError(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_str_cases() {
        for text in ["3.13.5", "3.15.0rc1", "2.7.18"] {
            assert_eq!(text.parse::<PythonVersion>().unwrap().to_string(), text);
        }
        for text in ["3.13", "3", "", "3.13.5.1", "3.13.5+x", "3.13.5.post1", "x"] {
            assert!(text.parse::<PythonVersion>().is_err(), "{text}");
        }
    }

    #[test]
    fn order_prereleases_first() {
        let version = |text: &str| text.parse::<PythonVersion>().unwrap();
        assert!(version("3.15.0rc1") < version("3.15.0"));
        assert!(version("3.9.10") > version("3.9.9"));
    }
}
