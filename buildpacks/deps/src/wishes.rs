//! What the app wants installed, as a digest that detect can already give: while it is the same, the environment of the last build is
//! most probably kept, and neither it nor the wheels nor the installer are looked at (`buildpack_kit::layers::Restore`).
//!
//! Detect does not know all that decides: the interpreter and the indexes come later. Where the environment is made anew although this
//! digest is the same, packages are downloaded again.

use crate::metadata::RECIPE;
use crate::requirements::RequirementSet;
use buildpack_kit::layers::{PlanEntry, Restore};
use buildpack_kit::uv::UvRelease;
use buildpack_kit::{Variables, digest};
use libcnb::data::build_plan::Require;
use std::path::Path;

/// What this buildpack provides, and requires of itself.
pub(crate) const PACKAGES: &str = "python-packages";

/// Set by `longshore build --refresh`: versions that nobody pinned are chosen anew.
pub(crate) const REFRESH_VARIABLE: &str = "LONGSHORE_REFRESH";

/// When this buildpack does not look into what an earlier build installed.
pub(crate) fn restore(set: &RequirementSet) -> Restore {
    let wishes = serde_json::json!({
        "recipe": RECIPE,
        "uv": UvRelease::pinned().version,
        "files": set.files,
        "locals": set.locals,
        "variables": set.variables,
    });
    let digest = digest::of_bytes(wishes.to_string());
    Restore {
        unless: PlanEntry {
            name: PACKAGES.to_owned(),
            metadata: [("wishes".to_owned(), digest)].into(),
        },
    }
}

/// What detect requires: with the digest, unless everything is wanted anew, or the files have a mistake, of which the build will speak.
pub(crate) fn require(app_dir: &Path, lifecycle: &Variables, platform: &Variables) -> Require {
    let mut require = Require::new(PACKAGES);
    if platform.is_on(REFRESH_VARIABLE) {
        return require;
    }
    let variables: Variables = lifecycle.iter().chain(platform.iter()).collect();
    if let Ok(Some(set)) = RequirementSet::read(app_dir, &variables) {
        let metadata = restore(&set).unless.metadata.into_iter();
        require.metadata = metadata.map(|(key, value)| (key, value.into())).collect();
    }
    require
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn require_says_what_restore_does() {
        let app = tempfile::tempdir().unwrap();
        let none = Variables::default();
        let file = app.path().join("requirements.txt");
        std::fs::write(&file, "flask\n").unwrap();
        let set = RequirementSet::read(app.path(), &none).unwrap().unwrap();
        let entry = restore(&set).unless;
        let first = require(app.path(), &none, &none);
        assert_eq!(first.name, entry.name);
        assert_eq!(
            first.metadata["wishes"].as_str(),
            Some(&*entry.metadata["wishes"])
        );

        std::fs::write(&file, "flask\nrequests\n").unwrap();
        assert_ne!(require(app.path(), &none, &none).metadata, first.metadata);
        std::fs::write(&file, "-r missing.txt\n").unwrap();
        assert!(require(app.path(), &none, &none).metadata.is_empty());
        let refresh: Variables = [(REFRESH_VARIABLE, "1")].into_iter().collect();
        std::fs::write(&file, "flask\n").unwrap();
        assert!(require(app.path(), &none, &refresh).metadata.is_empty());
    }
}
