//! `plan.toml`: who provides what to whom, as the detector resolved it; and the part of it that one buildpack's `bin/build` gets.
//!
//! ```toml
//! [[entries]]
//!
//! [[entries.providers]]
//! id = "longshore/python"
//! version = "0.1.0"
//!
//! [[entries.requires]]
//! name = "python"
//! ```

use serde::{Deserialize, Serialize};

use crate::build_plan::Require;
use crate::id::{BuildpackId, BuildpackVersion};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// One a dependency's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<PlanEntry>,
}

/// `[[entries]]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanEntry {
    /// The buildpacks that can provide it, in the order of the build.
    #[serde(default)]
    pub providers: Vec<Provider>,
    /// What is asked of them; all of the same name.
    #[serde(default)]
    pub requires: Vec<Require>,
}

/// `[[entries.providers]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// Its id.
    pub id: BuildpackId,
    /// Its version.
    pub version: BuildpackVersion,
    /// Is it an image extension?
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub extension: bool,
}

/// The buildpack plan: the entries that one buildpack should provide. Given to `bin/build`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildpackPlan {
    /// What is asked of the buildpack.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<Require>,
}

impl Plan {
    /// What is asked of one buildpack.
    pub fn for_buildpack(&self, id: &BuildpackId) -> BuildpackPlan {
        let provides = |entry: &&PlanEntry| {
            let mut providers = entry.providers.iter();
            providers.any(|provider| provider.id == *id && !provider.extension)
        };
        let entries = self.entries.iter().filter(provides);
        BuildpackPlan {
            entries: entries.flat_map(|entry| entry.requires.clone()).collect(),
        }
    }

    /// Takes the entries out that a buildpack has met: later providers do not see them.
    pub fn remove_met(&mut self, names: &[String]) {
        self.entries
            .retain(|entry| !entry.requires.iter().any(|req| names.contains(&req.name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_for_buildpack_until_met() {
        let text = "[[entries]]\n\n[[entries.providers]]\nid = \"a\"\nversion = \"1\"\n\n[[entries.providers]]\nid = \"b\"\nversion = \"1\"\n\n[[entries.requires]]\nname = \"x\"\n\n[entries.requires.metadata]\nv = 1\n";
        let mut plan: Plan = toml::from_str(text).unwrap();
        assert_eq!(toml::to_string(&plan).unwrap(), text);
        let id = "b".parse().unwrap();
        let for_b = toml::to_string(&plan.for_buildpack(&id)).unwrap();
        assert_eq!(
            for_b,
            "[[entries]]\nname = \"x\"\n\n[entries.metadata]\nv = 1\n"
        );
        plan.remove_met(&["x".to_owned()]);
        assert_eq!(plan.for_buildpack(&id), BuildpackPlan::default());
    }
}
