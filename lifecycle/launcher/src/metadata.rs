//! `<layers>/config/metadata.toml`, as far as the launcher reads it.
//!
//! ```toml
//! [[processes]]
//!   type = "web"
//!   command = ["gunicorn", "app:server"]   # one string up to Platform API 0.9
//!   args = ["--workers", "2"]
//!   direct = true
//!   buildpack-id = "longshore/procfile"
//!   working-dir = "/workspace/sub"         # optional
//!   exec-env = ["production"]              # optional, Platform API 0.15
//!
//! [[buildpacks]]
//!   id = "longshore/procfile"
//!   api = "0.10"
//! ```
//!
//! `cnb_spec::metadata` reads the same; with serde the program would be a sixth larger, and it stands in every image. A test keeps the two alike.

use std::io;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use crate::folder;

/// The processes and buildpacks of the image.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    pub(crate) processes: Vec<Process>,
    pub(crate) buildpacks: Vec<Buildpack>,
}

/// One process type as a buildpack defined it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) kind: String,
    pub(crate) command: Vec<String>,
    pub(crate) args: Vec<String>,
    pub(crate) direct: bool,
    pub(crate) buildpack_id: String,
    pub(crate) working_dir: String,
    pub(crate) exec_env: Vec<String>,
}

/// One buildpack of the build, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Buildpack {
    pub(crate) id: String,
    pub(crate) api: String,
}

impl Metadata {
    /// Reads `config/metadata.toml` below the layers folder.
    pub(crate) fn read(layers_dir: &Path) -> Result<Self, MetadataError> {
        let path = layers_dir.join("config").join("metadata.toml");
        let bytes = match folder::read_file(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(MetadataError::Read { path, source }),
        };
        let text = str::from_utf8(&bytes).map_err(|error| error.to_string());
        text.and_then(Self::parse)
            .map_err(|reason| MetadataError::Parse { path, reason })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let document = DeTable::parse(text).map_err(|error| error.to_string())?;
        let table = document.get_ref();
        let mut metadata = Self::default();
        for entry in tables(table, "processes")? {
            metadata.processes.push(Process {
                kind: string(entry, "type")?,
                command: strings(entry, "command")?,
                args: strings(entry, "args")?,
                direct: boolean(entry, "direct")?,
                buildpack_id: string(entry, "buildpack-id")?,
                working_dir: string(entry, "working-dir")?,
                exec_env: strings(entry, "exec-env")?,
            });
        }
        for entry in tables(table, "buildpacks")? {
            metadata.buildpacks.push(Buildpack {
                id: string(entry, "id")?,
                api: string(entry, "api")?,
            });
        }
        Ok(metadata)
    }

    /// The buildpack of that name.
    pub(crate) fn buildpack(&self, id: &str) -> Option<&Buildpack> {
        self.buildpacks.iter().find(|buildpack| buildpack.id == id)
    }
}

impl Buildpack {
    /// The name of the buildpack's folder below the layers folder.
    pub(crate) fn folder_name(&self) -> String {
        self.id.replace('/', "_")
    }
}

fn tables<'a, 'i>(table: &'a DeTable<'i>, key: &str) -> Result<Vec<&'a DeTable<'i>>, String> {
    let Some(value) = table.get(key) else {
        return Ok(Vec::new());
    };
    let entries = value
        .get_ref()
        .as_array()
        .ok_or_else(|| wrong(key, "a list of tables"))?;
    entries
        .iter()
        .map(|entry| {
            entry
                .get_ref()
                .as_table()
                .ok_or_else(|| wrong(key, "a list of tables"))
        })
        .collect()
}

fn string(table: &DeTable<'_>, key: &str) -> Result<String, String> {
    match table.get(key).map(toml::Spanned::get_ref) {
        None => Ok(String::new()),
        Some(DeValue::String(text)) => Ok(text.to_string()),
        Some(_) => Err(wrong(key, "a string")),
    }
}

fn boolean(table: &DeTable<'_>, key: &str) -> Result<bool, String> {
    match table.get(key).map(toml::Spanned::get_ref) {
        None => Ok(false),
        Some(DeValue::Boolean(value)) => Ok(*value),
        Some(_) => Err(wrong(key, "true or false")),
    }
}

/// A list of strings, or one string: `command` has been both.
fn strings(table: &DeTable<'_>, key: &str) -> Result<Vec<String>, String> {
    match table.get(key).map(toml::Spanned::get_ref) {
        None => Ok(Vec::new()),
        Some(DeValue::String(text)) => Ok(vec![text.to_string()]),
        Some(DeValue::Array(entries)) => entries
            .iter()
            .map(|entry| {
                entry
                    .get_ref()
                    .as_str()
                    .map(str::to_owned)
                    .ok_or_else(|| wrong(key, "a list of strings"))
            })
            .collect(),
        Some(_) => Err(wrong(key, "a string or a list of strings")),
    }
}

fn wrong(key: &str, expected: &str) -> String {
    format!("'{key}' has to be {expected}")
}

/// Why `metadata.toml` could not be used.
#[derive(Debug)]
pub(crate) enum MetadataError {
    Read { path: PathBuf, source: io::Error },
    Parse { path: PathBuf, reason: String },
}

#[cfg(test)]
mod tests {
    use super::{Buildpack, Metadata, Process};

    #[test]
    fn parse_both_forms_of_command() {
        let metadata = Metadata::parse(
            "[[processes]]\ntype = \"web\"\ncommand = [\"a\", \"b\"]\nargs = [\"c\"]\ndirect = true\nbuildpack-id = \"x/y\"\nexec-env = [\"*\"]\n\
             [[processes]]\ntype = \"old\"\ncommand = \"a b\"\nworking-dir = \"/w\"\n\
             [[buildpacks]]\nid = \"x/y\"\nversion = \"1\"\napi = \"0.10\"\nunknown = 1\n",
        );
        let expected = Metadata {
            processes: vec![
                Process {
                    kind: "web".into(),
                    command: vec!["a".into(), "b".into()],
                    args: vec!["c".into()],
                    direct: true,
                    buildpack_id: "x/y".into(),
                    exec_env: vec!["*".into()],
                    ..Process::default()
                },
                Process {
                    kind: "old".into(),
                    command: vec!["a b".into()],
                    working_dir: "/w".into(),
                    ..Process::default()
                },
            ],
            buildpacks: vec![Buildpack {
                id: "x/y".into(),
                api: "0.10".into(),
            }],
        };
        assert_eq!(metadata, Ok(expected));
    }

    #[test]
    fn parse_agrees_with_cnb_spec() {
        let text = "buildpack-default-process-type = 'web'\n\
             [[processes]]\ntype = 'web'\ncommand = ['a', \"b\\u00e9\"]\nargs = ['c']\ndirect = true\nbuildpack-id = 'x/y'\nworking-dir = '/w'\n\
             [[processes]]\ntype = 'old'\ncommand = \"\"\"a\nb\"\"\"\nbuildpack-id = 'z'\n\
             [[buildpacks]]\nid = 'x/y'\nversion = '1'\napi = '0.10'\n[[buildpacks]]\nid = 'z'\napi = '0.7'\n";
        let ours = Metadata::parse(text).expect("good TOML");
        let theirs = cnb_spec::metadata::LaunchMetadata::parse(text).expect("good TOML");
        let process = |process: cnb_spec::process::Process| Process {
            kind: process.process_type.to_string(),
            command: process.command.words().to_vec(),
            args: process.args,
            direct: process.direct,
            buildpack_id: process.buildpack_id.to_string(),
            working_dir: process.working_dir.unwrap_or_default(),
            exec_env: Vec::new(),
        };
        let buildpack = |buildpack: cnb_spec::metadata::LaunchBuildpack| Buildpack {
            id: buildpack.id.to_string(),
            api: buildpack.api,
        };
        assert_eq!(
            ours.processes,
            theirs
                .processes
                .into_iter()
                .map(process)
                .collect::<Vec<_>>()
        );
        assert_eq!(
            ours.buildpacks,
            theirs
                .buildpacks
                .into_iter()
                .map(buildpack)
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn parse_empty_file_is_an_image_without_processes() {
        assert_eq!(Metadata::parse(""), Ok(Metadata::default()));
    }

    #[test]
    fn parse_names_the_wrong_key() {
        assert_eq!(
            Metadata::parse("[[processes]]\ntype = 1"),
            Err("'type' has to be a string".to_owned())
        );
        assert_eq!(
            Metadata::parse("processes = 1"),
            Err("'processes' has to be a list of tables".to_owned())
        );
        assert!(Metadata::parse("[[processes]\n").is_err());
    }
}
