//! `order.toml` and `system.toml`: the groups of buildpacks that detection tries, and those that the builder adds to every group.
//!
//! ```toml
//! [[order]]
//! [[order.group]]
//! id = "longshore/python-app"
//! version = "0.1.0"
//! optional = false
//! ```

use serde::Deserialize;

use crate::exec_env::ExecEnvs;
use crate::id::{BuildpackId, BuildpackVersion};

/// The whole file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Order {
    /// The groups, first choice first.
    #[serde(default)]
    pub order: Vec<OrderGroup>,
    /// Groups of image extensions.
    #[serde(default)]
    pub order_extensions: Vec<OrderGroup>,
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct OrderGroup {
    /// Its buildpacks, in the order of the build.
    #[serde(default)]
    pub group: Vec<OrderEntry>,
}

/// A buildpack of a group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct OrderEntry {
    /// Which one.
    pub id: BuildpackId,
    /// In which version.
    pub version: BuildpackVersion,
    /// Does the group pass without it?
    #[serde(default)]
    pub optional: bool,
    /// The execution environments in which it is part of the group (Platform API 0.15).
    #[serde(default)]
    pub exec_env: ExecEnvs,
}

/// `system.toml` (Platform API 0.15).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct SystemToml {
    /// Its only table.
    #[serde(default)]
    pub system: System,
}

/// `[system]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct System {
    /// At the front of every group.
    #[serde(default)]
    pub pre: SystemBuildpacks,
    /// At the end of every group.
    #[serde(default)]
    pub post: SystemBuildpacks,
}

/// `[system.pre]` or `[system.post]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct SystemBuildpacks {
    /// In order.
    #[serde(default)]
    pub buildpacks: Vec<OrderEntry>,
}

impl System {
    /// The group with the system's buildpacks around it. One that the group has already is not added.
    pub fn around(&self, group: &OrderGroup) -> OrderGroup {
        let missing = |entry: &&OrderEntry| group.group.iter().all(|other| other.id != entry.id);
        let pre = self.pre.buildpacks.iter().filter(missing);
        let post = self.post.buildpacks.iter().filter(missing);
        OrderGroup {
            group: pre.chain(&group.group).chain(post).cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn system_around_skips_what_is_there() {
        let order: Order = toml::from_str(
            "[[order]]\n[[order.group]]\nid = 'a'\nversion = '1'\noptional = true\n[[order.group]]\nid = 'b'\nversion = '1'",
        )
        .unwrap();
        let system: SystemToml = toml::from_str(
            "[[system.pre.buildpacks]]\nid = 'first'\nversion = '1'\n[[system.post.buildpacks]]\nid = 'a'\nversion = '2'\n[[system.post.buildpacks]]\nid = 'last'\nversion = '1'",
        )
        .unwrap();
        let found = system.system.around(&order.order[0]);
        let ids: Vec<_> = found.group.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(ids, ["first", "a", "b", "last"]);
    }

    #[test]
    fn order_refuses_paths() {
        let text = "[[order]]\n[[order.group]]\nid = 'a'\nversion = '../x'";
        let error = toml::from_str::<Order>(text).unwrap_err().to_string();
        assert!(error.contains("line 4"), "{error}");
    }
}
