//! All packages that there are to choose from: what the suites offer and what is installed.

use std::collections::BTreeMap;

use crate::{
    dpkg::InstalledPackage,
    name::{Architecture, PackageName},
    package::{Package, Priority, RelationTexts},
    relation::{Qualifier, Relation, Relations},
    version::Version,
};

/// One suite's packages.
#[derive(Debug, Clone)]
pub struct Suite {
    /// For people: `trixie`, `trixie-security`.
    pub name: String,
    /// False for suites such as backports, whose packages are taken only where nothing else will do (`NotAutomatic: yes`).
    pub automatic: bool,
    /// What it offers.
    pub packages: Vec<Package>,
}

/// The place of a package in a [`Universe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CandidateId(pub(crate) u32);

/// All packages that there are to choose from, for one architecture.
#[derive(Debug)]
pub struct Universe {
    pub(crate) architecture: Architecture,
    suites: Vec<(String, bool)>,
    offered: Vec<(Package, u32)>,
    installed: Vec<InstalledPackage>,
    /// The best first.
    by_name: BTreeMap<PackageName, Vec<CandidateId>>,
    /// Who provides a name, and as which version.
    providers: BTreeMap<PackageName, Vec<(CandidateId, Option<Version>)>>,
}

impl Universe {
    /// Puts suites together. Of the same version in two suites the one named first counts.
    pub fn new(
        architecture: Architecture,
        suites: Vec<Suite>,
        installed: Vec<InstalledPackage>,
    ) -> Self {
        let mut universe = Self {
            architecture,
            suites: Vec::new(),
            offered: Vec::new(),
            installed,
            by_name: BTreeMap::new(),
            providers: BTreeMap::new(),
        };
        for suite in suites {
            let number = universe.suites.len() as u32;
            universe.suites.push((suite.name, suite.automatic));
            universe
                .offered
                .extend(suite.packages.into_iter().map(|package| (package, number)));
        }
        universe.arrange();
        universe
    }

    fn arrange(&mut self) {
        let mut by_name: BTreeMap<PackageName, Vec<CandidateId>> = BTreeMap::new();
        let count = self.offered.len() + self.installed.len();
        for id in (0..count as u32).map(CandidateId) {
            let of_this_name = by_name.entry(self.name(id).clone()).or_default();
            // The same package in two suites, or installed and offered: one of them is enough.
            if let Some(same) = of_this_name
                .iter_mut()
                .find(|other| self.version(**other) == self.version(id))
            {
                if self.is_installed(id) {
                    *same = id;
                }
                continue;
            }
            of_this_name.push(id);
        }
        for ids in by_name.values_mut() {
            ids.sort_by(|a, b| {
                self.preference(*a)
                    .cmp(&self.preference(*b))
                    .then_with(|| self.version(*b).cmp(self.version(*a)))
            });
        }
        let mut providers: BTreeMap<PackageName, Vec<(CandidateId, Option<Version>)>> =
            BTreeMap::new();
        for id in by_name.values().flatten() {
            for (name, version) in self.provided_by(*id) {
                providers.entry(name).or_default().push((*id, version));
            }
        }
        self.by_name = by_name;
        self.providers = providers;
    }

    /// Installed before automatic before the rest; among equals the newest wins.
    fn preference(&self, id: CandidateId) -> u8 {
        match self.offered.get(id.0 as usize) {
            None => 0,
            Some((_, suite))
                if self
                    .suites
                    .get(*suite as usize)
                    .is_some_and(|(_, automatic)| *automatic) =>
            {
                1
            }
            Some(_) => 2,
        }
    }

    fn provided_by(&self, id: CandidateId) -> Vec<(PackageName, Option<Version>)> {
        let Some(text) = &self.relations(id).provides else {
            return Vec::new();
        };
        // A provision that cannot be read provides nothing; that is not the reader's problem until somebody needs it.
        let relations: Relations = text.parse().unwrap_or_default();
        relations
            .0
            .into_iter()
            .filter_map(|group| match <[Relation; 1]>::try_from(group.0) {
                Ok([relation]) => {
                    Some((relation.name, relation.version.map(|(_, version)| version)))
                }
                Err(_) => None,
            })
            .collect()
    }

    /// The package's name.
    pub fn name(&self, id: CandidateId) -> &PackageName {
        match self.find(id) {
            Ok((package, _)) => &package.name,
            Err(installed) => &installed.name,
        }
    }

    /// Its version.
    pub fn version(&self, id: CandidateId) -> &Version {
        match self.find(id) {
            Ok((package, _)) => &package.version,
            Err(installed) => &installed.version,
        }
    }

    /// The package, if it is one that a suite offers.
    pub fn offered(&self, id: CandidateId) -> Option<&Package> {
        self.find(id).ok().map(|(package, _)| package)
    }

    /// The suite it comes from, if it comes from one.
    pub fn suite(&self, id: CandidateId) -> Option<&str> {
        let (_, suite) = self.find(id).ok()?;
        self.suites
            .get(*suite as usize)
            .map(|(name, _)| name.as_str())
    }

    /// True if it is installed already.
    pub fn is_installed(&self, id: CandidateId) -> bool {
        self.find(id).is_err()
    }

    /// The newest version of each package for which `wanted` holds, by name: all essential ones, all of a priority.
    pub fn newest_where(&self, wanted: impl Fn(&Package) -> bool) -> Vec<PackageName> {
        let newest = |ids: &Vec<CandidateId>| ids.iter().find_map(|id| self.offered(*id));
        self.by_name
            .values()
            .filter_map(newest)
            .filter(|package| wanted(package))
            .map(|package| package.name.clone())
            .collect()
    }

    /// The versions that there are of a package, the best first.
    pub fn candidates(&self, name: &str) -> &[CandidateId] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The names of all packages that really exist.
    pub fn names(&self) -> impl Iterator<Item = &PackageName> {
        self.by_name.keys()
    }

    /// The packages that provide a virtual name.
    pub fn providers(&self, name: &str) -> Vec<&PackageName> {
        let ids = self.providers.get(name).map_or(&[][..], Vec::as_slice);
        let mut names: Vec<_> = ids.iter().map(|(id, _)| self.name(*id)).collect();
        names.sort();
        names.dedup();
        names
    }

    pub(crate) fn relations(&self, id: CandidateId) -> &RelationTexts {
        match self.find(id) {
            Ok((package, _)) => &package.relations,
            Err(installed) => &installed.relations,
        }
    }

    pub(crate) fn is_essential(&self, id: CandidateId) -> bool {
        match self.find(id) {
            Ok((package, _)) => package.essential,
            Err(installed) => installed.essential,
        }
    }

    pub(crate) fn priority(&self, id: CandidateId) -> Priority {
        self.offered(id)
            .map_or(Priority::Optional, |package| package.priority)
    }

    pub(crate) fn installed(&self) -> &[InstalledPackage] {
        &self.installed
    }

    /// The candidate that is installed under this name.
    pub(crate) fn installed_candidate(&self, name: &str) -> Option<CandidateId> {
        self.candidates(name)
            .iter()
            .copied()
            .find(|id| self.is_installed(*id))
    }

    fn find(&self, id: CandidateId) -> Result<&(Package, u32), &InstalledPackage> {
        let place = id.0 as usize;
        self.offered.get(place).ok_or_else(|| {
            self.installed
                .get(place - self.offered.len())
                .expect("ids are made by this universe, for packages it has")
        })
    }

    /// Who satisfies a relation, in order of preference: the package itself, then its providers.
    pub(crate) fn satisfiers(&self, relation: &Relation) -> Vec<CandidateId> {
        let foreign = match &relation.architecture {
            None | Some(Qualifier::Any | Qualifier::Native) => false,
            Some(Qualifier::Exactly(other)) => **other != *self.architecture.as_str(),
        };
        if foreign {
            return Vec::new();
        }
        let accepts = |version: Option<&Version>| match (&relation.version, version) {
            (None, _) => true,
            (Some((operator, bound)), Some(version)) => operator.accepts(version, bound),
            // Only a versioned provision satisfies a versioned relation (Debian policy 7.5).
            (Some(_), None) => false,
        };
        let name = relation.name.as_str();
        let mut found: Vec<_> = self
            .candidates(name)
            .iter()
            .copied()
            .filter(|id| accepts(Some(self.version(*id))))
            .collect();
        let providers = self.providers.get(name).map_or(&[][..], Vec::as_slice);
        let mut indirect: Vec<_> = providers
            .iter()
            .filter(|(_, version)| accepts(version.as_ref()))
            .map(|(id, _)| *id)
            .collect();
        indirect.retain(|id| !found.contains(id));
        // Stable: versions of one package stay in their order.
        indirect.sort_by_key(|id| {
            let installed = self.installed_candidate(self.name(*id).as_str()).is_some();
            (
                !installed,
                self.preference(*id) == 2,
                self.priority(*id),
                self.name(*id).clone(),
            )
        });
        indirect.dedup();
        found.extend(indirect);
        found
    }
}
