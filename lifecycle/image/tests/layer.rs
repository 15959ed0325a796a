//! Layers as they are written: every entry, the same bytes everywhere, and what other programs make of them.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use oci_image::archive::{Kind, ReadLimits, Reader};
use oci_image::layer::{
    Compression, FileKind, LAYER_TIME, LayerContents, Selection, TreeRules, TreeWhiteouts,
    WriteLayerError, diff_id, write_layer,
};
use oci_image::{Digest, ExpansionLimits, LayerBlob, LayerReader, Owner, Owners, TreePath};
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

const USER: Owner = Owner::new(1000, 1000);

fn path(text: &str) -> TreePath {
    text.parse().unwrap()
}

fn gzip(threads: usize) -> Compression {
    Compression::Gzip {
        threads: NonZeroUsize::new(threads).unwrap(),
    }
}

fn zstd(threads: usize) -> Compression {
    Compression::Zstd {
        threads: NonZeroUsize::new(threads).unwrap(),
    }
}

fn written(contents: &LayerContents<'_>, compression: Compression) -> (LayerBlob, Vec<u8>) {
    let mut blob = Vec::new();
    let layer = write_layer(contents, &mut blob, compression).unwrap();
    (layer, blob)
}

fn tar_of(blob: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    LayerReader::new(blob, ExpansionLimits::default())
        .unwrap()
        .read_to_end(&mut tar)
        .unwrap();
    tar
}

/// Every entry in one line: name as it is in the header, kind, mode, owner, time.
fn listing(tar: &[u8]) -> String {
    let mut reader = Reader::new(tar, ReadLimits::default());
    let mut lines = String::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        let mut content = String::new();
        reader.read_to_string(&mut content).unwrap();
        let kind = match entry.kind {
            Kind::File { .. } => format!("file {content:?}"),
            Kind::Directory => "folder".to_owned(),
            Kind::Symlink { target } => format!("symlink {}", String::from_utf8(target).unwrap()),
            Kind::Hardlink { target } => format!("hard link {target}"),
            other => format!("{other:?}"),
        };
        let Owner { uid, gid } = entry.owner;
        writeln!(
            lines,
            "{} {kind} {:o} {uid}:{gid} {}",
            entry.path, entry.mode, entry.mtime.seconds
        )
        .unwrap();
    }
    lines
}

/// A folder with a bit of everything, made in the given order.
fn sample(reversed: bool) -> TempDir {
    let folder = TempDir::new().unwrap();
    let root = folder.path().join("layer");
    fs::create_dir(&root).unwrap();
    let mut names = vec!["b", "a-c", "a", "z/long", "ü"];
    if reversed {
        names.reverse();
    }
    for name in names {
        let file = match name {
            "a" => root.join("a/inside"),
            "z/long" => root.join("z").join("long/".repeat(40)).join("name"),
            _ => root.join(name),
        };
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, name).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    }
    for folder in ["", "a", "z"] {
        fs::set_permissions(root.join(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut deep = root.join("z");
    for _ in 0..40 {
        deep = deep.join("long");
        fs::set_permissions(&deep, fs::Permissions::from_mode(0o755)).unwrap();
    }
    fs::hard_link(root.join("b"), root.join("link")).unwrap();
    symlink("../somewhere", root.join("symlink")).unwrap();
    fs::set_permissions(root.join("a-c"), fs::Permissions::from_mode(0o4755)).unwrap();
    drop(UnixListener::bind(root.join("socket")).unwrap());
    folder
}

fn buildpack_layer(folder: &Path) -> LayerContents<'static> {
    let at = path("/layers/longshore_python/env");
    LayerContents::new().parents_of(&at, USER).tree(
        folder.join("layer"),
        &at,
        TreeRules::buildpack(USER),
    )
}

#[test]
fn buildpack_layer_every_entry() {
    let folder = sample(false);
    fs::remove_dir_all(folder.path().join("layer/z")).unwrap();
    let (layer, blob) = written(&buildpack_layer(folder.path()), Compression::None);
    assert!(layer.is_uncompressed());
    assert!(blob.starts_with(b"/layers\0"), "names are absolute");
    let t = LAYER_TIME;
    assert_eq!(
        listing(&blob),
        format!(
            "/layers folder 755 1000:1000 {t}\n\
             /layers/longshore_python folder 755 1000:1000 {t}\n\
             /layers/longshore_python/env folder 755 1000:1000 {t}\n\
             /layers/longshore_python/env/a folder 755 1000:1000 {t}\n\
             /layers/longshore_python/env/a/inside file \"a\" 640 1000:1000 {t}\n\
             /layers/longshore_python/env/a-c file \"a-c\" 4755 1000:1000 {t}\n\
             /layers/longshore_python/env/b file \"b\" 640 1000:1000 {t}\n\
             /layers/longshore_python/env/link file \"b\" 640 1000:1000 {t}\n\
             /layers/longshore_python/env/symlink symlink ../somewhere 777 1000:1000 {t}\n\
             /layers/longshore_python/env/ü file \"ü\" 640 1000:1000 {t}\n"
        )
    );
}

#[test]
fn stack_layer_owners_times_links() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    for (name, time) in [("b", 500), ("c", 5000)] {
        let file = fs::File::create(root.join(name)).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o755))
            .unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(time))
            .unwrap();
    }
    fs::create_dir(root.join("d")).unwrap();
    fs::set_permissions(root.join("d"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::hard_link(root.join("b"), root.join("d/link")).unwrap();
    let mut owners = Owners::new(Owner::ROOT);
    owners.set_owner(&path("b"), Owner::new(0, 42));
    owners.set_mode(&path("b"), 0o755, 0o4755);
    owners.set_xattr(&path("c"), "security.capability", b"cap");
    let contents =
        LayerContents::new().tree(root, &TreePath::root(), TreeRules::stack(&owners, 1000));
    let (_, tar) = written(&contents, Compression::None);
    assert_eq!(
        listing(&tar),
        "/b file \"\" 4755 0:42 500\n\
         /c file \"\" 755 0:0 1000\n\
         /d folder 755 0:0 1000\n\
         /d/link hard link /b 755 0:0 500\n"
    );
    assert!(
        tar.windows(40)
            .any(|window| window == &b"SCHILY.xattr.security.capability=cap\n\0\0\0"[..40])
    );
}

#[test]
fn single_entries() {
    let launcher = path("cnb/lifecycle/launcher");
    let contents = LayerContents::new()
        .parents_of(&launcher, Owner::ROOT)
        .file(&launcher, 0o755, Owner::ROOT, &b"ELF"[..])
        .parents_of(&path("cnb/process/web"), Owner::ROOT)
        .symlink(
            &path("cnb/process/web"),
            "/cnb/lifecycle/launcher",
            Owner::ROOT,
        );
    let (_, tar) = written(&contents, Compression::None);
    let t = LAYER_TIME;
    assert_eq!(
        listing(&tar),
        format!(
            "/cnb folder 755 0:0 {t}\n/cnb/lifecycle folder 755 0:0 {t}\n/cnb/lifecycle/launcher file \"ELF\" 755 0:0 {t}\n\
             /cnb/process folder 755 0:0 {t}\n/cnb/process/web symlink /cnb/lifecycle/launcher 755 0:0 {t}\n"
        )
    );
}

#[test]
fn selection_and_whiteouts() {
    let folder = TempDir::new().unwrap();
    let root = folder.path();
    for name in ["keep/a", "keep/b", ".git/config", "other/a"] {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), "").unwrap();
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        root.join("keep/gone"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::empty(),
        0,
    )
    .unwrap();
    let select = |path: &TreePath, _: FileKind| match path.to_string().as_str() {
        "/workspace" | "/workspace/other" => Selection::Inside,
        "/workspace/.git" => Selection::Leave,
        _ => Selection::Take,
    };
    let rules = TreeRules {
        whiteouts: TreeWhiteouts::ForLayer,
        ..TreeRules::buildpack(USER).selected_by(&select)
    };
    let (_, tar) = written(
        &LayerContents::new().tree(root, &path("workspace"), rules),
        Compression::None,
    );
    let names: Vec<String> = listing(&tar)
        .lines()
        .map(|line| line.split(' ').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        names,
        [
            "/workspace/keep",
            "/workspace/keep/a",
            "/workspace/keep/b",
            "/workspace/keep/.wh.gone",
            "/workspace/other/a"
        ]
    );
}

#[test]
fn same_bytes_for_any_threads_order_and_umask() {
    let folder = sample(false);
    // More than a few members, and content that compresses in different ways.
    let mut noise = 1_u64;
    let bytes: Vec<u8> = (0..9_000_000)
        .map(|index| {
            noise = noise
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if index % 3_000_000 < 1_000_000 {
                (noise >> 60) as u8
            } else {
                (noise >> 40) as u8
            }
        })
        .collect();
    let add_big = |folder: &Path| {
        fs::write(folder.join("layer/big"), &bytes).unwrap();
        fs::set_permissions(folder.join("layer/big"), fs::Permissions::from_mode(0o600)).unwrap();
    };
    add_big(folder.path());
    let (first, blob) = written(&buildpack_layer(folder.path()), gzip(1));
    let (of_zstd, zstd_blob) = written(&buildpack_layer(folder.path()), zstd(1));
    for threads in [2, 3, 8, 64] {
        for (compression, expected) in [(gzip(threads), first), (zstd(threads), of_zstd)] {
            let found = written(&buildpack_layer(folder.path()), compression).0;
            assert_eq!(found, expected, "{compression:?}");
        }
    }
    let other_umask = rustix::process::umask(rustix::fs::Mode::from(0o077));
    let other = sample(true);
    add_big(other.path());
    rustix::process::umask(other_umask);
    assert_eq!(
        written(&buildpack_layer(other.path()), gzip(2)).0,
        first,
        "another folder, order and umask"
    );

    let tar = tar_of(&blob);
    assert_eq!(Digest::of(&tar), first.diff_id.digest());
    assert_eq!(Digest::of(&blob), first.digest.digest());
    assert_eq!(of_zstd.diff_id, first.diff_id);
    assert_eq!(Digest::of(&zstd_blob), of_zstd.digest.digest());
    assert!(tar_of(&zstd_blob) == tar, "the same tar comes out");
    assert_eq!(
        (tar.len() as u64, blob.len() as u64),
        (first.uncompressed_size, first.size)
    );
    assert_eq!(
        diff_id(&buildpack_layer(folder.path())).unwrap(),
        (first.diff_id, first.uncompressed_size)
    );
    assert_eq!(
        written(&buildpack_layer(folder.path()), Compression::None)
            .0
            .diff_id,
        first.diff_id
    );
}

/// Digests of layers are kept by registries and users: a change here (of our rules, or of libdeflate's output) makes everybody's
/// layers new, and belongs into the changelog.
#[test]
fn digests_stay_what_they_are() {
    let file = path("layers/x/text");
    let text: Vec<u8> = (0..200_000)
        .flat_map(|line| format!("line {line}\n").into_bytes())
        .collect();
    let contents = LayerContents::new()
        .parents_of(&file, USER)
        .file(&file, 0o644, USER, text);
    let (layer, _) = written(&contents, gzip(2));
    assert_eq!(
        layer.diff_id.to_string(),
        "sha256:b6dac58204f3c07669c3057e323ff6f8a24bbb5593fafe11f52af660fc3ff711"
    );
    assert_eq!(
        layer.digest.to_string(),
        "sha256:687e79299323a61c8fb3592c484fbf9a70f195d1a0eea4e2a17808c752c35daa"
    );
}

#[test]
fn sink_fails() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("layer")).unwrap();
    fs::write(folder.path().join("layer/big"), vec![7; 50 << 20]).unwrap();
    for compression in [gzip(2), Compression::None] {
        for room in [0, 1000, 20_000] {
            let error =
                write_layer(&buildpack_layer(folder.path()), Full(room), compression).unwrap_err();
            assert!(
                matches!(&error, WriteLayerError::Sink(error) if error.kind() == io::ErrorKind::StorageFull),
                "{error:?}"
            );
        }
    }
}

#[test]
fn folder_is_not_there() {
    let error =
        write_layer(&buildpack_layer(Path::new("/nowhere")), io::sink(), gzip(1)).unwrap_err();
    assert_eq!(error.to_string(), "cannot read /nowhere/layer for a layer");
}

/// Go's `archive/tar`, used as the reference lifecycle uses it, has to give the same bytes.
#[test]
fn same_bytes_as_go() {
    if Command::new("go").arg("version").output().is_err() {
        test_skip::because("there is no Go compiler");
        return;
    }
    let folder = sample(false);
    fs::write(folder.path().join("layer/empty"), "").unwrap();
    fs::create_dir_all(
        folder
            .path()
            .join("layer/ünï")
            .join("é".repeat(60))
            .join("x".repeat(200)),
    )
    .unwrap();
    fs::write(folder.path().join("layer/ünï/file"), "content").unwrap();
    symlink("t".repeat(150), folder.path().join("layer/long-target")).unwrap();
    for length in 90..130 {
        fs::write(folder.path().join("layer").join("n".repeat(length)), "").unwrap();
        fs::create_dir_all(
            folder
                .path()
                .join("layer/d")
                .join("m".repeat(length))
                .join("k".repeat(60)),
        )
        .unwrap();
    }
    let output = Command::new("go")
        .args([
            "run",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference_layer.go"),
        ])
        .arg(folder.path().join("layer"))
        .env("GOTOOLCHAIN", "local")
        .env("GO111MODULE", "off")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let (_, tar) = written(&buildpack_layer(folder.path()), Compression::None);
    let different = tar
        .iter()
        .zip(&output.stdout)
        .position(|(ours, theirs)| ours != theirs);
    assert_eq!((different, tar.len()), (None, output.stdout.len()));
}

/// Python's `tarfile` reads the compressed layer and sees the same files.
#[test]
fn python_reads_it() {
    const SCRIPT: &str = "import sys, tarfile\n\
        for m in tarfile.open(fileobj=sys.stdin.buffer, mode='r|gz'):\n\
        \tprint(m.name, oct(m.mode), m.uid, m.gid, int(m.mtime), m.size, m.linkname, repr(m.uname))";
    let folder = sample(false);
    let (_, blob) = written(&buildpack_layer(folder.path()), gzip(2));
    let mut blob_file = tempfile::tempfile().unwrap();
    blob_file.write_all(&blob).unwrap();
    io::Seek::rewind(&mut blob_file).unwrap();
    let Ok(output) = Command::new("python3")
        .args(["-c", SCRIPT])
        .stdin(blob_file)
        .output()
    else {
        test_skip::because("there is no python3");
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut expected = String::new();
    let tar = tar_of(&blob);
    let mut reader = Reader::new(&tar[..], ReadLimits::default());
    while let Some(entry) = reader.next_entry().unwrap() {
        let (size, link) = match entry.kind {
            Kind::File { size } => (size, String::new()),
            Kind::Symlink { target } => (0, String::from_utf8(target).unwrap()),
            _ => (0, String::new()),
        };
        writeln!(
            expected,
            "{} 0o{:o} 1000 1000 {LAYER_TIME} {size} {link} ''",
            entry.path, entry.mode
        )
        .unwrap();
    }
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);
}
