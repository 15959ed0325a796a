//! What an app asks for: an exact version, a minor version, or a range, in any of the spellings that are out there.
//!
//! | written | means |
//! |---|---|
//! | `3.12.4` | exactly that |
//! | `3.12`, `3.12.*`, `3.12.x`, `~3.12` | the newest patch of 3.12 |
//! | `3`, `3.*` | any 3 |
//! | `>=3.9,<3.13`, `>=3.9 <3.13`, `~=3.11`, `==3.12.*` | PEP 440, which requires-python and uv use |
//! | `^3.11` | 3.11 or newer, below 4 (Poetry, semver) |
//!
//! A prefix is dropped: `python-3.12.4` is how runtime.txt has it; `Python-3.12.4`, `python 3.12.4` and `python3.12` are how people write it.

use crate::version::PythonVersion;
use pep440_rs::VersionSpecifiers;
use std::fmt;
use std::str::FromStr;

/// A wish for a Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionRequest {
    /// Three numbers.
    Exact(PythonVersion),
    /// Two numbers: the newest patch.
    Minor(u64, u64),
    /// A range.
    Range(VersionSpecifiers),
}

impl VersionRequest {
    /// Whether `version` is what was asked for. A pre-release has to be asked for exactly.
    pub fn accepts(&self, version: &PythonVersion) -> bool {
        match self {
            Self::Exact(exact) => exact == version,
            Self::Minor(major, minor) => {
                version.minor() == (*major, *minor) && !version.is_prerelease()
            }
            Self::Range(range) => !version.is_prerelease() && range.contains(version.as_pep440()),
        }
    }
}

impl fmt::Display for VersionRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(version) => version.fmt(formatter),
            Self::Minor(major, minor) => write!(formatter, "{major}.{minor}"),
            Self::Range(range) => range.fmt(formatter),
        }
    }
}

impl FromStr for VersionRequest {
    type Err = ParseRequestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let unquoted = text.trim_matches(['"', '\'']);
        let lower = unquoted.to_ascii_lowercase();
        for (other, name) in OTHER_IMPLEMENTATIONS {
            if lower.starts_with(other) {
                return Err(ParseRequestError::OtherImplementation {
                    text: text.to_owned(),
                    name,
                });
            }
        }
        let bare = without_prefix(&lower);
        if bare.len() > 4
            && bare.ends_with('t')
            && bare[..bare.len() - 1].ends_with(|last: char| last.is_ascii_digit())
        {
            return Err(ParseRequestError::OtherImplementation {
                text: text.to_owned(),
                name: "free-threaded Python",
            });
        }
        if let Ok(version) = bare.parse() {
            return Ok(Self::Exact(version));
        }
        let error = || ParseRequestError::NotAVersion(text.to_owned());
        if let Some(range) = semver_range(bare) {
            return range.map_err(|()| error());
        }
        if bare.is_empty() || bare.contains("||") {
            return Err(error());
        }
        let commas = with_commas(bare);
        VersionSpecifiers::from_str(&commas)
            .map(Self::Range)
            .map_err(|_| error())
    }
}

/// What pyenv and conda users have in these files.
const OTHER_IMPLEMENTATIONS: [(&str, &str); 7] = [
    ("pypy", "PyPy"),
    ("graalpy", "GraalPy"),
    ("jython", "Jython"),
    ("miniconda", "Miniconda"),
    ("miniforge", "Miniforge"),
    ("anaconda", "Anaconda"),
    ("stackless", "Stackless Python"),
];

fn without_prefix(text: &str) -> &str {
    let text = ["cpython", "python"]
        .iter()
        .find_map(|prefix| text.strip_prefix(prefix))
        .unwrap_or(text);
    text.trim_start_matches(['-', '_', '@', ' '])
        .strip_prefix('v')
        .unwrap_or(text.trim_start_matches(['-', '_', '@', ' ']))
}

/// `3`, `3.12`, `3.12.*`, `3.12.x`, `~3.12`, `~3.12.1`, `^3.11`. `None` where it is none of these, an error where it nearly is.
fn semver_range(text: &str) -> Option<Result<VersionRequest, ()>> {
    let (operator, rest) = match text.chars().next()? {
        '^' => ('^', &text[1..]),
        '~' if !text.starts_with("~=") => ('~', &text[1..]),
        first if first.is_ascii_digit() => (' ', text),
        _ => return None,
    };
    let numbers = numbers(rest.trim());
    Some(match (operator, numbers.as_deref()) {
        (' ' | '~', Some([major, minor])) => Ok(VersionRequest::Minor(*major, *minor)),
        (' ' | '~', Some([major])) => range(&format!("=={major}.*")),
        ('~', Some([major, minor, patch])) => {
            range(&format!(">={major}.{minor}.{patch},=={major}.{minor}.*"))
        }
        ('^', Some([major, rest @ ..])) => {
            let lower: Vec<String> = std::iter::once(major)
                .chain(rest)
                .map(u64::to_string)
                .collect();
            range(&format!(">={},<{}", lower.join("."), major + 1))
        }
        _ if operator == ' ' && rest.contains(['<', '>', '=', ',']) => return None,
        _ => Err(()),
    })
}

fn range(text: &str) -> Result<VersionRequest, ()> {
    VersionSpecifiers::from_str(text)
        .map(VersionRequest::Range)
        .map_err(|_| ())
}

/// Up to three numbers; a `*` or `x` at the end stands for any.
fn numbers(text: &str) -> Option<Vec<u64>> {
    let parts: Vec<&str> = text.split('.').collect();
    let known = match parts[..] {
        [.., "*" | "x"] => &parts[..parts.len() - 1],
        _ => &parts[..],
    };
    if known.is_empty() || known.len() > 3 {
        return None;
    }
    known.iter().map(|part| part.parse().ok()).collect()
}

/// Semver separates by blanks, PEP 440 by commas: `>=3.9 <3.13` becomes `>=3.9,<3.13`.
fn with_commas(text: &str) -> String {
    let mut result = String::new();
    for word in text.split([' ', ',']).filter(|word| !word.is_empty()) {
        let begins_a_bound = word.starts_with(['<', '>', '=', '!', '~']);
        if begins_a_bound && !result.is_empty() {
            result.push(',');
        }
        result.push_str(word);
    }
    result
}

/// Why a text is no wish for a Python.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseRequestError {
    /// Something else.
    #[error("'{0}' is no Python version")]
    NotAVersion(String),
    /// A Python that Longshore does not have.
    #[error("'{text}' asks for {name}, which Longshore does not have")]
    OtherImplementation {
        /// As written.
        text: String,
        /// What it is.
        name: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match text.parse::<VersionRequest>() {
            Ok(VersionRequest::Exact(version)) => format!("exactly {version}"),
            Ok(VersionRequest::Minor(major, minor)) => format!("minor {major}.{minor}"),
            Ok(VersionRequest::Range(range)) => format!("range {range}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn from_str_every_spelling() {
        let cases = [
            ("3.12.4", "exactly 3.12.4"),
            (" python-3.12.4\n", "exactly 3.12.4"),
            ("Python-3.9.0", "exactly 3.9.0"),
            ("python 3.9.0", "exactly 3.9.0"),
            ("python3.9", "minor 3.9"),
            ("cpython-3.12.1", "exactly 3.12.1"),
            ("cpython@3.12", "minor 3.12"),
            ("v3.12", "minor 3.12"),
            ("\"3.12\"", "minor 3.12"),
            ("3.15.0rc1", "exactly 3.15.0rc1"),
            ("3.12", "minor 3.12"),
            ("3.12.*", "minor 3.12"),
            ("3.12.x", "minor 3.12"),
            ("~3.12", "minor 3.12"),
            ("~3.12.3", "range ==3.12.*, >=3.12.3"),
            ("3", "range ==3.*"),
            ("3.*", "range ==3.*"),
            ("^3.11", "range >=3.11, <4"),
            (">=3.9", "range >=3.9"),
            (">=3.9,<3.13", "range >=3.9, <3.13"),
            (">= 3.9 < 3.13", "range >=3.9, <3.13"),
            ("~=3.11", "range ~=3.11"),
            ("==3.12.*", "range ==3.12.*"),
            ("!=3.9.7,>=3.8", "range >=3.8, !=3.9.7"),
            ("", "'' is no Python version"),
            ("latest", "'latest' is no Python version"),
            ("3.x.1", "'3.x.1' is no Python version"),
            ("3.12-dev", "'3.12-dev' is no Python version"),
            ("^3.9 || ^3.10", "'^3.9 || ^3.10' is no Python version"),
            (
                "pypy3.10-7.3",
                "'pypy3.10-7.3' asks for PyPy, which Longshore does not have",
            ),
            (
                "3.13t",
                "'3.13t' asks for free-threaded Python, which Longshore does not have",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn accepts_prereleases_only_when_asked_exactly() {
        let version = "3.15.0rc1".parse().unwrap();
        for (request, expected) in [("3.15.0rc1", true), ("3.15", false), (">=3.14", false)] {
            assert_eq!(
                request.parse::<VersionRequest>().unwrap().accepts(&version),
                expected
            );
        }
    }
}
