//! Relations between packages: the text of `Depends`, `Conflicts`, `Provides` and their kin (Debian policy 7.1).
//!
//! ```text
//! Depends: libc6 (>= 2.38), default-mta | mail-transport-agent, python3:any
//! ```
//! Commas are "and", bars are "or".

use std::{fmt, str::FromStr};

use crate::{
    name::PackageName,
    version::{ParseVersionError, Version},
};

/// "And" of groups: one field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relations(pub Vec<Group>);

/// "Or" of relations, the preferred one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group(pub Vec<Relation>);

/// One package, perhaps of certain versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relation {
    /// The real or virtual package.
    pub name: PackageName,
    /// `:any`, `:amd64`.
    pub architecture: Option<Qualifier>,
    /// `(>= 1.0)`.
    pub version: Option<(Operator, Version)>,
}

/// What follows the colon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Qualifier {
    /// `:any`: a package of any architecture serves.
    Any,
    /// `:native`: of the machine's own.
    Native,
    /// `:amd64`: of that one.
    Exactly(Box<str>),
}

/// How versions are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `<<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `=`
    Equal,
    /// `>=`
    GreaterOrEqual,
    /// `>>`
    Greater,
}

impl Operator {
    /// Whether `version` satisfies `operator bound`.
    pub fn accepts(self, version: &Version, bound: &Version) -> bool {
        match self {
            Self::Less => version < bound,
            Self::LessOrEqual => version <= bound,
            Self::Equal => version == bound,
            Self::GreaterOrEqual => version >= bound,
            Self::Greater => version > bound,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Less => "<<",
            Self::LessOrEqual => "<=",
            Self::Equal => "=",
            Self::GreaterOrEqual => ">=",
            Self::Greater => ">>",
        }
    }
}

impl FromStr for Relations {
    type Err = ParseRelationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // dpkg tolerates a comma at the end.
        text.split(',')
            .filter(|part| !part.trim().is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl FromStr for Group {
    type Err = ParseRelationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.split('|')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl FromStr for Relation {
    type Err = ParseRelationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |problem: String| ParseRelationError {
            text: text.trim().chars().take(120).collect(),
            problem,
        };
        let trimmed = text.trim();
        let end = trimmed
            .find(|letter: char| letter.is_whitespace() || letter == '(')
            .unwrap_or(trimmed.len());
        let (named, rest) = trimmed.split_at(end);
        let (name, architecture) = match named.split_once(':') {
            None => (named, None),
            Some((name, "any")) => (name, Some(Qualifier::Any)),
            Some((name, "native")) => (name, Some(Qualifier::Native)),
            Some((name, other)) => (name, Some(Qualifier::Exactly(other.into()))),
        };
        let name = name
            .parse()
            .map_err(|_| error(format!("'{name}' is not a package's name")))?;
        let rest = rest.trim();
        let version = match rest.strip_prefix('(') {
            None if rest.is_empty() => None,
            None => return Err(error(format!("'{rest}' is not understood"))),
            Some(inner) => {
                let inner = inner
                    .strip_suffix(')')
                    .ok_or_else(|| error("a parenthesis is missing".to_owned()))?;
                Some(parse_bound(inner.trim()).map_err(error)?)
            }
        };
        Ok(Self {
            name,
            architecture,
            version,
        })
    }
}

fn parse_bound(text: &str) -> Result<(Operator, Version), String> {
    let end = text
        .find(|letter| !"<>=".contains(letter))
        .unwrap_or(text.len());
    let (operator, version) = text.split_at(end);
    let operator = match operator {
        "<<" => Operator::Less,
        // A single `<` means `<=`: dpkg keeps the old meaning.
        "<=" | "<" => Operator::LessOrEqual,
        "=" => Operator::Equal,
        ">=" | ">" => Operator::GreaterOrEqual,
        ">>" => Operator::Greater,
        other => return Err(format!("'{other}' is not one of << <= = >= >>")),
    };
    let version = version
        .trim()
        .parse()
        .map_err(|error: ParseVersionError| error.to_string())?;
    Ok((operator, version))
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            architecture,
            version,
        } = self;
        write!(f, "{name}")?;
        match architecture {
            None => {}
            Some(Qualifier::Any) => f.write_str(":any")?,
            Some(Qualifier::Native) => f.write_str(":native")?,
            Some(Qualifier::Exactly(other)) => write!(f, ":{other}")?,
        }
        match version {
            None => Ok(()),
            Some((operator, version)) => write!(f, " ({} {version})", operator.text()),
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, relation) in self.0.iter().enumerate() {
            let bar = if place == 0 { "" } else { " | " };
            write!(f, "{bar}{relation}")?;
        }
        Ok(())
    }
}

/// The text is not a relation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a relation between packages: {problem}")]
pub struct ParseRelationError {
    /// What stood there.
    pub text: String,
    /// What is wrong with it.
    pub problem: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_round_trip() {
        let text =
            "libc6 (>= 2.38), default-mta | mail-transport-agent, python3:any (<< 3.14), x1:amd64,";
        let relations: Relations = text.parse().expect("relations");
        let shown: Vec<_> = relations.0.iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            [
                "libc6 (>= 2.38)",
                "default-mta | mail-transport-agent",
                "python3:any (<< 3.14)",
                "x1:amd64"
            ]
        );
    }

    #[test]
    fn relation_spacing_and_old_operators() {
        for (text, shown) in [
            (" a1( = 1:2-3 ) ", "a1 (= 1:2-3)"),
            ("a1 (<1)", "a1 (<= 1)"),
            ("a1\n (>\t1)", "a1 (>= 1)"),
        ] {
            assert_eq!(
                text.parse::<Relation>()
                    .map(|relation| relation.to_string())
                    .as_deref(),
                Ok(shown)
            );
        }
    }

    #[test]
    fn relation_refused() {
        for text in [
            "",
            "A",
            "a1 (",
            "a1 (1)",
            "a1 (>= )",
            "a1 (=> 1)",
            "a1 b2",
            "a1 [amd64]",
            "a1 (>= 1) x",
        ] {
            assert!(text.parse::<Relation>().is_err(), "{text:?}");
        }
        assert!("a1 | ".parse::<Group>().is_err());
    }
}
