//! Whether a build may look into a cached layer. One that it will not look into is left in the cache.
//!
//! A buildpack can say in its layer's metadata when it will not want the contents back: while the build plan, which is known before
//! anything is restored, asks for exactly what it asked for then. It names that entry of the plan:
//!
//! ```toml
//! [metadata.restore.unless]
//! name = "python-packages"
//! metadata = { wishes = "0a1b…" }
//! ```
//!
//! Then an empty folder stands in for the layer. Left empty, the layer is what it was; what is written into it becomes the layer.
//! A launch layer is left only where the previous image has the same one, which the new image takes over. Later buildpacks see a build
//! layer, so that one is left only if they are of the same namespace, whose buildpacks know about each other, and none of them asks for
//! more of the same name. Other lifecycles take all this for metadata like any other, and restore everything.

use cnb_spec::build_plan::Require;
use cnb_spec::group::{Group, GroupElement};
use cnb_spec::labels::LayerMetadata;
use cnb_spec::plan::Plan;

/// Whether the contents are needed. What the metadata does not say is needed.
pub(super) fn is_needed(
    owner: &GroupElement,
    layer: &LayerMetadata,
    plan: &Plan,
    group: &Group,
) -> bool {
    let unless = layer.data.pointer("/restore/unless");
    let unless = unless.and_then(|unless| serde_json::from_value::<Require>(unless.clone()).ok());
    let Some(unless) = unless else {
        return true;
    };
    let requires = plan.entries.iter().flat_map(|entry| &entry.requires);
    let (same, others): (Vec<_>, Vec<_>) = requires
        .filter(|require| require.name == unless.name)
        .partition(|require| **require == unless);
    same.is_empty() || (layer.build && (!others.is_empty() || strangers_follow(owner, group)))
}

/// Is there a buildpack of another namespace after this one?
fn strangers_follow(owner: &GroupElement, group: &Group) -> bool {
    let namespace = |element: &GroupElement| {
        let id = element.id.as_str();
        id.split_once('/')
            .map(|(namespace, _)| namespace.to_owned())
    };
    let own = namespace(owner);
    let mut later = group.group.iter().skip_while(|element| *element != owner);
    own.is_none() || later.any(|element| namespace(element) != own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: &str) -> GroupElement {
        GroupElement {
            id: id.parse().unwrap(),
            version: "1".parse().unwrap(),
            api: "0.10".into(),
            homepage: String::new(),
        }
    }

    #[test]
    fn is_needed_every_case() {
        let own = "[[entries.requires]]\nname = 'packages'\nmetadata = { wishes = 'a' }\n";
        let another = "[[entries.requires]]\nname = 'packages'\n";
        let plan = |requires: &[&str]| -> Plan {
            toml::from_str(&format!("[[entries]]\n{}", requires.concat())).unwrap()
        };
        let (alone, with_another) = (plan(&[own]), plan(&[own, another]));
        let ours = ["a/before", "us/deps", "us/hooks"];
        let with_stranger = ["us/deps", "them/collect"];
        for (build, unless, plan, group, expected) in [
            (false, Some("a"), &alone, &ours[..], false),
            (false, Some("a"), &with_another, &ours, false),
            (false, Some("a"), &alone, &with_stranger, false),
            (false, Some("b"), &alone, &ours, true),
            (false, None, &alone, &ours, true),
            (false, Some("a"), &Plan::default(), &ours, true),
            (true, Some("a"), &alone, &ours, false),
            (true, Some("a"), &with_another, &ours, true),
            (true, Some("a"), &alone, &with_stranger, true),
            (true, Some("b"), &alone, &ours, true),
        ] {
            let restore = unless.map(|wishes| {
                serde_json::json!({"unless": {"name": "packages", "metadata": {"wishes": wishes}}})
            });
            let layer = LayerMetadata {
                sha: String::new(),
                data: serde_json::json!({"resolved": "today", "restore": restore}),
                launch: build,
                build,
                cache: true,
            };
            let group = Group {
                group: group.iter().map(|id| element(id)).collect(),
                ..Group::default()
            };
            let found = is_needed(&element("us/deps"), &layer, plan, &group);
            assert_eq!(found, expected, "{build} {unless:?} {plan:?} {group:?}");
        }
    }
}
