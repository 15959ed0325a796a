//! `build.toml` and `store.toml`, which a buildpack's `bin/build` writes beside its layers.

use serde::{Deserialize, Serialize};

use crate::bom::BomEntry;
use crate::plan::BuildpackPlan;

/// `build.toml`: which entries of its plan the buildpack did not provide.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct BuildToml {
    /// What it leaves to the next provider.
    #[serde(default)]
    pub unmet: Vec<Unmet>,
    /// The old bill of materials.
    #[serde(default)]
    pub bom: Vec<BomEntry>,
}

/// `[[unmet]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Unmet {
    /// Of a plan entry.
    #[serde(default)]
    pub name: String,
}

/// `store.toml`: data that a buildpack keeps from build to build.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StoreToml {
    /// Anything.
    #[serde(default)]
    pub metadata: toml::Table,
}

impl BuildToml {
    /// The names of the plan's entries that the buildpack provided: all that are not unmet.
    pub fn met(&self, plan: &BuildpackPlan) -> Result<Vec<String>, BuildTomlError> {
        for Unmet { name } in &self.unmet {
            if name.is_empty() {
                return Err(BuildTomlError::UnmetWithoutName);
            }
            if plan.entries.iter().all(|entry| entry.name != *name) {
                return Err(BuildTomlError::UnmetNotAsked { name: name.clone() });
            }
        }
        let names = plan.entries.iter().map(|entry| entry.name.clone());
        Ok(names
            .filter(|name| self.unmet.iter().all(|unmet| unmet.name != *name))
            .collect())
    }
}

/// What is wrong with a `build.toml`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildTomlError {
    /// `[[unmet]]` with no name.
    #[error("unmet.name is required")]
    UnmetWithoutName,
    /// `[[unmet]]` with a name that is not in the plan.
    #[error("unmet.name '{name}' must match a requested dependency")]
    UnmetNotAsked {
        /// The name.
        name: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_toml_met() {
        let plan: BuildpackPlan =
            toml::from_str("entries = [{name = 'a'}, {name = 'b'}, {name = 'a'}]").unwrap();
        let met = |text: &str| toml::from_str::<BuildToml>(text).unwrap().met(&plan);
        assert_eq!(met("").unwrap(), ["a", "b", "a"]);
        assert_eq!(met("unmet = [{name = 'a'}]").unwrap(), ["b"]);
        assert_eq!(met("unmet = [{}]"), Err(BuildTomlError::UnmetWithoutName));
        assert_eq!(
            met("unmet = [{name = 'c'}]").unwrap_err().to_string(),
            "unmet.name 'c' must match a requested dependency"
        );
    }
}
