//! Which crate may use which: the arrows of ARCHITECTURE.md, and who may use some crates of others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::steps::ChoreError;

/// The arrows as drawn. A crate may use what an arrow leads to, over any number of steps.
const ARROWS: &[(&str, &[&str])] = &[
    (
        "longshore",
        &[
            "phases",
            "lifecycle",
            "store",
            "stack",
            "buildpack-apt",
            "buildpack-python",
        ],
    ),
    (
        "longshore",
        &[
            "buildpack-deps",
            "buildpack-hooks",
            "buildpack-procfile",
            "registry",
            "daemon",
        ],
    ),
    ("phases", &["lifecycle", "registry", "daemon", "failpoint"]),
    ("lifecycle", &["cnb-spec", "oci-image", "failpoint"]),
    ("store", &["oci-image", "failpoint"]),
    ("stack", &["debian", "sandbox", "store", "oci-image"]),
    ("registry", &["oci-image", "fetch", "failpoint"]),
    ("daemon", &["oci-image", "fetch", "failpoint"]),
    ("debian", &["fetch", "oci-image"]),
    ("buildpack-apt", &["buildpack-kit"]),
    ("buildpack-python", &["buildpack-kit"]),
    ("buildpack-deps", &["buildpack-kit"]),
    ("buildpack-hooks", &["buildpack-kit"]),
    ("buildpack-procfile", &["buildpack-kit"]),
    ("buildpack-kit", &["debian", "fetch"]),
    ("launcher", &["cnb-spec"]),
    ("cnb-spec", &[]),
    ("oci-image", &[]),
    ("failpoint", &[]),
    ("fetch", &[]),
    ("sandbox", &[]),
    // The tests use the program as people do, and look at its images with their own eyes.
    ("test-registry", &["test-servers"]),
    ("test-servers", &["test-skip"]),
    ("e2e", &["test-skip", "test-servers"]),
    ("differential", &["test-skip", "test-servers"]),
    ("test-skip", &[]),
    ("xtask", &[]),
];

/// Crates of others that only some of ours may use, because the reason to have them is one crate's own subject.
const KEPT: &[(&str, &[&str])] = &[
    ("reqwest", &["fetch", "registry", "daemon"]),
    ("tokio", &["fetch", "registry", "daemon"]),
    ("hickory-resolver", &["fetch"]),
    ("resolvo", &["debian"]),
    ("pgp", &["debian"]),
    ("clap", &["longshore"]),
    ("indicatif", &["longshore"]),
];

/// Every arrow that is not drawn.
pub(super) fn broken(metadata: &Value) -> Result<Vec<String>, ChoreError> {
    let used = used(metadata).ok_or(ChoreError::Metadata)?;
    let ours: BTreeSet<&str> = used.keys().copied().collect();
    let mut broken = Vec::new();
    for (&package, dependencies) in &used {
        let allowed = reachable(package);
        if allowed.is_empty() && !ARROWS.iter().any(|(from, _)| *from == package) {
            broken.push(format!(
                "{package} has no arrows in ARCHITECTURE.md and xtask/src/tidy/arrows.rs"
            ));
        }
        for &dependency in dependencies {
            if ours.contains(dependency) && !allowed.contains(dependency) {
                broken.push(format!(
                    "{package} uses {dependency}, but ARCHITECTURE.md draws no arrow there"
                ));
            }
            let keepers = KEPT
                .iter()
                .find(|(name, _)| *name == dependency)
                .map(|(_, keepers)| *keepers);
            if keepers.is_some_and(|keepers| !keepers.contains(&package)) {
                broken.push(format!(
                    "{package} uses {dependency}, which is for {} alone",
                    keepers.unwrap_or_default().join(", ")
                ));
            }
        }
    }
    Ok(broken)
}

/// Every crate of ours and what it names in `[dependencies]` and `[build-dependencies]`.
fn used(metadata: &Value) -> Option<BTreeMap<&str, Vec<&str>>> {
    let mut used = BTreeMap::new();
    for package in metadata["packages"].as_array()? {
        let dependencies = package["dependencies"].as_array()?.iter();
        let shipped = dependencies.filter(|dependency| dependency["kind"].as_str() != Some("dev"));
        let names = shipped
            .map(|dependency| dependency["name"].as_str())
            .collect::<Option<Vec<_>>>()?;
        used.insert(package["name"].as_str()?, names);
    }
    Some(used)
}

/// Everything that arrows lead to from here.
fn reachable(from: &str) -> BTreeSet<&str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![from];
    while let Some(next) = open.pop() {
        let targets = ARROWS
            .iter()
            .filter(|(name, _)| *name == next)
            .flat_map(|(_, targets)| *targets);
        open.extend(targets.copied().filter(|target| reached.insert(*target)));
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
        let dependencies: Vec<Value> = dependencies
            .iter()
            .map(|(name, kind)| json!({"name": name, "kind": kind}))
            .collect();
        json!({"name": name, "dependencies": dependencies})
    }

    #[test]
    fn broken_arrow_back_and_kept_crate() {
        let metadata = json!({"packages": [
            package("store", &[("stack", None), ("oci-image", None), ("reqwest", None)]),
            package("stack", &[("fetch", None), ("longshore", Some("dev"))]),
            package("oci-image", &[]),
            package("fetch", &[("reqwest", None)]),
            package("longshore", &[]),
            package("stranger", &[]),
        ]});
        let expected = [
            "store uses stack, but ARCHITECTURE.md draws no arrow there",
            "store uses reqwest, which is for fetch, registry, daemon alone",
            "stranger has no arrows in ARCHITECTURE.md and xtask/src/tidy/arrows.rs",
        ];
        assert_eq!(broken(&metadata).unwrap(), expected);
    }

    #[test]
    fn reachable_no_arrow_leads_back() {
        for (from, _) in ARROWS {
            assert!(!reachable(from).contains(from), "a circle through {from}");
        }
    }
}
