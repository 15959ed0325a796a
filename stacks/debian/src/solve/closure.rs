//! What of the solver's answer is needed, and by whom: a walk from the requests along the dependencies.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    name::PackageName,
    relation::{Group, Relations},
    universe::{CandidateId, Universe},
};

use super::{Field, Reason, Recommends, Request};

/// The packages that can be reached, each with the first reason found: the shortest chain, since the walk is breadth first.
pub(crate) fn reasons(
    universe: &Universe,
    requests: &[Request],
    chosen: &[CandidateId],
    recommends: Recommends,
) -> BTreeMap<PackageName, Reason> {
    let chosen = Chosen::new(universe, chosen);
    let mut reasons = BTreeMap::new();
    let mut queue = VecDeque::new();
    for request in requests {
        if let Some(id) = chosen.satisfier(&Group(vec![request.0.clone()])) {
            visit(
                universe,
                id,
                Reason::Requested(request.to_string()),
                &mut reasons,
                &mut queue,
            );
        }
    }
    walk(universe, &chosen, recommends, &mut reasons, &mut queue);
    for installed in universe.installed() {
        if let Some(id) = chosen.by_name.get(installed.name.as_str()) {
            visit(universe, *id, Reason::Installed, &mut reasons, &mut queue);
        }
    }
    walk(
        universe,
        &chosen,
        Recommends::Leave,
        &mut reasons,
        &mut queue,
    );
    reasons
}

fn walk(
    universe: &Universe,
    chosen: &Chosen<'_>,
    recommends: Recommends,
    reasons: &mut BTreeMap<PackageName, Reason>,
    queue: &mut VecDeque<CandidateId>,
) {
    while let Some(id) = queue.pop_front() {
        for (field, group) in needs(universe, id, recommends) {
            if let Some(satisfier) = chosen.satisfier(&group) {
                let by = universe.name(id).clone();
                let reason = Reason::Needed {
                    by,
                    field,
                    relation: group.to_string(),
                };
                visit(universe, satisfier, reason, reasons, queue);
            }
        }
    }
}

fn visit(
    universe: &Universe,
    id: CandidateId,
    reason: Reason,
    reasons: &mut BTreeMap<PackageName, Reason>,
    queue: &mut VecDeque<CandidateId>,
) {
    let name = universe.name(id);
    if !reasons.contains_key(name) {
        reasons.insert(name.clone(), reason);
        queue.push_back(id);
    }
}

/// The groups a package needs, Pre-Depends first. Fields that cannot be read were the solver's business already.
pub(crate) fn needs(
    universe: &Universe,
    id: CandidateId,
    recommends: Recommends,
) -> Vec<(Field, Group)> {
    let relations = universe.relations(id);
    let mut fields = vec![
        (Field::PreDepends, &relations.pre_depends),
        (Field::Depends, &relations.depends),
    ];
    if recommends == Recommends::Install {
        fields.push((Field::Recommends, &relations.recommends));
    }
    let mut needs = Vec::new();
    for (field, text) in fields {
        let parsed = text
            .as_deref()
            .and_then(|text| text.parse::<Relations>().ok())
            .unwrap_or_default();
        needs.extend(parsed.0.into_iter().map(|group| (field, group)));
    }
    needs
}

/// For every recommendation that nothing chosen meets, its best package; none if there is nothing new to wish for.
pub(crate) fn missing_recommendations(
    universe: &Universe,
    chosen: &[CandidateId],
    reasons: &BTreeMap<PackageName, Reason>,
    wished: &[CandidateId],
) -> Option<Vec<CandidateId>> {
    let index = Chosen::new(universe, chosen);
    let mut wishes = Vec::new();
    for id in chosen
        .iter()
        .filter(|id| !universe.is_installed(**id) && reasons.contains_key(universe.name(**id)))
    {
        for (field, group) in needs(universe, *id, Recommends::Install) {
            if field != Field::Recommends || index.satisfier(&group).is_some() {
                continue;
            }
            let best = group
                .0
                .iter()
                .flat_map(|relation| universe.satisfiers(relation))
                .next();
            wishes.extend(best.filter(|id| !wished.contains(id)));
        }
    }
    wishes.sort();
    wishes.dedup();
    Some(wishes).filter(|wishes| !wishes.is_empty())
}

/// The solver's answer by name.
pub(crate) struct Chosen<'a> {
    universe: &'a Universe,
    pub(crate) by_name: BTreeMap<&'a str, CandidateId>,
}

impl<'a> Chosen<'a> {
    pub(crate) fn new(universe: &'a Universe, chosen: &[CandidateId]) -> Self {
        let by_name = chosen
            .iter()
            .map(|id| (universe.name(*id).as_str(), *id))
            .collect();
        Self { universe, by_name }
    }

    /// The first of the group's satisfiers that was chosen.
    pub(crate) fn satisfier(&self, group: &Group) -> Option<CandidateId> {
        let is_chosen =
            |id: &CandidateId| self.by_name.get(self.universe.name(*id).as_str()) == Some(id);
        group
            .0
            .iter()
            .flat_map(|relation| self.universe.satisfiers(relation))
            .find(is_chosen)
    }
}
