//! Owners as data: who a tree's files belong to in the image, kept beside the tree.
//!
//! An ordinary user cannot give a file to root, set a capability on it, or keep a setuid file that other users of the machine
//! could start. So a tree on disk belongs to whoever made it; what differs stands here and comes back when the tree becomes a layer.

use crate::tree_path::TreePath;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

/// A user's and a group's number.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Owner {
    /// Root.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };

    /// An owner from its numbers.
    pub const fn new(uid: u32, gid: u32) -> Self {
        Self { uid, gid }
    }
}

/// A mode that the file on disk does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeDifference {
    /// The mode the file was given on disk. If it has another one later, somebody changed it, and that counts.
    pub on_disk: u32,
    /// The mode it has in the image.
    pub meant: u32,
}

/// What is known of one path beside what the file on disk says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The owner, where it is not the tree's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// The mode, where it is not the file's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ModeDifference>,
    /// Extended attributes by name, the values as hexadecimal digits (`security.capability` above all).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xattrs: BTreeMap<String, HexBytes>,
}

/// Bytes that are written as hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HexBytes(pub Vec<u8>);

impl From<HexBytes> for String {
    fn from(bytes: HexBytes) -> Self {
        hex::encode(bytes.0)
    }
}

impl TryFrom<String> for HexBytes {
    type Error = hex::FromHexError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        hex::decode(text).map(Self)
    }
}

/// The owners (and what else the disk cannot hold) of a tree's files. Only what differs from the default is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Owners {
    default: Owner,
    #[serde(default)]
    paths: BTreeMap<TreePath, Facts>,
}

impl Owners {
    /// Everything belongs to `default`.
    pub fn new(default: Owner) -> Self {
        Self {
            default,
            paths: BTreeMap::new(),
        }
    }

    /// Who owns what is not named.
    pub fn default_owner(&self) -> Owner {
        self.default
    }

    /// The owner of `path` in the image.
    pub fn owner(&self, path: &TreePath) -> Owner {
        self.paths
            .get(path)
            .and_then(|facts| facts.owner)
            .unwrap_or(self.default)
    }

    /// The mode (12 bits) of `path` in the image, given the mode of the file on disk.
    pub fn mode(&self, path: &TreePath, found_on_disk: u32) -> u32 {
        match self.paths.get(path).and_then(|facts| facts.mode) {
            Some(ModeDifference { on_disk, meant }) if on_disk == found_on_disk => meant,
            _ => found_on_disk,
        }
    }

    /// The extended attributes of `path` in the image.
    pub fn xattrs<'a>(
        &'a self,
        path: &TreePath,
    ) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let xattrs = self.paths.get(path).map(|facts| &facts.xattrs);
        xattrs
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), &value.0[..]))
    }

    /// All that is known of `path` alone.
    pub fn facts(&self, path: &TreePath) -> Option<&Facts> {
        self.paths.get(path)
    }

    /// Says that `path` is another name of the file `original`: the same owner, mode and attributes.
    pub fn copy_facts(&mut self, original: &TreePath, path: &TreePath) {
        match self.paths.get(original).cloned() {
            Some(facts) => self.paths.insert(path.clone(), facts),
            None => self.paths.remove(path),
        };
    }

    /// Says who owns `path`.
    pub fn set_owner(&mut self, path: &TreePath, owner: Owner) {
        let owner = (owner != self.default).then_some(owner);
        self.change(path, |facts| facts.owner = owner);
    }

    /// Says that `path` has the mode `on_disk` on disk and `meant` in the image.
    pub fn set_mode(&mut self, path: &TreePath, on_disk: u32, meant: u32) {
        let mode = (on_disk != meant).then_some(ModeDifference { on_disk, meant });
        self.change(path, |facts| facts.mode = mode);
    }

    /// Gives `path` an extended attribute.
    pub fn set_xattr(&mut self, path: &TreePath, name: &str, value: &[u8]) {
        self.change(path, |facts| {
            facts
                .xattrs
                .insert(name.to_owned(), HexBytes(value.to_vec()));
        });
    }

    /// Takes an extended attribute away.
    pub fn remove_xattr(&mut self, path: &TreePath, name: &str) {
        self.change(path, |facts| {
            facts.xattrs.remove(name);
        });
    }

    /// Forgets `path` and everything below it: it is no longer there.
    pub fn forget(&mut self, path: &TreePath) {
        let below: Vec<TreePath> = self.below(path).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.paths.remove(&path);
        }
    }

    /// Moves what is known of `from` and everything below it to `to`: the file was renamed.
    pub fn rename(&mut self, from: &TreePath, to: &TreePath) {
        let moved: Vec<(TreePath, Facts)> = self
            .below(from)
            .map(|(path, facts)| (path.clone(), facts.clone()))
            .collect();
        self.forget(from);
        self.forget(to);
        for (path, facts) in moved {
            if let Some(below) = path.strip_prefix(from) {
                self.paths.insert(to.join(&below), facts);
            }
        }
    }

    /// Adds what another record of the same default owner says; it wins.
    pub fn absorb(&mut self, other: Self) {
        let Self { default, paths } = other;
        for (path, facts) in paths {
            let owner = facts.owner.unwrap_or(default);
            self.paths.insert(
                path.clone(),
                Facts {
                    owner: None,
                    ..facts
                },
            );
            self.set_owner(&path, owner);
        }
    }

    /// What is known of `path` and below it, in the order of a walk.
    pub fn below<'a>(
        &'a self,
        folder: &'a TreePath,
    ) -> impl Iterator<Item = (&'a TreePath, &'a Facts)> {
        self.paths
            .range(folder.clone()..)
            .take_while(move |(path, _)| path.starts_with(folder))
    }

    /// Every path that differs from the default, in the order of a walk.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Facts)> {
        self.paths.iter()
    }

    fn change(&mut self, path: &TreePath, change: impl FnOnce(&mut Facts)) {
        match self.paths.entry(path.clone()) {
            Entry::Vacant(entry) => {
                let mut facts = Facts::default();
                change(&mut facts);
                if facts != Facts::default() {
                    entry.insert(facts);
                }
            }
            Entry::Occupied(mut entry) => {
                change(entry.get_mut());
                if *entry.get() == Facts::default() {
                    entry.remove();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        text.parse().unwrap()
    }

    #[test]
    fn mode_changed_on_disk_wins() {
        let mut owners = Owners::new(Owner::ROOT);
        owners.set_mode(&path("usr/bin/su"), 0o755, 0o4755);
        assert_eq!(owners.mode(&path("usr/bin/su"), 0o755), 0o4755);
        assert_eq!(owners.mode(&path("usr/bin/su"), 0o700), 0o700);
        assert_eq!(owners.mode(&path("usr/bin/other"), 0o700), 0o700);
    }

    #[test]
    fn set_back_to_default_forgets() {
        let mut owners = Owners::new(Owner::ROOT);
        owners.set_owner(&path("etc/shadow"), Owner::new(0, 42));
        owners.set_owner(&path("etc/shadow"), Owner::ROOT);
        assert_eq!(owners, Owners::new(Owner::ROOT));
    }

    #[test]
    fn json_form() {
        let mut owners = Owners::new(Owner::ROOT);
        owners.set_owner(&path("etc/shadow"), Owner::new(0, 42));
        owners.set_xattr(&path("usr/bin/ping"), "security.capability", &[1, 0xff]);
        let json = serde_json::to_string(&owners).unwrap();
        assert_eq!(
            json,
            r#"{"default":{"uid":0,"gid":0},"paths":{"etc/shadow":{"owner":{"uid":0,"gid":42}},"usr/bin/ping":{"xattrs":{"security.capability":"01ff"}}}}"#
        );
        assert_eq!(serde_json::from_str::<Owners>(&json).unwrap(), owners);
    }

    #[test]
    fn forget_rename_absorb() {
        let mut owners = Owners::new(Owner::ROOT);
        for name in ["a", "a/b", "a-b", "c"] {
            owners.set_owner(&path(name), Owner::new(1, 1));
        }
        owners.forget(&path("a"));
        assert_eq!(
            format!(
                "{:?}",
                owners.iter().map(|(path, _)| path).collect::<Vec<_>>()
            ),
            "[/a-b, /c]"
        );
        owners.rename(&path("c"), &path("d/e"));
        assert_eq!(owners.owner(&path("d/e")), Owner::new(1, 1));
        let mut other = Owners::new(Owner::new(5, 5));
        other.set_mode(&path("a-b"), 0o755, 0o4755);
        owners.absorb(other);
        assert_eq!(owners.owner(&path("a-b")), Owner::new(5, 5));
    }
}
