//! The Pythons that exist: `versions.toml`, data of this repository.

use crate::version::PythonVersion;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::LazyLock;

static CATALOG: LazyLock<Catalog> = LazyLock::new(|| {
    Catalog::parse(include_str!("../versions.toml"))
        .expect("versions.toml is part of this crate and tested")
});

/// Debian's suites, oldest first. A stack can use the interpreters of its own suite and of older ones: those were linked against an older
/// C library, which the newer one replaces, never the other way round.
const SUITES: [&str; 2] = ["bookworm", "trixie"];

/// Every interpreter that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Catalog {
    debian: BTreeMap<String, PythonVersion>,
    standalone: BTreeMap<String, Vec<PythonVersion>>,
    end_of_life: BTreeMap<String, String>,
}

/// An interpreter and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its version; Debian's may turn out newer.
    pub version: PythonVersion,
    /// Where it comes from.
    pub source: Source,
}

/// Where interpreters come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Debian's packages of a suite.
    Debian {
        /// `trixie`
        suite: String,
    },
    /// python-build-standalone, through uv.
    Standalone,
}

impl fmt::Display for Source {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debian { suite } => write!(formatter, "Debian {suite}"),
            Self::Standalone => formatter.write_str("python-build-standalone"),
        }
    }
}

impl Catalog {
    /// The list that this Longshore was made with.
    pub fn shipped() -> &'static Self {
        &CATALOG
    }

    fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The same with other standalone interpreters.
    #[must_use]
    pub fn with_standalone(&self, versions: Vec<PythonVersion>) -> Self {
        let mut standalone: BTreeMap<String, Vec<PythonVersion>> = BTreeMap::new();
        for version in versions {
            let (major, minor) = version.minor();
            standalone
                .entry(format!("{major}.{minor}"))
                .or_default()
                .push(version);
        }
        Self {
            standalone,
            ..self.clone()
        }
    }

    /// Everything for a stack of `suite` (none, where the stack is not Debian's), best source first, newest version first in each.
    pub fn candidates(&self, suite: Option<&str>) -> Vec<Candidate> {
        let usable = suite
            .and_then(|suite| SUITES.iter().position(|known| *known == suite))
            .map_or(0, |index| index + 1);
        let debian = SUITES[..usable].iter().rev().filter_map(|suite| {
            Some(Candidate {
                version: self.debian.get(*suite)?.clone(),
                source: Source::Debian {
                    suite: (*suite).to_owned(),
                },
            })
        });
        let mut standalone: Vec<&PythonVersion> = self.standalone.values().flatten().collect();
        standalone.sort();
        let standalone = standalone.into_iter().rev().map(|version| Candidate {
            version: version.clone(),
            source: Source::Standalone,
        });
        debian.chain(standalone).collect()
    }

    /// What there is, a line for each minor version, for messages.
    pub fn listing(&self, suite: Option<&str>) -> String {
        let mut minors: BTreeMap<(u64, u64), Vec<PythonVersion>> = BTreeMap::new();
        for candidate in self.candidates(suite) {
            minors
                .entry(candidate.version.minor())
                .or_default()
                .push(candidate.version);
        }
        let mut text = String::new();
        for ((major, minor), mut versions) in minors {
            versions.sort();
            versions.dedup();
            writeln!(text, "  {major}.{minor}: {}", ranges(&versions))
                .expect("writing to a string cannot fail");
        }
        text
    }

    /// The last day of security support (`2026-10-31`) of a minor version.
    pub fn end_of_life(&self, version: &PythonVersion) -> Option<&str> {
        let (major, minor) = version.minor();
        self.end_of_life
            .get(&format!("{major}.{minor}"))
            .map(String::as_str)
    }
}

/// `3.9.0 to 3.9.7, 3.9.10 to 3.9.25`
fn ranges(versions: &[PythonVersion]) -> String {
    let mut parts: Vec<(PythonVersion, PythonVersion)> = Vec::new();
    for version in versions {
        match parts.last_mut() {
            Some((_, last)) if last.is_followed_by(version) => *last = version.clone(),
            _ => parts.push((version.clone(), version.clone())),
        }
    }
    let words: Vec<String> = parts
        .iter()
        .map(|(first, last)| {
            if first == last {
                first.to_string()
            } else {
                format!("{first} to {last}")
            }
        })
        .collect();
    words.join(", ")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A small catalog whose versions do not change when the shipped list is renewed.
    pub(crate) fn small() -> Catalog {
        Catalog::parse(
            "[debian]\ntrixie = '3.13.5'\nbookworm = '3.11.2'\n\
             [standalone]\n'3.9' = ['3.9.0', '3.9.1', '3.9.2', '3.9.10']\n'3.11' = ['3.11.1', '3.11.9', '3.11.10']\n'3.13' = ['3.13.5', '3.13.6']\n'3.14' = ['3.14.0', '3.14.1', '3.14.2']\n'3.15' = ['3.15.0rc1']\n\
             [end-of-life]\n'3.9' = '2025-10-31'\n'3.13' = '2029-10-31'\n",
        )
        .unwrap()
    }

    #[test]
    fn shipped_parses_and_has_the_stacks_own() {
        let first = Catalog::shipped().candidates(Some("trixie"))[0].clone();
        assert_eq!(
            (first.version.minor(), first.source),
            (
                (3, 13),
                Source::Debian {
                    suite: "trixie".into()
                }
            )
        );
    }

    #[test]
    fn candidates_of_older_suites_only() {
        let sources = |suite: Option<&str>| {
            small()
                .candidates(suite)
                .into_iter()
                .filter_map(|candidate| match candidate.source {
                    Source::Debian { suite } => Some(suite),
                    Source::Standalone => None,
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(sources(Some("trixie")), ["trixie", "bookworm"]);
        assert_eq!(sources(Some("bookworm")), ["bookworm"]);
        assert!(sources(Some("noble")).is_empty());
        assert!(sources(None).is_empty());
    }

    #[test]
    fn listing_in_ranges() {
        assert_eq!(
            small().listing(Some("trixie")),
            "  3.9: 3.9.0 to 3.9.2, 3.9.10\n  3.11: 3.11.1 to 3.11.2, 3.11.9 to 3.11.10\n  3.13: 3.13.5 to 3.13.6\n  3.14: 3.14.0 to 3.14.2\n  3.15: 3.15.0rc1\n"
        );
    }
}
