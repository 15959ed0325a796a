//! A TOML control file (`project.toml`, `pyproject.toml`) with the line of everything in it, read table by table, so that a table
//! that is somebody else's business may hold what it likes.

use crate::app_file::{AppFile, ReadAppFileError};
use crate::message::{Explain, Message};
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// A parsed file that knows its lines.
#[derive(Debug)]
pub struct TomlFile {
    file: AppFile,
}

impl TomlFile {
    /// Reads `<app_dir>/<name>`; `None` where there is no such file.
    pub fn read(app_dir: &Path, name: &str) -> Result<Option<Self>, TomlFileError> {
        AppFile::read(app_dir, name)?.map(Self::parse).transpose()
    }

    /// Checks that the whole file is TOML.
    pub fn parse(file: AppFile) -> Result<Self, TomlFileError> {
        match DeTable::parse(file.text()) {
            Ok(_) => Ok(Self { file }),
            Err(error) => Err(TomlFileError::syntax(&file, error)),
        }
    }

    /// The name of the file, below the app folder.
    pub fn name(&self) -> &str {
        self.file.name()
    }

    /// What stands at `path` (`["io", "longshore", "hooks"]`) as a `T`; `None` where there is nothing.
    ///
    /// `Spanned<…>` fields of `T` give positions for [`TomlFile::line`].
    pub fn get<T: for<'de> Deserialize<'de>>(
        &self,
        path: &[&str],
    ) -> Result<Option<T>, TomlFileError> {
        let error = |error| TomlFileError::value(&self.file, path, error);
        let document = DeTable::parse(self.file.text()).map_err(error)?;
        let span = document.span();
        let mut value = Spanned::new(span, DeValue::Table(document.into_inner()));
        for key in path {
            let DeValue::Table(table) = value.into_inner() else {
                return Ok(None);
            };
            let Some((_, next)) = table
                .into_iter()
                .find(|(name, _)| name.get_ref().as_ref() == *key)
            else {
                return Ok(None);
            };
            value = next;
        }
        T::deserialize(ValueDeserializer::from(value))
            .map(Some)
            .map_err(error)
    }

    /// The line, counted from 1, on which `value` begins.
    pub fn line<T>(&self, value: &Spanned<T>) -> usize {
        line_at(self.file.text(), value.span().start)
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}

/// Why a TOML control file could not be used.
#[derive(Debug, thiserror::Error)]
pub enum TomlFileError {
    /// The file itself.
    #[error(transparent)]
    Read(#[from] ReadAppFileError),
    /// Not TOML.
    #[error("'{name}' is not valid TOML")]
    Syntax {
        /// Below the app folder.
        name: String,
        /// The line, a caret below the place, the reason.
        detail: String,
    },
    /// A value of the wrong kind, or an unknown key.
    #[error("[{table}] in '{name}' cannot be used")]
    Value {
        /// Below the app folder.
        name: String,
        /// The dotted path of the table.
        table: String,
        /// The line, a caret below the place, the reason.
        detail: String,
    },
}

impl TomlFileError {
    fn syntax(file: &AppFile, error: toml::de::Error) -> Self {
        Self::Syntax {
            name: file.name().to_owned(),
            detail: detail(file, error),
        }
    }

    fn value(file: &AppFile, path: &[&str], error: toml::de::Error) -> Self {
        Self::Value {
            name: file.name().to_owned(),
            table: path.join("."),
            detail: detail(file, error),
        }
    }
}

fn detail(file: &AppFile, mut error: toml::de::Error) -> String {
    error.set_input(Some(file.text()));
    error.to_string().trim_end().to_owned()
}

impl Explain for TomlFileError {
    fn explain(&self) -> Message {
        match self {
            Self::Read(error) => error.explain(),
            Self::Syntax { name, detail } => Message::new(
                format!("Cannot read '{name}'"),
                format!(
                    "The file '{name}' is not valid TOML:\n\n{detail}\n\nThe format is described at https://toml.io."
                ),
            ),
            Self::Value {
                name,
                table,
                detail,
            } => Message::new(
                format!("Cannot use '{name}'"),
                format!("The table [{table}] in '{name}' holds something unexpected:\n\n{detail}"),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<TomlFile, TomlFileError> {
        TomlFile::parse(AppFile::from_bytes("project.toml", text.as_bytes()).unwrap())
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Hooks {
        predeploy: Spanned<String>,
    }

    #[test]
    fn get_with_line() {
        let file =
            parse("[other]\nx = 1\n\n[io.longshore.hooks]\npredeploy = 'sh pre.sh'\n").unwrap();
        let hooks: Hooks = file.get(&["io", "longshore", "hooks"]).unwrap().unwrap();
        assert_eq!(
            (
                hooks.predeploy.get_ref().as_str(),
                file.line(&hooks.predeploy)
            ),
            ("sh pre.sh", 5)
        );
    }

    #[test]
    fn get_missing_is_none() {
        let file = parse("io = 3\n").unwrap();
        assert!(
            file.get::<Hooks>(&["io", "longshore", "hooks"])
                .unwrap()
                .is_none()
        );
        assert!(file.get::<Hooks>(&["absent"]).unwrap().is_none());
    }

    #[test]
    fn parse_syntax_error() {
        insta::assert_snapshot!(parse("[io\n").unwrap_err().explain().as_error(), @"
        [Error: Cannot read 'project.toml']
        The file 'project.toml' is not valid TOML:

        TOML parse error at line 1, column 4
          |
        1 | [io
          |    ^
        unclosed table, expected `]`

        The format is described at https://toml.io.
        ");
    }

    #[test]
    fn get_wrong_value() {
        let file = parse("[io.longshore.hooks]\npredeploy = 3\n").unwrap();
        let error = file
            .get::<Hooks>(&["io", "longshore", "hooks"])
            .unwrap_err();
        insta::assert_snapshot!(error.explain().as_error(), @"
        [Error: Cannot use 'project.toml']
        The table [io.longshore.hooks] in 'project.toml' holds something unexpected:

        TOML parse error at line 2, column 13
          |
        2 | predeploy = 3
          |             ^
        invalid type: integer `3`, expected a string
        ");
    }
}
