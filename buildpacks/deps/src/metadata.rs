//! What the buildpack remembers of a build: the inputs that decide what is installed, and what was installed.
//!
//! This ends in the image's labels, so it holds no secret, no path of the machine, and no time: the same inputs give the same bytes.

use crate::installed::Distribution;
use buildpack_kit::layers::Restore;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts up when this buildpack makes environments in another way.
pub(crate) const RECIPE: u32 = 1;

/// The environment layer's metadata; also kept in `store.toml`, which survives a lost cache.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvironmentMetadata {
    pub(crate) inputs: Inputs,
    pub(crate) packages: Vec<Distribution>,
    /// When the next build will not look into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) restore: Option<Restore>,
}

/// Everything that decides what the environment holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inputs {
    pub(crate) recipe: u32,
    /// `3.13.5`
    pub(crate) python: String,
    /// `Debian 13 (trixie)`
    pub(crate) python_source: String,
    /// `uv 0.13.8`, or `pip`
    pub(crate) installer: String,
    /// `linux amd64, debian 13`
    pub(crate) target: String,
    /// Digest of indexes and what may be taken from them.
    pub(crate) sources: String,
    /// Requirements files and their digests.
    pub(crate) files: BTreeMap<String, String>,
    /// Local packages and their digests.
    pub(crate) locals: BTreeMap<String, String>,
    /// Variables in requirements files and digests of their values.
    pub(crate) variables: BTreeMap<String, String>,
}

/// What differs between two builds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// One line each, for the log.
    pub(crate) reasons: Vec<String>,
    /// Whether the user's wishes changed, so that versions which nobody pinned may move.
    pub(crate) wishes_changed: bool,
}

impl Inputs {
    /// What is different now.
    pub(crate) fn changes_to(&self, now: &Self) -> Changes {
        let Self {
            recipe,
            python,
            python_source,
            installer,
            target,
            sources,
            files,
            locals,
            variables,
        } = self;
        let mut changes = Changes::default();
        let mut wish = |reasons: Vec<String>| {
            changes.wishes_changed |= !reasons.is_empty();
            changes.reasons.extend(reasons);
        };
        wish(map_changes("", files, &now.files));
        wish(map_changes("the local package ", locals, &now.locals));
        wish(map_changes("the variable ", variables, &now.variables));
        if *sources != now.sources {
            wish(vec![
                "the package indexes or their options changed".to_owned(),
            ]);
        }
        if minor(python) != minor(&now.python) {
            wish(vec![changed("Python", python, &now.python)]);
        } else if *python != now.python {
            changes.reasons.push(changed("Python", python, &now.python));
        }
        if *python_source != now.python_source {
            changes.reasons.push(changed(
                "Python's source",
                python_source,
                &now.python_source,
            ));
        }
        if *installer != now.installer {
            changes
                .reasons
                .push(changed("the installer", installer, &now.installer));
        }
        if *target != now.target {
            changes
                .reasons
                .push(changed("the target", target, &now.target));
        }
        if *recipe != now.recipe {
            changes
                .reasons
                .push("this version of Longshore makes environments differently".to_owned());
        }
        changes
    }
}

fn changed(what: &str, before: &str, now: &str) -> String {
    format!("{what} changed from {before} to {now}")
}

fn minor(version: &str) -> String {
    version.split('.').take(2).collect::<Vec<_>>().join(".")
}

fn map_changes(
    what: &str,
    before: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut reasons = Vec::new();
    for (name, digest) in before {
        match now.get(name) {
            None => reasons.push(format!("{what}'{name}' is no longer used")),
            Some(other) if other != digest => reasons.push(format!("{what}'{name}' changed")),
            Some(_) => {}
        }
    }
    for name in now.keys().filter(|name| !before.contains_key(*name)) {
        reasons.push(format!("{what}'{name}' is new"));
    }
    reasons
}

/// The wheel cache's metadata. It never reaches the image, so it may hold a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WheelsMetadata {
    /// When the versions that nobody pinned were chosen.
    pub(crate) resolved: String,
    /// When the next build will not want it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) restore: Option<Restore>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn inputs() -> Inputs {
        Inputs {
            recipe: RECIPE,
            python: "3.13.5".into(),
            python_source: "Debian 13 (trixie)".into(),
            installer: "uv 0.13.8".into(),
            target: "linux amd64, debian 13".into(),
            sources: "s".into(),
            files: [("requirements.txt", "a"), ("base.txt", "b")]
                .map(|(name, digest)| (name.into(), digest.into()))
                .into(),
            locals: BTreeMap::new(),
            variables: BTreeMap::new(),
        }
    }

    #[test]
    fn changes_to_same() {
        assert_eq!(inputs().changes_to(&inputs()), Changes::default());
    }

    #[test]
    fn changes_to_every_input() {
        type Change = fn(&mut Inputs);
        let cases: [(Change, &str, bool); 12] = [
            (
                |now| drop(now.files.insert("requirements.txt".into(), "z".into())),
                "'requirements.txt' changed",
                true,
            ),
            (
                |now| drop(now.files.remove("base.txt")),
                "'base.txt' is no longer used",
                true,
            ),
            (
                |now| drop(now.files.insert("x.txt".into(), "z".into())),
                "'x.txt' is new",
                true,
            ),
            (
                |now| drop(now.locals.insert("./pkg".into(), "z".into())),
                "the local package './pkg' is new",
                true,
            ),
            (
                |now| drop(now.variables.insert("V".into(), "z".into())),
                "the variable 'V' is new",
                true,
            ),
            (
                |now| now.sources = "t".into(),
                "the package indexes or their options changed",
                true,
            ),
            (
                |now| now.python = "3.12.9".into(),
                "Python changed from 3.13.5 to 3.12.9",
                true,
            ),
            (
                |now| now.python = "3.13.6".into(),
                "Python changed from 3.13.5 to 3.13.6",
                false,
            ),
            (
                |now| now.python_source = "x".into(),
                "Python's source changed from Debian 13 (trixie) to x",
                false,
            ),
            (
                |now| now.installer = "pip".into(),
                "the installer changed from uv 0.13.8 to pip",
                false,
            ),
            (
                |now| now.target = "linux arm64, debian 13".into(),
                "the target changed from linux amd64, debian 13 to linux arm64, debian 13",
                false,
            ),
            (
                |now| now.recipe = 0,
                "this version of Longshore makes environments differently",
                false,
            ),
        ];
        for (change, reason, wishes_changed) in cases {
            let mut now = inputs();
            change(&mut now);
            let expected = Changes {
                reasons: vec![reason.into()],
                wishes_changed,
            };
            assert_eq!(inputs().changes_to(&now), expected);
        }
    }
}
