//! Which hooks an app has, and where they come from.

use std::path::Path;

use buildpack_kit::{AppFile, Message, ProjectToml};
use serde::Deserialize;
use toml::Spanned;

use crate::app_json::{APP_JSON, AppJson};
use crate::errors::HooksError;

/// The hooks of an app, decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Runs last in the build.
    pub predeploy: Option<Hook>,
    /// Runs after a deployment, by the platform.
    pub postdeploy: Option<Hook>,
    /// What is worth a word; none of it stops the build.
    pub warnings: Vec<Message>,
}

/// One hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// A command for bash.
    pub command: String,
    /// The file and the place in it, for people.
    pub source: String,
}

/// `[io.longshore.hooks]` in project.toml.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    predeploy: Option<Spanned<String>>,
    postdeploy: Option<Spanned<String>>,
}

/// Reads `project.toml` and `app.json` in the app's folder.
pub fn read(app_dir: &Path) -> Result<Hooks, HooksError> {
    let project = ProjectToml::read(app_dir)?;
    let table: Table = match &project {
        Some(project) => project.longshore("hooks")?.unwrap_or_default(),
        None => Table::default(),
    };
    let of_project = |value: Option<Spanned<String>>| {
        let project = project.as_ref()?;
        let value = value.filter(|value| !value.get_ref().trim().is_empty())?;
        let source = format!("project.toml, line {}", project.line(&value));
        Some(Hook {
            command: value.into_inner(),
            source,
        })
    };
    let file = AppFile::read(app_dir, APP_JSON)?;
    let app = file
        .as_ref()
        .map(AppJson::parse)
        .transpose()?
        .unwrap_or_default();

    let mut warnings = app_json_warnings(file.as_ref(), &app);
    let mut choose = |hook: &str, from_project: Option<Hook>, from_app: Option<String>| {
        let source = format!("app.json, scripts.dokku.{hook}");
        let from_app = from_app.map(|command| Hook { command, source });
        if let (Some(chosen), Some(other)) = (&from_project, &from_app)
            && chosen.command != other.command
        {
            warnings.push(disagreement(hook, chosen, other));
        }
        from_project.or(from_app)
    };
    let predeploy = choose("predeploy", of_project(table.predeploy), app.predeploy);
    let postdeploy = choose("postdeploy", of_project(table.postdeploy), app.postdeploy);
    Ok(Hooks {
        predeploy,
        postdeploy,
        warnings,
    })
}

impl Hooks {
    /// Whether there is anything to do or to say.
    pub fn is_empty(&self) -> bool {
        let Self {
            predeploy,
            postdeploy,
            warnings,
        } = self;
        predeploy.is_none() && postdeploy.is_none() && warnings.is_empty()
    }
}

fn disagreement(hook: &str, chosen: &Hook, other: &Hook) -> Message {
    Message::new(
        format!("Two different {hook} hooks"),
        format!(
            "{}: {}\n{}: {}\nThe one of project.toml is used. Remove the other, or make them alike.",
            chosen.source, chosen.command, other.source, other.command
        ),
    )
}

fn app_json_warnings(file: Option<&AppFile>, app: &AppJson) -> Vec<Message> {
    let mut lines: Vec<String> = file.and_then(AppFile::oddity).into_iter().collect();
    if app.is_loose {
        lines.push(
            "Comments and trailing commas are read, but Dash Enterprise 4 and Heroku refuse them."
                .to_owned(),
        );
    }
    for misplaced in &app.misplaced {
        lines.push(format!(
            "'{}' is not run: it belongs under '{}'.",
            misplaced.path, misplaced.belongs
        ));
    }
    if lines.is_empty() {
        Vec::new()
    } else {
        vec![Message::new(APP_JSON, lines.join("\n"))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn hooks(files: &[(&str, &str)]) -> Hooks {
        let app = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(app.path().join(name), text).unwrap();
        }
        read(app.path()).unwrap()
    }

    const APP: &str =
        r#"{"scripts": {"dokku": {"predeploy": "from app.json", "postdeploy": "post"}}}"#;

    #[test]
    fn read_nothing() {
        assert!(hooks(&[]).is_empty());
        assert!(
            hooks(&[
                ("app.json", r#"{"name": "x"}"#),
                ("project.toml", "[_]\nschema-version = '0.2'\n")
            ])
            .is_empty()
        );
    }

    #[test]
    fn read_app_json() {
        let hooks = hooks(&[("app.json", APP)]);
        let predeploy = Hook {
            command: "from app.json".into(),
            source: "app.json, scripts.dokku.predeploy".into(),
        };
        assert_eq!(hooks.predeploy, Some(predeploy));
        assert_eq!(hooks.postdeploy.unwrap().command, "post");
        assert_eq!(hooks.warnings, []);
    }

    #[test]
    fn read_project_toml_wins() {
        let hooks = hooks(&[
            ("app.json", APP),
            (
                "project.toml",
                "[io.longshore.hooks]\npredeploy = 'ours'\npostdeploy = 'post'\n",
            ),
        ]);
        let predeploy = Hook {
            command: "ours".into(),
            source: "project.toml, line 2".into(),
        };
        assert_eq!(hooks.predeploy, Some(predeploy));
        let warnings: Vec<_> = hooks.warnings.iter().map(Message::as_warning).collect();
        insta::assert_snapshot!(warnings.join("\n"), @r"
        [Warning: Two different predeploy hooks]
        project.toml, line 2: ours
        app.json, scripts.dokku.predeploy: from app.json
        The one of project.toml is used. Remove the other, or make them alike.
        ");
    }

    #[test]
    fn read_misplaced_is_a_warning() {
        let hooks = hooks(&[("app.json", "{\"predeploy\": \"a\",\r\n}")]);
        assert_eq!(hooks.predeploy, None);
        let warnings: Vec<_> = hooks.warnings.iter().map(Message::as_warning).collect();
        insta::assert_snapshot!(warnings.join("\n"), @r"
        [Warning: app.json]
        'app.json' is written as Windows line endings; it is read as if it were plain UTF-8
        Comments and trailing commas are read, but Dash Enterprise 4 and Heroku refuse them.
        'predeploy' is not run: it belongs under 'scripts.dokku.predeploy'.
        ");
    }

    #[test]
    fn read_unknown_key() {
        let app = tempfile::tempdir().unwrap();
        fs::write(
            app.path().join("project.toml"),
            "[io.longshore.hooks]\nprdeploy = 'x'\n",
        )
        .unwrap();
        assert!(matches!(read(app.path()), Err(HooksError::Project(_))));
    }
}
