//! Small suites written as short paragraphs; what every package needs besides is filled in.

use debian::{
    dpkg::InstalledPackage,
    index::{Compression, read_packages},
    name::Architecture,
    package::Package,
    solve::{Recommends, Request, Resolution, SolveError},
    universe::{Suite, Universe},
};

/// `name version` lines, each followed by indented fields.
///
/// ```text
/// gcc 4:14.2
///   Depends: gcc-14
/// ```
pub(crate) fn packages(text: &str) -> Vec<Package> {
    let mut paragraphs = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        if line.starts_with("  ") {
            paragraphs.push(line.trim().to_owned());
            continue;
        }
        let (name, version) = line.split_once(' ').expect("a name and a version");
        let sha256 = fetch::Sha256::of(line.as_bytes());
        paragraphs.push(format!(
            "\nPackage: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}.deb\nSize: 1\nSHA256: {sha256}"
        ));
    }
    let paragraphs = paragraphs.join("\n");
    read_packages(
        paragraphs.trim_start().as_bytes(),
        Compression::None,
        &Architecture::amd64(),
        1 << 20,
    )
    .expect("an index")
}

pub(crate) fn suite(name: &str, text: &str) -> Suite {
    Suite {
        name: name.to_owned(),
        automatic: true,
        packages: packages(text),
    }
}

pub(crate) fn installed(text: &str) -> Vec<InstalledPackage> {
    packages(text)
        .into_iter()
        .map(|package| InstalledPackage {
            name: package.name,
            version: package.version,
            architecture: package.architecture,
            essential: package.essential,
            relations: package.relations,
        })
        .collect()
}

pub(crate) fn universe(text: &str) -> Universe {
    Universe::new(Architecture::amd64(), vec![suite("main", text)], Vec::new())
}

pub(crate) fn universe_with(text: &str, installed_text: &str) -> Universe {
    Universe::new(
        Architecture::amd64(),
        vec![suite("main", text)],
        installed(installed_text),
    )
}

pub(crate) fn requests(names: &str) -> Vec<Request> {
    names
        .split(' ')
        .map(|name| name.parse().expect("a request"))
        .collect()
}

/// Resolves names separated by blanks.
pub(crate) fn resolve(universe: &Universe, names: &str) -> Result<Resolution, SolveError> {
    universe.resolve(&requests(names), Recommends::Leave)
}

/// What is installed, in order, as `name version` joined by commas.
pub(crate) fn shown(resolution: &Resolution) -> String {
    let packages: Vec<_> = resolution
        .packages
        .iter()
        .map(|planned| planned.package.to_string())
        .collect();
    packages.join(", ")
}

/// Resolves and shows, for the cases that have an answer.
pub(crate) fn answer(universe: &Universe, names: &str) -> String {
    shown(&resolve(universe, names).expect("there is an answer"))
}
