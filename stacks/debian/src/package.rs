//! One package of an index: what the solver and the downloader need of a `Packages` paragraph.

use std::fmt;

use fetch::Sha256;

use crate::{
    name::{Architecture, PackageName},
    paragraph::Paragraph,
    version::Version,
};

/// A package that a repository offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// `Package`
    pub name: PackageName,
    /// `Version`
    pub version: Version,
    /// `Architecture`
    pub architecture: Architecture,
    /// `Essential: yes`
    pub essential: bool,
    /// `Protected: yes`, or the older `Important: yes`
    pub protected: bool,
    /// `Priority`
    pub priority: Priority,
    /// The fields that relate it to others, as text: most packages of an index are never looked at.
    pub relations: RelationTexts,
    /// `Source`, where it differs from the name; with the source's version in parentheses where that differs.
    pub source: Option<Box<str>>,
    /// `Installed-Size` in KiB.
    pub installed_size: u64,
    /// Where the .deb is.
    pub file: DebFile,
}

/// Where a .deb is and what it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebFile {
    /// `Filename`, below the mirror's root.
    pub filename: Box<str>,
    /// `Size`
    pub size: u64,
    /// `SHA256`
    pub sha256: Sha256,
}

/// The relation fields as they stand in the index.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelationTexts {
    /// `Depends`
    pub depends: Option<Box<str>>,
    /// `Pre-Depends`
    pub pre_depends: Option<Box<str>>,
    /// `Recommends`
    pub recommends: Option<Box<str>>,
    /// `Conflicts`
    pub conflicts: Option<Box<str>>,
    /// `Breaks`
    pub breaks: Option<Box<str>>,
    /// `Provides`
    pub provides: Option<Box<str>>,
}

impl RelationTexts {
    pub(crate) fn of(paragraph: &Paragraph<'_>) -> Self {
        let text = |field: &str| {
            paragraph
                .get(field)
                .map(|lines| lines.join(" ").into_boxed_str())
        };
        Self {
            depends: text("Depends"),
            pre_depends: text("Pre-Depends"),
            recommends: text("Recommends"),
            conflicts: text("Conflicts"),
            breaks: text("Breaks"),
            provides: text("Provides"),
        }
    }
}

/// How much a system needs the package (Debian policy 2.5); the most needed is the smallest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// dpkg and what it needs.
    Required,
    /// What an experienced person expects.
    Important,
    /// A reasonable character-mode system.
    Standard,
    /// All else.
    Optional,
}

impl Priority {
    pub(crate) fn from_field(text: &str) -> Self {
        match text {
            "required" => Self::Required,
            "important" => Self::Important,
            "standard" => Self::Standard,
            _ => Self::Optional,
        }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}
