//! Reading and writing the lifecycle's files. Every error names the file; one in a file's text also names the line.
//!
//! Buildpacks write some of these files, so what is read has to be a regular file of reasonable size: a FIFO would hang a phase, an endless one would eat the memory.
//! What is written has the same mode under every umask, because some of it ends up in the image.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest text file read: a thousand times what such files usually have.
pub(crate) const LARGEST_TEXT: u64 = 16 << 20;

/// Reads a TOML file.
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T, FileError> {
    parse_toml(path, &read_text(path)?)
}

/// Reads a TOML file that may be missing.
pub fn read_toml_if_there<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, FileError> {
    let text = read_text_if_there(path)?;
    text.map(|text| parse_toml(path, &text)).transpose()
}

/// Parses the text of the file at `path`.
pub(crate) fn parse_toml<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, FileError> {
    toml::from_str(text).map_err(|source| FileError::Toml {
        path: path.to_owned(),
        reason: source.to_string(),
    })
}

/// Reads a text file that may be missing.
pub(crate) fn read_text_if_there(path: &Path) -> Result<Option<String>, FileError> {
    match read_text(path) {
        Err(FileError::Read { source, .. }) if is_missing(&source) => Ok(None),
        result => result.map(Some),
    }
}

/// Reads a text file.
pub(crate) fn read_text(path: &Path) -> Result<String, FileError> {
    let text = read_bytes(path, LARGEST_TEXT)?;
    String::from_utf8(text).map_err(|_| FileError::NotText {
        path: path.to_owned(),
    })
}

/// Reads a file that may hold anything.
pub(crate) fn read_bytes(path: &Path, largest: u64) -> Result<Vec<u8>, FileError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    let bytes = file.and_then(|file| read_regular(file, largest));
    bytes.map_err(|source| FileError::read(path, source))
}

/// Reads a text file below a folder that buildpacks wrote. No link leads out of the folder, so that a phase that runs outside the build's
/// container never reads a file of the host in its place.
pub(crate) fn read_text_below(folder: &Path, name: &Path) -> Result<Option<String>, FileError> {
    let path = folder.join(name);
    let bytes = open_below(folder, name).and_then(|file| read_regular(file, LARGEST_TEXT));
    match bytes {
        Err(source) if is_missing(&source) => Ok(None),
        Err(source) => Err(FileError::Read { path, source }),
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(FileError::NotText { path }),
        },
    }
}

fn open_below(folder: &Path, name: &Path) -> io::Result<File> {
    let folder = File::open(folder)?;
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::openat2(&folder, name, flags, Mode::empty(), ResolveFlags::BENEATH);
    match opened {
        // Old container engines answer so to system calls that they do not know. Then no links at all.
        Err(rustix::io::Errno::NOSYS | rustix::io::Errno::PERM) => {
            let flags = flags | OFlags::NOFOLLOW;
            Ok(rustix::fs::openat(&folder, name, flags, Mode::empty())?.into())
        }
        opened => Ok(opened?.into()),
    }
}

/// Reads a whole file if it is a regular one and not larger than `largest`.
fn read_regular(file: File, largest: u64) -> io::Result<Vec<u8>> {
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    file.take(largest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest {
        return Err(io::Error::other(format!(
            "it is larger than {largest} bytes"
        )));
    }
    Ok(bytes)
}

/// Writes a TOML file, and the folders above it where they are missing.
pub fn write_toml(path: &Path, value: &impl Serialize) -> Result<(), FileError> {
    let text = toml::to_string(value).map_err(|source| FileError::Encode {
        path: path.to_owned(),
        reason: source.to_string(),
    })?;
    write_file(path, text.as_bytes())
}

/// Writes a file, and the folders above it where they are missing. Whoever reads it meanwhile sees the old contents or the new ones.
pub(crate) fn write_file(path: &Path, contents: &[u8]) -> Result<(), FileError> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let write = || -> io::Result<()> {
        create_dir(parent)?;
        let mut file = tempfile::NamedTempFile::new_in(parent)?;
        file.write_all(contents)?;
        let mode = fs::Permissions::from_mode(0o644);
        file.as_file().set_permissions(mode)?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|source| FileError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Makes a folder and those above it where they are missing, readable for everyone.
pub(crate) fn create_dir(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o755)),
    }
}

/// Is this a folder, not a link to one, with nothing in it?
pub(crate) fn is_empty_dir(path: &Path) -> io::Result<bool> {
    Ok(fs::symlink_metadata(path)?.is_dir() && fs::read_dir(path)?.next().is_none())
}

/// The names in a folder, sorted; none where there is no folder.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<fs::DirEntry>, FileError> {
    let list = || -> io::Result<Vec<fs::DirEntry>> { fs::read_dir(folder)?.collect() };
    let mut entries = match list() {
        Err(source) if is_missing(&source) => Vec::new(),
        result => result.map_err(|source| FileError::read(folder, source))?,
    };
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

/// Removes a folder with everything in it, if it is there.
pub(crate) fn remove_dir(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(source) if !is_missing(&source) => Err(FileError::Write {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// Does this error say that a file is not there?
pub fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Why a file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It could not be read.
    #[error("could not read '{}': {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not UTF-8.
    #[error("'{}' is not UTF-8 text", path.display())]
    NotText {
        /// Which file.
        path: PathBuf,
    },
    /// It is not TOML, or not of the form that it should have.
    #[error("could not understand '{}': {reason}", path.display())]
    Toml {
        /// Which file.
        path: PathBuf,
        /// Line, column and what is wrong.
        reason: String,
    },
    /// Its value has no TOML form.
    #[error("could not make the text of '{}': {reason}", path.display())]
    Encode {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It could not be written.
    #[error("could not write '{}': {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl FileError {
    pub(crate) fn read(path: &Path, source: io::Error) -> Self {
        Self::Read {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn write(path: &Path, source: io::Error) -> Self {
        Self::Write {
            path: path.to_owned(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn read_text_below_links() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = scratch.path().join("layers");
        fs::create_dir(&folder).unwrap();
        fs::write(scratch.path().join("secret"), "s").unwrap();
        fs::write(folder.join("a"), "a").unwrap();
        symlink("a", folder.join("inside")).unwrap();
        symlink("../secret", folder.join("outside")).unwrap();
        let read = |name: &str| read_text_below(&folder, Path::new(name));
        assert_eq!(read("inside").unwrap().as_deref(), Some("a"));
        assert_eq!(read("missing").unwrap(), None);
        assert!(read("outside").is_err());
        assert!(read("../secret").is_err());
    }

    #[test]
    fn read_text_is_no_fifo_and_no_folder() {
        let scratch = tempfile::tempdir().unwrap();
        let fifo = scratch.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, Mode::RWXU).unwrap();
        for path in [&fifo, scratch.path()] {
            let error = read_text(path).unwrap_err().to_string();
            assert!(error.ends_with("it is not a regular file"), "{error}");
        }
    }

    #[test]
    fn write_file_mode_does_not_depend_on_the_umask() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("a/b/c");
        write_file(&path, b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(&path), 0o644);
        assert_eq!(mode(path.parent().unwrap()), 0o755);
    }
}
