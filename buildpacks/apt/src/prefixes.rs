//! Texts that say `/usr` and mean the layer: pkg-config's `.pc` files and the older `*-config` scripts.
//!
//! `gdal-config --cflags` and `pkg-config --cflags cairo` tell compilers where headers are; in a layer that is not `/usr/include`.

use std::fs;
use std::io;
use std::path::Path;

use walkdir::WalkDir;

/// Larger files are no such texts.
const LARGEST: u64 = 1 << 20;

/// Rewrites every such text below the layer, once.
pub(crate) fn rewrite(layer: &Path) -> io::Result<()> {
    let prefix = layer.to_string_lossy();
    for entry in WalkDir::new(layer.join("usr")).sort_by_file_name() {
        let entry = match entry {
            Err(error)
                if error
                    .io_error()
                    .is_some_and(|error| error.kind() == io::ErrorKind::NotFound) =>
            {
                return Ok(());
            }
            entry => entry.map_err(io::Error::from)?,
        };
        let is_wanted = entry.file_type().is_file()
            && entry
                .metadata()
                .is_ok_and(|metadata| metadata.len() <= LARGEST)
            && names_folders(entry.path());
        if !is_wanted {
            continue;
        }
        let Ok(text) = String::from_utf8(fs::read(entry.path())?) else {
            continue;
        };
        let new = with_prefix(&text, &prefix);
        if new != text {
            replace(entry.path(), &new)?;
        }
    }
    Ok(())
}

/// `…/pkgconfig/x.pc` and `usr/bin/x-config`.
fn names_folders(path: &Path) -> bool {
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default();
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    (folder == "pkgconfig" && path.extension().is_some_and(|ending| ending == "pc"))
        || (folder == "bin" && name.ends_with("-config") && is_script(path))
}

fn is_script(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"#!"))
}

/// Puts `prefix` before each `/usr` that begins a path; the script's first line names an interpreter of the image and stays.
fn with_prefix(text: &str, prefix: &str) -> String {
    let mut out = String::with_capacity(text.len() + 256);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        if number == 0 && line.starts_with("#!") {
            out.push_str(line);
            continue;
        }
        let mut rest = line;
        while let Some(at) = rest.find("/usr") {
            let (before, found) = rest.split_at(at);
            out.push_str(before);
            if begins_path(before) && ends_name(&found["/usr".len()..]) {
                out.push_str(prefix);
            }
            out.push_str("/usr");
            rest = &found["/usr".len()..];
        }
        out.push_str(rest);
    }
    out
}

/// After `=`, a blank, a quote, a colon, `-I` or `-L`; not inside a longer path.
fn begins_path(before: &str) -> bool {
    before.ends_with("-I")
        || before.ends_with("-L")
        || before.is_empty()
        || before.ends_with(['=', ' ', '\t', '"', '\'', ':'])
}

fn ends_name(after: &str) -> bool {
    !after.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

/// A new file in the place of the old one: it may be a hard link of another.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let permissions = path.metadata()?.permissions();
    fs::remove_file(path)?;
    fs::write(path, text)?;
    fs::set_permissions(path, permissions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_prefix_table() {
        for (text, expected) in [
            (
                "prefix=/usr\nlibdir=${prefix}/lib\n",
                "prefix=/L/usr\nlibdir=${prefix}/lib\n",
            ),
            (
                "Cflags: -I/usr/include/x -isystem /usr/include\n",
                "Cflags: -I/L/usr/include/x -isystem /L/usr/include\n",
            ),
            ("Libs: -L/usr/lib/x\n", "Libs: -L/L/usr/lib/x\n"),
            (
                "#!/usr/bin/sh\nP=\"/usr\"\n",
                "#!/usr/bin/sh\nP=\"/L/usr\"\n",
            ),
            (
                "a=/usr-local\nb=/opt/usr/x\nc=/usr.d\n",
                "a=/usr-local\nb=/opt/usr/x\nc=/usr.d\n",
            ),
        ] {
            assert_eq!(with_prefix(text, "/L"), expected);
        }
    }

    #[test]
    fn rewrite_only_what_names_folders() {
        let layer = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = layer.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("usr/lib/x/pkgconfig/a.pc", "prefix=/usr\n");
        write("usr/bin/a-config", "#!/bin/sh\necho -I/usr/include\n");
        write("usr/bin/b", "#!/bin/sh\necho -I/usr/include\n");
        write("usr/share/x/a.pc", "prefix=/usr\n");
        rewrite(layer.path()).unwrap();
        let read = |path: &str| fs::read_to_string(layer.path().join(path)).unwrap();
        assert_eq!(
            read("usr/lib/x/pkgconfig/a.pc"),
            format!("prefix={}/usr\n", layer.path().display())
        );
        assert_eq!(
            read("usr/bin/a-config"),
            format!("#!/bin/sh\necho -I{}/usr/include\n", layer.path().display())
        );
        assert_eq!(read("usr/bin/b"), "#!/bin/sh\necho -I/usr/include\n");
        assert_eq!(read("usr/share/x/a.pc"), "prefix=/usr\n");
    }

    #[test]
    fn rewrite_empty_layer() {
        rewrite(tempfile::tempdir().unwrap().path()).unwrap();
    }
}
