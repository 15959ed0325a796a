//! Debian's relations in the terms of the solver resolvo.
//!
//! resolvo chooses at most one *solvable* (a version) of each *name* and knows requirements ("one of these sets of solvables")
//! and constraints ("if this name is chosen, then from this set"). A relation becomes a union of sets, one for each
//! package name that satisfies it, virtual packages written out; a conflict becomes the set of what is left.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fmt::{self, Display},
};

use resolvo::{
    Candidates, Condition, ConditionId, ConditionalRequirement, Dependencies, DependencyProvider,
    HintDependenciesAvailable, Interner, KnownDependencies, NameId, Requirement, SolvableId,
    SolverCache, StringId, VersionSetId, VersionSetUnionId,
};

use crate::{
    name::PackageName,
    relation::{Group, ParseRelationError, Relation, Relations},
    universe::{CandidateId, Universe},
};

pub(crate) struct Provider<'a> {
    universe: &'a Universe,
    names: Vec<&'a PackageName>,
    numbers: BTreeMap<&'a str, u32>,
    interned: RefCell<Interned>,
}

/// What is numbered while solving.
#[derive(Default)]
struct Interned {
    sets: Vec<Set>,
    unions: Vec<Vec<VersionSetId>>,
    strings: Vec<String>,
    /// Names that no package has; their numbers follow those of real names.
    unknown: Vec<String>,
}

/// Some versions of one package, and the words of the relation that selects them.
#[derive(Clone)]
struct Set {
    name: NameId,
    members: Vec<CandidateId>,
    text: String,
}

impl<'a> Provider<'a> {
    pub(crate) fn new(universe: &'a Universe) -> Self {
        let names: Vec<_> = universe.names().collect();
        let numbers = names
            .iter()
            .zip(0..)
            .map(|(name, number)| (name.as_str(), number))
            .collect();
        Self {
            universe,
            names,
            numbers,
            interned: RefCell::default(),
        }
    }

    pub(crate) fn solvable(id: CandidateId) -> SolvableId {
        SolvableId::from_raw(id.0)
    }

    pub(crate) fn universe(&self) -> &'a Universe {
        self.universe
    }

    pub(crate) fn candidate(id: SolvableId) -> CandidateId {
        CandidateId(id.into_raw())
    }

    /// One of the group's relations has to be satisfied.
    pub(crate) fn requirement(&self, group: &Group) -> Requirement {
        let mut sets: Vec<Set> = Vec::new();
        for relation in &group.0 {
            for id in self.universe.satisfiers(relation) {
                let name = self.name_id(id);
                match sets.iter_mut().find(|set| set.name == name) {
                    Some(set) if set.members.contains(&id) => {}
                    Some(set) => set.members.push(id),
                    None => sets.push(Set {
                        name,
                        members: vec![id],
                        text: group.to_string(),
                    }),
                }
            }
        }
        // An alternative that is installed comes first; otherwise the order of the field holds (the sort is stable).
        sets.sort_by_key(|set| !set.members.iter().any(|id| self.universe.is_installed(*id)));
        if sets.is_empty() {
            sets.push(Set {
                name: self.unknown_name(group),
                members: Vec::new(),
                text: group.to_string(),
            });
        }
        self.intern_requirement(sets)
    }

    /// The package of that installed name, in any version, not one that provides it.
    pub(crate) fn requirement_of_installed(&self, id: CandidateId) -> Requirement {
        let name = self.universe.name(id);
        let members = self.universe.candidates(name.as_str()).to_vec();
        self.intern_requirement(vec![Set {
            name: self.name_id(id),
            members,
            text: name.to_string(),
        }])
    }

    /// The words of the relation that a set stands for.
    pub(crate) fn set_text(&self, id: VersionSetId) -> String {
        self.set(id).text
    }

    /// Why a candidate was left out.
    pub(crate) fn reason(&self, id: StringId) -> String {
        self.interned
            .borrow()
            .strings
            .get(id.0 as usize)
            .cloned()
            .unwrap_or_default()
    }

    /// The words of a requirement.
    pub(crate) fn requirement_text(&self, requirement: Requirement) -> String {
        let first = match requirement {
            Requirement::Single(id) => Some(id),
            Requirement::Union(id) => self.version_sets_in_union(id).next(),
        };
        first.map(|id| self.set(id).text).unwrap_or_default()
    }

    fn intern_requirement(&self, sets: Vec<Set>) -> Requirement {
        let ids: Vec<_> = sets.into_iter().map(|set| self.intern_set(set)).collect();
        if let [only] = ids[..] {
            return Requirement::Single(only);
        }
        let mut interned = self.interned.borrow_mut();
        interned.unions.push(ids);
        Requirement::Union(VersionSetUnionId(interned.unions.len() as u32 - 1))
    }

    fn intern_set(&self, mut set: Set) -> VersionSetId {
        set.members.sort();
        let mut interned = self.interned.borrow_mut();
        interned.sets.push(set);
        VersionSetId(interned.sets.len() as u32 - 1)
    }

    fn name_id(&self, id: CandidateId) -> NameId {
        let number = self.numbers.get(self.universe.name(id).as_str());
        NameId::from_raw(*number.expect("every candidate's name is numbered"))
    }

    fn unknown_name(&self, group: &Group) -> NameId {
        let mut interned = self.interned.borrow_mut();
        interned.unknown.push(group.to_string());
        NameId::from_raw((self.names.len() + interned.unknown.len() - 1) as u32)
    }

    fn set(&self, id: VersionSetId) -> Set {
        self.interned
            .borrow()
            .sets
            .get(id.0 as usize)
            .cloned()
            .expect("sets are numbered by this provider")
    }

    fn known_dependencies(&self, id: CandidateId) -> Result<KnownDependencies, ParseRelationError> {
        let relations = self.universe.relations(id);
        let mut known = KnownDependencies::default();
        for text in [&relations.pre_depends, &relations.depends]
            .into_iter()
            .flatten()
        {
            for group in text.parse::<Relations>()?.0 {
                if self.universe.is_installed(id) && !self.is_met_by_installed(&group) {
                    // It was broken before we came. What is installed must not make every request fail.
                    continue;
                }
                let requirement = self.requirement(&group);
                known.requirements.push(ConditionalRequirement {
                    condition: None,
                    requirement,
                });
            }
        }
        for text in [&relations.conflicts, &relations.breaks]
            .into_iter()
            .flatten()
        {
            for group in text.parse::<Relations>()?.0 {
                group
                    .0
                    .iter()
                    .for_each(|relation| self.add_conflict(id, relation, &mut known));
            }
        }
        Ok(known)
    }

    fn is_met_by_installed(&self, group: &Group) -> bool {
        group.0.iter().any(|relation| {
            self.universe
                .satisfiers(relation)
                .iter()
                .any(|id| self.universe.is_installed(*id))
        })
    }

    /// Whoever satisfies the relation is excluded, except other versions of the package itself and itself as a provider
    /// (Debian policy 7.5): "Conflicts: mta, Provides: mta" means "only one of us".
    fn add_conflict(&self, id: CandidateId, relation: &Relation, known: &mut KnownDependencies) {
        let own_name = self.universe.name(id);
        let excluded = self.universe.satisfiers(relation);
        let mut by_name: BTreeMap<&PackageName, Vec<CandidateId>> = BTreeMap::new();
        for other in excluded {
            by_name
                .entry(self.universe.name(other))
                .or_default()
                .push(other);
        }
        for (name, excluded) in by_name {
            let both_installed = self.universe.is_installed(id)
                && excluded.iter().any(|id| self.universe.is_installed(*id));
            if name == own_name || both_installed {
                continue;
            }
            let candidates = self.universe.candidates(name.as_str()).iter().copied();
            let members: Vec<_> = candidates.filter(|id| !excluded.contains(id)).collect();
            let number = *self
                .numbers
                .get(name.as_str())
                .expect("every candidate's name is numbered");
            let set = Set {
                name: NameId::from_raw(number),
                members,
                text: relation.to_string(),
            };
            known.constrains.push(self.intern_set(set));
        }
    }

    fn intern_string(&self, text: String) -> StringId {
        let mut interned = self.interned.borrow_mut();
        interned.strings.push(text);
        StringId(interned.strings.len() as u32 - 1)
    }
}

impl Interner for Provider<'_> {
    type NameId = NameId;
    type SolvableId = SolvableId;

    fn display_solvable(&self, solvable: SolvableId) -> impl Display + '_ {
        let id = Self::candidate(solvable);
        format!("{} {}", self.universe.name(id), self.universe.version(id))
    }

    fn display_name(&self, name: NameId) -> impl Display + '_ {
        let number = name.into_raw() as usize;
        match self.names.get(number) {
            Some(name) => name.to_string(),
            None => self
                .interned
                .borrow()
                .unknown
                .get(number - self.names.len())
                .cloned()
                .unwrap_or_default(),
        }
    }

    fn display_version_set(&self, version_set: VersionSetId) -> impl Display + '_ {
        self.set_text(version_set)
    }

    fn display_string(&self, string_id: StringId) -> impl Display + '_ {
        self.reason(string_id)
    }

    fn version_set_name(&self, version_set: VersionSetId) -> NameId {
        self.set(version_set).name
    }

    fn solvable_name(&self, solvable: SolvableId) -> NameId {
        self.name_id(Self::candidate(solvable))
    }

    fn version_sets_in_union(
        &self,
        version_set_union: VersionSetUnionId,
    ) -> impl Iterator<Item = VersionSetId> {
        let sets = self
            .interned
            .borrow()
            .unions
            .get(version_set_union.0 as usize)
            .cloned();
        sets.unwrap_or_default().into_iter()
    }

    fn resolve_condition(&self, _condition: ConditionId) -> Condition {
        unreachable!("no requirement is given a condition")
    }
}

impl DependencyProvider for Provider<'_> {
    async fn filter_candidates(
        &self,
        candidates: &[SolvableId],
        version_set: VersionSetId,
        inverse: bool,
    ) -> Vec<SolvableId> {
        let members = self.set(version_set).members;
        let is_member = |id: &SolvableId| members.binary_search(&Self::candidate(*id)).is_ok();
        candidates
            .iter()
            .copied()
            .filter(|id| is_member(id) != inverse)
            .collect()
    }

    async fn get_candidates(&self, name: NameId) -> Option<Candidates<SolvableId>> {
        let name = self.names.get(name.into_raw() as usize)?;
        let ids = self.universe.candidates(name.as_str());
        Some(Candidates {
            candidates: ids.iter().map(|id| Self::solvable(*id)).collect(),
            favored: self
                .universe
                .installed_candidate(name.as_str())
                .map(Self::solvable),
            hint_dependencies_available: HintDependenciesAvailable::None,
            ..Candidates::default()
        })
    }

    async fn sort_candidates(&self, _solver: &SolverCache<Self>, solvables: &mut [SolvableId]) {
        // All are of one name; the universe knows their order.
        let Some(first) = solvables.first() else {
            return;
        };
        let order = self
            .universe
            .candidates(self.universe.name(Self::candidate(*first)).as_str());
        solvables.sort_by_key(|id| {
            order
                .iter()
                .position(|other| *other == Self::candidate(*id))
        });
    }

    async fn get_dependencies(&self, solvable: SolvableId) -> Dependencies {
        match self.known_dependencies(Self::candidate(solvable)) {
            Ok(known) => Dependencies::Known(known),
            Err(error) => Dependencies::Unknown(self.intern_string(error.to_string())),
        }
    }
}

impl fmt::Debug for Provider<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("names", &self.names.len())
            .finish_non_exhaustive()
    }
}
