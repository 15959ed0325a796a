//! Files and folders of a tree, made with exactly the mode that is asked for: the caller's umask has no say.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Writes a file.
pub(crate) fn write(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    fs::write(path, bytes)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Makes a folder below `root`, and those above it that are missing (mode 0755). One that is there stays as it is.
pub(crate) fn make_folder(root: &Path, below: &str, mode: u32) -> io::Result<()> {
    let mut path = root.to_owned();
    let mut names = below.split('/').peekable();
    while let Some(name) = names.next() {
        path.push(name);
        match fs::create_dir(&path) {
            Ok(()) => {
                let mode = if names.peek().is_none() { mode } else { 0o755 };
                fs::set_permissions(&path, Permissions::from_mode(mode))?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
