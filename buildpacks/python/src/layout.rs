//! Where things go: an interpreter's prefix (`<layer>/3.13/{bin,lib}`), and its headers in a layer of their own.
//!
//! The prefix lies one folder below its layer: a layer's own `lib/` would come into LD_LIBRARY_PATH (CNB buildpack specification, "Layer Paths").

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use walkdir::WalkDir;

/// Parts of the standard library that no app imports, or that cannot work here: tests, IDLE, Tk, pip's copy, the configuration for embedding.
const LEFT_OUT: [&str; 9] = [
    "EXTERNALLY-MANAGED",
    "__pycache__",
    "ensurepip",
    "idlelib",
    "idle_test",
    "sitecustomize.py",
    "test",
    "tests",
    "turtledemo",
];

/// Copies the interpreter out of Debian's packages, unpacked below `root`.
pub(crate) fn lay_out_debian(root: &Path, minor: &str, prefix: &Path) -> io::Result<()> {
    let program = format!("python{minor}");
    let bin = prefix.join("bin");
    fs::create_dir_all(&bin)?;
    fs::copy(root.join("usr/bin").join(&program), bin.join(&program))?;
    link_names(&bin, &program)?;
    copy_tree(
        &root.join("usr/lib").join(&program),
        &prefix.join("lib").join(&program),
        &is_left_out,
    )
}

/// Copies the headers: `Python.h` and, below the machine's name, `pyconfig.h`. Gives the folders for CPATH.
pub(crate) fn lay_out_debian_headers(
    root: &Path,
    minor: &str,
    layer: &Path,
) -> io::Result<Vec<PathBuf>> {
    let include = layer.join("headers");
    let python = format!("python{minor}");
    let machine = Path::new("x86_64-linux-gnu").join(&python);
    for part in [Path::new(&python), &machine] {
        let from = root.join("usr/include").join(part);
        if from.is_dir() {
            copy_tree(&from, &include.join(part), &|_| false)?;
        }
    }
    Ok(vec![include.join(&python), include])
}

/// Takes what no app needs out of a standalone interpreter, and its headers into their own layer. Gives the folders for CPATH.
pub(crate) fn trim_standalone(
    prefix: &Path,
    minor: &str,
    headers: &Path,
) -> io::Result<Vec<PathBuf>> {
    let program = format!("python{minor}");
    let include = prefix.join("include");
    if include.is_dir() {
        copy_tree(&include, &headers.join("headers"), &|_| false)?;
        fs::remove_dir_all(&include)?;
    }
    remove_if_there(&prefix.join("share"))?;
    let bin = prefix.join("bin");
    for entry in fs::read_dir(&bin)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy() != program {
            fs::remove_file(entry.path())?;
        }
    }
    link_names(&bin, &program)?;
    let lib = prefix.join("lib");
    for entry in fs::read_dir(&lib)? {
        let entry = entry?;
        if is_for_tk(&entry.file_name().to_string_lossy()) || entry.file_name() == "pkgconfig" {
            remove_if_there(&entry.path())?;
        }
    }
    let library = lib.join(&program);
    let mut walk = WalkDir::new(&library).min_depth(1).into_iter();
    while let Some(entry) = walk.next() {
        let entry = entry.map_err(io::Error::other)?;
        let name = entry.file_name().to_string_lossy();
        let in_site_packages = entry.depth() == 2
            && entry
                .path()
                .parent()
                .is_some_and(|parent| parent.ends_with("site-packages"));
        let is_tk = entry.depth() <= 2 && (name == "tkinter" || name.starts_with("_tkinter."));
        if in_site_packages || is_tk || is_left_out(entry.path()) {
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            remove_if_there(entry.path())?;
        }
    }
    Ok(vec![
        headers.join("headers").join(&program),
        headers.join("headers"),
    ])
}

fn is_for_tk(name: &str) -> bool {
    ["tcl", "tk", "itcl", "thread", "libtcl", "libtk", "Tix"]
        .iter()
        .any(|start| name.starts_with(start))
}

fn is_left_out(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // `config-3.13-x86_64-linux-gnu` is for programs that embed Python: static libraries of 24 MB.
    LEFT_OUT.contains(&&*name) || (path.is_dir() && name.starts_with("config-3."))
}

/// `python3` and `python` lead to `python3.13`, so that paths stay the same when the version changes.
fn link_names(bin: &Path, program: &str) -> io::Result<()> {
    for name in ["python3", "python"] {
        remove_if_there(&bin.join(name))?;
        symlink(program, bin.join(name))?;
    }
    Ok(())
}

/// Copies folders, files and links that stay inside the tree; others would lead to nothing in a layer.
fn copy_tree(from: &Path, to: &Path, left_out: &dyn Fn(&Path) -> bool) -> io::Result<()> {
    let entries = WalkDir::new(from)
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !left_out(entry.path()));
    for entry in entries {
        let entry = entry.map_err(io::Error::other)?;
        let target = to.join(entry.path().strip_prefix(from).unwrap_or(entry.path()));
        let kind = entry.file_type();
        if kind.is_dir() {
            fs::create_dir_all(&target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), &target)?;
        } else if kind.is_symlink() {
            let link = fs::read_link(entry.path())?;
            if link.is_relative() && entry.path().metadata().is_ok() {
                symlink(link, &target)?;
            }
        }
    }
    Ok(())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    let removed = match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(root: &Path) -> Vec<String> {
        let mut names: Vec<String> = WalkDir::new(root)
            .min_depth(1)
            .into_iter()
            .map(Result::unwrap)
            .filter(|entry| !entry.file_type().is_dir())
            .map(|entry| {
                entry
                    .path()
                    .strip_prefix(root)
                    .unwrap()
                    .display()
                    .to_string()
            })
            .collect();
        names.sort();
        names
    }

    fn write(root: &Path, names: &[&str]) {
        for name in names {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
    }

    #[test]
    fn lay_out_debian_takes_the_interpreter_and_leaves_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let (root, prefix, headers) = (
            folder.path().join("root"),
            folder.path().join("3.13"),
            folder.path().join("headers"),
        );
        write(
            &root,
            &[
                "usr/bin/python3.13",
                "usr/bin/pydoc3.13",
                "usr/lib/python3.13/os.py",
                "usr/lib/python3.13/EXTERNALLY-MANAGED",
                "usr/lib/python3.13/test/x.py",
                "usr/lib/python3.13/config-3.13-x86_64-linux-gnu/libpython3.13.a",
                "usr/lib/python3.13/unittest/mock.py",
                "usr/lib/python3.13/lib-dynload/_ssl.so",
                "usr/include/python3.13/Python.h",
                "usr/include/x86_64-linux-gnu/python3.13/pyconfig.h",
            ],
        );
        symlink(
            "/etc/python3.13/sitecustomize.py",
            root.join("usr/lib/python3.13/sitecustomize.py"),
        )
        .unwrap();
        lay_out_debian(&root, "3.13", &prefix).unwrap();
        assert_eq!(
            tree(&prefix),
            [
                "bin/python",
                "bin/python3",
                "bin/python3.13",
                "lib/python3.13/lib-dynload/_ssl.so",
                "lib/python3.13/os.py",
                "lib/python3.13/unittest/mock.py"
            ]
        );
        let cpath = lay_out_debian_headers(&root, "3.13", &headers).unwrap();
        assert_eq!(
            tree(&headers),
            [
                "headers/python3.13/Python.h",
                "headers/x86_64-linux-gnu/python3.13/pyconfig.h"
            ]
        );
        assert_eq!(
            cpath,
            [headers.join("headers/python3.13"), headers.join("headers")]
        );
    }

    #[test]
    fn trim_standalone_removes_tk_tests_pip_and_headers() {
        let folder = tempfile::tempdir().unwrap();
        let (prefix, headers) = (folder.path().join("3.12"), folder.path().join("headers"));
        write(
            &prefix,
            &[
                "bin/python3.12",
                "bin/pip3",
                "bin/idle3.12",
                "include/python3.12/Python.h",
                "lib/libpython3.12.so.1.0",
                "lib/libtcl9.0.so",
                "lib/tk9.0/x.tcl",
                "lib/pkgconfig/python.pc",
                "lib/python3.12/os.py",
                "lib/python3.12/tkinter/__init__.py",
                "lib/python3.12/config-3.12-x86_64-linux-gnu/Makefile",
                "lib/python3.12/site-packages/pip/__init__.py",
                "lib/python3.12/ensurepip/__init__.py",
                "lib/python3.12/lib-dynload/_tkinter.cpython-312-x86_64-linux-gnu.so",
                "share/man/man1/python3.1",
            ],
        );
        let cpath = trim_standalone(&prefix, "3.12", &headers).unwrap();
        assert_eq!(
            tree(&prefix),
            [
                "bin/python",
                "bin/python3",
                "bin/python3.12",
                "lib/libpython3.12.so.1.0",
                "lib/python3.12/os.py"
            ]
        );
        assert_eq!(tree(&headers), ["headers/python3.12/Python.h"]);
        assert_eq!(
            cpath,
            [headers.join("headers/python3.12"), headers.join("headers")]
        );
    }
}
