//! What uv and pip say when they fail, told in terms of the user's files.

use crate::flat::FlatFile;
use crate::requirements::{Located, Location, Requirement, RequirementSet, requirement_name};
use buildpack_kit::diagnosis::advice;
use buildpack_kit::message::{Explain, Message};
use buildpack_kit::redact::redact;
use std::path::Path;

/// Compilers say a lot; the beginning names the package and the end the reason.
const FIRST_LINES: usize = 40;
const LAST_LINES: usize = 40;

/// An installer's failure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the requirements cannot be installed")]
pub struct InstallFailure {
    kind: Kind,
    reason: String,
    lines: Vec<(Location, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Unresolvable,
    Unreadable,
    Build,
    Digest,
    Other,
}

impl InstallFailure {
    /// `generated` are the files that the installer was given in place of the user's; `header` is what stands before the first requirement.
    pub(crate) fn new(
        text: &str,
        set: &RequirementSet,
        generated: &[(&Path, &FlatFile)],
        header: usize,
    ) -> Self {
        let reason = from_error(text);
        let kind = kind(&reason);
        let reason = in_the_users_files(&reason, generated, header);
        let mentioned = match kind {
            Kind::Unreadable => Vec::new(),
            _ => mentioned(&reason, set),
        };
        Self {
            kind,
            lines: mentioned
                .into_iter()
                .map(|located| (located.location.clone(), redact(&located.value.written())))
                .collect(),
            reason,
        }
    }
}

/// From the first line that begins with `error:` (uv) or `ERROR:` (pip) on.
fn from_error(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let start = lines
        .iter()
        .position(|line| line.starts_with("error:") || line.starts_with("ERROR:"))
        .unwrap_or(0);
    let lines = &lines[start..];
    if lines.len() <= FIRST_LINES + LAST_LINES {
        return lines.join("\n");
    }
    let (first, last) = (&lines[..FIRST_LINES], &lines[lines.len() - LAST_LINES..]);
    format!(
        "{}\n… {} lines left out …\n{}",
        first.join("\n"),
        lines.len() - FIRST_LINES - LAST_LINES,
        last.join("\n")
    )
}

fn kind(reason: &str) -> Kind {
    let has = |words: &[&str]| words.iter().any(|word| reason.contains(word));
    if has(&[
        "Couldn't parse requirement",
        "Unsupported editable requirement",
        "Invalid requirement",
    ]) {
        Kind::Unreadable
    } else if has(&[
        "Hash mismatch",
        "THESE PACKAGES DO NOT MATCH THE HASHES",
        "must be pinned",
        "In `--require-hashes` mode",
    ]) {
        Kind::Digest
    } else if has(&[
        "Failed to build",
        "Failed building wheel",
        "build backend returned an error",
        "subprocess-exited-with-error",
    ]) {
        Kind::Build
    } else if has(&[
        "No solution found",
        "No matching distribution",
        "ResolutionImpossible",
    ]) {
        Kind::Unresolvable
    } else {
        Kind::Other
    }
}

/// `` `/tmp/x/requirements.txt` at position 17 `` becomes `'requirements.txt' line 3`.
fn in_the_users_files(reason: &str, generated: &[(&Path, &FlatFile)], header: usize) -> String {
    let mut result = reason.to_owned();
    for (path, file) in generated {
        for (quoted, unit) in [
            (format!("`{}` at position ", path.display()), Unit::Bytes),
            (format!("`{}` at line ", path.display()), Unit::Lines),
        ] {
            while let Some(start) = result.find(&quoted) {
                let digits: String = result[start + quoted.len()..]
                    .chars()
                    .take_while(char::is_ascii_digit)
                    .collect();
                let number: usize = digits.parse().unwrap_or(0);
                let origin = match unit {
                    Unit::Bytes => file.origin_at(number.saturating_sub(header)),
                    Unit::Lines => file.origins.get(number.saturating_sub(1)),
                };
                let words = origin.map_or_else(
                    || "the requirements".to_owned(),
                    |origin| format!("'{}' line {}", origin.file, origin.line),
                );
                result.replace_range(start..start + quoted.len() + digits.len(), &words);
            }
        }
        result = result.replace(&path.display().to_string(), "requirements.txt");
    }
    result
}

#[derive(Clone, Copy)]
enum Unit {
    Bytes,
    Lines,
}

/// The user's lines whose package the reason names.
fn mentioned<'a>(reason: &str, set: &'a RequirementSet) -> Vec<&'a Located<Requirement>> {
    let words: std::collections::BTreeSet<String> = reason
        .split(|character: char| {
            !(character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.'))
        })
        .map(|word| crate::requirements::normalise_name(word.trim_end_matches('.')))
        .collect();
    set.requirements
        .iter()
        .chain(&set.constraints)
        .filter(|located| match &located.value {
            Requirement::Text(entry) => {
                requirement_name(&entry.text).is_some_and(|name| words.contains(&name))
            }
            Requirement::Local(local) | Requirement::Editable(local) => {
                reason.contains(&local.path.display().to_string())
            }
            Requirement::EditableRepository(url) | Requirement::RemoteFile(url) => {
                reason.contains(url)
            }
        })
        .collect()
}

impl Explain for InstallFailure {
    fn explain(&self) -> Message {
        let (title, sentence, usual_advice) = match self.kind {
            Kind::Unresolvable => (
                "The requirements do not resolve",
                "No versions could be found that satisfy every requirement:",
                "Change these lines so that versions exist which fit together and support this Python.",
            ),
            Kind::Unreadable => (
                "A requirement cannot be read",
                "The installer does not understand a line:",
                "A requirement is a name with versions, like dash==3.0.4 or pandas>=2,<3, a URL, or a path.\nSee https://pip.pypa.io/en/stable/reference/requirement-specifiers/.",
            ),
            Kind::Build => (
                "A package could not be built",
                "A package has no wheel for this Python and could not be built from source:",
                "Ask for a version of the package that has a wheel for this Python, or for another Python.",
            ),
            Kind::Digest => (
                "A digest is missing or does not match",
                "The requirements demand digests (--hash), and something does not match them:",
                "If the files are right, renew the digests (`uv pip compile --generate-hashes`). If they were right before, ask why the download changed.",
            ),
            Kind::Other => (
                "The requirements cannot be installed",
                "The installer failed:",
                "What it said may help; `longshore build --verbose` shows more.",
            ),
        };
        let mut body = format!("{sentence}\n\n{}\n", self.reason.trim_end());
        if !self.lines.is_empty() {
            body.push_str("\nThe lines in question:\n");
            for (location, written) in &self.lines {
                body.extend(["  ", &location.to_string(), ": ", written, "\n"]);
            }
        }
        let advice = match self.kind {
            Kind::Unreadable | Kind::Digest | Kind::Unresolvable => None,
            Kind::Build | Kind::Other => advice(&self.reason),
        };
        body.push('\n');
        body.push_str(advice.unwrap_or(usual_advice));
        Message::new(title, body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_kit::Variables;

    fn failure(requirements: &str, text: &str) -> String {
        let app = tempfile::tempdir().unwrap();
        std::fs::write(app.path().join("requirements.txt"), requirements).unwrap();
        let set = RequirementSet::read(app.path(), &Variables::default())
            .unwrap()
            .unwrap();
        let flat = FlatFile::new(&set.requirements);
        InstallFailure::new(
            text,
            &set,
            &[(Path::new("/tmp/x/requirements.txt"), &flat)],
            0,
        )
        .explain()
        .as_error()
    }

    // The texts are uv 0.13.8's.

    #[test]
    fn unresolvable_names_the_line() {
        let text = "Using Python 3.13.0 environment at: /x\nerror: No solution found when resolving dependencies\n  cause: Because there is no version of dash==99 and you require dash==99, we can conclude that your requirements are unsatisfiable.";
        insta::assert_snapshot!(failure("# top\ngunicorn\nDash==99\n", text), @"
        [Error: The requirements do not resolve]
        No versions could be found that satisfy every requirement:

        error: No solution found when resolving dependencies
          cause: Because there is no version of dash==99 and you require dash==99, we can conclude that your requirements are unsatisfiable.

        The lines in question:
          requirements.txt line 3: Dash==99

        Change these lines so that versions exist which fit together and support this Python.
        ");
    }

    #[test]
    fn unreadable_line_is_the_users_line() {
        let text = "error: Couldn't parse requirement in `/tmp/x/requirements.txt` at position 9\n  cause: no such comparison operator \"=>\", must be one of ~= == != <= >= < > ===\n         dash=>3\n             ^^^";
        insta::assert_snapshot!(failure("gunicorn\n\n# c\ndash=>3\n", text), @r#"
        [Error: A requirement cannot be read]
        The installer does not understand a line:

        error: Couldn't parse requirement in 'requirements.txt' line 4
          cause: no such comparison operator "=>", must be one of ~= == != <= >= < > ===
                 dash=>3
                     ^^^

        A requirement is a name with versions, like dash==3.0.4 or pandas>=2,<3, a URL, or a path.
        See https://pip.pypa.io/en/stable/reference/requirement-specifiers/.
        "#);
    }

    #[test]
    fn build_failure_with_advice() {
        let text = "error: Failed to build `psycopg2==2.9`\n  cause: The build backend returned an error\n         Error: pg_config executable not found.";
        insta::assert_snapshot!(failure("psycopg2==2.9\n", text), @"
        [Error: A package could not be built]
        A package has no wheel for this Python and could not be built from source:

        error: Failed to build `psycopg2==2.9`
          cause: The build backend returned an error
                 Error: pg_config executable not found.

        The lines in question:
          requirements.txt line 1: psycopg2==2.9

        A package is compiled here and misses a library of the operating system. Name its Debian package in 'apt-packages' (for PostgreSQL: libpq-dev),
        or ask for a version of the Python package that has a wheel (for PostgreSQL: psycopg2-binary).
        ");
    }

    #[test]
    fn from_error_keeps_both_ends_of_a_long_text() {
        let text = (0..200)
            .map(|number| format!("line {number}"))
            .collect::<Vec<_>>()
            .join("\n");
        let kept = from_error(&text);
        assert_eq!(kept.lines().count(), FIRST_LINES + LAST_LINES + 1);
        assert!(kept.contains("line 39\n… 120 lines left out …\nline 160\n"));
    }
}
