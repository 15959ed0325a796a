//! `status`: one paragraph for each package dpkg knows.
//!
//! ```text
//! Package: hello
//! Status: install ok installed
//! ...
//! Conffiles:
//!  /etc/hello.conf 5d41402abc4b2a76b9719d911017c592
//! ```
//! The three words of `Status` are what is wanted, whether there is an error, and how far the installation is (dpkg-query(1)).

use std::convert::Infallible;

use crate::{
    deb::Control,
    name::{Architecture, PackageName},
    package::RelationTexts,
    paragraph::{Paragraph, ParagraphError, for_each_paragraph},
    version::Version,
};

/// A package that is installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledPackage {
    /// `Package`
    pub name: PackageName,
    /// `Version`
    pub version: Version,
    /// `Architecture`
    pub architecture: Architecture,
    /// `Essential: yes`
    pub essential: bool,
    /// The fields that relate it to others.
    pub relations: RelationTexts,
}

/// The packages whose files are there, from the text of a `status` file. What is removed but keeps its configuration is not installed.
pub fn installed_packages(status: &str) -> Result<Vec<InstalledPackage>, StatusError> {
    let mut packages = Vec::new();
    let mut problem = None;
    for_each_paragraph::<Infallible>(status.as_bytes(), &mut |paragraph| {
        if has_files(paragraph) {
            match read(paragraph) {
                Ok(package) => packages.push(package),
                Err(error) => problem = problem.take().or(Some(error)),
            }
        }
        Ok(())
    })
    .map_err(|error: ParagraphError<Infallible>| StatusError(error.to_string()))?;
    problem.map_or(Ok(packages), Err)
}

fn has_files(paragraph: &Paragraph<'_>) -> bool {
    let state = paragraph
        .get_single("Status")
        .and_then(|status| status.split_whitespace().nth(2));
    matches!(
        state,
        Some(
            "installed" | "unpacked" | "half-configured" | "triggers-awaited" | "triggers-pending"
        )
    )
}

fn read(paragraph: &Paragraph<'_>) -> Result<InstalledPackage, StatusError> {
    let line = |field: &str| {
        paragraph
            .get_single(field)
            .map(str::trim)
            .unwrap_or_default()
    };
    let wrong =
        |problem: String| StatusError(format!("the entry of '{}': {problem}", line("Package")));
    Ok(InstalledPackage {
        name: line("Package")
            .parse()
            .map_err(|error| wrong(format!("{error}")))?,
        version: line("Version")
            .parse()
            .map_err(|error| wrong(format!("{error}")))?,
        architecture: line("Architecture")
            .parse()
            .map_err(|error| wrong(format!("{error}")))?,
        essential: line("Essential") == "yes",
        relations: RelationTexts::of(paragraph),
    })
}

/// The paragraph that dpkg writes once a package is unpacked and not yet configured. It ends with the blank line between paragraphs.
pub fn unpacked_paragraph(control: &Control) -> String {
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in control.text.lines().filter(|line| !line.trim().is_empty()) {
        match (
            line.starts_with([' ', '\t']),
            line.split_once(':'),
            fields.last_mut(),
        ) {
            (true, _, Some((_, value))) => {
                value.push('\n');
                value.push_str(line);
            }
            (false, Some((name, value)), _) => {
                fields.push((name.to_owned(), value.trim().to_owned()));
            }
            _ => {}
        }
    }
    fields.push(("Status".to_owned(), "install ok unpacked".to_owned()));
    if !control.conffiles.is_empty() {
        // dpkg writes this word until `--configure` has put the file into its place.
        let lines = control.conffiles.iter().map(|path| {
            format!(
                "\n /{} newconffile",
                String::from_utf8_lossy(path.as_bytes())
            )
        });
        fields.push(("Conffiles".to_owned(), lines.collect()));
    }
    fields.sort_by_key(|(name, _)| {
        ORDER
            .iter()
            .position(|known| known.eq_ignore_ascii_case(name))
            .unwrap_or(ORDER.len())
    });
    let lines = fields.into_iter().map(|(name, value)| {
        let blank = if value.starts_with('\n') { "" } else { " " };
        format!("{name}:{blank}{value}\n")
    });
    lines.chain(["\n".to_owned()]).collect()
}

/// The order in which dpkg writes fields; others follow as they come.
const ORDER: [&str; 27] = [
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Config-Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
    "Description",
    "Triggers-Pending",
];

/// Why dpkg's status cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("dpkg's status file cannot be read: {0}")]
pub struct StatusError(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_packages_states() {
        let paragraph = |name: &str, status: &str| {
            format!(
                "Package: {name}\nStatus: {status}\nArchitecture: amd64\nVersion: 1:2-3\nDepends: libc6 (>= 2.38)\nDescription: x\n .\n y\n\n"
            )
        };
        let status: String = [
            ("aa", "install ok installed"),
            ("bb", "hold ok installed"),
            ("cc", "deinstall ok config-files"),
            ("dd", "install ok unpacked"),
            ("ee", "install ok triggers-pending"),
            ("ff", "purge ok not-installed"),
        ]
        .map(|(name, status)| paragraph(name, status))
        .concat();
        let packages = installed_packages(&status).expect("read");
        assert_eq!(
            packages
                .iter()
                .map(|package| package.name.as_str())
                .collect::<Vec<_>>(),
            ["aa", "bb", "dd", "ee"]
        );
        assert_eq!(packages[0].version.to_string(), "1:2-3");
        assert_eq!(
            packages[0].relations.depends.as_deref(),
            Some("libc6 (>= 2.38)")
        );
        assert_eq!(installed_packages("").expect("read"), []);
    }

    #[test]
    fn installed_packages_damaged() {
        let error = installed_packages("Package: a1\nStatus: install ok installed\nVersion: 1\n")
            .expect_err("refused");
        assert!(
            error
                .to_string()
                .starts_with("dpkg's status file cannot be read: the entry of 'a1': ''"),
            "{error}"
        );
    }
}
