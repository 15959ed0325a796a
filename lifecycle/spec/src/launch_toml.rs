//! `launch.toml`: what a buildpack adds to the app image's configuration: labels, processes, slices of the app folder.
//!
//! ```toml
//! [[labels]]
//! key = "org.example.a"
//! value = "b"
//!
//! [[processes]]
//! type = "web"
//! command = ["gunicorn"]
//! args = ["app:server"]
//! default = true
//!
//! [[slices]]
//! paths = ["assets/*"]
//! ```
//!
//! Since Buildpack API 0.9 a command is a list of strings and is started directly; before, it is one string, and `direct = false` (the default) hands it to a shell.
//! `working-dir` came with 0.8, `exec-env` with 0.12.

use serde::{Deserialize, Serialize};

use crate::api::BuildpackApi;
use crate::bom::BomEntry;
use crate::exec_env::ExecEnvs;
use crate::id::{BuildpackId, ProcessType};
use crate::process::{Command, CommandForm, Process};

/// The whole file, understood for the buildpack's API.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaunchToml {
    /// For the image.
    pub labels: Vec<Label>,
    /// In the order of the file.
    pub processes: Vec<Process>,
    /// In the order of the file.
    pub slices: Vec<Slice>,
    /// The old bill of materials.
    pub bom: Vec<BomEntry>,
    /// Process types whose `working-dir` was left out, since the buildpack's API has none.
    pub without_working_dir: Vec<ProcessType>,
}

/// `[[labels]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// Its name.
    pub key: String,
    /// Its value.
    #[serde(default)]
    pub value: String,
}

/// `[[slices]]`: files of the app folder that get a layer of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// Patterns relative to the app folder, as Go's `filepath.Match` reads them.
    #[serde(default)]
    pub paths: Vec<String>,
}

impl LaunchToml {
    /// Reads the text of a `launch.toml` that the buildpack `id` wrote.
    pub fn parse(text: &str, api: BuildpackApi, id: &BuildpackId) -> Result<Self, LaunchTomlError> {
        #[derive(Deserialize)]
        struct File {
            #[serde(default)]
            labels: Vec<Label>,
            #[serde(default)]
            processes: Vec<ProcessEntry>,
            #[serde(default)]
            slices: Vec<Slice>,
            #[serde(default)]
            bom: Vec<BomEntry>,
        }
        let file: File = toml::from_str(text)?;
        if file.processes.iter().filter(|entry| entry.default).count() > 1 {
            return Err(LaunchTomlError::SeveralDefaults);
        }
        let mut without_working_dir = Vec::new();
        let mut processes = Vec::new();
        for mut entry in file.processes {
            if !api.at_least(8) && entry.working_dir.take().is_some() {
                without_working_dir.push(entry.process_type.clone());
            }
            processes.push(entry.process(api, id)?);
        }
        Ok(Self {
            labels: file.labels,
            processes,
            slices: file.slices,
            bom: file.bom,
            without_working_dir,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct ProcessEntry {
    #[serde(rename = "type")]
    process_type: ProcessType,
    command: Command,
    #[serde(default)]
    args: Vec<String>,
    direct: Option<bool>,
    #[serde(default)]
    default: bool,
    working_dir: Option<String>,
    #[serde(default)]
    exec_env: ExecEnvs,
}

impl ProcessEntry {
    fn process(self, api: BuildpackApi, id: &BuildpackId) -> Result<Process, LaunchTomlError> {
        let form = if api.at_least(9) {
            CommandForm::List
        } else {
            CommandForm::Text
        };
        if self.command.form() != form {
            let process_type = self.process_type;
            return Err(match form {
                CommandForm::List => LaunchTomlError::CommandIsText { process_type, api },
                CommandForm::Text => LaunchTomlError::CommandIsList { process_type, api },
            });
        }
        let direct = match (form, self.direct) {
            (CommandForm::List, Some(_)) => return Err(LaunchTomlError::Direct),
            (CommandForm::List, None) => true,
            (CommandForm::Text, direct) => direct.unwrap_or(false),
        };
        Ok(Process {
            process_type: self.process_type,
            command: self.command.as_list(),
            args: self.args,
            direct,
            default: self.default,
            buildpack_id: id.clone(),
            working_dir: self.working_dir.filter(|dir| !dir.is_empty()),
            exec_env: if api.at_least(12) {
                self.exec_env
            } else {
                ExecEnvs::default()
            },
        })
    }
}

/// What is wrong with a `launch.toml`.
#[derive(Debug, thiserror::Error)]
pub enum LaunchTomlError {
    /// Not TOML, or not of this form.
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    /// More than one process with `default = true`.
    #[error("multiple default process types aren't allowed")]
    SeveralDefaults,
    /// `direct` in Buildpack API 0.9 or later.
    #[error("process.direct is not supported on this buildpack version")]
    Direct,
    /// A string where a list is expected.
    #[error(
        "the command of process '{process_type}' is a string; in Buildpack API {api} it is a list: command = [\"…\"]"
    )]
    CommandIsText {
        /// Whose command.
        process_type: ProcessType,
        /// The buildpack's.
        api: BuildpackApi,
    },
    /// A list where a string is expected.
    #[error(
        "the command of process '{process_type}' is a list; in Buildpack API {api} it is a string: command = \"…\""
    )]
    CommandIsList {
        /// Whose command.
        process_type: ProcessType,
        /// The buildpack's.
        api: BuildpackApi,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(api: &str, text: &str) -> Result<LaunchToml, LaunchTomlError> {
        LaunchToml::parse(text, api.parse().unwrap(), &"a/b".parse().unwrap())
    }

    const TEXT_FORM: &str =
        "[[processes]]\ntype = 'web'\ncommand = 'run it'\nargs = ['x']\nworking-dir = '/w'\n";
    const LIST_FORM: &str = "[[processes]]\ntype = 'web'\ncommand = ['run', 'it']\nworking-dir = '/w'\nexec-env = ['test']\n";

    #[test]
    fn launch_toml_command_by_api() {
        for (api, text, words, direct) in [
            ("0.7", TEXT_FORM, &["run it"][..], false),
            ("0.8", TEXT_FORM, &["run it"], false),
            ("0.9", LIST_FORM, &["run", "it"], true),
            ("0.12", LIST_FORM, &["run", "it"], true),
        ] {
            let found = parse(api, text).unwrap();
            let [process] = &found.processes[..] else {
                panic!("one process")
            };
            assert_eq!(process.command.words(), words, "{api}");
            assert_eq!(process.direct, direct, "{api}");
            assert_eq!(process.working_dir.is_some(), api != "0.7", "{api}");
            assert_eq!(found.without_working_dir.is_empty(), api != "0.7", "{api}");
            assert_eq!(process.exec_env.is_every(), api != "0.12", "{api}");
        }
    }

    #[test]
    fn launch_toml_direct_before_0_9() {
        let found = parse("0.8", &format!("{TEXT_FORM}direct = true\n")).unwrap();
        assert!(found.processes[0].direct);
    }

    #[test]
    fn launch_toml_refused() {
        for (api, text, expected) in [
            ("0.9", TEXT_FORM.to_owned(), "in Buildpack API 0.9 it is a list"),
            ("0.8", LIST_FORM.to_owned(), "in Buildpack API 0.8 it is a string"),
            ("0.10", format!("{LIST_FORM}direct = true"), "process.direct is not supported"),
            (
                "0.10",
                "[[processes]]\ntype='a'\ncommand=['x']\ndefault=true\n[[processes]]\ntype='b'\ncommand=['x']\ndefault=true".into(),
                "multiple default process types aren't allowed",
            ),
            ("0.10", "[[processes]]\ntype='a b'\ncommand=['x']".into(), "line 2"),
            ("0.10", "[[processes]]\ntype='a'".into(), "missing field `command`"),
            ("0.10", "x = [".into(), "line 1"),
        ] {
            let error = parse(api, &text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
