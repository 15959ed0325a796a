//! What goes in: which files of the app folder the build sees, and what stays out, with a word on why and how big.
//!
//! The user's folder is only ever read. Always out: version control, bytecode caches, virtual environments (made on
//! Linux or Windows) and `.env` (secrets). `include` or `exclude` of project.toml's `[io.buildpacks]` table
//! (project descriptor 0.2; gitignore patterns) come on top.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

/// project.toml's choice of files; the specification forbids both at once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Patterns {
    #[default]
    None,
    Include(Vec<String>),
    Exclude(Vec<String>),
}

/// Why something stays out of the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    VersionControl,
    Bytecode,
    VirtualEnvironment,
    Secrets,
    ProjectToml,
    SpecialFile,
    Output,
    Layout,
}

impl Reason {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::VersionControl => "version control",
            Self::Bytecode => "bytecode cache",
            Self::VirtualEnvironment => "virtual environment",
            Self::Secrets => "may hold secrets; give them when the image runs",
            Self::ProjectToml => "project.toml",
            Self::SpecialFile => "not a file, folder or link",
            Self::Output => "written by this command",
            Self::Layout => "an image in an OCI layout",
        }
    }
}

/// One thing that stays out: the topmost path, relative to the app folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LeftOut {
    pub(crate) path: PathBuf,
    pub(crate) reason: Reason,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
}

/// The app folder as the build sees it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    pub(crate) left_out: Vec<LeftOut>,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    /// Files or folders that only their owner may read and whose owner is someone else: the sandbox's one user cannot.
    pub(crate) needs_copy: bool,
}

impl Selection {
    /// The topmost paths that stay out.
    pub(crate) fn hidden(&self) -> BTreeSet<PathBuf> {
        self.left_out.iter().map(|out| out.path.clone()).collect()
    }
}

/// Why an app folder could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SelectError {
    #[error("{} cannot be read: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("the pattern {pattern:?} in project.toml is not a gitignore pattern: {source}")]
    Pattern {
        pattern: String,
        source: ignore::Error,
    },
}

/// Walks the app folder once. Nothing is opened but folders. `outputs` are paths that the build itself will write.
pub(crate) fn select(
    app: &Path,
    patterns: &Patterns,
    outputs: &[PathBuf],
    euid: u32,
) -> Result<Selection, SelectError> {
    let mut walk = Walk {
        app,
        patterns: Matcher::new(app, patterns)?,
        outputs,
        environment_in_root: is_virtual_environment(app),
        euid,
        selection: Selection::default(),
    };
    walk.folder(Path::new(""))?;
    Ok(walk.selection)
}

enum Matcher {
    None,
    Include(Gitignore),
    Exclude(Gitignore),
}

impl Matcher {
    fn new(app: &Path, patterns: &Patterns) -> Result<Self, SelectError> {
        let compile = |lines: &[String]| {
            let mut builder = GitignoreBuilder::new(app);
            for line in lines {
                let added = builder.add_line(None, line);
                added.map_err(|source| SelectError::Pattern {
                    pattern: line.clone(),
                    source,
                })?;
            }
            builder.build().map_err(|source| SelectError::Pattern {
                pattern: lines.join(" "),
                source,
            })
        };
        Ok(match patterns {
            Patterns::None => Self::None,
            Patterns::Include(lines) => Self::Include(compile(lines)?),
            Patterns::Exclude(lines) => Self::Exclude(compile(lines)?),
        })
    }

    /// A folder is out as a whole only by an exclude pattern; by include patterns each of its files is asked.
    fn leaves_out(&self, path: &Path, is_folder: bool) -> bool {
        match self {
            Self::None => false,
            Self::Exclude(set) => set.matched(path, is_folder).is_ignore(),
            Self::Include(set) => {
                !is_folder && !set.matched_path_or_any_parents(path, false).is_ignore()
            }
        }
    }
}

struct Walk<'a> {
    app: &'a Path,
    patterns: Matcher,
    outputs: &'a [PathBuf],
    /// `python -m venv .`: the environment is not a folder of the app, but mixed with it.
    environment_in_root: bool,
    euid: u32,
    selection: Selection,
}

impl Walk<'_> {
    fn folder(&mut self, relative: &Path) -> Result<(), SelectError> {
        for name in sorted_names(&self.on_disk(relative))? {
            let path = relative.join(&name);
            let full = self.app.join(&path);
            let metadata = fs::symlink_metadata(&full).map_err(|source| SelectError::Read {
                path: full.clone(),
                source,
            })?;
            if let Some(reason) = self.reason(&path, &metadata) {
                let (files, bytes) = weigh(&full, &metadata);
                self.selection.left_out.push(LeftOut {
                    path,
                    reason,
                    files,
                    bytes,
                });
                continue;
            }
            self.check_readable(&full, &metadata)?;
            if metadata.is_dir() {
                self.folder(&path)?;
            } else {
                self.selection.files += 1;
                self.selection.bytes += metadata.len();
            }
        }
        Ok(())
    }

    /// Joining nothing would add a slash, and messages show these paths.
    fn on_disk(&self, relative: &Path) -> PathBuf {
        if relative.as_os_str().is_empty() {
            self.app.to_owned()
        } else {
            self.app.join(relative)
        }
    }

    fn reason(&self, path: &Path, metadata: &fs::Metadata) -> Option<Reason> {
        let name = path.file_name()?.to_str().unwrap_or_default();
        let kind = metadata.file_type();
        if kind.is_socket() || kind.is_fifo() || kind.is_block_device() || kind.is_char_device() {
            return Some(Reason::SpecialFile);
        }
        match name {
            // In a worktree or submodule `.git` is a file.
            ".git" | ".hg" | ".svn" => return Some(Reason::VersionControl),
            "__pycache__" if metadata.is_dir() => return Some(Reason::Bytecode),
            ".env" if !metadata.is_dir() => return Some(Reason::Secrets),
            _ => {}
        }
        let full = self.app.join(path);
        if self.outputs.contains(&full) {
            return Some(Reason::Output);
        }
        let of_environment =
            self.environment_in_root && PARTS_OF_ENVIRONMENT.contains(&path.to_str()?);
        if of_environment || metadata.is_dir() && is_virtual_environment(&full) {
            return Some(Reason::VirtualEnvironment);
        }
        if metadata.is_dir() && full.join("oci-layout").is_file() && full.join("blobs").is_dir() {
            return Some(Reason::Layout);
        }
        self.leaves_out(path, metadata)
            .then_some(Reason::ProjectToml)
    }

    /// By include patterns a folder is out as a whole if none of its files is in.
    fn leaves_out(&self, path: &Path, metadata: &fs::Metadata) -> bool {
        if !metadata.is_dir() || !matches!(self.patterns, Matcher::Include(_)) {
            return self.patterns.leaves_out(path, metadata.is_dir());
        }
        walkdir::WalkDir::new(self.app.join(path))
            .into_iter()
            .filter_map(Result::ok)
            .filter(|entry| !entry.file_type().is_dir())
            .filter_map(|entry| entry.path().strip_prefix(self.app).map(Path::to_owned).ok())
            .all(|file| self.patterns.leaves_out(&file, false))
    }

    /// Says now what would otherwise fail in the middle of the build.
    fn check_readable(&mut self, full: &Path, metadata: &fs::Metadata) -> Result<(), SelectError> {
        use std::os::unix::fs::MetadataExt as _;
        if metadata.is_symlink() {
            return Ok(());
        }
        let access = rustix::fs::Access::READ_OK;
        rustix::fs::accessat(rustix::fs::CWD, full, access, rustix::fs::AtFlags::EACCESS).map_err(
            |errno| SelectError::Read {
                path: full.to_owned(),
                source: errno.into(),
            },
        )?;
        let wanted = if metadata.is_dir() { 0o5 } else { 0o4 };
        let own = metadata.uid() == self.euid && (metadata.mode() >> 6) & wanted == wanted;
        if !own && metadata.mode() & wanted != wanted {
            self.selection.needs_copy = true;
        }
        Ok(())
    }
}

/// What a virtual environment puts into its folder.
const PARTS_OF_ENVIRONMENT: &[&str] = &[
    "bin",
    "include",
    "Include",
    "lib",
    "Lib",
    "lib64",
    "pyvenv.cfg",
    "Scripts",
];

/// `python -m venv` and virtualenv write pyvenv.cfg; older ones, and copies made on Windows, are known by their shape.
fn is_virtual_environment(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).symlink_metadata().is_ok();
    has("pyvenv.cfg")
        || (has("Scripts/activate.bat") && has("Lib/site-packages"))
        || (has("bin/activate") && has("bin/python") && has("lib"))
        || has("conda-meta/history")
}

fn sorted_names(folder: &Path) -> Result<Vec<std::ffi::OsString>, SelectError> {
    let failed = |source| SelectError::Read {
        path: folder.to_owned(),
        source,
    };
    let mut names = fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    names.sort();
    Ok(names)
}

/// Files and bytes below a path that stays out; what cannot be read there does not matter.
fn weigh(full: &Path, metadata: &fs::Metadata) -> (u64, u64) {
    if !metadata.is_dir() {
        return (1, metadata.len());
    }
    walkdir::WalkDir::new(full)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| !entry.file_type().is_dir())
        .filter_map(|entry| entry.metadata().ok())
        .fold((0, 0), |(files, bytes), metadata| {
            (files + 1, bytes + metadata.len())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "12345").unwrap();
        }
        folder
    }

    fn left_out(folder: &Path, patterns: &Patterns) -> Vec<(String, Reason, u64)> {
        let outputs = [folder.join("out.tar")];
        let euid = rustix::process::geteuid().as_raw();
        let selection = select(folder, patterns, &outputs, euid).unwrap();
        let describe = |out: LeftOut| (out.path.display().to_string(), out.reason, out.bytes);
        selection.left_out.into_iter().map(describe).collect()
    }

    #[test]
    fn select_leaves_out_what_never_belongs_in_an_image() {
        let folder = app(&[
            "app.py",
            ".env",
            ".git/HEAD",
            ".git/objects/aa",
            "pkg/__pycache__/m.pyc",
            "venv/pyvenv.cfg",
            "win/Scripts/activate.bat",
            "win/Lib/site-packages/dash.py",
        ]);
        assert_eq!(
            left_out(folder.path(), &Patterns::None),
            [
                (".env".to_owned(), Reason::Secrets, 5),
                (".git".to_owned(), Reason::VersionControl, 10),
                ("pkg/__pycache__".to_owned(), Reason::Bytecode, 5),
                ("venv".to_owned(), Reason::VirtualEnvironment, 5),
                ("win".to_owned(), Reason::VirtualEnvironment, 10),
            ]
        );
    }

    #[test]
    fn select_exclude_patterns() {
        let folder = app(&["app.py", "docs/a.md", "data/big.csv", "data/small.txt"]);
        let patterns = Patterns::Exclude(vec!["docs".to_owned(), "*.csv".to_owned()]);
        assert_eq!(
            left_out(folder.path(), &patterns),
            [
                ("data/big.csv".to_owned(), Reason::ProjectToml, 5),
                ("docs".to_owned(), Reason::ProjectToml, 5)
            ]
        );
    }

    #[test]
    fn select_include_patterns_keep_only_what_matches() {
        let folder = app(&["app.py", "assets/x.css", "notes/n.txt"]);
        let patterns = Patterns::Include(vec!["*.py".to_owned(), "assets/".to_owned()]);
        assert_eq!(
            left_out(folder.path(), &patterns),
            [("notes".to_owned(), Reason::ProjectToml, 5)]
        );
    }

    #[test]
    fn select_leaves_out_images_that_a_build_wrote() {
        let folder = app(&[
            "app.py",
            "image/oci-layout",
            "image/blobs/sha256/0",
            "out.tar",
        ]);
        assert_eq!(
            left_out(folder.path(), &Patterns::None),
            [
                ("image".to_owned(), Reason::Layout, 10),
                ("out.tar".to_owned(), Reason::Output, 5)
            ]
        );
    }

    #[test]
    fn select_leaves_out_an_environment_made_in_the_app_itself() {
        let folder = app(&[
            "app.py",
            "pyvenv.cfg",
            "bin/python",
            "lib/python3.13/x.py",
            "pages/lib/a.py",
        ]);
        assert_eq!(
            left_out(folder.path(), &Patterns::None),
            ["bin", "lib", "pyvenv.cfg"]
                .map(|path| { (path.to_owned(), Reason::VirtualEnvironment, 5) })
        );
    }

    #[test]
    fn select_names_the_folder_that_is_not_there() {
        let error = select(Path::new("/nonexistent-app"), &Patterns::None, &[], 0).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/nonexistent-app cannot be read: No such file or directory (os error 2)"
        );
    }
}
