//! What the buildpack remembers of a build. It ends in the image's labels: no path of the machine, no time, no secret.

use serde::{Deserialize, Serialize};

/// Counts up when this buildpack lays interpreters out in another way.
pub(crate) const RECIPE: u32 = 1;

/// The interpreter layer's metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PythonMetadata {
    pub(crate) inputs: Inputs,
    /// `3.13.5`
    pub(crate) version: String,
    /// `Debian trixie`
    pub(crate) source: String,
    /// `python3.13 3.13.5-2`
    pub(crate) packages: Vec<String>,
}

/// Everything that decides which interpreter it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inputs {
    pub(crate) recipe: u32,
    /// `3.13.5 from Debian trixie, else 3.13.18 from python-build-standalone`
    pub(crate) wanted: String,
    /// The digest of the run image's packages: what they lack is part of the layer.
    pub(crate) run_image: String,
    /// `linux amd64, debian 13`
    pub(crate) target: String,
}

impl Inputs {
    /// What is different now, a line each.
    pub(crate) fn changes_to(&self, now: &Self) -> Vec<String> {
        let Self {
            recipe,
            wanted,
            run_image,
            target,
        } = self;
        let mut reasons = Vec::new();
        if *wanted != now.wanted {
            reasons.push(format!(
                "what is wanted changed from '{wanted}' to '{}'",
                now.wanted
            ));
        }
        if *run_image != now.run_image {
            reasons.push("the run image's packages changed".to_owned());
        }
        if *target != now.target {
            reasons.push(format!(
                "the target changed from {target} to {}",
                now.target
            ));
        }
        if *recipe != now.recipe {
            reasons.push("this version of Longshore lays Python out differently".to_owned());
        }
        reasons
    }
}

/// The header layer's metadata.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HeadersMetadata {
    pub(crate) version: String,
    pub(crate) source: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_to_every_input() {
        let before = Inputs {
            recipe: RECIPE,
            wanted: "3.13.5 from Debian trixie".into(),
            run_image: "a".into(),
            target: "linux amd64, debian 13".into(),
        };
        assert!(before.changes_to(&before).is_empty());
        let now = Inputs {
            recipe: 0,
            wanted: "3.12.9 from python-build-standalone".into(),
            run_image: "b".into(),
            target: "linux amd64, debian 14".into(),
        };
        assert_eq!(
            before.changes_to(&now),
            [
                "what is wanted changed from '3.13.5 from Debian trixie' to '3.12.9 from python-build-standalone'",
                "the run image's packages changed",
                "the target changed from linux amd64, debian 13 to linux amd64, debian 14",
                "this version of Longshore lays Python out differently"
            ]
        );
    }
}
