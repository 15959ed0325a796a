//! The libraries that the run image lacks, private to the interpreter: copied into its prefix, found by RUNPATH, seen by nobody else.

use buildpack_kit::elf::{Elf, ElfError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Below the prefix.
const FOLDER: &str = "lib/private";

/// Where Debian's packages have shared libraries.
const LIBRARY_FOLDERS: [&str; 2] = ["usr/lib/x86_64-linux-gnu", "usr/lib"];

/// Copies every library that something in `prefix` needs and that the unpacked packages below `root` have. Gives their names.
///
/// What is not there comes from the run image, which is why the solver did not ask for it.
pub(crate) fn add_private_libraries(
    prefix: &Path,
    root: &Path,
) -> Result<Vec<String>, PrivateLibraryError> {
    let folder = prefix.join(FOLDER);
    let mut needs: BTreeMap<PathBuf, Vec<String>> = BTreeMap::new();
    let mut queue: VecDeque<PathBuf> = elf_candidates(prefix)?.into();
    let mut copied = BTreeSet::new();
    while let Some(path) = queue.pop_front() {
        let Some(elf) = Elf::read(&path)? else {
            continue;
        };
        for name in elf.needed() {
            let Some(found) = find(root, &name) else {
                continue;
            };
            if copied.insert(name.clone()) {
                let target = folder.join(&name);
                fs::create_dir_all(&folder).map_err(PrivateLibraryError::Files)?;
                fs::copy(found, &target).map_err(PrivateLibraryError::Files)?;
                queue.push_back(target);
            }
            needs.entry(path.clone()).or_default().push(name);
        }
    }
    for path in needs.keys() {
        if let Some(elf) = Elf::read(path)? {
            let own = elf.runpath();
            let runpath = runpath(prefix, path);
            // A run path of its own stays behind ours.
            elf.set_runpath(&own.map_or(runpath.clone(), |own| format!("{runpath}:{own}")))?;
        }
    }
    Ok(copied.into_iter().collect())
}

/// Programs and shared objects; Python's sources need not be opened.
fn elf_candidates(prefix: &Path) -> Result<Vec<PathBuf>, PrivateLibraryError> {
    let mut files = Vec::new();
    for entry in WalkDir::new(prefix).sort_by_file_name() {
        let entry = entry.map_err(|error| PrivateLibraryError::Files(error.into()))?;
        let name = entry.file_name().to_string_lossy();
        let in_bin = entry
            .path()
            .parent()
            .is_some_and(|parent| parent.ends_with("bin"));
        if entry.file_type().is_file() && (in_bin || name.contains(".so")) {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}

fn find(root: &Path, name: &str) -> Option<PathBuf> {
    // A name with a slash is a path that the loader takes as it is.
    if name.contains('/') {
        return None;
    }
    LIBRARY_FOLDERS
        .iter()
        .map(|folder| root.join(folder).join(name))
        .find(|path| path.is_file())
}

/// From the file's folder to the private one: `$ORIGIN/../../private`.
fn runpath(prefix: &Path, file: &Path) -> String {
    let folder = file.parent().unwrap_or(prefix);
    let below: Vec<_> = folder
        .strip_prefix(prefix)
        .unwrap_or(folder)
        .components()
        .collect();
    let private: Vec<_> = Path::new(FOLDER).components().collect();
    let common = below
        .iter()
        .zip(&private)
        .take_while(|(one, other)| one == other)
        .count();
    let mut path = "$ORIGIN".to_owned();
    for _ in common..below.len() {
        path.push_str("/..");
    }
    for part in &private[common..] {
        path.push('/');
        path.push_str(&part.as_os_str().to_string_lossy());
    }
    path
}

/// Why private libraries could not be added.
#[derive(Debug, thiserror::Error)]
pub enum PrivateLibraryError {
    /// An ELF file.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// Copying.
    #[error("libraries cannot be copied: {0}")]
    Files(io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runpath_relative_to_the_file() {
        let cases = [
            ("/p/bin/python3.13", "$ORIGIN/../lib/private"),
            (
                "/p/lib/python3.13/lib-dynload/_ssl.so",
                "$ORIGIN/../../private",
            ),
            ("/p/lib/private/libssl.so.3", "$ORIGIN"),
        ];
        for (file, expected) in cases {
            assert_eq!(runpath(Path::new("/p"), Path::new(file)), expected);
        }
    }
}
