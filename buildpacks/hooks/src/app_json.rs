//! `app.json`: Dokku's and Dash Enterprise's description of an app, as far as its hooks go.
//!
//! ```json
//! { "scripts": { "dokku": { "predeploy": "bash predeploy.sh", "postdeploy": "python notify.py" } } }
//! ```

use buildpack_kit::AppFile;
use serde_json::Value;

use crate::errors::HooksError;
use crate::jsonc;

/// The file's name, at the app's root.
pub const APP_JSON: &str = "app.json";

/// What `app.json` says about hooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppJson {
    /// `scripts.dokku.predeploy`.
    pub predeploy: Option<String>,
    /// `scripts.dokku.postdeploy`.
    pub postdeploy: Option<String>,
    /// Hooks that stand where nobody looks for them, as dotted paths.
    pub misplaced: Vec<Misplaced>,
    /// Whether the file has comments or trailing commas, which DE4 and Heroku refuse.
    pub is_loose: bool,
}

/// A hook in the wrong place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misplaced {
    /// Where it stands.
    pub path: &'static str,
    /// Where it would be read.
    pub belongs: &'static str,
}

/// Places in which hooks were found in real apps. `scripts.postdeploy` is none of them: it is Heroku's own hook for new apps.
const WRONG_PLACES: [(&[&str], &str, &str); 8] = [
    (&["predeploy"], "predeploy", "scripts.dokku.predeploy"),
    (&["postdeploy"], "postdeploy", "scripts.dokku.postdeploy"),
    (
        &["scripts", "predeploy"],
        "scripts.predeploy",
        "scripts.dokku.predeploy",
    ),
    (
        &["dokku", "predeploy"],
        "dokku.predeploy",
        "scripts.dokku.predeploy",
    ),
    (
        &["dokku", "postdeploy"],
        "dokku.postdeploy",
        "scripts.dokku.postdeploy",
    ),
    (
        &["script", "dokku", "predeploy"],
        "script.dokku.predeploy",
        "scripts.dokku.predeploy",
    ),
    (
        &["script", "dokku", "postdeploy"],
        "script.dokku.postdeploy",
        "scripts.dokku.postdeploy",
    ),
    (
        &["scripts", "dokku", "pre-deploy"],
        "scripts.dokku.pre-deploy",
        "scripts.dokku.predeploy",
    ),
];

impl AppJson {
    /// Reads the text. A file of blanks alone says nothing, as for Dokku.
    pub fn parse(file: &AppFile) -> Result<Self, HooksError> {
        if file.text().trim().is_empty() {
            return Ok(Self::default());
        }
        let (value, is_loose) = parse_value(file)?;
        if !value.is_object() {
            let found = kind_of(&value);
            return Err(HooksError::WrongKind {
                file: APP_JSON.into(),
                path: "the whole file".into(),
                expected: "an object: { … }",
                found,
            });
        }
        let misplaced = WRONG_PLACES
            .iter()
            .filter(|(keys, ..)| at(&value, keys).is_some_and(Value::is_string))
            .map(|&(_, path, belongs)| Misplaced { path, belongs })
            .collect();
        Ok(Self {
            predeploy: command(&value, "predeploy")?,
            postdeploy: command(&value, "postdeploy")?,
            misplaced,
            is_loose,
        })
    }
}

/// Strict JSON first, so that only a file that needs leniency is called loose.
fn parse_value(file: &AppFile) -> Result<(Value, bool), HooksError> {
    match serde_json::from_str(file.text()) {
        Ok(value) => Ok((value, false)),
        Err(strict) => serde_json::from_str(&jsonc::without_comments(file.text()))
            .map(|value| (value, true))
            .map_err(|_| HooksError::Syntax {
                file: APP_JSON.into(),
                reason: strict.to_string(),
                text: line(file, strict.line()),
            }),
    }
}

fn line(file: &AppFile, number: usize) -> String {
    file.lines()
        .find(|&(line, _)| line == number)
        .map_or_else(String::new, |(_, text)| text.chars().take(200).collect())
}

fn at<'a>(value: &'a Value, keys: &[&str]) -> Option<&'a Value> {
    keys.iter().try_fold(value, |value, key| value.get(key))
}

fn command(value: &Value, hook: &str) -> Result<Option<String>, HooksError> {
    match at(value, &["scripts", "dokku", hook]) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(command)) if command.trim().is_empty() => Ok(None),
        Some(Value::String(command)) => Ok(Some(command.clone())),
        Some(other) => Err(HooksError::WrongKind {
            file: APP_JSON.into(),
            path: format!("scripts.dokku.{hook}"),
            expected: "a string: one command for bash",
            found: kind_of(other),
        }),
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_kit::Explain as _;

    fn parse(bytes: &[u8]) -> Result<AppJson, HooksError> {
        AppJson::parse(&AppFile::from_bytes(APP_JSON, bytes).expect("readable"))
    }

    #[test]
    fn parse_both_hooks() {
        let app = parse(
            br#"{"name": "x", "scripts": {"dokku": {"predeploy": "a && b", "postdeploy": "c"}}}"#,
        )
        .unwrap();
        assert_eq!(
            (app.predeploy.as_deref(), app.postdeploy.as_deref()),
            (Some("a && b"), Some("c"))
        );
        assert!(app.misplaced.is_empty() && !app.is_loose);
    }

    #[test]
    fn parse_nothing_there() {
        for text in [
            "",
            " \n",
            "{}",
            r#"{"scripts": {"dokku": {"predeploy": ""}}}"#,
            r#"{"scripts": {"postdeploy": "heroku's"}}"#,
        ] {
            assert_eq!(
                parse(text.as_bytes()).unwrap(),
                AppJson::default(),
                "{text}"
            );
        }
    }

    #[test]
    fn parse_windows_and_loose() {
        let text = "\u{FEFF}{\r\n  // ours\r\n  \"scripts\": {\"dokku\": {\"predeploy\": \"a\",}}\r\n}\r\n";
        let app = parse(text.as_bytes()).unwrap();
        assert_eq!((app.predeploy.as_deref(), app.is_loose), (Some("a"), true));
    }

    #[test]
    fn parse_misplaced() {
        let app = parse(br#"{"predeploy": "a", "scripts": {"predeploy": "b"}}"#).unwrap();
        let paths: Vec<_> = app
            .misplaced
            .iter()
            .map(|misplaced| misplaced.path)
            .collect();
        assert_eq!(paths, ["predeploy", "scripts.predeploy"]);
    }

    #[test]
    fn message_syntax() {
        insta::assert_snapshot!(parse(b"{\n  \"scripts\": }\n").unwrap_err().explain().as_error(), @r#"
        [Error: Cannot read 'app.json']
        The file 'app.json' is not valid JSON: expected value at line 2 column 14

          "scripts": }

        Correct it there; a predeploy or postdeploy in it is not run otherwise.
        "#);
    }

    #[test]
    fn message_wrong_kind() {
        let error = parse(br#"{"scripts": {"dokku": {"predeploy": ["a", "b"]}}}"#).unwrap_err();
        insta::assert_snapshot!(error.explain().as_error(), @r"
        [Error: Cannot use 'app.json']
        In 'app.json', scripts.dokku.predeploy has to be a string: one command for bash. Found: a list.
        ");
    }
}
