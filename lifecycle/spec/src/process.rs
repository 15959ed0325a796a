//! A process of an app image: what `metadata.toml` says about it, to the launcher and to everyone who inspects an image.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::api::PlatformApi;
use crate::exec_env::ExecEnvs;
use crate::id::{BuildpackId, ProcessType};

/// A `[[processes]]` table of `metadata.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Process {
    /// Its name: `web`, `worker`, …
    #[serde(rename = "type")]
    pub process_type: ProcessType,
    /// The program, followed by the arguments that a user cannot replace.
    pub command: Command,
    /// The arguments that a user's own arguments replace (or follow, Buildpack API below 0.9).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Start the program directly, without a shell?
    #[serde(default)]
    pub direct: bool,
    /// Is it the one that its buildpack wants to be the default? (Never written by us, read for older files.)
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub default: bool,
    /// The buildpack that it comes from.
    pub buildpack_id: BuildpackId,
    /// Where it starts, when that is not the app folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The execution environments that it is for.
    #[serde(default, skip_serializing_if = "ExecEnvs::is_unsaid")]
    pub exec_env: ExecEnvs,
}

impl Process {
    /// The form that a Platform API's `metadata.toml` has: below 0.10 a command is one string, so what follows the program moves to
    /// the front of the arguments.
    #[must_use]
    pub fn for_platform(mut self, api: PlatformApi) -> Self {
        if !api.at_least(10) {
            let mut words = std::mem::take(&mut self.command.words);
            let following = words.split_off(words.len().min(1));
            self.args.splice(0..0, following);
            self.command = Command {
                words,
                form: CommandForm::Text,
            };
        }
        self
    }
}

/// A process's command: at least one word. Buildpack API below 0.9 and Platform API below 0.10 write it as a string, later ones as
/// an array of strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    words: Vec<String>,
    form: CommandForm,
}

/// How a command is, or was, written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandForm {
    /// `command = "…"`
    Text,
    /// `command = ["…", "…"]`
    List,
}

impl Command {
    /// A command of one word, written as a string: a shell command line when the process is not direct.
    pub fn text(command: impl Into<String>) -> Self {
        Self {
            words: vec![command.into()],
            form: CommandForm::Text,
        }
    }

    /// A command written as a list; none when the list is empty.
    pub fn list(words: Vec<String>) -> Option<Self> {
        let form = CommandForm::List;
        (!words.is_empty()).then_some(Self { words, form })
    }

    /// The program.
    pub fn program(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// The arguments that belong to the command and that a user cannot replace.
    pub fn fixed_args(&self) -> &[String] {
        self.words.get(1..).unwrap_or(&[])
    }

    /// All words.
    pub fn words(&self) -> &[String] {
        &self.words
    }

    /// How it was written.
    pub fn form(&self) -> CommandForm {
        self.form
    }

    /// The same words, to be written as a list.
    #[must_use]
    pub fn as_list(mut self) -> Self {
        self.form = CommandForm::List;
        self
    }
}

impl Serialize for Command {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.form {
            CommandForm::Text => serializer.serialize_str(self.program()),
            CommandForm::List => self.words.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Command {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CommandVisitor)
    }
}

struct CommandVisitor;

impl<'de> Visitor<'de> for CommandVisitor {
    type Value = Command;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command: a string, or a list of at least one string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Command, E> {
        Ok(Command::text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Command, A::Error> {
        let mut words = Vec::new();
        while let Some(word) = list.next_element::<String>()? {
            words.push(word);
        }
        Command::list(words).ok_or_else(|| serde::de::Error::invalid_length(0, &self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(text: &str) -> Process {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn process_round_trip_list() {
        let text = "type = \"web\"\ncommand = [\"gunicorn\", \"app:server\"]\nargs = [\"-w\", \"2\"]\ndirect = true\nbuildpack-id = \"longshore/procfile\"\n";
        assert_eq!(toml::to_string(&process(text)).unwrap(), text);
    }

    #[test]
    fn process_for_platform_below_0_10() {
        let listed = process(
            "type = 'web'\ncommand = ['a', 'b']\nargs = ['c']\ndirect = true\nbuildpack-id = 'x'",
        );
        let old = listed.clone().for_platform("0.9".parse().unwrap());
        assert_eq!(
            toml::to_string(&old).unwrap(),
            "type = \"web\"\ncommand = \"a\"\nargs = [\"b\", \"c\"]\ndirect = true\nbuildpack-id = \"x\"\n"
        );
        assert_eq!(listed.clone().for_platform("0.10".parse().unwrap()), listed);
    }

    #[test]
    fn process_all_keys() {
        let found = process(
            "type = 'web'\ncommand = 'a b'\nbuildpack-id = 'x'\nworking-dir = '/w'\nexec-env = ['test']\ndefault = true\nnew = 1",
        );
        assert_eq!(found.command, Command::text("a b"));
        assert_eq!(found.working_dir.as_deref(), Some("/w"));
        assert!(found.default && !found.direct && !found.exec_env.include("production"));
    }

    #[test]
    fn command_refused() {
        for text in ["command = []", "command = 1", "command = [1]"] {
            let text = format!("type = 'web'\n{text}\nbuildpack-id = 'x'");
            let error = toml::from_str::<Process>(&text).unwrap_err();
            assert!(error.to_string().contains("line 2"), "{error}");
        }
    }
}
