//! Which interpreter: the candidates that satisfy the deciding wish, best first, and what deserves a warning.

use crate::catalog::{Candidate, Catalog};
use crate::request::{ParseRequestError, VersionRequest};
use crate::sources::{Place, Wish};
use crate::version::PythonVersion;
use buildpack_kit::message::{Explain, Message};

/// What was decided before anything is downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Best first; the first that can be reached is used.
    pub candidates: Vec<Candidate>,
    /// Who decided; nobody, where the stack's own Python is used.
    pub decided_by: Option<Place>,
    /// What the other places want, and what is wrong with what they say.
    pub warnings: Vec<Message>,
}

/// Decides.
///
/// A range takes the stack's own Python where that fits, since it is the one that the stack was tested with; else the newest minor version that
/// fits. Of a minor version it is always the newest patch that a source has.
pub fn choose(
    wishes: &[Wish],
    catalog: &Catalog,
    suite: Option<&str>,
) -> Result<Choice, ChooseError> {
    let all = catalog.candidates(suite);
    let Some(decider) = wishes.first() else {
        // The stack's own minor version, from whichever source.
        let own = all.first().map(|candidate| candidate.version.minor());
        return Ok(Choice {
            candidates: one_per_source(all.into_iter().filter(|candidate| {
                Some(candidate.version.minor()) == own && !candidate.version.is_prerelease()
            })),
            decided_by: None,
            warnings: Vec::new(),
        });
    };
    let request = decider
        .request
        .as_ref()
        .map_err(|reason| ChooseError::Unreadable {
            place: decider.place.clone(),
            reason: reason.clone(),
        })?;
    let fitting: Vec<Candidate> = all
        .iter()
        .filter(|candidate| request.accepts(&candidate.version))
        .cloned()
        .collect();
    let Some(first) = fitting.first().cloned() else {
        return Err(ChooseError::NoSuchPython {
            place: decider.place.clone(),
            request: request.clone(),
            listing: catalog.listing(suite),
        });
    };
    let minor = match all.first() {
        Some(own)
            if fitting
                .iter()
                .any(|candidate| candidate.version.minor() == own.version.minor()) =>
        {
            own.version.minor()
        }
        _ => newest_minor(&fitting, &first),
    };
    let candidates = one_per_source(
        fitting
            .into_iter()
            .filter(|candidate| candidate.version.minor() == minor),
    );
    let chosen = candidates.first().map_or_else(
        || first.version.clone(),
        |candidate| candidate.version.clone(),
    );
    Ok(Choice {
        warnings: disagreements(wishes, &chosen),
        decided_by: Some(decider.place.clone()),
        candidates,
    })
}

fn newest_minor(fitting: &[Candidate], first: &Candidate) -> (u64, u64) {
    fitting
        .iter()
        .map(|candidate| candidate.version.minor())
        .max()
        .unwrap_or_else(|| first.version.minor())
}

/// The newest of each source: were that not to be had, an older one would not be either.
fn one_per_source(candidates: impl Iterator<Item = Candidate>) -> Vec<Candidate> {
    let mut kept: Vec<Candidate> = Vec::new();
    for candidate in candidates {
        if kept.iter().all(|other| other.source != candidate.source) {
            kept.push(candidate);
        }
    }
    kept
}

/// A warning for each place that wants something other than the `chosen` version, which the first place decided.
pub fn disagreements(wishes: &[Wish], chosen: &PythonVersion) -> Vec<Message> {
    let Some((decider, others)) = wishes.split_first() else {
        return Vec::new();
    };
    others
        .iter()
        .filter_map(|other| disagreement(decider, chosen, other))
        .collect()
}

fn disagreement(decider: &Wish, chosen: &PythonVersion, other: &Wish) -> Option<Message> {
    match &other.request {
        Ok(request) if request.accepts(chosen) => None,
        Ok(_) => Some(Message::new(
            "Two places ask for different Pythons",
            format!(
                "{} asks for '{}', but {} asks for '{}'.\nThe first decides: the app gets Python {chosen}. Change or remove one of them.",
                capitalised(&decider.place.to_string()),
                decider.text,
                other.place,
                other.text
            ),
        )),
        Err(reason) => Some(Message::new(
            "A Python version cannot be read",
            format!(
                "{}: {reason}. It does not matter, because {} decides.",
                capitalised(&other.place.to_string()),
                decider.place
            ),
        )),
    }
}

/// `the variable X` begins a sentence; file names keep their case.
fn capitalised(place: &str) -> String {
    match place.strip_prefix("the ") {
        Some(rest) => format!("The {rest}"),
        None => place.to_owned(),
    }
}

/// A warning where nobody mends a version's security holes any more. `today` is `2026-11-21`.
pub fn end_of_life_warning(
    version: &PythonVersion,
    catalog: &Catalog,
    today: &str,
) -> Option<Message> {
    let last_day = catalog.end_of_life(version)?;
    let (major, minor) = version.minor();
    (last_day < today).then(|| {
        Message::new(
            format!("Python {major}.{minor} is no longer supported"),
            format!("Its developers stopped mending security problems on {last_day}. Ask for a newer version."),
        )
    })
}

/// Why no interpreter fits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// The deciding wish cannot be understood.
    #[error("{place}: {reason}")]
    Unreadable {
        /// Where it stands.
        place: Place,
        /// What is wrong.
        reason: ParseRequestError,
    },
    /// Nobody has it.
    #[error("there is no Python {request}")]
    NoSuchPython {
        /// Who asks for it.
        place: Place,
        /// What was asked for.
        request: VersionRequest,
        /// What there is.
        listing: String,
    },
}

impl Explain for ChooseError {
    fn explain(&self) -> Message {
        match self {
            Self::Unreadable { place, reason } => Message::new(
                "No Python version",
                format!(
                    "{}: {reason}.\n\nWrite a version like 3.13 (its newest patch), 3.13.5 (exactly that) or >=3.11,<3.14 (a range).",
                    capitalised(&place.to_string())
                ),
            ),
            Self::NoSuchPython {
                place,
                request,
                listing,
            } => Message::new(
                format!("There is no Python {request}"),
                format!(
                    "{} asks for Python {request}, which none of the sources has. To be had are:\n{listing}\nAsk for one of these; two numbers, like 3.13, mean the newest patch.",
                    capitalised(&place.to_string())
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Source;
    use crate::catalog::tests::small;

    fn wish(file: &'static str, text: &str) -> Wish {
        Wish {
            place: Place::Line {
                file,
                line: 1,
                what: None,
            },
            text: text.to_owned(),
            request: text.parse(),
        }
    }

    fn chosen(text: &str) -> Vec<String> {
        let wishes: Vec<Wish> = (!text.is_empty())
            .then(|| wish("runtime.txt", text))
            .into_iter()
            .collect();
        let choice = choose(&wishes, &small(), Some("trixie")).unwrap();
        choice
            .candidates
            .iter()
            .map(|candidate| match &candidate.source {
                Source::Debian { suite } => format!("{} {suite}", candidate.version),
                Source::Standalone => format!("{} standalone", candidate.version),
            })
            .collect()
    }

    #[test]
    fn choose_table() {
        let cases: [(&str, &[&str], &str); 9] = [
            (
                "",
                &["3.13.5 trixie", "3.13.6 standalone"],
                "nobody asks: the stack's own",
            ),
            (
                "3.13",
                &["3.13.5 trixie", "3.13.6 standalone"],
                "Debian's first",
            ),
            ("3.13.6", &["3.13.6 standalone"], "only one source has it"),
            (
                "3.11",
                &["3.11.2 bookworm", "3.11.10 standalone"],
                "an older suite's",
            ),
            ("3.9", &["3.9.10 standalone"], "the newest patch, by number"),
            (
                ">=3.9",
                &["3.13.5 trixie", "3.13.6 standalone"],
                "the stack's own fits the range",
            ),
            (
                ">=3.14",
                &["3.14.2 standalone"],
                "the newest minor that fits; no pre-release",
            ),
            (
                "<3.13",
                &["3.11.2 bookworm", "3.11.10 standalone"],
                "the newest below",
            ),
            (
                "3.15.0rc1",
                &["3.15.0rc1 standalone"],
                "a pre-release, exactly",
            ),
        ];
        for (text, expected, remark) in cases {
            assert_eq!(chosen(text), expected, "{remark}");
        }
    }

    #[test]
    fn choose_disagreement_names_both() {
        let wishes = [
            wish(".python-version", "3.13"),
            wish("runtime.txt", "python-3.11.4"),
            wish("pyproject.toml", ">=3.8"),
        ];
        let choice = choose(&wishes, &small(), Some("trixie")).unwrap();
        let warnings: Vec<String> = choice.warnings.iter().map(Message::as_warning).collect();
        assert_eq!(
            warnings,
            [
                "[Warning: Two places ask for different Pythons]\n.python-version line 1 asks for '3.13', but runtime.txt line 1 asks for 'python-3.11.4'.\nThe first decides: the app gets Python 3.13.5. Change or remove one of them.\n"
            ]
        );
    }

    #[test]
    fn choose_other_place_unreadable_is_a_warning() {
        let wishes = [
            wish(".python-version", "3.13"),
            wish("runtime.txt", "latest"),
        ];
        let choice = choose(&wishes, &small(), Some("trixie")).unwrap();
        assert_eq!(
            choice.warnings[0].body(),
            "runtime.txt line 1: 'latest' is no Python version. It does not matter, because .python-version line 1 decides."
        );
    }

    #[test]
    fn choose_error_no_such_python() {
        let error = choose(
            &[wish("runtime.txt", "python-3.6.15")],
            &small(),
            Some("trixie"),
        )
        .unwrap_err();
        insta::assert_snapshot!(error.explain().as_error(), @"
        [Error: There is no Python 3.6.15]
        runtime.txt line 1 asks for Python 3.6.15, which none of the sources has. To be had are:
          3.9: 3.9.0 to 3.9.2, 3.9.10
          3.11: 3.11.1 to 3.11.2, 3.11.9 to 3.11.10
          3.13: 3.13.5 to 3.13.6
          3.14: 3.14.0 to 3.14.2
          3.15: 3.15.0rc1

        Ask for one of these; two numbers, like 3.13, mean the newest patch.
        ");
    }

    #[test]
    fn choose_error_unreadable() {
        let error = choose(&[wish("runtime.txt", "latest")], &small(), Some("trixie")).unwrap_err();
        insta::assert_snapshot!(error.explain().as_error(), @"
        [Error: No Python version]
        runtime.txt line 1: 'latest' is no Python version.

        Write a version like 3.13 (its newest patch), 3.13.5 (exactly that) or >=3.11,<3.14 (a range).
        ");
    }

    #[test]
    fn end_of_life_warning_by_day() {
        let warning = |version: &str, today: &str| {
            end_of_life_warning(&version.parse().unwrap(), &small(), today)
        };
        assert_eq!(warning("3.13.5", "2026-11-21"), None);
        assert_eq!(warning("3.9.0", "2025-10-31"), None);
        assert_eq!(
            warning("3.9.0", "2026-11-21").unwrap().as_warning(),
            "[Warning: Python 3.9 is no longer supported]\nIts developers stopped mending security problems on 2025-10-31. Ask for a newer version.\n"
        );
    }
}
