//! What an overlay's upper folder says about the lower one: nothing, all, or something, and the making of one tree of both.
//!
//! A removed file is a character device 0:0 in the upper folder (or, since Linux 6.7, carries the attribute `overlay.whiteout`); a folder that
//! hides what is below it carries `overlay.opaque` (Documentation/filesystems/overlayfs.rst). Unprivileged overlays keep their attributes
//! under `user.`, others under `trusted.`.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use oci_image::layer::{FileKind, Modes};
use rustix::fs::{AtFlags, CWD, linkat};

const OPAQUE: [&str; 2] = ["user.overlay.opaque", "trusted.overlay.opaque"];
const WHITEOUT: [&str; 2] = ["user.overlay.whiteout", "trusted.overlay.whiteout"];

/// What the upper folder says about a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing: it is as it is in the lower folder.
    Unchanged,
    /// It is gone.
    Removed,
    /// All of it is in the upper folder.
    Replaced,
    /// Some of it is in the upper folder, the rest in the lower one.
    Modified,
}

/// What happened to the folder `lower`, seen at `upper`. Only folders that the upper one has are looked into.
pub fn change(lower: &Path, upper: &Path) -> io::Result<Change> {
    change_but_for(lower, upper, &|_| false)
}

/// The same, passing over what the caller itself put into the upper folder.
pub fn change_but_for(
    lower: &Path,
    upper: &Path,
    passes_over: &dyn Fn(&Path) -> bool,
) -> io::Result<Change> {
    let Some(in_upper) = metadata(upper)? else {
        return Ok(Change::Unchanged);
    };
    if marks_removal(upper, &in_upper)? {
        return Ok(Change::Removed);
    }
    let in_lower = metadata(lower)?.filter(Metadata::is_dir);
    match in_lower {
        Some(in_lower) if in_upper.is_dir() && !is_opaque(upper)? => {
            let untouched = in_lower.mode() == in_upper.mode()
                && holds_only_untouched_folders(lower, upper, passes_over)?;
            Ok(if untouched {
                Change::Unchanged
            } else {
                Change::Modified
            })
        }
        _ => Ok(Change::Replaced),
    }
}

/// The kernel copies folders up for changes that no layer shows (times, attributes) and before a file in them is made.
fn holds_only_untouched_folders(
    lower: &Path,
    upper: &Path,
    passes_over: &dyn Fn(&Path) -> bool,
) -> io::Result<bool> {
    for name in names(upper)? {
        let above = upper.join(&name);
        if passes_over(&above) {
            continue;
        }
        if change_but_for(&lower.join(&name), &above, passes_over)? != Change::Unchanged {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How files of a lower folder come into a merged one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LowerFiles {
    /// By a second name: for trees, which nobody writes into.
    Link,
    /// As copies, with the modes of sources: for a user's own folder, where even a second name would change a file's times, and where
    /// modes are whatever the umask was. What the build changed keeps the mode that it was given.
    CopySources,
}

/// Makes `target` what the overlay of `upper` over `lower` shows. Files of the upper folder are moved.
pub fn merge(lower: &Path, upper: &Path, target: &Path, files: LowerFiles) -> io::Result<()> {
    fs::create_dir(target)?;
    let all: BTreeSet<OsString> = names(upper)?.into_iter().chain(names(lower)?).collect();
    for name in all {
        let (below, above, made) = (lower.join(&name), upper.join(&name), target.join(&name));
        match change(&below, &above)? {
            Change::Removed => {}
            Change::Replaced => move_whole(&above, &made)?,
            Change::Modified => merge(&below, &above, &made, files)?,
            Change::Unchanged => take_lower(&below, &made, files)?,
        }
    }
    let mut mode = fs::symlink_metadata(upper)?.mode();
    if files == LowerFiles::CopySources && fs::symlink_metadata(lower)?.mode() == mode {
        mode = Modes::OfSources.of(FileKind::Folder, mode);
    }
    fs::set_permissions(target, Permissions::from_mode(mode & 0o7777))
}

/// Copies a folder of sources, all but what is left out (paths below `from`), with the modes of sources.
pub fn copy_sources(from: &Path, to: &Path, leaves_out: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    copy_sources_into(from, to, leaves_out)?;
    fs::set_permissions(to, source_permissions(FileKind::Folder, 0))
}

/// The same into a folder that may be somebody else's: its own mode stays.
pub fn copy_sources_into(
    from: &Path,
    to: &Path,
    leaves_out: &dyn Fn(&Path) -> bool,
) -> io::Result<()> {
    for name in names(from)? {
        let (below, made) = (from.join(&name), to.join(&name));
        if leaves_out(&below) {
            continue;
        }
        if fs::symlink_metadata(&below)?.is_dir() {
            fs::create_dir(&made)?;
            copy_sources(&below, &made, leaves_out)?;
        } else {
            take_lower(&below, &made, LowerFiles::CopySources)?;
        }
    }
    Ok(())
}

fn source_permissions(kind: FileKind, found: u32) -> Permissions {
    Permissions::from_mode(Modes::OfSources.of(kind, found))
}

/// Moves what is all in an upper folder, and takes the overlay's own mark off it.
pub fn move_whole(upper: &Path, target: &Path) -> io::Result<()> {
    let permissions = fs::symlink_metadata(upper)?;
    if permissions.is_dir() {
        for attribute in OPAQUE {
            // Not there is fine; the attribute is of no use outside the overlay.
            rustix::fs::lremovexattr(upper, attribute).ok();
        }
        // Another parent means another `..`, which only who may write to the folder can change.
        fs::set_permissions(upper, Permissions::from_mode(permissions.mode() | 0o700))?;
    }
    fs::rename(upper, target)?;
    if permissions.is_dir() {
        fs::set_permissions(target, permissions.permissions())?;
    }
    Ok(())
}

fn take_lower(from: &Path, to: &Path, files: LowerFiles) -> io::Result<()> {
    let found = fs::symlink_metadata(from)?;
    if !found.is_dir() {
        return match files {
            LowerFiles::Link => Ok(linkat(CWD, from, CWD, to, AtFlags::empty())?),
            LowerFiles::CopySources if found.is_symlink() => {
                std::os::unix::fs::symlink(fs::read_link(from)?, to)
            }
            LowerFiles::CopySources => {
                fs::copy(from, to)?;
                fs::set_permissions(to, source_permissions(FileKind::File, found.mode()))
            }
        };
    }
    if files == LowerFiles::CopySources {
        fs::create_dir(to)?;
        return copy_sources(from, to, &|_| false);
    }
    fs::create_dir(to)?;
    for name in names(from)? {
        take_lower(&from.join(&name), &to.join(&name), files)?;
    }
    fs::set_permissions(to, found.permissions())
}

/// Does a mark for a removed file stand there?
pub fn is_whiteout(path: &Path) -> io::Result<bool> {
    match metadata(path)? {
        Some(found) => marks_removal(path, &found),
        None => Ok(false),
    }
}

fn marks_removal(path: &Path, found: &Metadata) -> io::Result<bool> {
    if found.file_type().is_char_device() && found.rdev() == 0 {
        return Ok(true);
    }
    Ok(found.is_file() && found.len() == 0 && has_any(path, WHITEOUT)?)
}

fn is_opaque(path: &Path) -> io::Result<bool> {
    has_any(path, OPAQUE)
}

fn has_any(path: &Path, attributes: [&str; 2]) -> io::Result<bool> {
    for attribute in attributes {
        match rustix::fs::lgetxattr(path, attribute, &mut [0_u8; 16]) {
            Ok(_) => return Ok(true),
            // Not there; a file system without attributes; not ours to read.
            Err(
                rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::PERM,
            ) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(false)
}

fn metadata(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The names in a folder, sorted; none where there is no such folder.
fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut names = entries
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FileType, Mode, XattrFlags};

    struct Pair {
        folder: tempfile::TempDir,
    }

    impl Pair {
        /// A lower folder with `a/one`, `a/two`, `b/three`; an empty upper one.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            for (path, text) in [("a/one", "1"), ("a/two", "2"), ("b/three", "3")] {
                let path = folder.path().join("lower").join(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            fs::create_dir(folder.path().join("upper")).unwrap();
            Self { folder }
        }

        fn at(&self, path: &str) -> std::path::PathBuf {
            self.folder.path().join(path)
        }

        fn change(&self) -> Change {
            change(&self.at("lower"), &self.at("upper")).unwrap()
        }

        fn whiteout(&self, path: &str) {
            rustix::fs::mknodat(
                CWD,
                self.at(path),
                FileType::CharacterDevice,
                Mode::empty(),
                0,
            )
            .unwrap();
        }

        fn merged(&self) -> Vec<String> {
            merge(
                &self.at("lower"),
                &self.at("upper"),
                &self.at("target"),
                LowerFiles::Link,
            )
            .unwrap();
            let mut found = Vec::new();
            list(&self.at("target"), "", &mut found);
            found
        }
    }

    fn list(folder: &Path, prefix: &str, found: &mut Vec<String>) {
        for name in names(folder).unwrap() {
            let path = folder.join(&name);
            let shown = format!("{prefix}{}", name.to_string_lossy());
            if path.is_dir() {
                list(&path, &format!("{shown}/"), found);
            } else {
                found.push(format!("{shown}={}", fs::read_to_string(path).unwrap()));
            }
        }
    }

    #[test]
    fn change_folders_alone_are_none() {
        let pair = Pair::new();
        fs::create_dir(pair.at("upper/a")).unwrap();
        assert_eq!(pair.change(), Change::Unchanged);
        fs::set_permissions(pair.at("upper/a"), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(pair.change(), Change::Modified);
    }

    #[test]
    fn merge_changed_added_and_removed_files() {
        let pair = Pair::new();
        fs::create_dir(pair.at("upper/a")).unwrap();
        fs::write(pair.at("upper/a/one"), "new").unwrap();
        fs::write(pair.at("upper/a/four"), "4").unwrap();
        pair.whiteout("upper/a/two");
        assert_eq!(pair.change(), Change::Modified);
        assert_eq!(pair.merged(), ["a/four=4", "a/one=new", "b/three=3"]);
        assert_eq!(fs::read_to_string(pair.at("lower/a/one")).unwrap(), "1");
    }

    #[test]
    fn merge_opaque_folder_hides_what_is_below() {
        let pair = Pair::new();
        fs::create_dir(pair.at("upper/a")).unwrap();
        rustix::fs::lsetxattr(pair.at("upper/a"), OPAQUE[0], b"y", XattrFlags::empty()).unwrap();
        fs::write(pair.at("upper/a/five"), "5").unwrap();
        assert_eq!(pair.merged(), ["a/five=5", "b/three=3"]);
        assert!(!is_opaque(&pair.at("target/a")).unwrap());
    }

    #[test]
    fn change_whole_folder_removed_or_replaced() {
        let pair = Pair::new();
        pair.whiteout("upper/a");
        assert_eq!(
            change(&pair.at("lower/a"), &pair.at("upper/a")).unwrap(),
            Change::Removed
        );
        fs::remove_file(pair.at("upper/a")).unwrap();
        fs::write(pair.at("upper/a"), "now a file").unwrap();
        assert_eq!(
            change(&pair.at("lower/a"), &pair.at("upper/a")).unwrap(),
            Change::Replaced
        );
        assert_eq!(
            change(&pair.at("nowhere"), &pair.at("upper")).unwrap(),
            Change::Replaced
        );
    }
}
