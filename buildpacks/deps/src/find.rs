//! No requirements.txt: what was found instead, and whether a name is only misspelt.

use crate::requirements::REQUIREMENTS_TXT;
use buildpack_kit::message::{Explain, Message};
use std::path::Path;

/// Manifests of other tools.
const OTHER_MANIFESTS: [&str; 12] = [
    "Pipfile",
    "Pipfile.lock",
    "conda-requirements.txt",
    "environment.yaml",
    "environment.yml",
    "pdm.lock",
    "pixi.lock",
    "poetry.lock",
    "pylock.toml",
    "pyproject.toml",
    "setup.py",
    "uv.lock",
];

/// Files that make a folder an app for Python even without a manifest.
const SIGNS: [&str; 7] = [
    ".python-version",
    "Procfile",
    "app.json",
    "apt-packages",
    "manage.py",
    "runtime.txt",
    "project.toml",
];

/// What the app's folder holds in place of a requirements.txt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NoRequirements {
    misspelt: Vec<String>,
    manifests: Vec<String>,
    looks_like_python: bool,
}

impl NoRequirements {
    /// Looks at the names in the app's folder.
    pub fn look(app_dir: &Path) -> std::io::Result<Self> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(app_dir)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        Ok(Self::among(&names))
    }

    fn among(names: &[String]) -> Self {
        let pick = |wanted: &dyn Fn(&str) -> bool| {
            names
                .iter()
                .filter(|name| wanted(name))
                .cloned()
                .collect::<Vec<_>>()
        };
        let misspelt = pick(&is_misspelt);
        let manifests = pick(&|name| OTHER_MANIFESTS.contains(&name));
        let looks_like_python = !misspelt.is_empty()
            || !manifests.is_empty()
            || names
                .iter()
                .any(|name| SIGNS.contains(&name.as_str()) || has_extension(name, "py"));
        Self {
            misspelt,
            manifests,
            looks_like_python,
        }
    }

    /// Whether someone seems to have meant a Python app, so that silence would be unkind.
    pub fn looks_like_python(&self) -> bool {
        self.looks_like_python
    }
}

fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

/// `requirement.txt`, `Requirements.txt`, `requirements.txt.txt`, `requirements`, `requriements.text`, …
fn is_misspelt(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let stem = lower.split('.').next().unwrap_or_default();
    let extension_is_text = matches!(
        &lower[stem.len()..],
        "" | ".txt" | ".text" | ".txt.txt" | ".tx" | ".text.txt" | ".in"
    );
    name != REQUIREMENTS_TXT && extension_is_text && edit_distance(stem, "requirements") <= 2
}

/// Levenshtein's distance.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (index, character) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for column in 0..to.len() {
            let substituted = diagonal + usize::from(character != to[column]);
            diagonal = row[column + 1];
            row[column + 1] = substituted.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

impl Explain for NoRequirements {
    fn explain(&self) -> Message {
        let advice = match (&self.misspelt[..], &self.manifests[..]) {
            ([name, ..], _) => format!("There is one named '{name}'. Rename it to 'requirements.txt': the name has to be exactly that, in lower case."),
            ([], []) => "\nAdd one. For a Dash app it begins like this:\ndash\ngunicorn\n\n`pip freeze > requirements.txt` writes one from the environment in which the app works.".to_owned(),
            ([], manifests) => format!(
                "It has: {}. Longshore does not read {} yet.\n\n{}",
                manifests.join(", "),
                if manifests.len() == 1 { "that" } else { "those" },
                export_advice(manifests)
            ),
        };
        Message::new(
            "No requirements.txt",
            format!(
                "The app's folder has no file named 'requirements.txt', which says what the app needs.\n{advice}"
            ),
        )
    }
}

/// How the tool that made the manifest writes a requirements.txt.
fn export_advice(manifests: &[String]) -> &'static str {
    const ADVICE: [(&str, &str); 7] = [
        (
            "uv.lock",
            "Write one with: uv export --no-dev --no-emit-project --output-file requirements.txt",
        ),
        (
            "poetry.lock",
            "Write one with: poetry export --output requirements.txt",
        ),
        (
            "pdm.lock",
            "Write one with: pdm export --prod --output requirements.txt",
        ),
        (
            "Pipfile.lock",
            "Write one with: pipenv requirements > requirements.txt",
        ),
        (
            "environment.yml",
            "Write one from the environment in which the app works: pip list --format=freeze > requirements.txt",
        ),
        (
            "pyproject.toml",
            "Write one with: uv pip compile pyproject.toml --output-file requirements.txt",
        ),
        ("setup.py", "Add one with the single line: ."),
    ];
    ADVICE
        .iter()
        .find(|(name, _)| manifests.iter().any(|manifest| manifest == name))
        .map_or(
            "Write one with: pip freeze > requirements.txt",
            |(_, advice)| advice,
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(names: &[&str]) -> String {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        NoRequirements::among(&names).explain().as_error()
    }

    #[test]
    fn is_misspelt_cases() {
        // The first seven are those that Heroku's buildpacks have met.
        for name in [
            "requeriments.txt",
            "requirement.txt",
            "requirements",
            "requirements.text",
            "Requirements.txt",
            "requirements.txt.txt",
            "requirments.txt",
            "REQUIREMENTS.TXT",
        ] {
            assert!(is_misspelt(name), "{name}");
        }
        for name in [
            "requirements.txt",
            "requirements-dev.txt",
            "README.txt",
            "requirements.py",
        ] {
            assert!(!is_misspelt(name), "{name}");
        }
    }

    #[test]
    fn explain_misspelt() {
        insta::assert_snapshot!(message(&["app.py", "requirement.txt"]), @"
        [Error: No requirements.txt]
        The app's folder has no file named 'requirements.txt', which says what the app needs.
        There is one named 'requirement.txt'. Rename it to 'requirements.txt': the name has to be exactly that, in lower case.
        ");
    }

    #[test]
    fn explain_other_manifest() {
        insta::assert_snapshot!(message(&["app.py", "poetry.lock", "pyproject.toml"]), @"
        [Error: No requirements.txt]
        The app's folder has no file named 'requirements.txt', which says what the app needs.
        It has: poetry.lock, pyproject.toml. Longshore does not read those yet.

        Write one with: poetry export --output requirements.txt
        ");
    }

    #[test]
    fn explain_nothing() {
        insta::assert_snapshot!(message(&["app.py"]), @"
        [Error: No requirements.txt]
        The app's folder has no file named 'requirements.txt', which says what the app needs.

        Add one. For a Dash app it begins like this:
        dash
        gunicorn

        `pip freeze > requirements.txt` writes one from the environment in which the app works.
        ");
    }

    #[test]
    fn looks_like_python_cases() {
        let looks = |names: &[&str]| {
            NoRequirements::among(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
                .looks_like_python()
        };
        assert!(looks(&["app.py"]));
        assert!(looks(&["Procfile"]));
        assert!(!looks(&["package.json", "index.js"]));
    }
}
