//! Finding a program as a shell would, without a shell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where the named program is. A name with a slash is a path; others are looked for on `path`, whose relative entries are passed over:
/// what starts must not depend on the working directory.
pub(crate) fn find(name: &OsStr, path: &OsStr) -> Result<PathBuf, FindProgramError> {
    if name.as_bytes().contains(&b'/') {
        return match kind_of(Path::new(name)) {
            Found::Program => Ok(name.into()),
            Found::NotExecutable => Err(FindProgramError::NotExecutable(name.into())),
            Found::Nothing => Err(FindProgramError::Missing(name.into())),
        };
    }
    let mut not_executable = None;
    for folder in std::env::split_paths(path).filter(|folder| folder.is_absolute()) {
        let candidate = folder.join(name);
        match kind_of(&candidate) {
            Found::Program => return Ok(candidate),
            Found::NotExecutable => not_executable = not_executable.or(Some(candidate)),
            Found::Nothing => {}
        }
    }
    Err(not_executable.map_or_else(
        || FindProgramError::NowhereOnPath {
            name: name.to_string_lossy().into(),
            path: path.to_string_lossy().into(),
        },
        FindProgramError::NotExecutable,
    ))
}

enum Found {
    Program,
    NotExecutable,
    Nothing,
}

fn kind_of(path: &Path) -> Found {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() && metadata.permissions().mode() & 0o111 != 0 => {
            Found::Program
        }
        Ok(metadata) if metadata.is_file() => Found::NotExecutable,
        _ => Found::Nothing,
    }
}

/// Why there is no such program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FindProgramError {
    NowhereOnPath { name: String, path: String },
    Missing(PathBuf),
    NotExecutable(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::{FindProgramError, find};
    use std::ffi::OsStr;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn find_on_path_and_by_path() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let (first, second) = (folder.path().join("first"), folder.path().join("second"));
        fs::create_dir_all(first.join("tool")).expect("a folder that has the program's name");
        fs::create_dir(&second).expect("a folder");
        let tool = second.join("tool");
        fs::write(&tool, "#!/bin/sh\n").expect("a program");
        let path = std::env::join_paths([&first, &second]).expect("a PATH");

        assert_eq!(
            find(OsStr::new("tool"), &path),
            Err(FindProgramError::NotExecutable(tool.clone()))
        );
        fs::set_permissions(&tool, Permissions::from_mode(0o755)).expect("executable");
        assert_eq!(find(OsStr::new("tool"), &path), Ok(tool.clone()));
        assert_eq!(find(tool.as_os_str(), OsStr::new("")), Ok(tool.clone()));
        assert_eq!(
            find(first.join("no").as_os_str(), &path),
            Err(FindProgramError::Missing(first.join("no")))
        );
        let nowhere = FindProgramError::NowhereOnPath {
            name: "other".into(),
            path: path.to_string_lossy().into(),
        };
        assert_eq!(find(OsStr::new("other"), &path), Err(nowhere));
    }

    #[test]
    fn find_passes_over_relative_folders() {
        let nowhere = FindProgramError::NowhereOnPath {
            name: "Cargo.toml".into(),
            path: ".:".into(),
        };
        assert_eq!(
            find(OsStr::new("Cargo.toml"), OsStr::new(".:")),
            Err(nowhere)
        );
    }
}
