//! `project.toml`, the CNB project descriptor: build variables and Longshore's own tables.
//!
//! ```toml
//! [_]
//! schema-version = "0.2"
//!
//! [[io.buildpacks.build.env]]        # a variable for the buildpacks
//! name = "BP_CPYTHON_VERSION"
//! value = "3.12"
//!
//! [io.longshore.python]              # ours: one table a buildpack
//! version = "3.12"
//! ```
//!
//! Schema 0.1 wrote `[[build.env]]`; `[[io.buildpacks.env.build]]` is a deprecated spelling of 0.2. Both still occur and are read.
//! <https://github.com/buildpacks/spec/blob/main/extensions/project-descriptor.md>

use crate::app_file::AppFile;
use crate::toml_file::{TomlFile, TomlFileError};
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;

/// The name that the project descriptor has in every app folder.
pub const PROJECT_TOML: &str = "project.toml";

/// Where build variables stand, newest spelling first; the first that has a name wins.
const BUILD_ENV_PATHS: [&[&str]; 3] = [
    &["io", "buildpacks", "build", "env"],
    &["io", "buildpacks", "env", "build"],
    &["build", "env"],
];

/// What went wrong with `project.toml`: the same as with any TOML file.
pub type ProjectTomlError = TomlFileError;

/// A parsed project descriptor.
#[derive(Debug)]
pub struct ProjectToml {
    file: TomlFile,
    build_env: Vec<BuildVariable>,
}

/// One `[[io.buildpacks.build.env]]` entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildVariable {
    /// The variable.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The line of the value.
    pub line: usize,
}

#[derive(Deserialize)]
struct RawVariable {
    name: String,
    value: Spanned<String>,
}

impl ProjectToml {
    /// Reads `<app_dir>/project.toml`; `None` where there is none.
    pub fn read(app_dir: &Path) -> Result<Option<Self>, ProjectTomlError> {
        Self::read_named(app_dir, PROJECT_TOML)
    }

    /// Reads a descriptor of another name.
    pub fn read_named(folder: &Path, name: &str) -> Result<Option<Self>, ProjectTomlError> {
        TomlFile::read(folder, name)?
            .map(Self::from_toml)
            .transpose()
    }

    /// Parses the text of a `project.toml`.
    pub fn parse(file: AppFile) -> Result<Self, ProjectTomlError> {
        Self::from_toml(TomlFile::parse(file)?)
    }

    fn from_toml(file: TomlFile) -> Result<Self, ProjectTomlError> {
        let mut build_env: Vec<BuildVariable> = Vec::new();
        for path in BUILD_ENV_PATHS {
            let variables: Option<Vec<RawVariable>> = file.get(path)?;
            for RawVariable { name, value } in variables.unwrap_or_default() {
                if build_env.iter().any(|known| known.name == name) {
                    continue;
                }
                let line = file.line(&value);
                build_env.push(BuildVariable {
                    name,
                    value: value.into_inner(),
                    line,
                });
            }
        }
        Ok(Self { file, build_env })
    }

    /// The variables that the project gives to its build, in the file's order.
    pub fn build_env(&self) -> &[BuildVariable] {
        &self.build_env
    }

    /// The variable called `name`.
    pub fn build_variable(&self, name: &str) -> Option<&BuildVariable> {
        self.build_env.iter().find(|variable| variable.name == name)
    }

    /// The table `[io.longshore.<name>]` as a `T`; `None` where there is none.
    pub fn longshore<T: for<'de> Deserialize<'de>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, ProjectTomlError> {
        self.file.get(&["io", "longshore", name])
    }

    /// The line on which `value`, from [`ProjectToml::longshore`], begins.
    pub fn line<T>(&self, value: &Spanned<T>) -> usize {
        self.file.line(value)
    }

    /// The file itself, for other tables.
    pub fn file(&self) -> &TomlFile {
        &self.file
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Explain as _;

    fn parse(text: &str) -> Result<ProjectToml, ProjectTomlError> {
        ProjectToml::parse(AppFile::from_bytes(PROJECT_TOML, text.as_bytes()).unwrap())
    }

    #[test]
    fn build_env_every_spelling() {
        for header in [
            "io.buildpacks.build.env",
            "io.buildpacks.env.build",
            "build.env",
        ] {
            let project = parse(&format!(
                "[[{header}]]\nname = 'BP_CPYTHON_VERSION'\nvalue = '3.12'\n"
            ))
            .unwrap();
            let expected = BuildVariable {
                name: "BP_CPYTHON_VERSION".into(),
                value: "3.12".into(),
                line: 3,
            };
            assert_eq!(project.build_env(), [expected], "{header}");
        }
    }

    #[test]
    fn build_env_first_of_a_name_wins() {
        let project = parse("[[build.env]]\nname='A'\nvalue='old'\n[[io.buildpacks.build.env]]\nname='A'\nvalue='new'\n").unwrap();
        assert_eq!(project.build_variable("A").unwrap().value, "new");
    }

    #[test]
    fn longshore_table() {
        #[derive(Deserialize)]
        struct Python {
            version: Spanned<String>,
        }
        let project =
            parse("[_]\nschema-version = '0.2'\n\n[io.longshore.python]\nversion = '3.11'\n")
                .unwrap();
        let python: Python = project.longshore("python").unwrap().unwrap();
        assert_eq!(
            (
                python.version.get_ref().as_str(),
                project.line(&python.version)
            ),
            ("3.11", 5)
        );
    }

    #[test]
    fn build_env_without_value() {
        let error = parse("[[io.buildpacks.build.env]]\nname = 'A'\n").unwrap_err();
        insta::assert_snapshot!(error.explain().as_error(), @"
        [Error: Cannot use 'project.toml']
        The table [io.buildpacks.build.env] in 'project.toml' holds something unexpected:

        TOML parse error at line 1, column 1
          |
        1 | [[io.buildpacks.build.env]]
          | ^^^^^^^^^^^^^^^^^^^^^^^^^^^
        missing field `value`
        ");
    }
}
