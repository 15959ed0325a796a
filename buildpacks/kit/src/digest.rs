//! SHA-256 as text: how layer metadata remembers what an input looked like.

use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// The SHA-256 of `bytes`, in hexadecimal.
pub fn of_bytes(bytes: impl AsRef<[u8]>) -> String {
    hex::encode(Sha256::digest(bytes.as_ref()))
}

/// The SHA-256 of a file's bytes, read in pieces.
pub fn of_file(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

/// The SHA-256 of a folder: relative names, link targets, permissions to execute and contents, in the order of the names.
/// Entries for which `skip` says yes stay out, with all below them.
pub fn of_folder(root: &Path, skip: impl Fn(&walkdir::DirEntry) -> bool) -> io::Result<String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut hasher = Sha256::new();
    let entries = walkdir::WalkDir::new(root)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !skip(entry));
    for entry in entries {
        let entry = entry.map_err(io::Error::other)?;
        let name = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let kind = entry.file_type();
        let content = if kind.is_file() {
            let executable = entry
                .metadata()
                .map_err(io::Error::other)?
                .permissions()
                .mode()
                & 0o111
                != 0;
            format!("file {executable} {}", of_file(entry.path())?)
        } else if kind.is_symlink() {
            format!("link {}", std::fs::read_link(entry.path())?.display())
        } else {
            "folder".to_owned()
        };
        hasher.update(format!("{}\0{content}\0", name.display()));
    }
    Ok(hex::encode(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_bytes_and_of_file_agree() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        std::fs::write(&path, "dash\n").unwrap();
        assert_eq!(of_file(&path).unwrap(), of_bytes("dash\n"));
        assert_eq!(
            of_bytes(""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn of_folder_sees_contents_and_names_but_not_what_is_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let digest = || of_folder(folder.path(), |entry| entry.file_name() == "skipped").unwrap();
        write("a", "1");
        let first = digest();
        write("skipped", "x");
        assert_eq!(digest(), first);
        write("a", "2");
        let second = digest();
        assert_ne!(second, first);
        std::fs::rename(folder.path().join("a"), folder.path().join("b")).unwrap();
        assert_ne!(digest(), second);
    }
}
