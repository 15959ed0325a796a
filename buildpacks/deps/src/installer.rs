//! Which installer: uv, unless pip was asked for or uv lacks something.

use crate::errors::DepsError;
use buildpack_kit::{ProjectToml, Variables};
use serde::Deserialize;
use toml::Spanned;

/// Asks for the installer by variable; project.toml's `[io.longshore.deps] installer` does the same.
pub(crate) const INSTALLER_VARIABLE: &str = "LONGSHORE_INSTALLER";

/// uv, or pip and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Uv,
    Pip { because: String },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DepsTable {
    installer: Option<Spanned<String>>,
}

/// The user's word first (a variable before project.toml), then what the requirements need.
pub(crate) fn choose_installer(
    variables: &Variables,
    project: Option<&ProjectToml>,
    only_pip_can: &[String],
) -> Result<Choice, DepsError> {
    if let Some((wanted, place)) = asked_for(variables, project)? {
        return match wanted.as_str() {
            "uv" => Ok(Choice::Uv),
            "pip" => Ok(Choice::Pip {
                because: format!("{place} asks for it"),
            }),
            _ => Err(DepsError::UnknownInstaller {
                found: wanted,
                place,
            }),
        };
    }
    if only_pip_can.is_empty() {
        return Ok(Choice::Uv);
    }
    Ok(Choice::Pip {
        because: format!("uv does not know {}", only_pip_can.join(", ")),
    })
}

fn asked_for(
    variables: &Variables,
    project: Option<&ProjectToml>,
) -> Result<Option<(String, String)>, DepsError> {
    if let Some(wanted) = variables.get(INSTALLER_VARIABLE) {
        return Ok(Some((
            wanted.to_owned(),
            format!("the variable {INSTALLER_VARIABLE}"),
        )));
    }
    let Some(project) = project else {
        return Ok(None);
    };
    let table: Option<DepsTable> = project.longshore("deps")?;
    Ok(table.and_then(|table| table.installer).map(|installer| {
        let place = format!("project.toml line {}", project.line(&installer));
        (installer.into_inner(), place)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_kit::AppFile;

    fn choose(
        variable: Option<&str>,
        project: &str,
        only_pip_can: &[&str],
    ) -> Result<Choice, DepsError> {
        let variables = variable
            .map(|value| (INSTALLER_VARIABLE, value))
            .into_iter()
            .collect();
        let project =
            ProjectToml::parse(AppFile::from_bytes("project.toml", project.as_bytes()).unwrap())
                .unwrap();
        let only_pip_can: Vec<String> = only_pip_can.iter().map(ToString::to_string).collect();
        choose_installer(&variables, Some(&project), &only_pip_can)
    }

    #[test]
    fn choose_installer_cases() {
        let table = "[io.longshore.deps]\ninstaller = 'pip'\n";
        let pip = |because: &str| Choice::Pip {
            because: because.into(),
        };
        assert_eq!(choose(None, "", &[]).unwrap(), Choice::Uv);
        assert_eq!(
            choose(None, table, &[]).unwrap(),
            pip("project.toml line 2 asks for it")
        );
        assert_eq!(choose(Some("uv"), table, &["x"]).unwrap(), Choice::Uv);
        assert_eq!(
            choose(None, "", &["a", "b"]).unwrap(),
            pip("uv does not know a, b")
        );
        assert!(choose(Some("conda"), "", &[]).is_err());
    }
}
