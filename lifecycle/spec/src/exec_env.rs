//! Execution environments (`production`, `test`, `development`, …): which of them a buildpack or a process is for.
//!
//! Buildpack specification 0.12. The specification writes an array of tables with `name`, the reference implementation reads an array of strings; both are read here,
//! the latter is written. No list, or `*` in the list, means every environment.

use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The environment in which builds run and apps start unless `CNB_EXEC_ENV` says otherwise.
pub const DEFAULT_EXEC_ENV: &str = "production";

/// The environments that something is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ExecEnvs(Vec<String>);

impl ExecEnvs {
    /// The list as it was written.
    pub fn new(names: Vec<String>) -> Self {
        Self(names)
    }

    /// The names as they were written.
    pub fn names(&self) -> &[String] {
        &self.0
    }

    /// Is `environment` one of them?
    pub fn include(&self, environment: &str) -> bool {
        self.is_every() || self.0.iter().any(|name| name == environment)
    }

    /// Is there no list? A list of `*` means the same, but is written to files, since somebody wrote it.
    pub fn is_unsaid(&self) -> bool {
        self.0.is_empty()
    }

    /// Is there no restriction?
    pub fn is_every(&self) -> bool {
        self.0.is_empty() || self.0.iter().any(|name| name == "*")
    }
}

impl fmt::Display for ExecEnvs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_every() {
            return f.write_str("*");
        }
        f.write_str(&self.0.join(", "))
    }
}

impl<'de> Deserialize<'de> for ExecEnvs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ExecEnvsVisitor)
    }
}

struct ExecEnvsVisitor;

impl<'de> Visitor<'de> for ExecEnvsVisitor {
    type Value = ExecEnvs;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of execution environments: strings, or tables with `name`")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<ExecEnvs, A::Error> {
        let mut names = Vec::new();
        while let Some(Name(name)) = list.next_element()? {
            names.push(name);
        }
        Ok(ExecEnvs(names))
    }
}

/// One entry, in either form. Not an untagged enum: its error messages lose the line, and it makes the launcher bigger.
struct Name(String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NameVisitor)
    }
}

struct NameVisitor;

impl<'de> Visitor<'de> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an execution environment: a string, or a table with `name`")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Name, E> {
        Ok(Name(name.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Name, A::Error> {
        let mut found = None;
        while let Some(key) = table.next_key::<String>()? {
            match key.as_str() {
                "name" => found = Some(table.next_value()?),
                _ => {
                    table.next_value::<serde::de::IgnoredAny>()?;
                }
            }
        }
        found
            .map(Name)
            .ok_or_else(|| serde::de::Error::missing_field("name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    struct File {
        #[serde(default)]
        exec_env: ExecEnvs,
    }

    #[test]
    fn exec_envs_both_forms() {
        for text in [
            "exec-env = ['test', 'production']",
            "[[exec-env]]\nname = 'test'\n[[exec-env]]\nname = 'production'\nx = [1]",
        ] {
            let file: File = toml::from_str(text).unwrap();
            assert_eq!(
                file.exec_env,
                ExecEnvs::new(vec!["test".into(), "production".into()])
            );
            assert!(file.exec_env.include("test") && !file.exec_env.include("development"));
        }
    }

    #[test]
    fn exec_envs_every() {
        for text in ["", "exec-env = []", "exec-env = ['x', '*']"] {
            let file: File = toml::from_str(text).unwrap();
            assert!(file.exec_env.include("anything"), "{text}");
            assert_eq!(file.exec_env.is_unsaid(), !text.contains('*'), "{text}");
        }
        assert!(toml::from_str::<File>("exec-env = [1]").is_err());
    }
}
