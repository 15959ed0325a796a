//! Resolves the build plan of a group: every requirement has to have a provider that comes before or with it, and everything provided has to be required.
//!
//! Each buildpack may offer alternatives (`[[or]]`). All combinations are tried, the last buildpack's alternatives varying fastest. An optional buildpack that is in the way is
//! left out, but only in its last alternative.

use std::collections::{BTreeMap, BTreeSet};

use cnb_spec::build_plan::{PlanSections, Require};
use cnb_spec::group::GroupElement;
use cnb_spec::plan::{Plan, PlanEntry, Provider};

use super::transcript::Transcript;

/// A buildpack that passed.
pub(super) struct Candidate<'a> {
    pub(super) element: &'a GroupElement,
    pub(super) optional: bool,
    pub(super) options: Vec<&'a PlanSections>,
}

/// A group whose needs are met.
pub(super) struct Resolved<'a> {
    pub(super) group: Vec<&'a GroupElement>,
    pub(super) plan: Plan,
}

/// A buildpack in one of its alternatives.
#[derive(Clone, Copy)]
struct Choice<'a> {
    element: &'a GroupElement,
    sections: &'a PlanSections,
    optional: bool,
}

/// One dependency's name in a plan under construction.
#[derive(Default)]
struct Entry<'a> {
    providers: Vec<&'a GroupElement>,
    /// Providers that nobody has required anything of yet.
    unused: Vec<&'a GroupElement>,
    /// Those who require it before anyone provides it.
    too_early: Vec<&'a GroupElement>,
    requires: Vec<&'a Require>,
}

/// Finds the first combination of alternatives that works.
pub(super) fn resolve<'a>(
    candidates: &[Candidate<'a>],
    transcript: &mut Transcript,
) -> Option<Resolved<'a>> {
    if candidates.is_empty() {
        transcript.debug("fail: no viable buildpacks in group");
        return None;
    }
    let mut tries = 0;
    resolve_from(candidates, &mut Vec::new(), &mut tries, transcript)
}

fn resolve_from<'a>(
    candidates: &[Candidate<'a>],
    chosen: &mut Vec<Choice<'a>>,
    tries: &mut u32,
    transcript: &mut Transcript,
) -> Option<Resolved<'a>> {
    let [candidate, rest @ ..] = candidates else {
        *tries += 1;
        transcript.debug(format_args!("Resolving plan... (try #{tries})"));
        return resolve_trial(chosen.clone(), transcript);
    };
    let last = candidate.options.len() - 1;
    for (at, sections) in candidate.options.iter().enumerate() {
        chosen.push(Choice {
            element: candidate.element,
            sections,
            optional: candidate.optional && at == last,
        });
        let resolved = resolve_from(rest, chosen, tries, transcript);
        chosen.pop();
        if resolved.is_some() {
            return resolved;
        }
    }
    None
}

/// Leaves optional buildpacks out until every need is met, or something that is not optional is in the way.
fn resolve_trial<'a>(
    mut trial: Vec<Choice<'a>>,
    transcript: &mut Transcript,
) -> Option<Resolved<'a>> {
    loop {
        let entries = entries_of(&trial);
        let unmet = entries.iter().flat_map(|(name, entry)| {
            let early = entry.too_early.iter();
            early.map(move |element| (*element, format!("requires {name}")))
        });
        let unused = entries.iter().flat_map(|(name, entry)| {
            let unused = entry.unused.iter();
            unused.map(move |element| (*element, format!("provides unused {name}")))
        });
        let mut left_out = BTreeSet::new();
        for (element, reason) in unmet.chain(unused) {
            let optional = trial
                .iter()
                .any(|choice| choice.element.id == element.id && choice.optional);
            if !optional {
                transcript.debug(format_args!("fail: {element} {reason}"));
                return None;
            }
            transcript.debug(format_args!("skip: {element} {reason}"));
            left_out.insert(element.id.clone());
        }
        if left_out.is_empty() {
            if trial.is_empty() {
                transcript.debug("fail: no viable buildpacks in group");
                return None;
            }
            let plan = plan_of(entries);
            let group = trial.iter().map(|choice| choice.element).collect();
            return Some(Resolved { group, plan });
        }
        trial.retain(|choice| !left_out.contains(&choice.element.id));
    }
}

fn entries_of<'a>(trial: &[Choice<'a>]) -> BTreeMap<&'a str, Entry<'a>> {
    let mut entries: BTreeMap<&str, Entry<'_>> = BTreeMap::new();
    for Choice {
        element, sections, ..
    } in trial
    {
        for provide in &sections.provides {
            entries
                .entry(&provide.name)
                .or_default()
                .unused
                .push(element);
        }
        for require in &sections.requires {
            let entry = entries.entry(&require.name).or_default();
            entry.providers.append(&mut entry.unused);
            if entry.providers.is_empty() {
                entry.too_early.push(element);
            } else {
                entry.requires.push(require);
            }
        }
    }
    entries
}

fn plan_of(entries: BTreeMap<&str, Entry<'_>>) -> Plan {
    let provider = |element: &GroupElement| Provider {
        id: element.id.clone(),
        version: element.version.clone(),
        extension: false,
    };
    let entry = |entry: Entry<'_>| PlanEntry {
        providers: entry.providers.into_iter().map(provider).collect(),
        requires: entry.requires.into_iter().cloned().collect(),
    };
    Plan {
        entries: entries.into_values().map(entry).collect(),
    }
}

#[cfg(test)]
mod tests {
    use cnb_spec::build_plan::BuildPlan;

    use super::*;

    /// Resolves buildpacks given as (id, optional, plan); returns the group, or the transcript of the failure.
    fn resolved(list: &[(&str, bool, &str)]) -> Result<(Vec<String>, Plan), String> {
        let parsed: Vec<(GroupElement, bool, BuildPlan)> = list
            .iter()
            .map(|&(id, optional, plan)| {
                let element = GroupElement {
                    id: id.parse().unwrap(),
                    version: "1".parse().unwrap(),
                    api: "0.10".into(),
                    homepage: String::new(),
                };
                (element, optional, toml::from_str(plan).unwrap())
            })
            .collect();
        let candidates: Vec<_> = parsed
            .iter()
            .map(|(element, optional, plan)| Candidate {
                element,
                optional: *optional,
                options: plan.options().collect(),
            })
            .collect();
        let mut transcript = Transcript::default();
        match resolve(&candidates, &mut transcript) {
            Some(Resolved { group, plan }) => {
                let ids = group.iter().map(|element| element.id.to_string());
                Ok((ids.collect(), plan))
            }
            None => Err(transcript.text()),
        }
    }

    const PROVIDES: &str = "provides = [{name = 'x'}]";
    const REQUIRES: &str = "requires = [{name = 'x'}]";
    const BOTH: &str = "provides = [{name = 'x'}]\nrequires = [{name = 'x'}]";

    #[test]
    fn resolve_groups() {
        for (list, expected, why) in [
            (
                &[("a", false, ""), ("b", false, "")][..],
                Some(&["a", "b"][..]),
                "no needs",
            ),
            (
                &[("a", false, PROVIDES), ("b", false, REQUIRES)],
                Some(&["a", "b"]),
                "met",
            ),
            (
                &[("a", false, REQUIRES), ("b", false, PROVIDES)],
                None,
                "the wrong way round",
            ),
            (&[("a", false, PROVIDES)], None, "provided for nobody"),
            (&[("a", false, BOTH)], Some(&["a"]), "for itself"),
            (
                &[("a", true, PROVIDES), ("b", false, "")],
                Some(&["b"]),
                "optional and unused",
            ),
            (
                &[("a", false, ""), ("b", true, REQUIRES)],
                Some(&["a"]),
                "optional and unmet",
            ),
            (
                &[
                    ("a", true, PROVIDES),
                    ("b", true, "requires = [{name = 'x'}, {name = 'y'}]"),
                    ("c", false, ""),
                ],
                Some(&["c"]),
                "leaving b out leaves a unused",
            ),
            (&[("a", true, PROVIDES)], None, "nobody is left"),
            (&[], None, "nobody was there"),
        ] {
            let found = resolved(list).ok().map(|(group, _)| group);
            let expected = expected.map(|ids| ids.iter().map(ToString::to_string).collect());
            assert_eq!(found, expected, "{why}");
        }
    }

    #[test]
    fn resolve_alternatives_left_to_right() {
        let list = [
            (
                "a",
                false,
                "provides = [{name = 'x'}]\n[[or]]\nprovides = [{name = 'y'}]\n[[or]]\n",
            ),
            (
                "b",
                true,
                "requires = [{name = 'y'}]\n[[or]]\nrequires = [{name = 'z'}]",
            ),
        ];
        let (group, plan) = resolved(&list).unwrap();
        assert_eq!(group, ["a", "b"]);
        assert_eq!(plan.entries[0].requires[0].name, "y");
    }

    #[test]
    fn resolve_optional_only_in_its_last_alternative() {
        let list = [
            ("a", false, ""),
            (
                "b",
                true,
                "requires = [{name = 'x'}]\n[[or]]\nprovides = [{name = 'y'}]\nrequires = [{name = 'y'}]",
            ),
        ];
        let (group, plan) = resolved(&list).unwrap();
        assert_eq!(
            group,
            ["a", "b"],
            "the second alternative is met, so b stays"
        );
        assert_eq!(plan.entries.len(), 1);
    }

    #[test]
    fn resolve_failure_says_why() {
        let found = resolved(&[("a", false, PROVIDES), ("b", true, "")]).unwrap_err();
        assert_eq!(
            found,
            "Resolving plan... (try #1)\nfail: a@1 provides unused x\n"
        );
    }

    #[test]
    fn resolve_plan_keeps_every_require_and_provider() {
        let list = [
            ("a", false, PROVIDES),
            ("b", false, PROVIDES),
            (
                "c",
                false,
                "requires = [{name = 'x', metadata = {v = 1}}, {name = 'x'}]",
            ),
        ];
        let (_, plan) = resolved(&list).unwrap();
        let [entry] = &plan.entries[..] else {
            panic!("one entry")
        };
        let providers: Vec<_> = entry.providers.iter().map(|p| p.id.as_str()).collect();
        assert_eq!(providers, ["a", "b"]);
        assert_eq!(entry.requires.len(), 2);
    }
}
