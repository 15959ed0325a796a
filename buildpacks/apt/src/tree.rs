//! The unpacked tree: links that still lead somewhere, one `/usr`, modes without privileges.
//!
//! Packages expect to stand at `/`. In a layer they stand below `/layers/longshore_apt/packages`, so an absolute link would lead out of
//! it, and a relative one may end where the layer has nothing but the run image has (`libz.so -> libz.so.1` of a `-dev` package). Each link
//! is made to lead to the layer's own file where there is one, and to the image's otherwise.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Component, Path, PathBuf};

use walkdir::WalkDir;

/// Folders that are links into `/usr` on every Debian since 12 (merged /usr); older packages still bring them as folders.
const MERGED: [&str; 5] = ["bin", "sbin", "lib", "lib32", "lib64"];

/// Bits that no file of an app's layer needs: set-user-id, set-group-id, sticky.
const SPECIAL_BITS: u32 = 0o7000;

/// Puts the tree in order. `root` is the layer.
pub(crate) fn settle(root: &Path) -> io::Result<()> {
    // Where a link leads is worked out while everything stands where the packages had it.
    let links = links(root)?;
    merge_usr(root)?;
    for (path, target) in links {
        let link = root.join(&path);
        fs::remove_file(&link)?;
        symlink(&target, &link)?;
    }
    plain_modes(root)
}

/// Makes a link like one that a package would have brought, if its target is there and its place is free.
pub(crate) fn add_link(root: &Path, link: &str, target: &str) -> io::Result<bool> {
    let (link, target) = (merged(Path::new(link)), merged(Path::new(target)));
    let place = root.join(&link);
    if !is_there(&root.join(&target)) || is_there(&place) {
        return Ok(false);
    }
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    symlink(relative(&link, &target), place)?;
    Ok(true)
}

/// Every link that has to change: its place after merging, and its new target.
fn links(root: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
    let mut links = Vec::new();
    for entry in WalkDir::new(root).sort_by_file_name() {
        let entry = entry.map_err(io::Error::from)?;
        if !entry.path_is_symlink() {
            continue;
        }
        let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let target = normal(path, &fs::read_link(entry.path())?);
        let is_ours = is_there(&root.join(&target)) || is_there(&root.join(merged(&target)));
        let (place, target) = (merged(path), merged(&target));
        let new = if is_ours {
            relative(&place, &target)
        } else {
            Path::new("/").join(target)
        };
        links.push((place, new));
    }
    Ok(links)
}

/// What a link at `path` leads to, from the root, without `.` and `..`.
fn normal(path: &Path, target: &Path) -> PathBuf {
    let mut normal = if target.is_absolute() {
        PathBuf::new()
    } else {
        path.parent().unwrap_or(Path::new("")).to_owned()
    };
    for component in target.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            // Above the root is the root, as for the kernel.
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    normal
}

/// The same path on a system with merged /usr, relative to the root.
fn merged(path: &Path) -> PathBuf {
    let path = path.strip_prefix("/").unwrap_or(path);
    let is_merged = path
        .components()
        .next()
        .is_some_and(|first| MERGED.iter().any(|name| first.as_os_str() == *name));
    if is_merged {
        Path::new("usr").join(path)
    } else {
        path.to_owned()
    }
}

/// The way from a link to a target; both are relative to the root.
fn relative(link: &Path, target: &Path) -> PathBuf {
    let from: Vec<_> = link
        .parent()
        .unwrap_or(Path::new(""))
        .components()
        .collect();
    let to: Vec<_> = target.components().collect();
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n(Component::ParentDir, from.len() - common);
    let path: PathBuf = up.chain(to[common..].iter().copied()).collect();
    if path.as_os_str().is_empty() {
        PathBuf::from(".")
    } else {
        path
    }
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn merge_usr(root: &Path) -> io::Result<()> {
    for name in MERGED {
        let folder = root.join(name);
        if folder
            .symlink_metadata()
            .is_ok_and(|metadata| metadata.is_dir())
        {
            move_into(&folder, &root.join("usr").join(name))?;
        }
    }
    Ok(())
}

fn move_into(from: &Path, to: &Path) -> io::Result<()> {
    if !is_there(to) {
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        return fs::rename(from, to);
    }
    if !to.symlink_metadata()?.is_dir() || !from.symlink_metadata()?.is_dir() {
        // Both places of the same file: what stands in /usr is the newer form.
        return if from.symlink_metadata()?.is_dir() {
            fs::remove_dir_all(from)
        } else {
            fs::remove_file(from)
        };
    }
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        move_into(&entry.path(), &to.join(entry.file_name()))?;
    }
    fs::remove_dir(from)
}

/// The layer belongs to an ordinary user: privileges of its files would be that user's, and a file it cannot read would break the export.
fn plain_modes(root: &Path) -> io::Result<()> {
    for entry in WalkDir::new(root) {
        let entry = entry.map_err(io::Error::from)?;
        if entry.path_is_symlink() {
            continue;
        }
        let mode = entry
            .metadata()
            .map_err(io::Error::from)?
            .permissions()
            .mode()
            & 0o7777;
        let needed = if entry.file_type().is_dir() {
            0o700
        } else {
            0o400
        };
        let plain = (mode & !SPECIAL_BITS) | needed;
        if plain != mode {
            fs::set_permissions(entry.path(), Permissions::from_mode(plain))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, path: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "content").unwrap();
    }

    fn link(root: &Path, path: &str, target: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }

    #[test]
    fn settle_links() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "usr/lib/x/libours.so.1.2");
        write(root, "lib/x/libold.so.1");
        let table = [
            ("usr/lib/x/libours.so.1", "libours.so.1.2", "libours.so.1.2"),
            (
                "usr/bin/abs",
                "/usr/lib/x/libours.so.1.2",
                "../lib/x/libours.so.1.2",
            ),
            ("usr/lib/x/libold.so", "/lib/x/libold.so.1", "libold.so.1"), // After merging both are in /usr/lib.
            ("usr/lib/x/libz.so", "libz.so.1", "/usr/lib/x/libz.so.1"),   // The run image's.
            (
                "usr/lib/y/up",
                "../../../lib/x/libz.so.1",
                "/usr/lib/x/libz.so.1",
            ),
            ("etc/alternatives/a", "/etc/passwd", "/etc/passwd"),
            ("usr/share/self", ".", "."),
            ("usr/share/out", "../../../../../usr/lib/x", "../lib/x"),
        ];
        for (path, target, _) in table {
            link(root, path, target);
        }
        settle(root).unwrap();
        for (path, _, expected) in table {
            assert_eq!(
                fs::read_link(root.join(path)).unwrap(),
                Path::new(expected),
                "{path}"
            );
        }
        assert!(root.join("usr/lib/x/libold.so.1").is_file());
        assert!(!is_there(&root.join("lib")));
    }

    #[test]
    fn settle_moves_links_with_their_folder() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "lib/x/libold.so.1.5");
        link(root, "lib/x/libold.so.1", "libold.so.1.5");
        link(root, "lib/x/libimage.so", "../x/libimage.so.2");
        write(root, "usr/lib/x/other");
        settle(root).unwrap();
        assert_eq!(
            fs::read_link(root.join("usr/lib/x/libold.so.1")).unwrap(),
            Path::new("libold.so.1.5")
        );
        assert_eq!(
            fs::read_link(root.join("usr/lib/x/libimage.so")).unwrap(),
            Path::new("/usr/lib/x/libimage.so.2")
        );
    }

    #[test]
    fn settle_modes() {
        let root = tempfile::tempdir().unwrap();
        let table = [
            ("sudo", 0o4755, 0o755),
            ("secret", 0o040, 0o440),
            ("plain", 0o644, 0o644),
        ];
        for (path, mode, _) in table {
            write(root.path(), path);
            fs::set_permissions(root.path().join(path), Permissions::from_mode(mode)).unwrap();
        }
        settle(root.path()).unwrap();
        for (path, _, mode) in table {
            assert_eq!(
                root.path()
                    .join(path)
                    .metadata()
                    .unwrap()
                    .permissions()
                    .mode()
                    & 0o7777,
                mode,
                "{path}"
            );
        }
    }

    #[test]
    fn add_link_only_where_it_helps() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "usr/lib/x/blas/libblas.so.3");
        assert!(
            add_link(
                root,
                "/usr/lib/x/libblas.so.3",
                "/usr/lib/x/blas/libblas.so.3"
            )
            .unwrap()
        );
        assert_eq!(
            fs::read_link(root.join("usr/lib/x/libblas.so.3")).unwrap(),
            Path::new("blas/libblas.so.3")
        );
        assert!(
            !add_link(
                root,
                "/usr/lib/x/libblas.so.3",
                "/usr/lib/x/blas/libblas.so.3"
            )
            .unwrap(),
            "taken"
        );
        assert!(!add_link(root, "/usr/bin/x", "/usr/bin/missing").unwrap());
    }
}
