//! Building a local package leaves `build/` and `*.egg-info` in its folder, which is the app's; what was not there before goes away again.

use crate::requirements::{Requirement, RequirementSet};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// How deep build tools leave things: `pkg/build`, `pkg/src/pkg.egg-info`.
const DEPTH: usize = 2;

/// The leftovers that were there before an installation.
#[derive(Debug)]
pub(crate) struct Leftovers {
    folders: Vec<PathBuf>,
    before: BTreeSet<PathBuf>,
}

impl Leftovers {
    /// Looks at the folders of local packages that get installed. Editable ones need what their build leaves.
    pub(crate) fn before(set: &RequirementSet) -> Self {
        let folders: Vec<PathBuf> = set
            .requirements
            .iter()
            .filter_map(|located| match &located.value {
                Requirement::Local(local) if local.path.is_dir() => Some(local.path.clone()),
                _ => None,
            })
            .collect();
        let before = folders
            .iter()
            .flat_map(|folder| leftovers(folder))
            .collect();
        Self { folders, before }
    }

    /// Removes what was not there before.
    pub(crate) fn remove_new(&self) -> io::Result<()> {
        for folder in &self.folders {
            for leftover in leftovers(folder)
                .into_iter()
                .filter(|path| !self.before.contains(path))
            {
                std::fs::remove_dir_all(leftover)?;
            }
        }
        Ok(())
    }
}

fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries = walkdir::WalkDir::new(folder)
        .min_depth(1)
        .max_depth(DEPTH)
        .into_iter();
    while let Some(entry) = entries.next() {
        let Ok(entry) = entry else { continue };
        let name = entry.file_name().to_string_lossy();
        if entry.file_type().is_dir() && (name == "build" || name.ends_with(".egg-info")) {
            found.push(entry.path().to_owned());
            entries.skip_current_dir();
        }
    }
    found
}
