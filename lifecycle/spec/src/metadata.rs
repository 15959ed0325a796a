//! `<layers>/config/metadata.toml`: what the builder tells the exporter and the launcher.
//!
//! ```toml
//! buildpack-default-process-type = "web"
//!
//! [[buildpacks]]
//! id = "longshore/procfile"
//! version = "0.1.0"
//! api = "0.10"
//!
//! [[processes]]
//! type = "web"
//! command = ["gunicorn"]
//! args = ["app:server"]
//! direct = true
//! buildpack-id = "longshore/procfile"
//! ```
//!
//! Launchers of every age read it, so its form is kept plain: arrays of tables, no inline tables. [`LaunchMetadata`] is the part that a launcher needs.

use serde::{Deserialize, Serialize};

use crate::bom::{OwnedBomEntry, go_json};
use crate::group::GroupElement;
use crate::id::BuildpackId;
use crate::launch_toml::{Label, Slice};
use crate::process::{CommandForm, Process};

/// What a launcher reads of `metadata.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchMetadata {
    /// In the order of the build: a later one's environment wins.
    #[serde(default)]
    pub buildpacks: Vec<LaunchBuildpack>,
    /// Sorted by type.
    #[serde(default)]
    pub processes: Vec<Process>,
}

/// A buildpack that took part in the build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchBuildpack {
    /// Its id; its layers are in `<layers>/<escaped id>`.
    pub id: BuildpackId,
    /// The Buildpack API that it is written for, as text: a launcher reports the ones that it does not know.
    #[serde(default)]
    pub api: String,
}

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BuildMetadata {
    /// The process that the image starts, unless the platform says otherwise.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub buildpack_default_process_type: String,
    /// The old bill of materials, before Platform API 0.9.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bom: Vec<OwnedBomEntry>,
    /// In the order of the build.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buildpacks: Vec<GroupElement>,
    /// Image extensions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<GroupElement>,
    /// For the image, in the order of the build.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// Sorted by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<Process>,
    /// In the order of the build.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Slice>,
}

impl BuildMetadata {
    /// The file's text, byte for byte as the reference implementation writes it: the file is in the image, so that users who switch lifecycles keep the layer.
    pub fn text(&self) -> Result<String, toml::ser::Error> {
        // Only with Platform APIs before 0.9, and with arbitrary tables in it.
        if self.bom.is_empty() {
            Ok(self.go_text())
        } else {
            toml::to_string(self)
        }
    }

    fn go_text(&self) -> String {
        let mut text = GoToml::default();
        if self.processes.is_empty() {
            text.value("processes", "[]");
        }
        text.string(
            "buildpack-default-process-type",
            &self.buildpack_default_process_type,
        );
        let elements = self
            .buildpacks
            .iter()
            .map(|element| ("buildpacks", element));
        let extensions = self
            .extensions
            .iter()
            .map(|element| ("extensions", element));
        for (table, element) in elements.chain(extensions) {
            text.table(table);
            text.string("id", element.id.as_str());
            text.string("version", element.version.as_str());
            text.string("api", &element.api);
            text.string("homepage", &element.homepage);
        }
        for label in &self.labels {
            text.table("labels");
            text.value("key", &quoted(&label.key));
            text.value("value", &quoted(&label.value));
        }
        for process in &self.processes {
            text.table("processes");
            text.process(process);
        }
        for slice in &self.slices {
            text.table("slices");
            text.value("paths", &list(&slice.paths));
        }
        text.0
    }
}

/// Text in the form of the TOML library that the reference implementation uses: tables are indented, an empty line stands before each.
#[derive(Default)]
struct GoToml(String);

impl GoToml {
    fn table(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push('\n');
        }
        self.0 += &["[[", name, "]]\n"].concat();
    }

    fn value(&mut self, key: &str, value: &str) {
        let indent = if self.0.contains("[[") { "  " } else { "" };
        self.0 += &[indent, key, " = ", value, "\n"].concat();
    }

    /// A string; nothing if it is empty.
    fn string(&mut self, key: &str, value: &str) {
        if !value.is_empty() {
            self.value(key, &quoted(value));
        }
    }

    fn process(&mut self, process: &Process) {
        let Process {
            process_type,
            command,
            args,
            direct,
            default,
            buildpack_id,
            working_dir,
            exec_env,
        } = process;
        self.value("type", &quoted(process_type.as_str()));
        // The reference writes commands as JSON, which is TOML too.
        let json = serde_json::to_string(command).unwrap_or_default();
        let json = match command.form() {
            CommandForm::Text => json,
            CommandForm::List => {
                let words = command.words().iter();
                let words = words.map(|word| serde_json::Value::from(word.as_str()).to_string());
                format!("[{}]", words.collect::<Vec<_>>().join(", "))
            }
        };
        self.value("command", &go_json(&json));
        // Beside a command that is one text (Platform APIs before 0.10) stands an empty list, too. This file is a layer: its bytes are its digest.
        if !args.is_empty() || command.form() == CommandForm::Text {
            self.value("args", &list(args));
        }
        self.value("direct", &direct.to_string());
        if *default {
            self.value("default", "true");
        }
        self.value("buildpack-id", &quoted(buildpack_id.as_str()));
        self.string("working-dir", working_dir.as_deref().unwrap_or_default());
        if !exec_env.is_unsaid() {
            self.value("exec-env", &list(exec_env.names()));
        }
    }
}

fn list(texts: &[String]) -> String {
    let quoted: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(", "))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '\t' => quoted += "\\t",
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\u{8}' => quoted += "\\b",
            '\u{c}' => quoted += "\\f",
            c if c.is_ascii_control() => {
                let escape = format!("\\u{:04x}", u32::from(c));
                quoted += &escape;
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

impl LaunchMetadata {
    /// Reads the text of a `metadata.toml`.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launch_metadata_parse_ignores_the_rest() {
        let text = "buildpack-default-process-type = 'web'\n[[labels]]\nkey = 'a'\nvalue = 'b'\n[[buildpacks]]\nid = 'a/b'\nversion = '1'\napi = '0.9'\n[[processes]]\ntype = 'web'\ncommand = 'x'\ndirect = false\nbuildpack-id = 'a/b'\n[[slices]]\npaths = ['*']";
        let found = LaunchMetadata::parse(text).unwrap();
        assert_eq!(found.buildpacks[0].id.escaped(), "a_b");
        assert_eq!(found.buildpacks[0].api, "0.9");
        assert_eq!(found.processes[0].command.program(), "x");
        assert_eq!(
            LaunchMetadata::parse("").unwrap(),
            LaunchMetadata::default()
        );
    }

    #[test]
    fn build_metadata_text() {
        let source = "buildpack-default-process-type = 'web'\n[[buildpacks]]\nid = 'a/b'\nversion = '1'\napi = '0.10'\n[[labels]]\nkey = 'k'\nvalue = 'a\"\\b<'\n[[processes]]\ntype = 'web'\ncommand = ['bash', '-c', 'x && y']\nargs = ['<\tz>']\ndirect = true\nbuildpack-id = 'a/b'\nworking-dir = '/w'\nexec-env = ['test']\n[[processes]]\ntype = 'x'\ncommand = 'y'\ndirect = false\nbuildpack-id = 'a/b'\n[[slices]]\npaths = ['*', 'b']\n";
        let metadata: BuildMetadata = toml::from_str(source).unwrap();
        let text = metadata.text().unwrap();
        let expected = r#"buildpack-default-process-type = "web"

[[buildpacks]]
  id = "a/b"
  version = "1"
  api = "0.10"

[[labels]]
  key = "k"
  value = "a\"\\b<"

[[processes]]
  type = "web"
  command = ["bash", "-c", "x \u0026\u0026 y"]
  args = ["<\tz>"]
  direct = true
  buildpack-id = "a/b"
  working-dir = "/w"
  exec-env = ["test"]

[[processes]]
  type = "x"
  command = "y"
  args = []
  direct = false
  buildpack-id = "a/b"

[[slices]]
  paths = ["*", "b"]
"#;
        assert_eq!(text, expected);
        assert_eq!(toml::from_str::<BuildMetadata>(&text).unwrap(), metadata);
        assert_eq!(BuildMetadata::default().text().unwrap(), "processes = []\n");
    }
}
