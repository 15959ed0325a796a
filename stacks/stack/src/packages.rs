//! The packages of a stack in the download cache: those of the lock, or, where the mirror no longer has one, others.

use debian::cache::{DownloadCache, Fetched, Wanted};
use debian::mirror::{self, MirrorError, Mirrors};
use debian::package::DebFile;
use debian::repository::{Loaded, RepositoryError, SuiteSource, Trust, deb_url, load};
use fetch::FetchError;

use crate::inputs::{LockUse, StackFolder, StackFolderError, StackInputs};
use crate::lock::{Lock, LockedPackage};
use crate::progress::{Event, Progress};
use crate::resolve::{ResolveStackError, resolve};
use crate::unpack::DebPath;

/// A package that is not as the lock says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// The lock's version, if it is there.
    pub locked: Option<String>,
    /// The version used, if there is one.
    pub used: Option<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, locked, used } = self;
        match (locked, used) {
            (Some(locked), Some(used)) => write!(to, "{name} {used} (locked: {locked})"),
            (None, Some(used)) => write!(to, "{name} {used} (not in the lock)"),
            (_, None) => write!(to, "{name} is no longer needed"),
        }
    }
}

/// All packages are in the cache.
#[derive(Debug)]
pub(crate) struct Packages {
    /// What they are.
    pub(crate) lock: Lock,
    /// How that differs from the lock in the stack's folder.
    pub(crate) differences: Vec<Difference>,
}

/// Signed indexes, read and resolved.
pub(crate) fn resolve_afresh(
    inputs: &StackInputs<'_>,
    folder: &StackFolder,
    cache: &DownloadCache,
    progress: Progress<'_>,
) -> Result<(Lock, Vec<SuiteSource>), PackagesError> {
    progress(Event::Resolving);
    let sources = find_sources(inputs, folder, progress)?;
    let keyring = folder.keyring()?;
    let trust = Trust {
        keyring: &keyring,
        now: inputs.now,
        freshness: inputs.freshness,
    };
    let architecture = folder
        .definition
        .architecture
        .parse()
        .map_err(ResolveStackError::from)?;
    let loaded: Loaded = load(inputs.client, &sources, &trust, &architecture, cache)?;
    for notice in &loaded.notices {
        progress(Event::Notice(notice));
    }
    Ok((resolve(&folder.definition, loaded)?, sources))
}

/// Brings all packages into the cache. Nothing is asked of the network if they are there.
pub(crate) fn fetch_packages(
    inputs: &StackInputs<'_>,
    folder: &StackFolder,
    cache: &DownloadCache,
    progress: Progress<'_>,
) -> Result<Packages, PackagesError> {
    let Some((lock, _)) = &folder.lock else {
        return match inputs.lock_use {
            LockUse::Require => Err(PackagesError::NoLock(inputs.folder.display().to_string())),
            LockUse::Prefer => fetch_afresh(inputs, folder, cache, progress),
        };
    };
    let missing: Vec<&LockedPackage> = lock
        .packages
        .iter()
        .filter(|package| !cache.has(package.sha256, package.size))
        .collect();
    if missing.is_empty() {
        return Ok(Packages {
            lock: lock.clone(),
            differences: Vec::new(),
        });
    }
    let sources = find_sources(inputs, folder, progress)?;
    match fetch(inputs, &missing, &sources, cache, progress) {
        Ok(()) => Ok(Packages {
            lock: lock.clone(),
            differences: Vec::new(),
        }),
        Err(PackagesError::Fetch(error)) if error.is_not_found() => match inputs.lock_use {
            LockUse::Require => Err(PackagesError::LockedGone(error)),
            LockUse::Prefer => {
                progress(Event::Notice(&format!(
                    "{error}: the mirror no longer has all packages of {}; resolving afresh",
                    inputs.folder.join(crate::inputs::LOCK).display()
                )));
                fetch_afresh(inputs, folder, cache, progress)
            }
        },
        Err(error) => Err(error),
    }
}

fn fetch_afresh(
    inputs: &StackInputs<'_>,
    folder: &StackFolder,
    cache: &DownloadCache,
    progress: Progress<'_>,
) -> Result<Packages, PackagesError> {
    let (lock, sources) = resolve_afresh(inputs, folder, cache, progress)?;
    let all: Vec<&LockedPackage> = lock.packages.iter().collect();
    fetch(inputs, &all, &sources, cache, progress)?;
    let differences = match &folder.lock {
        Some((old, _)) => differences(old, &lock),
        None => Vec::new(),
    };
    Ok(Packages { lock, differences })
}

fn find_sources(
    inputs: &StackInputs<'_>,
    folder: &StackFolder,
    progress: Progress<'_>,
) -> Result<Vec<SuiteSource>, PackagesError> {
    let definition = &folder.definition;
    let mirrors: Mirrors = mirror::find(inputs.client, inputs.mirrors, &definition.suite)?;
    for notice in &mirrors.notices {
        progress(Event::Notice(notice));
    }
    Ok(mirrors.sources(&definition.suite, &definition.components))
}

fn fetch(
    inputs: &StackInputs<'_>,
    packages: &[&LockedPackage],
    sources: &[SuiteSource],
    cache: &DownloadCache,
    progress: Progress<'_>,
) -> Result<(), PackagesError> {
    let wanted = packages
        .iter()
        .map(|package| wanted(package, sources))
        .collect::<Result<Vec<Wanted>, _>>()?;
    cache.fetch(inputs.client, &wanted, &mut |fetched: Fetched| {
        progress(Event::Downloading {
            bytes: fetched.bytes,
            total: fetched.total_bytes,
        });
    })?;
    Ok(())
}

fn wanted(package: &LockedPackage, sources: &[SuiteSource]) -> Result<Wanted, PackagesError> {
    let LockedPackage {
        suite,
        path,
        size,
        sha256,
        ..
    } = package;
    let source = sources
        .iter()
        .find(|source| source.suite == *suite)
        .ok_or_else(|| PackagesError::NoSource {
            package: package.name.clone(),
            suite: suite.clone(),
        })?;
    let file = DebFile {
        filename: path.as_str().into(),
        size: *size,
        sha256: *sha256,
    };
    Ok(deb_url(&source.mirror, &file))
}

fn differences(old: &Lock, new: &Lock) -> Vec<Difference> {
    let version = |lock: &Lock, name: &str| {
        lock.packages
            .iter()
            .find(|package| package.name == name)
            .map(|package| package.version.clone())
    };
    let mut names: Vec<&str> = [old, new]
        .iter()
        .flat_map(|lock| lock.packages.iter().map(|package| package.name.as_str()))
        .collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|name| Difference {
            name: name.to_owned(),
            locked: version(old, name),
            used: version(new, name),
        })
        .filter(|difference| difference.locked != difference.used)
        .collect()
}

/// Where a package of the cache is.
pub(crate) fn deb_path(package: &LockedPackage, cache: &DownloadCache) -> DebPath {
    DebPath {
        name: package.name.clone(),
        path: cache.path(package.sha256),
        size: package.size,
    }
}

/// Why the packages are not there.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// No mirror.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// A suite.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// No solution.
    #[error(transparent)]
    Resolve(#[from] ResolveStackError),
    /// The stack's folder.
    #[error(transparent)]
    Folder(#[from] StackFolderError),
    /// A download.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// `--locked`, and the mirror has moved on.
    #[error(
        "{0}\n\nThe mirror no longer has all packages of stack.lock, and --locked forbids others. \
         Renew the lock with `longshore stack lock`, or give a mirror that keeps old packages."
    )]
    LockedGone(#[source] FetchError),
    /// `--locked` without a lock.
    #[error("{0} has no stack.lock, and --locked needs one. Make it with `longshore stack lock`.")]
    NoLock(String),
    /// The lock names a suite that no mirror was found for.
    #[error(
        "{package} of stack.lock comes from the suite {suite}, for which no mirror was found. \
         Give one that has it (see --debian-mirror and --debian-security-mirror)."
    )]
    NoSource {
        /// The package.
        package: String,
        /// Its suite.
        suite: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::Date;
    use fetch::Sha256;

    #[test]
    fn differences_are_said() {
        let lock = |packages: &[(&str, &str)]| {
            let packages = packages.iter().map(|(name, version)| LockedPackage {
                name: (*name).to_owned(),
                version: (*version).to_owned(),
                architecture: "amd64".to_owned(),
                suite: "trixie".to_owned(),
                path: String::new(),
                size: 0,
                sha256: Sha256::of(b""),
                images: Vec::new(),
            });
            Lock::new(Date::from_seconds(0), packages.collect())
        };
        let old = lock(&[("gone", "1"), ("moved", "1"), ("same", "1")]);
        let new = lock(&[("come", "2"), ("moved", "2"), ("same", "1")]);
        let said: Vec<String> = differences(&old, &new)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(
            said,
            [
                "come 2 (not in the lock)",
                "gone is no longer needed",
                "moved 2 (locked: 1)"
            ]
        );
    }
}
