//! Debian's interpreter: which packages, fetched and verified, unpacked side by side below a scratch folder.

use buildpack_kit::network::NetworkSettings;
use buildpack_kit::output::Output;
use buildpack_kit::stack::Stack;
use debian::cache::DownloadCache;
use debian::deb::{Conffiles, Deb, DebError};
use debian::dpkg;
use debian::keyring::{Keyring, KeyringError};
use debian::mirror::{self, MirrorError};
use debian::name::{Architecture, ParseNameError};
use debian::package::Package;
use debian::repository::{self, Loaded, RepositoryError, Trust, deb_url};
use debian::solve::{Recommends, Request, SolveError};
use debian::universe::Universe;
use fetch::FetchError;
use oci_image::unpack::{UnpackOptions, open_root};
use oci_image::{Owner, Owners};
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// What was unpacked.
#[derive(Debug)]
pub(crate) struct UnpackedPackages {
    /// As if installed at `/`.
    pub(crate) root: PathBuf,
    /// The upstream version of the interpreter: `3.13.5`.
    pub(crate) version: String,
    /// `python3.13 3.13.5-2`, sorted.
    pub(crate) packages: Vec<String>,
}

/// Folders that are links into `/usr` on every Debian since 12; older packages still bring files under both names.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// What the interpreter's dependencies bring that no library is: data for programs that Python is not, or that the run image has anyway.
const NOT_NEEDED: [&str; 6] = [
    "media-types",
    "netbase",
    "openssl-provider-legacy",
    "readline-common",
    "sensible-utils",
    "tzdata",
];

/// Parts of the standard library that Debian packages under the name of the default version, so that asking for them would bring another
/// interpreter: they are fetched without their dependencies.
fn separate_parts(minor: &str) -> &'static [&'static str] {
    match minor {
        "3.11" => &["python3-distutils", "python3-lib2to3"],
        _ => &[],
    }
}

/// Fetches the packages of Python `minor` (`3.13`) from `suite` that the run image lacks, and unpacks them below `scratch`.
pub(crate) fn fetch_and_unpack(
    minor: &str,
    suite: &str,
    stack: &Stack,
    network: &NetworkSettings,
    scratch: &Path,
    output: &mut Output,
) -> Result<UnpackedPackages, DebianError> {
    let (client, notices) = network.client()?;
    let mirrors = mirror::find(&client, &network.mirrors, suite)?;
    output.line(format!(
        "Debian {suite} from {} ({})",
        fetch::redacted(&mirrors.main),
        mirrors.origin
    ));
    let keyring = Keyring::from_bytes(&stack.keyring)?;
    let trust = Trust {
        keyring: &keyring,
        now: SystemTime::now(),
        freshness: network.freshness,
    };
    let architecture = Architecture::amd64();
    let cache = DownloadCache::new(scratch.join("downloads"));
    let sources = mirrors.sources(suite, &stack.components);
    let loaded = repository::load(&client, &sources, &trust, &architecture, &cache)?;
    for notice in notices
        .iter()
        .chain(&mirrors.notices)
        .chain(&loaded.notices)
    {
        output.notice(notice);
    }
    let Loaded {
        suites, origins, ..
    } = loaded;
    let mut installed = dpkg::installed_packages(&stack.status)
        .map_err(|error| DebianError::Status(error.to_string()))?;
    // Where the run image has this interpreter for itself, the app still gets its own: whole, and with the headers that belong to it.
    let own = interpreter_packages(minor);
    installed.retain(|package| !own.iter().any(|name| name == package.name.as_str()));
    let universe = Universe::new(architecture, suites, installed);

    let names = [format!("python{minor}"), format!("libpython{minor}-stdlib")];
    let requests = names
        .iter()
        .map(|name| Ok(Request::any(name.parse()?)))
        .collect::<Result<Vec<_>, ParseNameError>>()?;
    let resolution = universe.resolve(&requests, Recommends::Leave)?;
    let mut packages: Vec<(Package, String)> = resolution
        .packages
        .into_iter()
        .filter(|planned| !NOT_NEEDED.contains(&planned.package.name.as_str()))
        .map(|planned| (planned.package, planned.suite))
        .collect();
    let development = format!("libpython{minor}-dev");
    for name in separate_parts(minor)
        .iter()
        .copied()
        .chain([development.as_str()])
    {
        packages.extend(newest_offered(&universe, name));
    }
    packages.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));

    let wanted: Vec<_> = packages
        .iter()
        .filter_map(|(package, suite)| {
            let origin = origins.iter().find(|origin| origin.suite == *suite)?;
            Some(deb_url(&origin.mirror, &package.file))
        })
        .collect();
    cache.fetch(&client, &wanted, &mut |_| {})?;
    let bytes: u64 = wanted.iter().map(|wanted| wanted.size).sum();
    output.line(format!(
        "Downloaded {} packages, {} MB, verified",
        wanted.len(),
        bytes.div_ceil(1_000_000)
    ));

    let root = scratch.join("root");
    prepare(&root).map_err(DebianError::Files)?;
    for (package, _) in &packages {
        unpack(package, &cache.path(package.file.sha256), &root)?;
    }
    let interpreter = names[0].as_str();
    let version = packages
        .iter()
        .find(|(package, _)| package.name.as_str() == interpreter)
        .map(|(package, _)| upstream(package.version.as_str()));
    Ok(UnpackedPackages {
        root,
        version: version.ok_or_else(|| DebianError::NoInterpreter(names[0].clone()))?,
        packages: packages
            .iter()
            .map(|(package, _)| format!("{} {}", package.name, package.version))
            .collect(),
    })
}

fn interpreter_packages(minor: &str) -> Vec<String> {
    let forms = [
        "python{}",
        "python{}-minimal",
        "libpython{}-minimal",
        "libpython{}-stdlib",
        "libpython{}-dev",
    ];
    let parts = separate_parts(minor).iter().map(|name| (*name).to_owned());
    forms
        .iter()
        .map(|form| form.replace("{}", minor))
        .chain(parts)
        .collect()
}

fn newest_offered(universe: &Universe, name: &str) -> Option<(Package, String)> {
    universe.candidates(name).iter().find_map(|id| {
        Some((
            universe.offered(*id)?.clone(),
            universe.suite(*id)?.to_owned(),
        ))
    })
}

/// `3.13.5-2+deb13u1` -> `3.13.5`
fn upstream(version: &str) -> String {
    let without_epoch = version.split_once(':').map_or(version, |(_, rest)| rest);
    without_epoch
        .split(['-', '+', '~'])
        .next()
        .unwrap_or_default()
        .to_owned()
}

fn prepare(root: &Path) -> io::Result<()> {
    for name in MERGED {
        fs::create_dir_all(root.join("usr").join(name))?;
        symlink(Path::new("usr").join(name), root.join(name))?;
    }
    Ok(())
}

fn unpack(package: &Package, deb: &Path, root: &Path) -> Result<(), DebianError> {
    let deb = Deb::open_checked(deb, package)?;
    let folder = open_root(root).map_err(DebianError::Files)?;
    let mut owners = Owners::new(Owner::ROOT);
    deb.unpack(
        folder.as_fd(),
        &mut owners,
        Conffiles::InPlace,
        UnpackOptions::debian_package(),
    )?;
    Ok(())
}

/// Why Debian's interpreter could not be had.
#[derive(Debug, thiserror::Error)]
pub enum DebianError {
    /// No mirror.
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    /// A download.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A suite.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The keys.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The run image's database.
    #[error("the run image's dpkg status cannot be read: {0}")]
    Status(String),
    /// Dependencies.
    #[error(transparent)]
    Solve(#[from] SolveError),
    /// A name that cannot be one.
    #[error(transparent)]
    Name(#[from] ParseNameError),
    /// A package.
    #[error(transparent)]
    Deb(#[from] DebError),
    /// Writing.
    #[error("files cannot be written: {0}")]
    Files(io::Error),
    /// Nothing to unpack.
    #[error("the suite has no {0}")]
    NoInterpreter(String),
}

impl DebianError {
    /// Whether another source may stand in: nobody could be reached, or has the packages. What was reached and is wrong is an error.
    pub(crate) fn is_absence(&self) -> bool {
        match self {
            Self::Mirror(_) | Self::Solve(_) | Self::NoInterpreter(_) => true,
            Self::Fetch(error) | Self::Repository(RepositoryError::Fetch(error)) => {
                error.is_unreachable() || error.is_not_found()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn upstream_cases() {
        for (version, expected) in [
            ("3.13.5-2", "3.13.5"),
            ("3.11.2-6+deb12u6", "3.11.2"),
            ("1:3.13.5+ds-1", "3.13.5"),
            ("3.14.0~rc1-1", "3.14.0"),
        ] {
            assert_eq!(upstream(version), expected);
        }
    }
}
