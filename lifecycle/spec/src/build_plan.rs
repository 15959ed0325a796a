//! The build plan of one buildpack: what its `bin/detect` provides and requires.
//!
//! ```toml
//! provides = [{ name = "python" }]
//! requires = [{ name = "python", metadata = { version = "3.13" } }]
//!
//! [[or]]
//! provides = [{ name = "python" }]
//! ```
//!
//! The top level is the first alternative, every `[[or]]` another one.

use serde::{Deserialize, Serialize};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct BuildPlan {
    /// The first alternative.
    #[serde(flatten)]
    pub first: PlanSections,
    /// The others, best first.
    #[serde(default, rename = "or")]
    pub alternatives: Vec<PlanSections>,
}

/// One alternative.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PlanSections {
    /// What the buildpack can provide.
    #[serde(default)]
    pub provides: Vec<Provide>,
    /// What it needs.
    #[serde(default)]
    pub requires: Vec<Require>,
}

/// `[[provides]]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Provide {
    /// Of a dependency.
    pub name: String,
}

/// `[[requires]]`; also an entry of the plan that `bin/build` gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Require {
    /// Of a dependency.
    pub name: String,
    /// Not allowed any more: `metadata.version` is used instead.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// What the provider should know.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub metadata: toml::Table,
}

/// TOML's floats keep `Eq` from being derived; two plans with `nan` in them are simply not equal.
impl Eq for Require {}

impl BuildPlan {
    /// All alternatives, the first one first.
    pub fn options(&self) -> impl Iterator<Item = &PlanSections> {
        std::iter::once(&self.first).chain(&self.alternatives)
    }

    /// Is anything in it that detection has to refuse? Buildpack API 0.3 removed `requires.version`.
    pub fn check(&self) -> Result<(), BuildPlanError> {
        let mut requires = self.options().flat_map(|option| &option.requires);
        match requires.find(|require| !require.version.is_empty()) {
            Some(require) if require.metadata.contains_key("version") => {
                Err(BuildPlanError::TwoVersions)
            }
            Some(_) => Err(BuildPlanError::Version),
            None => Ok(()),
        }
    }
}

/// Why a build plan is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildPlanError {
    /// `version` beside `metadata.version`.
    #[error(
        "has a \"version\" key and a \"metadata.version\" which cannot be specified together. \"metadata.version\" should be used instead"
    )]
    TwoVersions,
    /// `version`.
    #[error(
        "has a \"version\" key which is not supported. \"metadata.version\" should be used instead"
    )]
    Version,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_plan_alternatives() {
        let text = "provides = [{name = 'a'}]\n[[requires]]\nname = 'a'\n[requires.metadata]\nlaunch = true\n[[or]]\nrequires = [{name = 'b'}]\n[[or]]\n";
        let plan: BuildPlan = toml::from_str(text).unwrap();
        let found: Vec<_> = plan
            .options()
            .map(|option| (option.provides.len(), option.requires.len()))
            .collect();
        assert_eq!(found, [(1, 1), (0, 1), (0, 0)]);
        assert_eq!(
            plan.first.requires[0].metadata["launch"].as_bool(),
            Some(true)
        );
    }

    #[test]
    fn build_plan_check() {
        let check = |text: &str| toml::from_str::<BuildPlan>(text).unwrap().check();
        assert_eq!(check(""), Ok(()));
        assert_eq!(
            check("[[or]]\nrequires = [{name = 'a', version = '1'}]"),
            Err(BuildPlanError::Version)
        );
        assert_eq!(
            check("requires = [{name = 'a', version = '1', metadata = {version = '1'}}]"),
            Err(BuildPlanError::TwoVersions)
        );
    }
}
