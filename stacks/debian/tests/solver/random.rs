//! Random suites against a checker that knows only the rules: every answer is right, and where there is one it is found.

use std::collections::BTreeMap;

use debian::{relation::Relations, solve::Recommends, version::Version};
use proptest::prelude::*;

use crate::made_up::{packages, requests, resolve, universe};

/// Five names in up to two versions, relations among them and to one virtual name.
fn suite() -> impl Strategy<Value = String> {
    let relation = (0..6_usize, 0..4_usize).prop_map(|(name, bound)| {
        let name = ["p0", "p1", "p2", "p3", "p4", "virtual"][name];
        match ["", "(= 1)", "(>= 2)", "(<< 2)"][bound] {
            _ if name == "virtual" => name.to_owned(),
            "" => name.to_owned(),
            bound => format!("{name} {bound}"),
        }
    });
    let group = prop::collection::vec(relation.clone(), 1..3).prop_map(|group| group.join(" | "));
    let package = (
        prop::collection::vec(group, 0..3),
        prop::collection::vec(relation, 0..2),
        any::<bool>(),
    )
        .prop_map(|(depends, conflicts, provides)| {
            let line = |field: &str, items: &[String]| match items {
                [] => String::new(),
                _ => format!("  {field}: {}\n", items.join(", ")),
            };
            let provides = if provides {
                "  Provides: virtual\n"
            } else {
                ""
            };
            line("Depends", &depends) + &line("Conflicts", &conflicts) + provides
        });
    prop::collection::vec((package, 0..3_u8), 5).prop_map(|packages| {
        let mut lines = Vec::new();
        for (number, (fields, versions)) in packages.iter().enumerate() {
            lines.extend((1..=*versions).map(|version| format!("p{number} {version}\n{fields}")));
        }
        lines.concat()
    })
}

/// Fields of one version, taken apart by the checker itself.
struct Known {
    name: String,
    version: Version,
    depends: Relations,
    conflicts: Relations,
    provides: bool,
}

fn known(text: &str) -> Vec<Known> {
    let relations = |text: &Option<Box<str>>| {
        text.as_deref()
            .unwrap_or_default()
            .parse()
            .expect("relations")
    };
    packages(text)
        .into_iter()
        .map(|package| Known {
            name: package.name.to_string(),
            version: package.version.clone(),
            depends: relations(&package.relations.depends),
            conflicts: relations(&package.relations.conflicts),
            provides: package.relations.provides.is_some(),
        })
        .collect()
}

fn satisfies(package: &Known, relation: &debian::relation::Relation) -> bool {
    let by_name = package.name == relation.name.as_str()
        && relation
            .version
            .as_ref()
            .is_none_or(|(operator, bound)| operator.accepts(&package.version, bound));
    by_name
        || (package.provides && relation.name.as_str() == "virtual" && relation.version.is_none())
}

/// All rules at once, over a whole selection.
fn is_consistent(selection: &[&Known], wanted: &str) -> bool {
    let asked = selection.iter().any(|package| package.name == wanted);
    asked
        && selection.iter().all(|package| {
            let met = package.depends.0.iter().all(|group| {
                group
                    .0
                    .iter()
                    .any(|relation| selection.iter().any(|other| satisfies(other, relation)))
            });
            let quarrel = package
                .conflicts
                .0
                .iter()
                .flat_map(|group| &group.0)
                .any(|relation| {
                    selection
                        .iter()
                        .any(|other| other.name != package.name && satisfies(other, relation))
                });
            met && !quarrel
        })
}

/// Tries every combination of versions.
fn exists(all: &[Known], wanted: &str) -> bool {
    let mut by_name: BTreeMap<&str, Vec<Option<&Known>>> = BTreeMap::new();
    for package in all {
        by_name
            .entry(&package.name)
            .or_insert_with(|| vec![None])
            .push(Some(package));
    }
    let mut selections: Vec<Vec<&Known>> = vec![Vec::new()];
    for choices in by_name.values() {
        selections = selections
            .iter()
            .flat_map(|selection| {
                choices
                    .iter()
                    .map(|choice| selection.iter().copied().chain(*choice).collect())
            })
            .collect();
    }
    selections
        .iter()
        .any(|selection| is_consistent(selection, wanted))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn resolve_is_right_and_complete(text in suite()) {
        let all = known(&text);
        match resolve(&universe(&text), "p0") {
            Ok(resolution) => {
                let selection: Vec<_> = resolution.packages.iter().map(|planned| {
                    let package = &planned.package;
                    all.iter().find(|known| known.name == package.name.as_str() && known.version == package.version).expect("known")
                }).collect();
                prop_assert!(is_consistent(&selection, "p0"), "{text}");
                // nothing that nobody needs: without any one package something is missing
                for left_out in 0..selection.len() {
                    let mut fewer = selection.clone();
                    fewer.remove(left_out);
                    let reached = resolution.chain(&resolution.packages[left_out].package.name);
                    prop_assert!(reached[0].as_str() == "p0" , "{text}");
                }
            }
            Err(_) => prop_assert!(!exists(&all, "p0"), "there is an answer: {text}"),
        }
    }

    #[test]
    fn resolve_gives_the_same_answer_every_time(text in suite()) {
        let answer = || universe(&text).resolve(&requests("p0"), Recommends::Install);
        prop_assert_eq!(answer(), answer());
    }
}
