//! From a mirror's address to its packages: `InRelease` checked, indexes fetched, checked, cached and read.

use std::{path::Path, thread, time::SystemTime};

use fetch::{Client, Expected, FetchError};
use url::Url;

use crate::{
    cache::{DownloadCache, Wanted},
    index::{Compression, IndexError, read_packages},
    keyring::Keyring,
    name::Architecture,
    package::{DebFile, Package},
    release::{Freshness, IndexFile, Release, ReleaseError},
    solve::Planned,
    universe::Suite,
};

const LARGEST_RELEASE: u64 = 16 << 20;

/// 57 MB is the largest today; what is signed may grow, but not without end.
const LARGEST_INDEX: u64 = 1 << 30;

/// One suite on one mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteSource {
    /// The folder that holds `dists` and `pool`.
    pub mirror: Url,
    /// `trixie`, `trixie-updates`, `trixie-security`.
    pub suite: String,
    /// `main`, `contrib`, …
    pub components: Vec<String>,
    /// Whether it may be missing.
    pub presence: Presence,
}

/// Whether a suite may be missing on a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Its absence is an error.
    Required,
    /// Its absence is a notice: partial mirrors often leave out `-updates`.
    Optional,
}

/// What all suites are checked with.
#[derive(Debug)]
pub struct Trust<'a> {
    /// The keys to believe.
    pub keyring: &'a Keyring,
    /// The time it is.
    pub now: SystemTime,
    /// Whether outdated suites are refused.
    pub freshness: Freshness,
}

/// The suites read.
#[derive(Debug)]
pub struct Loaded {
    /// Packages, in the order of the sources; for [`crate::universe::Universe::new`].
    pub suites: Vec<Suite>,
    /// Where each came from and how old it is.
    pub origins: Vec<SuiteOrigin>,
    /// What deserves a word.
    pub notices: Vec<String>,
}

/// Where a suite came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuiteOrigin {
    /// The suite.
    pub suite: String,
    /// Its mirror.
    pub mirror: Url,
    /// The date of its Release file.
    pub date: SystemTime,
    /// Who signed it.
    pub signers: Vec<String>,
}

/// Fetches, checks and reads all sources, side by side.
pub fn load(
    client: &Client,
    sources: &[SuiteSource],
    trust: &Trust<'_>,
    architecture: &Architecture,
    cache: &DownloadCache,
) -> Result<Loaded, RepositoryError> {
    let results: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = sources
            .iter()
            .map(|source| scope.spawn(move || load_one(client, source, trust, architecture, cache)))
            .collect();
        running
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    let mut loaded = Loaded {
        suites: Vec::new(),
        origins: Vec::new(),
        notices: Vec::new(),
    };
    for (source, result) in sources.iter().zip(results) {
        match result {
            Ok((suite, origin, notices)) => {
                loaded.suites.push(suite);
                loaded.origins.push(origin);
                loaded.notices.extend(notices);
            }
            Err(RepositoryError::Fetch(error))
                if source.presence == Presence::Optional && error.is_not_found() =>
            {
                loaded.notices.push(format!(
                    "{} has no suite {}; going on without it",
                    fetch::redacted(&source.mirror),
                    source.suite
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(loaded)
}

impl Loaded {
    /// Where a package's .deb is, and what it has to be.
    pub fn wanted(&self, planned: &Planned) -> Option<Wanted> {
        let origin = self
            .origins
            .iter()
            .find(|origin| origin.suite == planned.suite)?;
        Some(deb_url(&origin.mirror, &planned.package.file))
    }
}

/// Where a .deb is on a mirror.
pub fn deb_url(mirror: &Url, file: &DebFile) -> Wanted {
    let DebFile {
        filename,
        size,
        sha256,
    } = file;
    Wanted {
        url: below(mirror, filename),
        sha256: *sha256,
        size: *size,
    }
}

type LoadedSuite = (Suite, SuiteOrigin, Vec<String>);

fn load_one(
    client: &Client,
    source: &SuiteSource,
    trust: &Trust<'_>,
    architecture: &Architecture,
    cache: &DownloadCache,
) -> Result<LoadedSuite, RepositoryError> {
    let (release, notices) = open(client, source, trust)?;
    let mut packages = Vec::new();
    for component in &source.components {
        packages.extend(component_packages(
            client,
            source,
            &release,
            component,
            architecture,
            cache,
        )?);
    }
    let suite = Suite {
        name: source.suite.clone(),
        automatic: !release.not_automatic,
        packages,
    };
    let origin = SuiteOrigin {
        suite: source.suite.clone(),
        mirror: source.mirror.clone(),
        date: release.date,
        signers: release.signers,
    };
    Ok((suite, origin, notices))
}

/// Fetches and checks a suite's `InRelease`.
pub fn open(
    client: &Client,
    source: &SuiteSource,
    trust: &Trust<'_>,
) -> Result<(Release, Vec<String>), RepositoryError> {
    let url = below(&source.mirror, &format!("dists/{}/InRelease", source.suite));
    let bytes = client.get(&url, LARGEST_RELEASE)?;
    let refused = |source| RepositoryError::Release {
        url: fetch::redacted(&url),
        source,
    };
    let release = Release::verify(&bytes, trust.keyring, trust.now).map_err(refused)?;
    let notices = release
        .check(&source.suite, trust.now, trust.freshness)
        .map_err(refused)?;
    Ok((release, notices))
}

fn component_packages(
    client: &Client,
    source: &SuiteSource,
    release: &Release,
    component: &str,
    architecture: &Architecture,
    cache: &DownloadCache,
) -> Result<Vec<Package>, RepositoryError> {
    let folder = format!("{component}/binary-{architecture}");
    let listed = Compression::PREFERRED.into_iter().find_map(|compression| {
        let path = format!("{folder}/Packages{}", compression.suffix());
        release
            .index_file(&path)
            .map(|file| (compression, path, file))
    });
    let Some((compression, path, file)) = listed else {
        return Err(RepositoryError::NoIndex {
            suite: source.suite.clone(),
            component: component.to_owned(),
            architecture: architecture.clone(),
            components: release.components.join(", "),
        });
    };
    let dists = format!("dists/{}", source.suite);
    let plain_url = below(&source.mirror, &format!("{dists}/{path}"));
    if !cache.has(file.sha256, file.size) {
        let by_hash = below(
            &source.mirror,
            &format!("{dists}/{folder}/by-hash/SHA256/{}", file.sha256),
        );
        download_index(
            client,
            release,
            &by_hash,
            &plain_url,
            file,
            &cache.path(file.sha256),
        )?;
    }
    let unreadable = |source| RepositoryError::Index {
        url: fetch::redacted(&plain_url),
        source,
    };
    let opened = std::fs::File::open(cache.path(file.sha256))
        .map_err(|error| unreadable(IndexError::Unreadable(error.to_string())))?;
    read_packages(opened, compression, architecture, LARGEST_INDEX).map_err(unreadable)
}

fn download_index(
    client: &Client,
    release: &Release,
    by_hash: &Url,
    plain: &Url,
    file: IndexFile,
    destination: &Path,
) -> Result<(), FetchError> {
    let expected = Expected::new(file.sha256, file.size);
    if release.by_hash {
        match client.download(by_hash, expected, destination) {
            // Copies made with simple tools often lack these folders.
            Err(error) if error.is_not_found() => {}
            other => return other,
        }
    }
    client.download(plain, expected, destination)
}

/// An address below a mirror. Whatever `path` holds becomes part of the path and nothing else.
pub(crate) fn below(mirror: &Url, path: &str) -> Url {
    let mut url = mirror.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path.split('/'));
    }
    url
}

/// Why a suite could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// Something could not be fetched, or has the wrong digest.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The Release file is not believed.
    #[error("{url} is refused: {source}")]
    Release {
        /// Its address.
        url: String,
        /// Why.
        source: ReleaseError,
    },
    /// The suite lacks a component.
    #[error(
        "the suite {suite} has no packages of the component '{component}' for {architecture}; its components: {components}"
    )]
    NoIndex {
        /// The suite.
        suite: String,
        /// The component.
        component: String,
        /// The architecture.
        architecture: Architecture,
        /// What there is.
        components: String,
    },
    /// The index is what was signed, but cannot be read.
    #[error("{url}: {source}")]
    Index {
        /// Its address.
        url: String,
        /// Why.
        source: IndexError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_always_below() {
        for (mirror, path, url) in [
            (
                "http://a.test/debian",
                "pool/x_1.deb",
                "http://a.test/debian/pool/x_1.deb",
            ),
            (
                "http://a.test/debian/",
                "pool/x+1~2_1%3a2.deb",
                "http://a.test/debian/pool/x+1~2_1%253a2.deb",
            ),
            (
                "http://u:p@a.test",
                "https:b.test/x",
                "http://u:p@a.test/https:b.test/x",
            ),
            (
                "file:///srv/m",
                "dists/trixie/InRelease",
                "file:///srv/m/dists/trixie/InRelease",
            ),
        ] {
            assert_eq!(below(&mirror.parse().expect("a URL"), path).as_str(), url);
        }
    }
}
