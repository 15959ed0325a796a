//! The names of process types.
//!
//! Heroku's and Dokku's rule is that of a DNS label: lower-case letters, digits and `-`, at both ends no `-`, at most 63 characters. Platforms
//! use the name as a container's and a host's. Where only the spelling is off (`Web`, `beat_scheduler`) the name is repaired.

use std::fmt;
use std::str::FromStr;

/// RFC 1123, section 2.1.
const LONGEST: usize = 63;

/// A process type that every platform takes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProcessName(String);

impl ProcessName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the type that gets the app's HTTP requests.
    pub fn is_web(&self) -> bool {
        self.0 == "web"
    }

    /// Reads a name, with `_` taken for `-` and upper case for lower case.
    pub fn repaired(text: &str) -> Result<Self, ProcessNameError> {
        text.replace('_', "-").to_ascii_lowercase().parse()
    }
}

impl FromStr for ProcessName {
    type Err = ProcessNameError;

    fn from_str(text: &str) -> Result<Self, ProcessNameError> {
        let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '-');
        let count = text.chars().count();
        match text.chars().enumerate().find(|&(_, c)| !allowed(c)) {
            _ if text.is_empty() => Err(ProcessNameError::Empty),
            Some((index, found)) => Err(ProcessNameError::Character { index, found }),
            None if count > LONGEST => Err(ProcessNameError::TooLong { length: count }),
            None if text.starts_with('-') => Err(ProcessNameError::HyphenAtEnd { index: 0 }),
            None if text.ends_with('-') => Err(ProcessNameError::HyphenAtEnd { index: count - 1 }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for ProcessName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is no process type. Indexes count characters from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProcessNameError {
    /// Nothing before the colon.
    #[error("the process type is missing")]
    Empty,
    /// A character that no repair can mend.
    #[error("{found:?} cannot stand in a process type")]
    Character {
        /// Where.
        index: usize,
        /// The character.
        found: char,
    },
    /// Longer than a DNS label.
    #[error("the process type has {length} characters; {LONGEST} is the most")]
    TooLong {
        /// How many.
        length: usize,
    },
    /// A `-` at either end.
    #[error("a process type cannot begin or end with '-' or '_'")]
    HyphenAtEnd {
        /// Where.
        index: usize,
    },
}

impl ProcessNameError {
    /// The character that the error is about, counted from 0.
    pub fn index(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::Character { index, .. } | Self::HyphenAtEnd { index } => *index,
            Self::TooLong { .. } => LONGEST,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_name_from_str() {
        for (text, error) in [
            ("web", None),
            ("worker-2", None),
            ("1", None),
            ("", Some(ProcessNameError::Empty)),
            (
                "Web",
                Some(ProcessNameError::Character {
                    index: 0,
                    found: 'W',
                }),
            ),
            (
                "a b",
                Some(ProcessNameError::Character {
                    index: 1,
                    found: ' ',
                }),
            ),
            (
                "wéb",
                Some(ProcessNameError::Character {
                    index: 1,
                    found: 'é',
                }),
            ),
            ("-web", Some(ProcessNameError::HyphenAtEnd { index: 0 })),
            ("web-", Some(ProcessNameError::HyphenAtEnd { index: 3 })),
        ] {
            assert_eq!(text.parse::<ProcessName>().err(), error, "{text:?}");
        }
        assert!("x".repeat(63).parse::<ProcessName>().is_ok());
        let too_long = ProcessNameError::TooLong { length: 64 };
        assert_eq!("x".repeat(64).parse::<ProcessName>(), Err(too_long));
    }

    #[test]
    fn repaired_spelling() {
        assert_eq!(
            ProcessName::repaired("Beat_Scheduler").unwrap().as_str(),
            "beat-scheduler"
        );
        assert_eq!(
            ProcessName::repaired("_x"),
            Err(ProcessNameError::HyphenAtEnd { index: 0 })
        );
    }
}
