//! Debian's archive: from a list of names to verified `.deb` files on disk.

use std::time::SystemTime;

use buildpack_kit::Output;
use debian::cache::{DownloadCache, Wanted};
use debian::keyring::Keyring;
use debian::mirror;
use debian::name::Architecture;
use debian::repository::{self, Trust};
use debian::solve::{Recommends, Request, Resolution, SolveError};
use debian::universe::Universe;
use fetch::Client;

use crate::errors::AptError;
use crate::install::DebFile;
use crate::list::{Entry, PackageList};
use crate::settings::Settings;
use buildpack_kit::stack::Stack;

/// What is needed besides what the run image has.
#[derive(Debug)]
pub(crate) struct Needed {
    /// The packages and their reasons.
    pub(crate) resolution: Resolution,
    /// For each of its packages, where it is.
    wanted: Vec<Wanted>,
}

/// The archive of one release, and how to reach it.
#[derive(Debug)]
pub(crate) struct Archive<'a> {
    pub(crate) stack: &'a Stack,
    pub(crate) settings: &'a Settings,
    pub(crate) client: &'a Client,
    /// Where indexes and packages go.
    pub(crate) cache: &'a DownloadCache,
    /// The time it is, for signatures.
    pub(crate) now: SystemTime,
}

impl Archive<'_> {
    /// Reads the signed indexes and resolves the list against the run image.
    pub(crate) fn resolve(
        &self,
        list: &PackageList,
        output: &mut Output,
    ) -> Result<Needed, AptError> {
        let Self {
            stack,
            settings,
            client,
            cache,
            now,
        } = *self;
        let mirrors = mirror::find(client, &settings.network.mirrors, &stack.suite)?;
        output.line(format!(
            "Debian {} from {} ({})",
            stack.suite,
            fetch::redacted(&mirrors.main),
            mirrors.origin
        ));
        let keyring = Keyring::from_bytes(&stack.keyring)?;
        let trust = Trust {
            keyring: &keyring,
            now,
            freshness: settings.network.freshness,
        };
        let architecture = Architecture::amd64();
        let sources = mirrors.sources(&stack.suite, &stack.components);
        let mut loaded = repository::load(client, &sources, &trust, &architecture, cache)?;
        for notice in mirrors.notices.iter().chain(&loaded.notices) {
            output.notice(notice);
        }
        let installed = debian::dpkg::installed_packages(&stack.status)?;
        let universe = Universe::new(architecture, std::mem::take(&mut loaded.suites), installed);
        let requests: Vec<Request> = list
            .entries()
            .iter()
            .map(|entry| entry.request.clone())
            .collect();
        let resolution = universe
            .resolve(&requests, Recommends::Leave)
            .map_err(|source| at_fault(list, stack, source))?;
        let wanted = resolution
            .packages
            .iter()
            .filter_map(|planned| loaded.wanted(planned))
            .collect();
        Ok(Needed { resolution, wanted })
    }

    /// Downloads what the cache does not have. Each file has the digest that Debian signed.
    pub(crate) fn download(
        &self,
        needed: &Needed,
        output: &mut Output,
    ) -> Result<Vec<DebFile>, AptError> {
        let mut to_come = None;
        self.cache
            .fetch(self.client, &needed.wanted, &mut |progress| {
                to_come.get_or_insert((progress.total_files, progress.total_bytes));
            })?;
        match to_come {
            Some((files, bytes)) if files > 0 => {
                output.line(format!("Downloaded {files} packages, {}", size(bytes)));
            }
            _ if needed.wanted.is_empty() => output.line("Nothing to install"),
            _ => output.line("All packages are in the cache"),
        }
        let packages = needed
            .resolution
            .packages
            .iter()
            .map(|planned| &planned.package);
        Ok(packages
            .map(|package| DebFile {
                package: package.clone(),
                path: self.cache.path(package.file.sha256),
            })
            .collect())
    }
}

/// Finds the line that asks for what cannot be had.
fn at_fault(list: &PackageList, stack: &Stack, source: SolveError) -> AptError {
    let is_meant = |entry: &&Entry| match &source {
        SolveError::Unknown { name, .. } | SolveError::Virtual { name, .. } => {
            entry.request.name() == name
        }
        SolveError::NoSuchVersion { request, .. }
        | SolveError::ForeignArchitecture { request, .. } => entry.request.to_string() == *request,
        SolveError::Unsatisfiable { .. } => false,
    };
    let place = list
        .entries()
        .iter()
        .find(is_meant)
        .map(|entry| entry.place.clone());
    AptError::Solve {
        place,
        suite: stack.suite.clone(),
        source,
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{} kB", bytes.div_ceil(1000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}
