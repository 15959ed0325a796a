//! `stack.lock`: every package of a stack's images, by version and digest, in TOML.
//!
//! ```toml
//! version = 1
//! date = "2026-11-14T10:11:12Z"
//!
//! [[package]]
//! name = "bash"
//! version = "5.2.37-2+b10"
//! architecture = "amd64"
//! suite = "trixie"
//! path = "pool/main/b/bash/bash_5.2.37-2+b10_amd64.deb"
//! size = 1498012
//! sha256 = "…"
//! images = ["build", "run"]
//! ```
//!
//! With the lock alone an image can be made: the digests stand for the signatures that were checked when it was written.

use std::fmt;
use std::path::Path;

use fetch::Sha256;
use serde::{Deserialize, Serialize};

/// The only form there is.
const VERSION: u32 = 1;

/// All packages of a stack, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    version: u32,
    /// When the newest of the suites was signed. Nothing in the images is younger.
    pub date: Date,
    /// The packages.
    #[serde(rename = "package")]
    pub packages: Vec<LockedPackage>,
}

/// One package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedPackage {
    /// `Package`
    pub name: String,
    /// `Version`
    pub version: String,
    /// `Architecture`
    pub architecture: String,
    /// The suite that offers it: `trixie`, `trixie-updates`, `trixie-security`.
    pub suite: String,
    /// `Filename`, below the mirror of the suite.
    pub path: String,
    /// `Size`
    pub size: u64,
    /// `SHA256`
    #[serde(with = "digest")]
    pub sha256: Sha256,
    /// Which images have it.
    pub images: Vec<ImageKind>,
}

/// The two images of a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageKind {
    /// Buildpacks run in it.
    Build,
    /// Apps run in it.
    Run,
}

impl ImageKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Build, Self::Run];
}

impl fmt::Display for ImageKind {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Build => "build",
            Self::Run => "run",
        })
    }
}

impl Lock {
    /// A lock of these packages.
    pub fn new(date: Date, mut packages: Vec<LockedPackage>) -> Self {
        packages.sort();
        Self {
            version: VERSION,
            date,
            packages,
        }
    }

    /// Reads `stack.lock`.
    pub fn parse(text: &str, path: &Path) -> Result<Self, LockError> {
        let failed = |reason: String| LockError {
            path: path.display().to_string(),
            reason,
        };
        let lock: Self = toml::from_str(text).map_err(|error| failed(error.to_string()))?;
        if lock.version != VERSION {
            return Err(failed(format!(
                "its version is {}, and this program knows version {VERSION}",
                lock.version
            )));
        }
        Ok(lock)
    }

    /// As text.
    pub fn to_text(&self) -> String {
        let body = toml::to_string(self).expect("strings, numbers and lists are TOML");
        format!("# Made by `longshore stack lock`. Do not edit.\n{body}")
    }

    /// One image's packages.
    pub fn of(&self, image: ImageKind) -> impl Iterator<Item = &LockedPackage> {
        self.packages
            .iter()
            .filter(move |package| package.images.contains(&image))
    }
}

/// Digests as text.
mod digest {
    use fetch::Sha256;
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(digest: &Sha256, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(digest)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Sha256, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// A second in UTC, as `2026-11-14T10:11:12Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Date(u64);

impl Date {
    /// From seconds since 1970.
    pub fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Seconds since 1970.
    pub fn seconds(self) -> u64 {
        self.0
    }

    /// Days since 1970, as `/etc/shadow` counts.
    pub fn days(self) -> u64 {
        self.0 / 86400
    }
}

impl fmt::Display for Date {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.days());
        let (hour, minute, second) = (self.0 / 3600 % 24, self.0 / 60 % 60, self.0 % 60);
        write!(
            to,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"
        )
    }
}

impl From<Date> for String {
    fn from(date: Date) -> Self {
        date.to_string()
    }
}

impl TryFrom<String> for Date {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not a date such as 2026-11-14T10:11:12Z");
        let number = |range: std::ops::Range<usize>| -> Option<u64> {
            let digits = text.get(range)?;
            digits
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then(|| digits.parse().ok())?
        };
        let parsed = || {
            let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
            let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
            // The first centuries are enough: a lock's dates are of its own time.
            let days = (0..200_000).find(|days| civil(*days) == (year, month, day))?;
            Some(Self(((days * 24 + hour) * 60 + minute) * 60 + second))
        };
        // Only what is written the same way is what was meant.
        parsed()
            .filter(|date| date.to_string() == text)
            .ok_or_else(wrong)
    }
}

/// The civil date of a day since 1970: years of the calendar's 400-year cycle, counted from March.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

/// Why a lock could not be used.
#[derive(Debug, thiserror::Error)]
#[error("{path} is not a stack's lock: {reason}\n\nMake a new one with `longshore stack lock`.")]
pub struct LockError {
    path: String,
    reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> LockedPackage {
        LockedPackage {
            name: name.to_owned(),
            version: "1:2-3".to_owned(),
            architecture: "amd64".to_owned(),
            suite: "trixie-security".to_owned(),
            path: format!("pool/{name}.deb"),
            size: 12,
            sha256: Sha256::of(b"x"),
            images: vec![ImageKind::Build, ImageKind::Run],
        }
    }

    #[test]
    fn lock_is_the_same_after_a_round_trip() {
        let lock = Lock::new(
            Date::from_seconds(1_763_115_072),
            vec![package("b"), package("a")],
        );
        let text = lock.to_text();
        assert_eq!(Lock::parse(&text, Path::new("stack.lock")).unwrap(), lock);
        assert_eq!(
            text.lines().take(13).collect::<Vec<_>>().join("\n"),
            "# Made by `longshore stack lock`. Do not edit.\n\
             version = 1\n\
             date = \"2025-11-14T10:11:12Z\"\n\n\
             [[package]]\n\
             name = \"a\"\n\
             version = \"1:2-3\"\n\
             architecture = \"amd64\"\n\
             suite = \"trixie-security\"\n\
             path = \"pool/a.deb\"\n\
             size = 12\n\
             sha256 = \"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\"\n\
             images = [\"build\", \"run\"]"
        );
    }

    #[test]
    fn dates_are_strict() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2024-02-29T23:59:59Z",
            "2026-11-21T10:07:40Z",
        ] {
            assert_eq!(Date::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for text in [
            "",
            "2023-02-29T00:00:00Z",
            "2026-11-21",
            "2026-11-21T25:00:00Z",
            "2026-11-21 10:07:40Z",
            "+026-11-21T10:07:40Z",
        ] {
            assert!(Date::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn parse_of_another_version_says_so() {
        let text = Lock::new(Date::from_seconds(0), Vec::new())
            .to_text()
            .replace("version = 1", "version = 2");
        assert_eq!(
            Lock::parse(&text, Path::new("stack.lock"))
                .unwrap_err()
                .to_string(),
            "stack.lock is not a stack's lock: its version is 2, and this program knows version 1\n\n\
             Make a new one with `longshore stack lock`."
        );
    }
}
