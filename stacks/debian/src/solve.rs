//! The solver: from names to the packages that have to be installed, each with the reason why.
//!
//! [`Universe::resolve`] translates Debian's relations for the SAT solver resolvo (`provider`), keeps of its answer what
//! is needed (`closure`), and puts that into the order in which dpkg can unpack and configure it (`order`).
//!
//! The order of preference is apt's: what is installed, the first alternative, the package of that very name before its
//! providers, the newest version.

mod closure;
mod explain;
mod order;
mod provider;
mod suggest;

use std::{collections::BTreeMap, fmt, str::FromStr};

use resolvo::{ConditionalRequirement, Problem, Requirement, Solver, UnsolvableOrCancelled};

use crate::{
    name::{Architecture, PackageName},
    package::Package,
    relation::{Group, Operator, Qualifier, Relation},
    universe::{CandidateId, Universe},
    version::Version,
};

use provider::Provider;

/// A package somebody asked for: `name`, `name=version`, `name:amd64`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request(Relation);

/// Whether weaker relations count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Recommends {
    /// Only `Depends` and `Pre-Depends`.
    #[default]
    Leave,
    /// Also `Recommends`, where that is possible.
    Install,
}

/// What has to be installed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolution {
    /// In an order in which they can be unpacked and configured: what a package needs stands before it.
    pub packages: Vec<Planned>,
    /// What was needed and is installed already, by name.
    pub present: Vec<PackageName>,
    /// Choices that deserve a word.
    pub notices: Vec<String>,
    reasons: BTreeMap<PackageName, Reason>,
}

/// One package to install.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The package.
    pub package: Package,
    /// The suite it comes from.
    pub suite: String,
    /// The version that is installed now and would be replaced.
    pub replaces: Option<Version>,
    /// Why it is there.
    pub reason: Reason,
}

/// Why a package is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// It was asked for, in these words.
    Requested(String),
    /// It is installed already.
    Installed,
    /// Another package needs it.
    Needed {
        /// That package.
        by: PackageName,
        /// The field.
        field: Field,
        /// What the field says.
        relation: String,
    },
}

/// A field that makes one package need another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Must be configured before unpacking begins.
    PreDepends,
    /// Must be configured before.
    Depends,
    /// Is useful with it.
    Recommends,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PreDepends => "Pre-Depends",
            Self::Depends => "Depends",
            Self::Recommends => "Recommends",
        })
    }
}

impl Request {
    /// Any version of a package.
    pub fn any(name: PackageName) -> Self {
        Self(Relation {
            name,
            architecture: None,
            version: None,
        })
    }

    /// Exactly one version: what a lock file says.
    pub fn exactly(name: PackageName, version: Version) -> Self {
        Self(Relation {
            name,
            architecture: None,
            version: Some((Operator::Equal, version)),
        })
    }

    /// The name asked for.
    pub fn name(&self) -> &PackageName {
        &self.0.name
    }
}

impl FromStr for Request {
    type Err = ParseRequestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |problem: String| ParseRequestError {
            text: text.chars().take(80).collect(),
            problem,
        };
        let (named, version) = match text.split_once('=') {
            None => (text, None),
            Some((named, version)) => (named, Some(version)),
        };
        let (name, architecture) = match named.split_once(':') {
            None => (named, None),
            Some((name, architecture)) => {
                let parsed: Architecture = architecture
                    .parse()
                    .map_err(|problem| error(format!("{problem}")))?;
                (name, Some(Qualifier::Exactly(parsed.as_str().into())))
            }
        };
        let name = name
            .parse()
            .map_err(|problem| error(format!("{problem}")))?;
        let version = version
            .map(str::parse::<Version>)
            .transpose()
            .map_err(|problem| error(format!("{problem}")))?;
        Ok(Self(Relation {
            name,
            architecture,
            version: version.map(|version| (Operator::Equal, version)),
        }))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Relation {
            name,
            architecture,
            version,
        } = &self.0;
        write!(f, "{name}")?;
        if let Some(Qualifier::Exactly(architecture)) = architecture {
            write!(f, ":{architecture}")?;
        }
        match version {
            None => Ok(()),
            Some((_, version)) => write!(f, "={version}"),
        }
    }
}

impl Resolution {
    /// From what was asked for down to `name`: `gcc`, `gcc-14`, `libcc1-0`.
    pub fn chain(&self, name: &PackageName) -> Vec<&PackageName> {
        let mut chain = Vec::new();
        let mut next = self.reasons.get_key_value(name);
        while let Some((name, reason)) = next {
            chain.push(name);
            next = match reason {
                // Reasons are found breadth first, so they never run in a circle.
                Reason::Needed { by, .. } => self.reasons.get_key_value(by),
                Reason::Requested(_) | Reason::Installed => None,
            };
        }
        chain.reverse();
        chain
    }
}

impl Universe {
    /// Finds what has to be installed so that all `requests` are met, besides what is installed.
    pub fn resolve(
        &self,
        requests: &[Request],
        recommends: Recommends,
    ) -> Result<Resolution, SolveError> {
        let mut notices = Vec::new();
        for request in requests {
            notices.extend(self.check_request(request)?);
        }
        let groups: Vec<_> = requests
            .iter()
            .map(|request| Group(vec![request.0.clone()]))
            .collect();
        let mut chosen = self.solve(&groups, &[])?;
        let mut reasons = closure::reasons(self, requests, &chosen, recommends);
        if recommends == Recommends::Install {
            // What is recommended may recommend in turn. Each round adds at least one package.
            let mut wished = Vec::new();
            while let Some(more) =
                closure::missing_recommendations(self, &chosen, &reasons, &wished)
            {
                wished.extend(more);
                chosen = self.solve(&groups, &wished)?;
                reasons = closure::reasons(self, requests, &chosen, recommends);
            }
        }
        chosen.retain(|id| reasons.contains_key(self.name(*id)));
        Ok(self.report(&chosen, reasons, notices))
    }

    fn report(
        &self,
        chosen: &[CandidateId],
        reasons: BTreeMap<PackageName, Reason>,
        notices: Vec<String>,
    ) -> Resolution {
        let mut packages = Vec::new();
        let mut present = Vec::new();
        for id in order::unpack_order(self, chosen) {
            let name = self.name(id);
            let Some(reason) = reasons.get(name) else {
                continue;
            };
            match (self.offered(id), reason) {
                (Some(package), reason) => packages.push(Planned {
                    package: package.clone(),
                    suite: self.suite(id).unwrap_or_default().to_owned(),
                    replaces: self
                        .installed_candidate(name.as_str())
                        .map(|old| self.version(old).clone()),
                    reason: reason.clone(),
                }),
                (None, Reason::Installed) => {}
                (None, Reason::Requested(_) | Reason::Needed { .. }) => present.push(name.clone()),
            }
        }
        present.sort();
        Resolution {
            packages,
            present,
            notices,
            reasons,
        }
    }

    /// Says what is wrong with a request by itself, before the solver would say something less clear.
    fn check_request(&self, request: &Request) -> Result<Option<String>, SolveError> {
        let relation = &request.0;
        let name = relation.name.as_str();
        if let Some(Qualifier::Exactly(other)) = &relation.architecture
            && **other != *self.architecture.as_str()
        {
            return Err(SolveError::ForeignArchitecture {
                request: request.to_string(),
                architecture: self.architecture.clone(),
            });
        }
        let candidates = self.candidates(name);
        let providers = self.providers(name);
        if candidates.is_empty() && providers.is_empty() {
            return Err(SolveError::Unknown {
                name: relation.name.clone(),
                suggestions: suggest::similar(self, name),
            });
        }
        let satisfiers = self.satisfiers(relation);
        match (candidates, &providers[..]) {
            ([], [only]) if !satisfiers.is_empty() => Ok(Some(format!(
                "{name} is a virtual package; {only} provides it"
            ))),
            ([], _) if satisfiers.iter().any(|id| self.is_installed(*id)) => Ok(None),
            ([], several) if relation.version.is_none() => Err(SolveError::Virtual {
                name: relation.name.clone(),
                providers: several.iter().map(|name| (*name).clone()).collect(),
            }),
            _ if satisfiers.is_empty() => Err(SolveError::NoSuchVersion {
                request: request.to_string(),
                versions: candidates
                    .iter()
                    .map(|id| self.version(*id).clone())
                    .collect(),
            }),
            _ => Ok(None),
        }
    }

    fn solve(
        &self,
        groups: &[Group],
        wished: &[CandidateId],
    ) -> Result<Vec<CandidateId>, SolveError> {
        let provider = Provider::new(self);
        let mut requirements: Vec<Requirement> = groups
            .iter()
            .map(|group| provider.requirement(group))
            .collect();
        // What is installed stays, in this or another version.
        let installed = self
            .installed()
            .iter()
            .filter_map(|package| self.installed_candidate(package.name.as_str()));
        requirements.extend(installed.map(|id| provider.requirement_of_installed(id)));
        let problem = Problem::new()
            .requirements(
                requirements
                    .into_iter()
                    .map(|requirement| ConditionalRequirement {
                        condition: None,
                        requirement,
                    })
                    .collect(),
            )
            .soft_requirements(
                wished
                    .iter()
                    .map(|id| Provider::solvable(*id))
                    .collect::<Vec<_>>(),
            );
        let mut solver = Solver::new(provider);
        match solver.solve(problem) {
            Ok(solvables) => {
                let mut chosen: Vec<_> = solvables
                    .into_iter()
                    .map(|id| CandidateId(id.into_raw()))
                    .collect();
                chosen.sort_by(|a, b| self.name(*a).cmp(self.name(*b)));
                Ok(chosen)
            }
            Err(UnsolvableOrCancelled::Unsolvable(conflict)) => Err(SolveError::Unsatisfiable {
                explanation: explain::explain(&solver, &conflict),
            }),
            Err(UnsolvableOrCancelled::Cancelled(_)) => Err(SolveError::Unsatisfiable {
                explanation: "the search was cancelled".to_owned(),
            }),
        }
    }
}

/// A request that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a package (expected NAME, NAME=VERSION or NAME:ARCHITECTURE): {problem}")]
pub struct ParseRequestError {
    /// What stood there.
    pub text: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Why no set of packages meets the requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SolveError {
    /// There is no such package.
    #[error("there is no package '{name}'{}", did_you_mean(suggestions))]
    Unknown {
        /// The name asked for.
        name: PackageName,
        /// Similar names, the most similar first.
        suggestions: Vec<PackageName>,
    },
    /// The name stands for one of several packages.
    #[error(
        "'{name}' is a virtual package; ask for one of the packages that provide it: {}",
        list(providers)
    )]
    Virtual {
        /// The name asked for.
        name: PackageName,
        /// Who provides it.
        providers: Vec<PackageName>,
    },
    /// The package is there, the version is not.
    #[error("there is no '{request}'; the versions to be had: {}", list(versions))]
    NoSuchVersion {
        /// What was asked for.
        request: String,
        /// What there is.
        versions: Vec<Version>,
    },
    /// For another kind of machine.
    #[error(
        "'{request}' asks for another architecture; packages are installed for {architecture} only"
    )]
    ForeignArchitecture {
        /// What was asked for.
        request: String,
        /// The machine's.
        architecture: Architecture,
    },
    /// The packages cannot be installed together.
    #[error("the packages asked for cannot be installed together:\n{explanation}")]
    Unsatisfiable {
        /// Which relation stands in the way, on several lines.
        explanation: String,
    },
}

fn did_you_mean(suggestions: &[PackageName]) -> String {
    match suggestions {
        [] => String::new(),
        [only] => format!("; did you mean '{only}'?"),
        several => format!("; did you mean one of: {}?", list(several)),
    }
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    const MOST: usize = 20;
    let mut shown: Vec<_> = items.iter().take(MOST).map(ToString::to_string).collect();
    if items.len() > MOST {
        shown.push(format!("and {} more", items.len() - MOST));
    }
    shown.join(", ")
}
