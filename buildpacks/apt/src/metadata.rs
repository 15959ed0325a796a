//! What the cached layer remembers: from which inputs it was made, and what is in it.

use serde::{Deserialize, Serialize};

use buildpack_kit::stack::Stack;

/// Counts up whenever a change of this buildpack changes the layer's content.
const LAYOUT: u32 = 1;

/// The `[metadata]` of the layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    pub(crate) inputs: Inputs,
    /// Every package of the layer, sorted by name.
    pub(crate) packages: Vec<InLayer>,
    /// What unpacking could not do, a line each.
    pub(crate) left_undone: Vec<String>,
}

/// From what the layer was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Inputs {
    pub(crate) layout: u32,
    pub(crate) suite: String,
    pub(crate) components: Vec<String>,
    /// The digest of the run image's dpkg status.
    pub(crate) run_image: String,
    /// What was asked for, sorted.
    pub(crate) requests: Vec<String>,
}

/// A package in the layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct InLayer {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) architecture: String,
    pub(crate) sha256: String,
    /// Why it is there, in words.
    pub(crate) reason: String,
}

impl Inputs {
    pub(crate) fn new(stack: &Stack, mut requests: Vec<String>) -> Self {
        requests.sort();
        requests.dedup();
        Self {
            layout: LAYOUT,
            suite: stack.suite.clone(),
            components: stack.components.clone(),
            run_image: stack.status_digest.clone(),
            requests,
        }
    }

    /// What is different from the last build, in words that follow "because"; nothing where the layer can stay.
    pub(crate) fn changes_since(&self, last: &Self) -> Vec<String> {
        let Self {
            layout,
            suite,
            components,
            run_image,
            requests,
        } = last;
        let mut changes = Vec::new();
        if *layout != self.layout {
            changes.push("it was made by another version of Longshore".to_owned());
        }
        if *suite != self.suite {
            changes.push(format!(
                "the stack's Debian changed from {suite} to {}",
                self.suite
            ));
        }
        if *components != self.components {
            changes.push(format!(
                "the archive's areas changed from {} to {}",
                components.join(" "),
                self.components.join(" ")
            ));
        }
        if *run_image != self.run_image {
            changes.push("the run image's packages changed".to_owned());
        }
        let listed = |from: &[String], other: &[String]| {
            from.iter()
                .filter(|name| !other.contains(name))
                .cloned()
                .collect::<Vec<_>>()
        };
        let (added, removed) = (
            listed(&self.requests, requests),
            listed(requests, &self.requests),
        );
        if !added.is_empty() {
            changes.push(format!("the list has {} now", added.join(", ")));
        }
        if !removed.is_empty() {
            changes.push(format!("the list has {} no longer", removed.join(", ")));
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::Inputs;

    fn inputs(requests: &[&str]) -> Inputs {
        Inputs {
            layout: 1,
            suite: "trixie".into(),
            components: vec!["main".into()],
            run_image: "digest".into(),
            requests: requests.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn changes_since_none() {
        assert_eq!(
            inputs(&["a", "b"]).changes_since(&inputs(&["a", "b"])),
            Vec::<String>::new()
        );
    }

    #[test]
    fn changes_since_each() {
        let last = Inputs {
            layout: 0,
            suite: "bookworm".into(),
            components: vec![],
            run_image: "other".into(),
            ..inputs(&["a", "b"])
        };
        let expected = [
            "it was made by another version of Longshore",
            "the stack's Debian changed from bookworm to trixie",
            "the archive's areas changed from  to main",
            "the run image's packages changed",
            "the list has c, d now",
            "the list has b no longer",
        ];
        assert_eq!(inputs(&["a", "c", "d"]).changes_since(&last), expected);
    }
}
