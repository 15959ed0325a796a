//! `buildpack.toml`: what a buildpack says about itself.
//!
//! A *component* buildpack has `bin/detect` and `bin/build`; a *composite* one has an `order` of other buildpacks instead.
//!
//! ```toml
//! api = "0.10"
//!
//! [buildpack]
//! id = "longshore/python"
//! version = "0.1.0"
//! sbom-formats = ["application/vnd.cyclonedx+json"]
//!
//! [[targets]]
//! os = "linux"
//! arch = "amd64"
//! ```

use serde::Deserialize;

use crate::exec_env::ExecEnvs;
use crate::id::{BuildpackId, BuildpackVersion};
use crate::order::OrderGroup;
use crate::target::{BuildpackTarget, Distro};

/// The whole file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct BuildpackToml {
    /// The Buildpack API, as text: a version that is not supported, or none, is an error of its own, with its own exit code.
    #[serde(default)]
    pub api: String,
    /// `[buildpack]`
    pub buildpack: BuildpackInfo,
    /// The groups of a composite buildpack.
    #[serde(default)]
    pub order: Vec<OrderGroup>,
    /// What it works for.
    #[serde(default)]
    pub targets: Vec<BuildpackTarget>,
    /// What it works for, as Buildpack APIs before 0.10 said it.
    #[serde(default)]
    pub stacks: Vec<Stack>,
}

/// `[buildpack]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BuildpackInfo {
    /// Its id.
    pub id: BuildpackId,
    /// Its version.
    pub version: BuildpackVersion,
    /// Its name for people.
    #[serde(default)]
    pub name: String,
    /// Where to read more.
    #[serde(default)]
    pub homepage: String,
    /// Does it want none of the user's variables in its environment?
    #[serde(default)]
    pub clear_env: bool,
    /// The media types of the SBOM files that it writes.
    #[serde(default)]
    pub sbom_formats: Vec<String>,
    /// The execution environments that it is for (Buildpack API 0.12).
    #[serde(default)]
    pub exec_env: ExecEnvs,
}

/// `[[stacks]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Stack {
    /// The stack's id, or `*`.
    pub id: String,
}

/// Are there programs for Linux in a buildpack's `bin` folder?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinuxPrograms {
    /// `bin/build` is there.
    Present,
    /// It is not.
    Absent,
}

impl BuildpackToml {
    /// The targets, or those that an older buildpack's stacks and files let us infer (Platform specification 0.12, "Target data").
    pub fn effective_targets(&self, programs: LinuxPrograms) -> Vec<BuildpackTarget> {
        if !self.targets.is_empty() {
            return self.targets.clone();
        }
        let linux = || BuildpackTarget {
            os: "linux".to_owned(),
            ..BuildpackTarget::default()
        };
        let inferred: Vec<_> = self
            .stacks
            .iter()
            .filter_map(|stack| match stack.id.as_str() {
                "*" => Some(BuildpackTarget::default()),
                "io.buildpacks.stacks.bionic" => Some(BuildpackTarget {
                    arch: "amd64".to_owned(),
                    distros: vec![Distro {
                        name: "ubuntu".to_owned(),
                        version: "18.04".to_owned(),
                    }],
                    ..linux()
                }),
                _ => None,
            })
            .collect();
        match programs {
            _ if !inferred.is_empty() => inferred,
            LinuxPrograms::Present => vec![linux()],
            LinuxPrograms::Absent => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LinuxPrograms::{Absent, Present};
    use super::*;

    fn parse(rest: &str) -> BuildpackToml {
        let text = format!("api = '0.9'\n{rest}\n[buildpack]\nid = 'a/b'\nversion = '1'\n");
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn effective_targets_cases() {
        let of = |rest: &str, programs| {
            let targets = parse(rest).effective_targets(programs);
            targets
                .iter()
                .map(|t| format!("{}/{}/{}", t.os, t.arch, t.distros.len()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            of("targets = [{os = 'linux', arch = 'arm64'}]", Absent),
            ["linux/arm64/0"]
        );
        assert_eq!(of("stacks = [{id = '*'}]", Absent), ["//0"]);
        assert_eq!(
            of("stacks = [{id = 'io.buildpacks.stacks.bionic'}]", Present),
            ["linux/amd64/1"]
        );
        assert_eq!(of("stacks = [{id = 'x'}]", Present), ["linux//0"]);
        assert_eq!(of("", Absent), [""; 0]);
    }

    #[test]
    fn buildpack_toml_everything_optional_is_optional() {
        let found = parse("");
        assert!(!found.buildpack.clear_env && found.buildpack.exec_env.is_every());
        assert!(toml::from_str::<BuildpackToml>("api = '0.9'").is_err());
        let without_api = toml::from_str::<BuildpackToml>("[buildpack]\nid = 'a'\nversion = '1'");
        assert_eq!(without_api.unwrap().api, "");
    }
}
