//! The way out where overlays are refused: several trees, copied into one folder.

use std::fs::{self, File, FileTimes, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, ioctl_ficlone, utimensat};

/// Copies what an overlay of `lowers` (the uppermost first) would show into the folder `target`, which has to be empty
/// and private to the caller. Contents are shared where the file system can (`FICLONE`).
///
/// The trees are unpacked layers: they have no whiteouts, and nobody writes to them meanwhile.
pub fn flatten(lowers: &[PathBuf], target: &Path) -> Result<(), CopyError> {
    for lower in lowers.iter().rev() {
        copy_folder(lower, target)?;
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), CopyError> {
    let failed = |source| CopyError {
        from: from.to_owned(),
        to: to.to_owned(),
        source,
    };
    let meta = fs::symlink_metadata(from).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type().map_err(failed)?;
        let failed = |source| CopyError {
            from: entry.path(),
            to: target.clone(),
            source,
        };
        if kind.is_dir() {
            make_way_for_folder(&target).map_err(failed)?;
            copy_folder(&entry.path(), &target)?;
        } else {
            make_way(&target).map_err(failed)?;
            if kind.is_symlink() {
                let link = fs::read_link(entry.path()).map_err(failed)?;
                std::os::unix::fs::symlink(link, &target).map_err(failed)?;
                let meta = entry.metadata().map_err(failed)?;
                keep_times(&target, &meta).map_err(failed)?;
            } else if kind.is_file() {
                copy_file(&entry.path(), &target).map_err(failed)?;
            }
            // Sockets and pipes of a tree are nothing that a build could use.
        }
    }
    // Last, since a folder without write permission takes no entries and each new one changes its time.
    fs::set_permissions(to, Permissions::from_mode(meta.mode() & 0o7777)).map_err(failed)?;
    keep_times(to, &meta).map_err(failed)
}

fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let meta = source.metadata()?;
    let mut copy = File::create_new(to)?;
    if ioctl_ficlone(&copy, &source).is_err() {
        io::copy(&mut source, &mut copy)?;
    }
    copy.set_permissions(Permissions::from_mode(meta.mode() & 0o7777))?;
    copy.set_times(FileTimes::new().set_modified(meta.modified()?))
}

fn keep_times(path: &Path, meta: &fs::Metadata) -> io::Result<()> {
    let time = Timespec {
        tv_sec: meta.mtime(),
        tv_nsec: meta.mtime_nsec(),
    };
    let times = Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn make_way(target: &Path) -> io::Result<()> {
    match fs::symlink_metadata(target) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(target),
        Ok(_) => fs::remove_file(target),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A folder over a folder is merged; over anything else it takes its place.
fn make_way_for_folder(target: &Path) -> io::Result<()> {
    match fs::symlink_metadata(target) {
        Ok(meta) if meta.is_dir() => {
            return fs::set_permissions(target, Permissions::from_mode(0o700));
        }
        Ok(_) => fs::remove_file(target)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::create_dir(target)
}

/// Why a tree could not be copied.
#[derive(Debug, thiserror::Error)]
#[error("could not copy {from} to {to}", from = from.display(), to = to.display())]
pub struct CopyError {
    /// What was copied.
    from: PathBuf,
    /// To where.
    to: PathBuf,
    /// Why it failed.
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flatten_shows_what_an_overlay_shows() {
        let folder = tempfile::tempdir().unwrap();
        let [upper, lower, target] = ["upper", "lower", "target"].map(|name| {
            let path = folder.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        });
        fs::create_dir(lower.join("both")).unwrap();
        fs::write(lower.join("both/low"), "low").unwrap();
        fs::write(lower.join("both/same"), "low").unwrap();
        fs::write(lower.join("becomes-link"), "low").unwrap();
        fs::create_dir(lower.join("becomes-file")).unwrap();
        fs::create_dir(upper.join("both")).unwrap();
        fs::write(upper.join("both/same"), "up").unwrap();
        fs::set_permissions(upper.join("both/same"), Permissions::from_mode(0o750)).unwrap();
        fs::set_permissions(upper.join("both"), Permissions::from_mode(0o555)).unwrap();
        std::os::unix::fs::symlink("nowhere", upper.join("becomes-link")).unwrap();
        fs::write(upper.join("becomes-file"), "up").unwrap();

        flatten(&[upper.clone(), lower], &target).unwrap();

        let read = |name: &str| fs::read_to_string(target.join(name)).unwrap();
        assert_eq!(read("both/low"), "low");
        assert_eq!(read("both/same"), "up");
        assert_eq!(read("becomes-file"), "up");
        assert_eq!(
            fs::read_link(target.join("becomes-link")).unwrap(),
            Path::new("nowhere")
        );
        let mode = |path: PathBuf| fs::metadata(path).unwrap().mode() & 0o7777;
        assert_eq!(mode(target.join("both/same")), 0o750);
        assert_eq!(mode(target.join("both")), 0o555);
        let time = |path: PathBuf| fs::metadata(path).unwrap().modified().unwrap();
        assert_eq!(time(target.join("both")), time(upper.join("both")));
    }
}
