//! From signed indexes to a lock: which packages the two images need.

use std::collections::BTreeMap;
use std::time::SystemTime;

use debian::name::{Architecture, ParseNameError};
use debian::repository::Loaded;
use debian::solve::{ParseRequestError, Planned, Recommends, Request, Resolution, SolveError};
use debian::universe::Universe;

use crate::definition::Definition;
use crate::lock::{Date, ImageKind, Lock, LockedPackage};

/// Chooses packages: all essential ones, what the run image asks for, and for the build image what it asks for on top of that.
pub(crate) fn resolve(definition: &Definition, loaded: Loaded) -> Result<Lock, ResolveStackError> {
    let date = loaded
        .origins
        .iter()
        .filter_map(|origin| origin.date.duration_since(SystemTime::UNIX_EPOCH).ok())
        .max()
        .unwrap_or_default();
    let architecture: Architecture = definition.architecture.parse()?;
    let universe = Universe::new(architecture, loaded.suites, Vec::new());

    let mut requests: Vec<Request> = universe
        .newest_where(|package| package.essential)
        .into_iter()
        .map(Request::any)
        .collect();
    requests.extend(parse(&definition.run.packages)?);
    let run = solve(&universe, &requests, ImageKind::Run)?;

    // What the build image shares with the run image is the same to the last digit.
    let mut requests: Vec<Request> = run
        .packages
        .iter()
        .map(|planned| {
            Request::exactly(
                planned.package.name.clone(),
                planned.package.version.clone(),
            )
        })
        .collect();
    requests.extend(parse(&definition.build.packages)?);
    let build = solve(&universe, &requests, ImageKind::Build)?;

    let mut packages: BTreeMap<String, LockedPackage> = BTreeMap::new();
    for (image, resolution) in [(ImageKind::Build, build), (ImageKind::Run, run)] {
        for planned in resolution.packages {
            packages
                .entry(planned.package.name.to_string())
                .or_insert_with(|| locked(&planned))
                .images
                .push(image);
        }
    }
    Ok(Lock::new(
        Date::from_seconds(date.as_secs()),
        packages.into_values().collect(),
    ))
}

fn parse(names: &[String]) -> Result<Vec<Request>, ParseRequestError> {
    names.iter().map(|name| name.parse()).collect()
}

fn solve(
    universe: &Universe,
    requests: &[Request],
    image: ImageKind,
) -> Result<Resolution, ResolveStackError> {
    universe
        .resolve(requests, Recommends::Leave)
        .map_err(|source| ResolveStackError::Unsolvable {
            image,
            source: Box::new(source),
        })
}

fn locked(planned: &Planned) -> LockedPackage {
    let package = &planned.package;
    LockedPackage {
        name: package.name.to_string(),
        version: package.version.to_string(),
        architecture: package.architecture.to_string(),
        suite: planned.suite.clone(),
        path: package.file.filename.to_string(),
        size: package.file.size,
        sha256: package.file.sha256,
        images: Vec::new(),
    }
}

/// Why a stack has no solution.
#[derive(Debug, thiserror::Error)]
pub enum ResolveStackError {
    /// `architecture` in stack.toml.
    #[error("stack.toml: {0}")]
    Architecture(#[from] ParseNameError),
    /// A package's name in stack.toml.
    #[error("stack.toml: {0}")]
    Request(#[from] ParseRequestError),
    /// The packages cannot be had together.
    #[error("the {image} image's packages cannot be installed: {source}")]
    Unsolvable {
        /// The image.
        image: ImageKind,
        /// Why.
        source: Box<SolveError>,
    },
}
