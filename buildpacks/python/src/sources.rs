//! Where an app says which Python it wants: five places, in the order in which they decide.
//!
//! 1. `BP_CPYTHON_VERSION`: a variable, or project.toml's `[[io.buildpacks.build.env]]` (Paketo and Dash Enterprise 5)
//! 2. project.toml `[io.longshore.python] version`
//! 3. `.python-version` (uv, pyenv, Heroku)
//! 4. `runtime.txt` (Dash Enterprise 4, Heroku)
//! 5. `requires-python` in pyproject.toml (PEP 621)

use crate::request::{ParseRequestError, VersionRequest};
use buildpack_kit::message::{Explain, Message};
use buildpack_kit::{AppFile, ProjectToml, ReadAppFileError, TomlFile, TomlFileError, Variables};
use serde::Deserialize;
use std::fmt;
use std::path::Path;
use toml::Spanned;

/// Paketo's variable, which Dash Enterprise 5 has too.
pub const VERSION_VARIABLE: &str = "BP_CPYTHON_VERSION";

/// A place that asks for a Python.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Where it stands.
    pub place: Place,
    /// As written.
    pub text: String,
    /// As understood.
    pub request: Result<VersionRequest, ParseRequestError>,
}

/// Where a wish stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A variable of the platform.
    Variable,
    /// A line of a file.
    Line {
        /// Below the app folder.
        file: &'static str,
        /// Counted from 1.
        line: usize,
        /// What the line sets, where the file sets many things.
        what: Option<&'static str>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Variable => write!(formatter, "the variable {VERSION_VARIABLE}"),
            Self::Line {
                file,
                line,
                what: None,
            } => write!(formatter, "{file} line {line}"),
            Self::Line {
                file,
                line,
                what: Some(what),
            } => write!(formatter, "{file} line {line} ({what})"),
        }
    }
}

/// Every wish, the deciding one first.
pub fn find_wishes(app_dir: &Path, variables: &Variables) -> Result<Vec<Wish>, WishError> {
    let project = ProjectToml::read(app_dir)?;
    let mut wishes = Vec::new();
    wishes.extend(from_variable(variables, project.as_ref()));
    if let Some(project) = &project {
        wishes.extend(from_project_table(project)?);
    }
    if let Some(file) = AppFile::read(app_dir, PYTHON_VERSION)? {
        wishes.push(from_python_version(&file)?);
    }
    if let Some(file) = AppFile::read(app_dir, RUNTIME_TXT)? {
        wishes.push(from_runtime_txt(&file)?);
    }
    if let Some(file) = TomlFile::read(app_dir, PYPROJECT_TOML)? {
        wishes.extend(from_pyproject(&file)?);
    }
    Ok(wishes)
}

const PYTHON_VERSION: &str = ".python-version";
const RUNTIME_TXT: &str = "runtime.txt";
const PYPROJECT_TOML: &str = "pyproject.toml";
const PROJECT_TOML: &str = buildpack_kit::project_toml::PROJECT_TOML;

/// The platform passes project.toml's variables on as its own; where both say the same, the file's line is the better answer.
fn from_variable(variables: &Variables, project: Option<&ProjectToml>) -> Option<Wish> {
    let in_project = project.and_then(|project| project.build_variable(VERSION_VARIABLE));
    let given = variables.get(VERSION_VARIABLE);
    match (given, in_project) {
        (Some(text), Some(variable)) if text != variable.value => Some(wish(Place::Variable, text)),
        (Some(text), None) => Some(wish(Place::Variable, text)),
        (_, Some(variable)) => Some(wish(
            Place::Line {
                file: PROJECT_TOML,
                line: variable.line,
                what: Some(VERSION_VARIABLE),
            },
            &variable.value,
        )),
        (None, None) => None,
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PythonTable {
    version: Option<Spanned<String>>,
}

fn from_project_table(project: &ProjectToml) -> Result<Option<Wish>, WishError> {
    let table: Option<PythonTable> = project.longshore("python")?;
    Ok(table.and_then(|table| table.version).map(|version| {
        let place = Place::Line {
            file: PROJECT_TOML,
            line: project.line(&version),
            what: Some("[io.longshore.python] version"),
        };
        wish(place, version.get_ref())
    }))
}

/// One version a line; empty lines and `#` comments aside, exactly one line.
fn from_python_version(file: &AppFile) -> Result<Wish, WishError> {
    let lines = meaningful_lines(file);
    match lines[..] {
        [(line, text)] => Ok(wish(
            Place::Line {
                file: PYTHON_VERSION,
                line,
                what: None,
            },
            text,
        )),
        [] => Err(WishError::Empty {
            file: PYTHON_VERSION,
        }),
        [(first, _), (second, _), ..] => Err(WishError::Several {
            file: PYTHON_VERSION,
            first,
            second,
        }),
    }
}

/// `python-3.11.4`; comments and empty lines do no harm.
fn from_runtime_txt(file: &AppFile) -> Result<Wish, WishError> {
    let lines = meaningful_lines(file);
    match lines[..] {
        [(line, text)] => Ok(wish(
            Place::Line {
                file: RUNTIME_TXT,
                line,
                what: None,
            },
            text,
        )),
        [] => Err(WishError::Empty { file: RUNTIME_TXT }),
        [(first, _), (second, _), ..] => Err(WishError::Several {
            file: RUNTIME_TXT,
            first,
            second,
        }),
    }
}

fn meaningful_lines(file: &AppFile) -> Vec<(usize, &str)> {
    file.lines()
        .map(|(number, line)| (number, line.split(" #").next().unwrap_or_default().trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .collect()
}

#[derive(Deserialize)]
struct ProjectTable {
    #[serde(rename = "requires-python")]
    requires_python: Option<Spanned<String>>,
}

fn from_pyproject(file: &TomlFile) -> Result<Option<Wish>, WishError> {
    let table: Option<ProjectTable> = file.get(&["project"])?;
    Ok(table.and_then(|table| table.requires_python).map(|range| {
        let place = Place::Line {
            file: PYPROJECT_TOML,
            line: file.line(&range),
            what: Some("requires-python"),
        };
        wish(place, range.get_ref())
    }))
}

fn wish(place: Place, text: &str) -> Wish {
    Wish {
        place,
        text: text.trim().to_owned(),
        request: text.parse(),
    }
}

/// Names that are nearly those of a file that is read. Whoever wrote them meant something.
pub fn misspelt_files(app_dir: &Path) -> std::io::Result<Vec<(String, &'static str)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(app_dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let squeezed: String = name
            .to_ascii_lowercase()
            .chars()
            .filter(|character| !" ._-".contains(*character))
            .collect();
        let meant = match squeezed.as_str() {
            "pythonversion" | "pythonversiontxt" => PYTHON_VERSION,
            "runtimetxt" | "runtimetxttxt" | "runtimestxt" | "runtime" | "runtimetext" => {
                RUNTIME_TXT
            }
            _ => continue,
        };
        if name != meant {
            found.push((name, meant));
        }
    }
    found.sort();
    Ok(found)
}

/// Why the places could not be read.
#[derive(Debug, thiserror::Error)]
pub enum WishError {
    /// A file.
    #[error(transparent)]
    Read(#[from] ReadAppFileError),
    /// A TOML file.
    #[error(transparent)]
    Toml(#[from] TomlFileError),
    /// Nothing in it.
    #[error("'{file}' is empty")]
    Empty {
        /// Below the app folder.
        file: &'static str,
    },
    /// More than one version.
    #[error("'{file}' names several versions")]
    Several {
        /// Below the app folder.
        file: &'static str,
        /// The line of the first.
        first: usize,
        /// The line of the second.
        second: usize,
    },
}

/// How the file looks when it is right.
fn example(file: &str) -> &'static str {
    if file == RUNTIME_TXT {
        "python-3.13"
    } else {
        "3.13"
    }
}

impl Explain for WishError {
    fn explain(&self) -> Message {
        match self {
            Self::Read(error) => error.explain(),
            Self::Toml(error) => error.explain(),
            Self::Empty { file } => Message::new(
                format!("No version in '{file}'"),
                format!(
                    "The file '{file}' holds no Python version.\n\nDelete the file, or write the version that the app needs:\n{}",
                    example(file)
                ),
            ),
            Self::Several {
                file,
                first,
                second,
            } => Message::new(
                format!("Several versions in '{file}'"),
                format!(
                    "The file '{file}' names a Python version in line {first} and another in line {second}. An app runs with one.\n\nLeave one line:\n{}",
                    example(file)
                ),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(files: &[(&str, &str)]) -> tempfile::TempDir {
        let app = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(app.path().join(name), text).unwrap();
        }
        app
    }

    fn wishes(files: &[(&str, &str)], variable: Option<&str>) -> Vec<String> {
        let variables = variable
            .map(|value| (VERSION_VARIABLE, value))
            .into_iter()
            .collect();
        find_wishes(app(files).path(), &variables)
            .unwrap()
            .iter()
            .map(|wish| {
                format!(
                    "{}: {}",
                    wish.place,
                    wish.request
                        .as_ref()
                        .map_or_else(ToString::to_string, ToString::to_string)
                )
            })
            .collect()
    }

    fn error(files: &[(&str, &str)]) -> String {
        find_wishes(app(files).path(), &Variables::default())
            .unwrap_err()
            .explain()
            .as_error()
    }

    #[test]
    fn find_wishes_in_order_with_lines() {
        let project = "[_]\nschema-version = '0.2'\n[[io.buildpacks.build.env]]\nname = 'BP_CPYTHON_VERSION'\nvalue = '3.12.*'\n\n[io.longshore.python]\nversion = '3.11'\n";
        let found = wishes(
            &[
                ("project.toml", project),
                (".python-version", "# pyenv\n\n3.10.4\n"),
                ("runtime.txt", "\u{feff}python-3.9.2 \r\n"),
                (
                    "pyproject.toml",
                    "[project]\nname = 'x'\nrequires-python = '>=3.8'\n",
                ),
            ],
            None,
        );
        assert_eq!(
            found,
            [
                "project.toml line 5 (BP_CPYTHON_VERSION): 3.12",
                "project.toml line 8 ([io.longshore.python] version): 3.11",
                ".python-version line 3: 3.10.4",
                "runtime.txt line 1: 3.9.2",
                "pyproject.toml line 3 (requires-python): >=3.8",
            ]
        );
    }

    #[test]
    fn find_wishes_variable_over_project() {
        let project = "[[io.buildpacks.build.env]]\nname = 'BP_CPYTHON_VERSION'\nvalue = '3.12'\n";
        assert_eq!(
            wishes(&[("project.toml", project)], Some("3.14")),
            ["the variable BP_CPYTHON_VERSION: 3.14"]
        );
        // What the platform passes on is the project's own.
        assert_eq!(
            wishes(&[("project.toml", project)], Some("3.12")),
            ["project.toml line 3 (BP_CPYTHON_VERSION): 3.12"]
        );
        assert_eq!(
            wishes(&[], Some("3.12")),
            ["the variable BP_CPYTHON_VERSION: 3.12"]
        );
    }

    #[test]
    fn find_wishes_none() {
        assert!(
            wishes(
                &[("pyproject.toml", "[tool.black]\nline-length = 100\n")],
                None
            )
            .is_empty()
        );
    }

    #[test]
    fn runtime_txt_as_it_occurs() {
        for text in [
            "python-3.11.4",
            "python-3.11.4\n\n",
            "  python-3.11.4  \r\n",
            "# c\nPython-3.11.4\n",
            "3.11.4",
            "python 3.11.4 # ours\n",
        ] {
            assert_eq!(
                wishes(&[("runtime.txt", text)], None)[0]
                    .rsplit(": ")
                    .next(),
                Some("3.11.4"),
                "{text:?}"
            );
        }
    }

    #[test]
    fn error_empty() {
        insta::assert_snapshot!(error(&[("runtime.txt", "\n# nothing\n")]), @"
        [Error: No version in 'runtime.txt']
        The file 'runtime.txt' holds no Python version.

        Delete the file, or write the version that the app needs:
        python-3.13
        ");
    }

    #[test]
    fn error_several() {
        insta::assert_snapshot!(error(&[(".python-version", "3.12\n3.11\n")]), @"
        [Error: Several versions in '.python-version']
        The file '.python-version' names a Python version in line 1 and another in line 2. An app runs with one.

        Leave one line:
        3.13
        ");
    }

    #[test]
    fn misspelt_files_cases() {
        let app = app(&[
            ("python-version", ""),
            ("Runtime.txt", ""),
            (".python-version", ""),
            ("app.py", ""),
        ]);
        assert_eq!(
            misspelt_files(app.path()).unwrap(),
            [
                ("Runtime.txt".to_owned(), "runtime.txt"),
                ("python-version".to_owned(), ".python-version")
            ]
        );
    }
}
