//! `pkg_resources` is part of setuptools up to 81 and gone from 82 on. Applications that import it would build and then die at start: half of
//! the real Dash apps that were counted (gunicorn up to 20.1 and Dash 2.0 to 2.13 import it; few declare setuptools, and those without a limit).
//!
//! No list of packages decides, but the installed code: a module that is loaded with its package and imports `pkg_resources` in its first
//! column, where no `try` can catch the failure.

use crate::imports::{Import, loaded_modules};
use crate::installed::Distribution;
use crate::requirements::normalise_name;
use pep440_rs::Version;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;
use std::str::FromStr as _;

/// The first version without `pkg_resources`.
const FIRST_WITHOUT: u64 = 82;

/// The newest setuptools that has `pkg_resources`, for requirements files with digests, where nothing may be installed without one.
pub(crate) const LAST_WITH: &str = "setuptools==81.0.0 --hash=sha256:fdd925d5c5d9f62e4b74b30d6dd7828ce236fd6ed998a08d81de62ce5a6310d6";

/// The requirement that brings `pkg_resources`.
pub(crate) const LIMIT: &str = "setuptools<82";

/// Whether the environment lacks `pkg_resources` because of its setuptools (or for want of one).
pub(crate) fn lacks_pkg_resources(packages: &[Distribution]) -> bool {
    match packages.iter().find(|package| package.name == "setuptools") {
        None => true,
        Some(setuptools) => Version::from_str(&setuptools.version).is_ok_and(|version| {
            version
                .release()
                .first()
                .is_some_and(|major| *major >= FIRST_WITHOUT)
        }),
    }
}

/// The modules that an app loads with its packages and that cannot be loaded without `pkg_resources`; below `site_packages`, sorted.
pub(crate) fn importers(site_packages: &Path) -> io::Result<Vec<String>> {
    let mut found: Vec<String> = loaded_modules(site_packages, roots(site_packages)?)
        .into_iter()
        .filter(|(_, imports)| imports.iter().any(needs_pkg_resources))
        .map(|(file, _)| {
            file.strip_prefix(site_packages)
                .unwrap_or(&file)
                .display()
                .to_string()
        })
        .filter(|file| !file.split('/').any(|part| EXEMPT.contains(&part)))
        .collect();
    found.sort();
    Ok(found)
}

/// setuptools itself, pip's copies, and tests, which no app imports.
const EXEMPT: [&str; 9] = [
    "_distutils_hack",
    "_vendor",
    "pip",
    "pkg_resources",
    "setuptools",
    "test",
    "testing",
    "tests",
    "wheel",
];

fn needs_pkg_resources(import: &Import) -> bool {
    import.unguarded
        && (import.module == "pkg_resources" || import.module.starts_with("pkg_resources."))
}

/// Every package and module at the top, and the module behind each program that is named like its distribution (gunicorn, celery).
fn roots(site_packages: &Path) -> io::Result<BTreeSet<String>> {
    let mut roots = BTreeSet::new();
    for entry in fs::read_dir(site_packages)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "dist-info")
        {
            roots.extend(own_program(&path));
        } else {
            add_packages(&path, "", 0, &mut roots);
        }
    }
    roots.retain(|root| !EXEMPT.contains(&root.split('.').next().unwrap_or_default()));
    Ok(roots)
}

/// Namespace packages (`google/cloud/…`) have no `__init__.py`; what lies in them counts as top.
const NAMESPACE_DEPTH: usize = 4;

fn add_packages(path: &Path, prefix: &str, depth: usize, roots: &mut BTreeSet<String>) {
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return;
    };
    if let Some(module) = name.strip_suffix(".py") {
        roots.insert(format!("{prefix}{module}"));
    } else if name.contains('.') || name == "__pycache__" {
        // Libraries (`numpy.libs`), metadata, bytecode.
    } else if path.join("__init__.py").is_file() {
        roots.insert(format!("{prefix}{name}"));
    } else if depth < NAMESPACE_DEPTH {
        for entry in fs::read_dir(path)
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
        {
            add_packages(&entry.path(), &format!("{prefix}{name}."), depth + 1, roots);
        }
    }
}

/// `gunicorn = gunicorn.app.wsgiapp:run` in the `[console_scripts]` of gunicorn.
fn own_program(dist_info: &Path) -> Option<String> {
    let folder = dist_info.file_name()?.to_str()?;
    let distribution = normalise_name(folder.split('-').next()?);
    let text = fs::read_to_string(dist_info.join("entry_points.txt")).ok()?;
    let scripts = text
        .lines()
        .skip_while(|line| line.trim() != "[console_scripts]")
        .skip(1);
    scripts
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once('='))
        .find(|(name, _)| normalise_name(name.trim()) == distribution)
        .and_then(|(_, target)| Some(target.trim().split(':').next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(files: &[(&str, &str)]) -> tempfile::TempDir {
        let site = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = site.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        site
    }

    #[test]
    fn importers_of_programs_packages_and_namespaces() {
        let site = site(&[
            ("gunicorn/__init__.py", ""),
            ("gunicorn/app/__init__.py", ""),
            ("gunicorn/app/wsgiapp.py", "from gunicorn import util\n"),
            ("gunicorn/util.py", "import pkg_resources\n"),
            (
                "gunicorn-20.1.0.dist-info/entry_points.txt",
                "[console_scripts]\ngunicorn = gunicorn.app.wsgiapp:run\n",
            ),
            (
                "google/cloud/thing/__init__.py",
                "from pkg_resources import get_distribution\n",
            ),
            ("setuptools/__init__.py", "import pkg_resources\n"),
        ]);
        assert_eq!(
            importers(site.path()).unwrap(),
            ["google/cloud/thing/__init__.py", "gunicorn/util.py"]
        );
    }

    #[test]
    fn importers_not_of_tools_tests_and_guarded_imports() {
        let site = site(&[
            ("dash/__init__.py", "from . import dash\n"),
            (
                "dash/dash.py",
                "try:\n    import pkg_resources\nexcept ImportError:\n    pass\n",
            ),
            // Only the program dash-generate-components loads it.
            (
                "dash/development/component_generator.py",
                "import pkg_resources\n",
            ),
            (
                "dash-3.0.dist-info/entry_points.txt",
                "[console_scripts]\ndash-generate-components = dash.development.component_generator:cli\n",
            ),
            ("lib/__init__.py", "from .tests import x\n"),
            ("lib/tests/__init__.py", "import pkg_resources\n"),
        ]);
        assert!(importers(site.path()).unwrap().is_empty());
    }

    #[test]
    fn lacks_pkg_resources_by_version() {
        let setuptools = |version: &str| {
            [Distribution {
                name: "setuptools".into(),
                version: version.into(),
                url: None,
            }]
        };
        assert!(lacks_pkg_resources(&[]));
        assert!(lacks_pkg_resources(&setuptools("82.0.0")));
        assert!(!lacks_pkg_resources(&setuptools("81.0.0")));
        assert!(!lacks_pkg_resources(&setuptools("59.6.0")));
    }
}
