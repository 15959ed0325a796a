//! `requirements.txt` and every file it includes, as one set that knows where each line stands.
//!
//! This is the first thing the buildpack does and the only thing an unchanged build does: nothing here runs a tool.

mod entry;
mod errors;
mod local;
mod logical_lines;
mod shell_words;
mod variables;

pub use entry::EntryError;
pub(crate) use entry::{FileOption, RequirementEntry};
pub use errors::RequirementsError;
pub(crate) use local::{is_vcs, normalise_name, requirement_name};

use buildpack_kit::{AppFile, Variables, digest};
use entry::{Entry, parse_line};
use local::{LocalRequirement, local_requirement};
use logical_lines::logical_lines;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// The file at the app's root that makes an app an app.
pub const REQUIREMENTS_TXT: &str = "requirements.txt";

/// More files than any app includes; a cycle is found earlier.
const MAX_FILES: usize = 500;

/// Everything that requirements files say, includes followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequirementSet {
    /// Every file that was read, by its path below the app folder, with its digest.
    pub files: BTreeMap<String, String>,
    /// Digests of local packages and folders of wheels, by the path as written.
    pub locals: BTreeMap<String, String>,
    /// Digests of the variables that decide what is installed.
    pub variables: BTreeMap<String, String>,
    /// Files whose encoding or line endings deserve a word.
    pub oddities: Vec<String>,
    pub(crate) requirements: Vec<Located<Requirement>>,
    pub(crate) constraints: Vec<Located<Requirement>>,
    pub(crate) options: Vec<Located<FileOption>>,
}

/// A thing and the line that says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Located<T> {
    pub(crate) location: Location,
    pub(crate) value: T,
}

/// A line of a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// Below the app folder.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
}

impl fmt::Display for Location {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} line {}", self.file, self.line)
    }
}

/// One thing to install, or one limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Requirement {
    /// A name, a URL or a repository, as written, with its options.
    Text(RequirementEntry),
    /// A file or folder of the app.
    Local(LocalRequirement),
    /// A folder of the app that is imported where it is.
    Editable(LocalRequirement),
    /// A repository that is checked out and imported from there.
    EditableRepository(String),
    /// A requirements file on a server.
    RemoteFile(String),
}

impl Requirement {
    /// The line as the user wrote it, more or less.
    pub(crate) fn written(&self) -> String {
        match self {
            Self::Text(entry) => entry.text.clone(),
            Self::Local(local) => format!("{}{}", local.written, local.rest),
            Self::Editable(local) => format!("-e {}{}", local.written, local.rest),
            Self::EditableRepository(url) => format!("-e {url}"),
            Self::RemoteFile(url) => format!("-r {url}"),
        }
    }
}

impl RequirementSet {
    /// Reads `<app_dir>/requirements.txt` and what it includes; `None` where there is no such file.
    pub fn read(app_dir: &Path, variables: &Variables) -> Result<Option<Self>, RequirementsError> {
        let mut reader = Reader {
            app_dir,
            variables,
            open: Vec::new(),
            set: Self::default(),
        };
        let Some(file) = AppFile::read(app_dir, REQUIREMENTS_TXT)? else {
            return Ok(None);
        };
        reader.read_file(&file, Role::Requirements)?;
        Ok(Some(reader.set))
    }

    /// Whether every download has to match a digest in the files (pip: one `--hash` makes them mandatory for all).
    pub(crate) fn wants_hashes(&self) -> bool {
        let has_hash = |located: &Located<Requirement>| matches!(&located.value, Requirement::Text(entry) if !entry.hashes.is_empty());
        self.requirements.iter().any(has_hash)
            || self
                .options
                .iter()
                .any(|option| option.value == FileOption::RequireHashes)
    }
}

/// Whether a file's requirements are to be installed or only limit versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Requirements,
    Constraints,
}

struct Reader<'a> {
    app_dir: &'a Path,
    variables: &'a Variables,
    /// The files that are being read, outermost first.
    open: Vec<String>,
    set: RequirementSet,
}

impl Reader<'_> {
    fn read_file(&mut self, file: &AppFile, role: Role) -> Result<(), RequirementsError> {
        let name = file.name().to_owned();
        self.set
            .files
            .insert(name.clone(), digest::of_bytes(file.text()));
        if self.set.files.len() > MAX_FILES {
            return Err(RequirementsError::TooManyFiles);
        }
        if let Some(oddity) = file
            .oddity()
            .filter(|oddity| !self.set.oddities.contains(oddity))
        {
            self.set.oddities.push(oddity);
        }
        self.open.push(name.clone());
        for line in logical_lines(file.text()) {
            let location = Location {
                file: name.clone(),
                line: line.number,
            };
            self.set
                .variables
                .extend(variables::deciding_variables(&line.text, self.variables));
            let expanded = variables::expand(&line.text, self.variables);
            let entries = parse_line(&expanded).map_err(|reason| RequirementsError::Line {
                location: location.clone(),
                // What is shown is what the user wrote: variables may hold secrets.
                text: line.text.clone(),
                reason,
            })?;
            for entry in entries {
                self.take(entry, &location, role)?;
            }
        }
        self.open.pop();
        Ok(())
    }

    fn take(
        &mut self,
        entry: Entry,
        location: &Location,
        role: Role,
    ) -> Result<(), RequirementsError> {
        let requirement = match entry {
            Entry::Include(target) if is_remote(&target) => Requirement::RemoteFile(target),
            Entry::Constraint(target) if is_remote(&target) => {
                self.push(Role::Constraints, location, Requirement::RemoteFile(target));
                return Ok(());
            }
            Entry::Include(target) => return self.include(&target, location, role),
            Entry::Constraint(target) => return self.include(&target, location, Role::Constraints),
            Entry::Option(option) => {
                let option = self.resolve_option(option, location)?;
                self.set.options.push(Located {
                    location: location.clone(),
                    value: option,
                });
                return Ok(());
            }
            Entry::Editable(target) if is_vcs(&target) => Requirement::EditableRepository(target),
            Entry::Editable(target) => {
                let written = if target.starts_with(['.', '/']) || target.starts_with("file:") {
                    target
                } else {
                    format!("./{target}")
                };
                match local_requirement(&written, self.app_dir) {
                    Some(local) => {
                        Requirement::Editable(self.known_local(local, location, Kind::Editable)?)
                    }
                    None => Requirement::EditableRepository(written),
                }
            }
            Entry::Requirement(entry) => match local_requirement(&entry.text, self.app_dir) {
                Some(local) => {
                    Requirement::Local(self.known_local(local, location, Kind::Installed)?)
                }
                None => Requirement::Text(entry),
            },
        };
        self.push(role, location, requirement);
        Ok(())
    }

    fn push(&mut self, role: Role, location: &Location, value: Requirement) {
        let list = match role {
            Role::Requirements => &mut self.set.requirements,
            Role::Constraints => &mut self.set.constraints,
        };
        list.push(Located {
            location: location.clone(),
            value,
        });
    }

    /// `-r` and `-c` are relative to the file that holds them.
    fn include(
        &mut self,
        target: &str,
        location: &Location,
        role: Role,
    ) -> Result<(), RequirementsError> {
        let target = target.strip_prefix("file://").unwrap_or(target);
        let name = join(&location.file, target);
        if self.open.contains(&name) {
            return Err(RequirementsError::Cycle {
                location: location.clone(),
                name,
            });
        }
        match AppFile::read(self.app_dir, &name)? {
            Some(file) => self.read_file(&file, role),
            None => Err(RequirementsError::MissingInclude {
                location: location.clone(),
                name,
            }),
        }
    }

    fn known_local(
        &mut self,
        local: LocalRequirement,
        location: &Location,
        kind: Kind,
    ) -> Result<LocalRequirement, RequirementsError> {
        let digest =
            local_digest(&local.path, kind).map_err(|source| RequirementsError::MissingLocal {
                location: location.clone(),
                written: local.written.clone(),
                source,
            })?;
        self.set.locals.insert(local.written.clone(), digest);
        Ok(local)
    }

    /// A folder of wheels is relative to the requirements file where it exists there, else to the app folder (as pip has it).
    fn resolve_option(
        &mut self,
        option: FileOption,
        location: &Location,
    ) -> Result<FileOption, RequirementsError> {
        let FileOption::FindLinks(target) = option else {
            return Ok(option);
        };
        if is_remote(&target) {
            return Ok(FileOption::FindLinks(target));
        }
        let plain = target.strip_prefix("file://").unwrap_or(&target);
        let beside = self.app_dir.join(join(&location.file, plain));
        let path = if beside.try_exists().unwrap_or(false) {
            beside
        } else {
            self.app_dir.join(plain)
        };
        let digest = listing_digest(&path).map_err(|source| RequirementsError::MissingLocal {
            location: location.clone(),
            written: target.clone(),
            source,
        })?;
        self.set.locals.insert(target, digest);
        Ok(FileOption::FindLinks(path.display().to_string()))
    }
}

/// How a local package is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Its files are copied: each of them matters.
    Installed,
    /// It is imported where it is: only what describes it matters.
    Editable,
}

/// The files that say what an editable package needs.
const DESCRIPTIONS: [&str; 3] = ["pyproject.toml", "setup.py", "setup.cfg"];

fn local_digest(path: &Path, kind: Kind) -> std::io::Result<String> {
    if !std::fs::metadata(path)?.is_dir() {
        return digest::of_file(path);
    }
    if kind == Kind::Installed {
        return digest::of_folder(path, |entry| {
            is_leftover(&entry.file_name().to_string_lossy())
        });
    }
    let mut all = String::new();
    for name in DESCRIPTIONS {
        match digest::of_file(&path.join(name)) {
            Ok(digest) => all.extend([name, " ", &digest, "\n"]),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(digest::of_bytes(all))
}

/// What builds and version control leave in a package's folder.
fn is_leftover(name: &str) -> bool {
    matches!(name, ".git" | "__pycache__" | "build") || name.ends_with(".egg-info")
}

/// Names and sizes: a folder of wheels can be large, and a wheel's name says what it is.
fn listing_digest(path: &Path) -> std::io::Result<String> {
    if !std::fs::metadata(path)?.is_dir() {
        return digest::of_file(path);
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        names.push(format!(
            "{} {}",
            entry.file_name().display(),
            entry.metadata()?.len()
        ));
    }
    names.sort();
    Ok(digest::of_bytes(names.join("\n")))
}

fn is_remote(target: &str) -> bool {
    target.contains("://") && !target.starts_with("file:")
}

/// `target` as seen from the folder of `file`, with `.` and `..` worked out.
fn join(file: &str, target: &str) -> String {
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let mut parts = PathBuf::new();
    for component in folder.join(target).components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(parts.components().next_back(), Some(Component::Normal(_))) =>
            {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_kit::Explain as _;

    struct App(tempfile::TempDir);

    impl App {
        fn new(files: &[(&str, &str)]) -> Self {
            let app = Self(tempfile::tempdir().unwrap());
            for (name, text) in files {
                app.write(name, text);
            }
            app
        }

        fn write(&self, name: &str, text: impl AsRef<[u8]>) {
            let path = self.0.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }

        fn read(&self) -> Result<RequirementSet, RequirementsError> {
            let variables = [("V", "3.0"), ("TOKEN", "t0p")].into_iter().collect();
            RequirementSet::read(self.0.path(), &variables).map(Option::unwrap)
        }

        fn error(&self) -> String {
            self.read().unwrap_err().explain().as_error()
        }
    }

    fn written(list: &[Located<Requirement>]) -> Vec<String> {
        list.iter()
            .map(|located| format!("{}: {}", located.location, located.value.written()))
            .collect()
    }

    #[test]
    fn read_follows_includes_and_constraints_relative_to_their_file() {
        let app = App::new(&[
            (
                "requirements.txt",
                "-r reqs/base.txt\n-c limits.txt\ngunicorn\n",
            ),
            ("reqs/base.txt", "-r ../more.txt\ndash==${V}\n"),
            ("more.txt", "pandas\n"),
            ("limits.txt", "numpy<2\n"),
        ]);
        let set = app.read().unwrap();
        assert_eq!(
            written(&set.requirements),
            [
                "more.txt line 1: pandas",
                "reqs/base.txt line 2: dash==3.0",
                "requirements.txt line 3: gunicorn"
            ]
        );
        assert_eq!(written(&set.constraints), ["limits.txt line 1: numpy<2"]);
        assert_eq!(
            set.files.into_keys().collect::<Vec<_>>(),
            [
                "limits.txt",
                "more.txt",
                "reqs/base.txt",
                "requirements.txt"
            ]
        );
        assert_eq!(set.variables.into_keys().collect::<Vec<_>>(), ["V"]);
    }

    #[test]
    fn read_utf16_with_crlf_is_the_same_set() {
        let plain = App::new(&[("requirements.txt", "dash==3.0\npandas\n")]);
        let windows = App::new(&[]);
        let bytes: Vec<u8> = "\u{feff}dash==3.0\r\npandas\r\n"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        windows.write("requirements.txt", bytes);
        let (plain, windows) = (plain.read().unwrap(), windows.read().unwrap());
        assert_eq!(windows.oddities.len(), 1);
        assert_eq!(
            RequirementSet {
                oddities: Vec::new(),
                ..windows
            },
            plain
        );
    }

    #[test]
    fn read_local_packages_by_content() {
        let app = App::new(&[
            (
                "requirements.txt",
                "./pkg\n-e .\nwheels/x-1.0.tar.gz\n-f wheels\n",
            ),
            ("pkg/setup.py", ""),
            ("wheels/x-1.0.tar.gz", "one"),
        ]);
        let first = app.read().unwrap().locals;
        assert_eq!(
            first.keys().collect::<Vec<_>>(),
            [".", "./pkg", "wheels", "wheels/x-1.0.tar.gz"]
        );
        app.write("wheels/x-1.0.tar.gz", "two");
        app.write("pkg/mod.py", "");
        app.write("app.py", "an editable package's own code does not matter");
        let second = app.read().unwrap().locals;
        let changed: Vec<_> = first
            .iter()
            .filter(|(name, digest)| second[*name] != **digest)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(changed, ["./pkg", "wheels/x-1.0.tar.gz"]);
    }

    #[test]
    fn wants_hashes_when_one_line_has_one() {
        assert!(
            App::new(&[("requirements.txt", "a==1 --hash=sha256:00\nb\n")])
                .read()
                .unwrap()
                .wants_hashes()
        );
        assert!(
            App::new(&[("requirements.txt", "--require-hashes\nb\n")])
                .read()
                .unwrap()
                .wants_hashes()
        );
        assert!(
            !App::new(&[("requirements.txt", "a==1\n")])
                .read()
                .unwrap()
                .wants_hashes()
        );
    }

    #[test]
    fn error_unknown_option() {
        let app = App::new(&[("requirements.txt", "dash\n--target=/x ${TOKEN}\n")]);
        insta::assert_snapshot!(app.error(), @"
        [Error: Cannot read 'requirements.txt']
        Line 2 of 'requirements.txt' cannot be used: '--target' is not an option of requirements files.

        --target=/x ${TOKEN}

        The format is described at https://pip.pypa.io/en/stable/reference/requirements-file-format/.
        ");
    }

    #[test]
    fn error_missing_include() {
        let app = App::new(&[("requirements.txt", "-r base.txt\n")]);
        insta::assert_snapshot!(app.error(), @"
        [Error: A requirements file is missing]
        Line 1 of 'requirements.txt' includes 'base.txt', but there is no such file.

        Paths behind -r and -c are relative to the file that holds them. Check that the file is part of the app folder and not excluded.
        ");
    }

    #[test]
    fn error_cycle() {
        let app = App::new(&[
            ("requirements.txt", "-r a.txt\n"),
            ("a.txt", "\n-r requirements.txt\n"),
        ]);
        insta::assert_snapshot!(app.error(), @"
        [Error: Requirements files include each other]
        Line 2 of 'a.txt' includes 'requirements.txt', which is what it was included from.

        Remove one of the two -r lines.
        ");
    }

    #[test]
    fn error_missing_local_package() {
        let app = App::new(&[("requirements.txt", "./libs/tool\n")]);
        insta::assert_snapshot!(app.error(), @"
        [Error: A local package is missing]
        Line 1 of 'requirements.txt' asks for './libs/tool', but that cannot be read: No such file or directory (os error 2).

        Paths are relative to the app folder. Check that it is part of the app folder and not excluded.
        ");
    }

    #[test]
    fn error_path_of_conda() {
        let app = App::new(&[(
            "requirements.txt",
            "numpy @ file:///tmp/build/80754af9/numpy_1/work\n",
        )]);
        insta::assert_snapshot!(app.error(), @"
        [Error: A local package is missing]
        Line 1 of 'requirements.txt' asks for 'file:///tmp/build/80754af9/numpy_1/work', but that cannot be read: No such file or directory (os error 2).

        `pip freeze` writes such lines inside conda: they name a folder of the machine where conda built the package.
        Write the file with `pip list --format=freeze > requirements.txt` instead.
        ");
    }

    #[test]
    fn error_path_of_windows() {
        let app = App::new(&[("requirements.txt", "-e c:\\work\\tool\n")]);
        insta::assert_snapshot!(app.error(), @"
        [Error: A local package is missing]
        Line 1 of 'requirements.txt' asks for './c:worktool', but that cannot be read: No such file or directory (os error 2).

        That is a folder of a Windows machine. Copy it into the app folder and ask for it by its path there, like ./tool.
        ");
    }
}
