//! API versions: which Platform APIs and Buildpack APIs we implement, and how a version is written.
//!
//! All published versions are `0.<minor>`. Both kinds are numbers of the same form with different meanings, so they are different types: a
//! Platform API says how a phase is called, a Buildpack API says how a buildpack is called.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A version of the Platform API that this lifecycle implements (`CNB_PLATFORM_API`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlatformApi {
    minor: u16,
}

/// A version of the Buildpack API that this lifecycle implements (`api` in `buildpack.toml`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BuildpackApi {
    minor: u16,
}

impl PlatformApi {
    /// The oldest one (kpack's choice of last resort).
    pub const OLDEST: Self = Self { minor: 7 };
    /// The newest one.
    pub const NEWEST: Self = Self { minor: 15 };

    /// Every implemented version, oldest first.
    pub fn supported() -> impl Iterator<Item = Self> {
        (Self::OLDEST.minor..=Self::NEWEST.minor).map(|minor| Self { minor })
    }

    /// Is this `0.<minor>` or newer?
    pub const fn at_least(self, minor: u16) -> bool {
        self.minor >= minor
    }
}

impl BuildpackApi {
    /// The oldest one.
    pub const OLDEST: Self = Self { minor: 7 };
    /// The newest one.
    pub const NEWEST: Self = Self { minor: 12 };

    /// Every implemented version, oldest first.
    pub fn supported() -> impl Iterator<Item = Self> {
        (Self::OLDEST.minor..=Self::NEWEST.minor).map(|minor| Self { minor })
    }

    /// Is this `0.<minor>` or newer?
    pub const fn at_least(self, minor: u16) -> bool {
        self.minor >= minor
    }
}

impl FromStr for PlatformApi {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let minor = supported_minor(text, "Platform", Self::OLDEST.minor, Self::NEWEST.minor)?;
        Ok(Self { minor })
    }
}

impl FromStr for BuildpackApi {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let minor = supported_minor(text, "Buildpack", Self::OLDEST.minor, Self::NEWEST.minor)?;
        Ok(Self { minor })
    }
}

/// Reads `0.7`, `v0.7` as the reference implementation does.
fn supported_minor(
    text: &str,
    kind: &'static str,
    oldest: u16,
    newest: u16,
) -> Result<u16, ApiError> {
    let digits = text.strip_prefix('v').unwrap_or(text);
    let (major, minor) = digits.split_once('.').unwrap_or((digits, "0"));
    let number = |part: &str| {
        let plain = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<u16>().ok().filter(|_| plain)
    };
    let (Some(major), Some(minor)) = (number(major), number(minor)) else {
        return Err(ApiError::Malformed {
            kind,
            text: text.to_owned(),
        });
    };
    if major == 0 && (oldest..=newest).contains(&minor) {
        return Ok(minor);
    }
    Err(ApiError::Unsupported {
        kind,
        text: text.to_owned(),
        oldest,
        newest,
    })
}

impl fmt::Display for PlatformApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0.{}", self.minor)
    }
}

impl fmt::Display for BuildpackApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0.{}", self.minor)
    }
}

impl Serialize for BuildpackApi {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BuildpackApi {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Why a version cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    /// Not of the form `<major>.<minor>`.
    #[error("`{text}` is not a {kind} API version; it has the form `0.10`")]
    Malformed {
        /// `Platform` or `Buildpack`.
        kind: &'static str,
        /// What was found.
        text: String,
    },
    /// A version that this lifecycle does not implement.
    #[error("{kind} API version `{text}` is not supported; versions 0.{oldest} to 0.{newest} are")]
    Unsupported {
        /// `Platform` or `Buildpack`.
        kind: &'static str,
        /// What was found.
        text: String,
        /// Minor number of the oldest supported version.
        oldest: u16,
        /// Minor number of the newest supported version.
        newest: u16,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platform_api_orders_by_number_not_by_text() {
        let nine: PlatformApi = "0.9".parse().unwrap();
        let ten: PlatformApi = "0.10".parse().unwrap();
        assert!(nine < ten);
        assert!(ten.at_least(9) && !nine.at_least(10));
    }

    #[test]
    fn api_from_str() {
        for (text, expected) in [
            ("0.7", Ok("0.7")),
            ("v0.12", Ok("0.12")),
            (
                "0.13",
                Err("Buildpack API version `0.13` is not supported; versions 0.7 to 0.12 are"),
            ),
            (
                "0.6",
                Err("Buildpack API version `0.6` is not supported; versions 0.7 to 0.12 are"),
            ),
            (
                "1",
                Err("Buildpack API version `1` is not supported; versions 0.7 to 0.12 are"),
            ),
            (
                "",
                Err("`` is not a Buildpack API version; it has the form `0.10`"),
            ),
            (
                "0.+7",
                Err("`0.+7` is not a Buildpack API version; it has the form `0.10`"),
            ),
            (
                "0.99999999",
                Err("`0.99999999` is not a Buildpack API version; it has the form `0.10`"),
            ),
        ] {
            let found = text.parse::<BuildpackApi>();
            let found = found.map(|api| api.to_string()).map_err(|e| e.to_string());
            assert_eq!(
                found,
                expected.map(str::to_owned).map_err(str::to_owned),
                "{text}"
            );
        }
    }
}
