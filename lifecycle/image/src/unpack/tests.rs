//! The unpacker against the archives that broke others.

use super::*;
use crate::archive::testing::{Fields, Tar};
use crate::owners::Owner;
use std::fs;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;
use tempfile::TempDir;

/// A root to unpack into, with a folder beside it that nothing may touch.
struct Scene {
    outer: TempDir,
}

impl Scene {
    fn new() -> Self {
        let outer = TempDir::new().unwrap();
        fs::create_dir(outer.path().join("root")).unwrap();
        fs::create_dir(outer.path().join("outside")).unwrap();
        fs::write(outer.path().join("outside/canary"), "alive").unwrap();
        fs::set_permissions(
            outer.path().join("outside/canary"),
            fs::Permissions::from_mode(0o640),
        )
        .unwrap();
        Self { outer }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.outer.path().join("root").join(path)
    }

    fn outside(&self) -> String {
        self.outer
            .path()
            .join("outside")
            .to_str()
            .unwrap()
            .to_owned()
    }

    fn unpack(&self, archive: Vec<u8>, options: UnpackOptions<'_>) -> Result<Owners, UnpackError> {
        let root = open_root(&self.at("")).unwrap();
        let mut owners = Owners::new(Owner::ROOT);
        unpack(&archive[..], root.as_fd(), &mut owners, options).map(|_| owners)
    }

    fn layer(&self, archive: Vec<u8>) -> Result<Owners, UnpackError> {
        self.unpack(archive, UnpackOptions::layer())
    }

    fn assert_outside_untouched(&self, what: &str) {
        let names: Vec<_> = fs::read_dir(self.outside())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["canary"], "{what}");
        let canary = self.outer.path().join("outside/canary");
        assert_eq!(fs::read_to_string(&canary).unwrap(), "alive", "{what}");
        let found = fs::metadata(&canary).unwrap();
        assert_eq!((found.mode() & 0o7777, found.nlink()), (0o640, 1), "{what}");
        assert_eq!(
            fs::read_dir(self.outer.path()).unwrap().count(),
            2,
            "{what}"
        );
        assert!(
            fs::symlink_metadata(self.at("")).unwrap().is_dir(),
            "{what}"
        );
    }
}

/// What it tries, and an archive that tries it, given the path of the folder outside.
type Breakout = (&'static str, Box<dyn Fn(&str) -> Tar>);

/// The cases of containerd's and umoci's tests and of past advisories, in our words. Some are refused, some are harmless because links
/// are followed inside the root; in no case may anything outside change.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn breakouts_change_nothing_outside() {
    let outside = Scene::new().outside();
    let up = "../outside";
    let cases: Vec<Breakout> = vec![
        (
            "file through an absolute symlink",
            Box::new(|out| Tar::default().symlink("l", out).file("l/canary", "dead")),
        ),
        (
            "file through a relative symlink",
            Box::new(move |_| Tar::default().symlink("l", up).file("l/canary", "dead")),
        ),
        (
            "file through two symlinks",
            Box::new(move |_| {
                Tar::default()
                    .symlink("a", "..")
                    .symlink("b", "a/outside")
                    .file("b/canary", "dead")
            }),
        ),
        (
            "deep upwards",
            Box::new(move |_| {
                Tar::default()
                    .folder("d")
                    .symlink("d/l", "../../outside")
                    .file("d/l/canary", "dead")
            }),
        ),
        (
            "folder over a symlink, then chmod",
            Box::new(|out| {
                Tar::default()
                    .symlink("l", out)
                    .entry(
                        &Fields {
                            name: b"l",
                            flag: b'5',
                            mode: 0o777,
                            ..Fields::default()
                        },
                        b"",
                    )
                    .file("l/canary", "dead")
            }),
        ),
        (
            "file over a symlink to a file",
            Box::new(|out| {
                Tar::default()
                    .symlink("l", &format!("{out}/canary"))
                    .file("l", "dead")
            }),
        ),
        (
            "hard link to a symlink, then write",
            Box::new(|out| {
                Tar::default()
                    .symlink("l", &format!("{out}/canary"))
                    .hardlink("h", "l")
                    .file("h", "dead")
            }),
        ),
        (
            "hard link through a symlinked folder",
            Box::new(|out| {
                Tar::default()
                    .symlink("l", out)
                    .hardlink("h", "l/canary")
                    .file("h", "dead")
            }),
        ),
        (
            "hard link upwards",
            Box::new(move |_| Tar::default().symlink("l", up).hardlink("l/new", "canary")),
        ),
        (
            "symlink below a symlink",
            Box::new(|out| {
                Tar::default()
                    .symlink("l", out)
                    .symlink("l/canary", "/etc/passwd")
            }),
        ),
        (
            "folder below a symlink",
            Box::new(|out| Tar::default().symlink("l", out).folder("l/new")),
        ),
        (
            "pipe below a symlink",
            Box::new(|out| {
                Tar::default().symlink("l", out).entry(
                    &Fields {
                        name: b"l/pipe",
                        flag: b'6',
                        ..Fields::default()
                    },
                    b"",
                )
            }),
        ),
        (
            "root becomes a symlink",
            Box::new(|out| Tar::default().symlink("./", out).file("canary", "dead")),
        ),
        (
            "root becomes a file",
            Box::new(|_| {
                Tar::default().entry(
                    &Fields {
                        name: b".",
                        ..Fields::default()
                    },
                    b"",
                )
            }),
        ),
        (
            "whiteout below a symlink",
            Box::new(|out| Tar::default().symlink("l", out).file("l/.wh.canary", "")),
        ),
        (
            "opaque below a symlink",
            Box::new(|out| Tar::default().symlink("l", out).file("l/.wh..wh..opq", "")),
        ),
        (
            "whiteout of the parent",
            Box::new(|_| Tar::default().folder("d").file("d/.wh...", "")),
        ),
        (
            "whiteout of the folder itself",
            Box::new(|_| Tar::default().folder("d").file("d/.wh..", "")),
        ),
        (
            "whiteout of nothing",
            Box::new(|_| Tar::default().file(".wh.", "")),
        ),
        (
            "symlinks in a circle",
            Box::new(|_| {
                Tar::default()
                    .symlink("a", "b")
                    .symlink("b", "a")
                    .file("a/x", "")
            }),
        ),
        (
            "symlink to itself",
            Box::new(|_| Tar::default().symlink("a", "a").file("a/x", "")),
        ),
        (
            "proc's links",
            Box::new(|_| {
                Tar::default()
                    .symlink("l", "/proc/self/root")
                    .file("l/x", "")
            }),
        ),
    ];
    assert!(outside.starts_with('/'));
    for (what, archive) in cases {
        for options in [
            UnpackOptions::layer(),
            UnpackOptions::layer_tree(),
            UnpackOptions::debian_package(),
        ] {
            let scene = Scene::new();
            let tar = archive(&scene.outside()).end();
            drop(scene.unpack(tar, options));
            scene.assert_outside_untouched(what);
        }
    }
}

/// What stood in the root before counts as little as what the archive brought.
#[test]
fn breakouts_through_what_was_there() {
    for what in ["l/canary", "l/.wh.canary", "l"] {
        let scene = Scene::new();
        symlink(scene.outside(), scene.at("l")).unwrap();
        drop(scene.layer(Tar::default().file(what, "dead").end()));
        scene.assert_outside_untouched(what);
    }
}

#[test]
fn layer_modes_owners_times() {
    let scene = Scene::new();
    let fields = Fields {
        name: b"usr/bin/su",
        mode: 0o4755,
        ids: (0, 42),
        size: 2,
        mtime: 1_234_567,
        ..Fields::default()
    };
    let owners = scene
        .layer(
            Tar::default()
                .entry(
                    &Fields {
                        name: b"usr",
                        flag: b'5',
                        mode: 0o555,
                        mtime: 77,
                        ..Fields::default()
                    },
                    b"",
                )
                .entry(&fields, b"su")
                .entry(
                    &Fields {
                        name: b"tmp",
                        flag: b'5',
                        mode: 0o1777,
                        ..Fields::default()
                    },
                    b"",
                )
                .entry(
                    &Fields {
                        name: b"hidden",
                        mode: 0,
                        ..Fields::default()
                    },
                    b"",
                )
                .pax(&[
                    ("SCHILY.xattr.security.capability", "cap"),
                    ("SCHILY.xattr.user.overlay.opaque", "y"),
                ])
                .file("ping", "")
                .end(),
        )
        .unwrap();
    let found = |path: &str| {
        fs::symlink_metadata(scene.at(path))
            .map(|found| (found.mode() & 0o7777, found.mtime()))
            .unwrap()
    };
    assert_eq!(found("usr/bin/su"), (0o755, 1_234_567));
    assert_eq!(found("usr"), (0o755, 77));
    assert_eq!(found("usr/bin").0, 0o755);
    assert_eq!(found("tmp").0, 0o1777);
    assert_eq!(found("hidden").0, 0o400);
    assert_eq!(
        serde_json::to_string(&owners).unwrap(),
        concat!(
            r#"{"default":{"uid":0,"gid":0},"paths":{"hidden":{"mode":{"on_disk":256,"meant":0}},"#,
            r#""ping":{"xattrs":{"security.capability":"636170"}},"#,
            r#""usr":{"mode":{"on_disk":493,"meant":365}},"#,
            r#""usr/bin/su":{"owner":{"uid":0,"gid":42},"mode":{"on_disk":493,"meant":2541}}}}"#
        )
    );
}

#[test]
fn layer_modes_of_files_do_not_depend_on_the_umask() {
    let scene = Scene::new();
    let modes = [0o400, 0o444, 0o600, 0o644, 0o666, 0o755, 0o777];
    let mut tar = Tar::default();
    for mode in modes {
        let name = mode.to_string();
        let fields = Fields {
            name: name.as_bytes(),
            mode,
            ..Fields::default()
        };
        tar = tar.entry(&fields, b"");
    }
    scene.layer(tar.end()).unwrap();
    for mode in modes {
        let found = fs::metadata(scene.at(&mode.to_string())).unwrap();
        assert_eq!(found.mode() & 0o7777, mode);
    }
}

#[test]
fn layer_replaces_whatever_is_there() {
    let scene = Scene::new();
    scene
        .layer(
            Tar::default()
                .file("a/b/c", "old")
                .file("f", "old")
                .symlink("l", "a")
                .end(),
        )
        .unwrap();
    scene
        .layer(
            Tar::default()
                .file("a", "new")
                .folder("f")
                .file("l", "new")
                .end(),
        )
        .unwrap();
    assert_eq!(fs::read_to_string(scene.at("a")).unwrap(), "new");
    assert!(scene.at("f").is_dir());
    assert!(fs::symlink_metadata(scene.at("l")).unwrap().is_file());
}

#[test]
fn layer_whiteouts() {
    let scene = Scene::new();
    scene
        .layer(
            Tar::default()
                .file("d/old", "")
                .file("d/sub/old", "")
                .file("gone/x", "")
                .file("kept", "")
                .end(),
        )
        .unwrap();
    scene
        .layer(
            Tar::default()
                .file("d/new", "")
                .file("d/sub/new", "")
                .file("d/.wh..wh..opq", "")
                .file(".wh.gone", "")
                .file("none/.wh.x", "")
                .end(),
        )
        .unwrap();
    let there: Vec<bool> = [
        "d/old",
        "d/sub/old",
        "gone",
        "none",
        "d/new",
        "d/sub/new",
        "kept",
    ]
    .map(|path| scene.at(path).try_exists().unwrap())
    .into();
    assert_eq!(there, [false, false, false, false, true, true, true]);
    let error = scene
        .layer(Tar::default().file("d/.wh..wh.plnk", "").end())
        .unwrap_err();
    assert_eq!(error.to_string(), "/d/.wh..wh.plnk is not a valid whiteout");
}

#[test]
fn layer_tree_whiteouts_are_overlayfs_ones() {
    let scene = Scene::new();
    let result = scene.unpack(
        Tar::default()
            .file("d/.wh.gone", "")
            .file("e/.wh..wh..opq", "")
            .end(),
        UnpackOptions::layer_tree(),
    );
    result.unwrap();
    let found = fs::symlink_metadata(scene.at("d/gone")).unwrap();
    assert!(found.file_type().is_char_device() && found.rdev() == 0);
    let mut value = [0; 8];
    let length = rustix::fs::getxattr(scene.at("e"), "user.overlay.opaque", &mut value).unwrap();
    assert_eq!(&value[..length], b"y");
}

#[test]
fn hard_links_share_the_file_and_its_facts() {
    let scene = Scene::new();
    let fields = Fields {
        name: b"a",
        mode: 0o4755,
        ids: (3, 4),
        size: 1,
        ..Fields::default()
    };
    let owners = scene
        .layer(Tar::default().entry(&fields, b"x").hardlink("b", "a").end())
        .unwrap();
    assert_eq!(
        fs::metadata(scene.at("a")).unwrap().ino(),
        fs::metadata(scene.at("b")).unwrap().ino()
    );
    assert_eq!(
        owners.facts(&"b".parse().unwrap()),
        owners.facts(&"a".parse().unwrap())
    );
    let refused = [
        (
            Tar::default().hardlink("c", "none"),
            "/c is a hard link to /none, which is not there",
        ),
        (
            Tar::default().hardlink("a", "a"),
            "/a is a hard link to /a, which cannot be linked: it is the same name",
        ),
        (
            Tar::default().folder("d").hardlink("c", "d"),
            "/c is a hard link to /d, which cannot be linked: it is a folder",
        ),
    ];
    for (archive, message) in refused {
        assert_eq!(scene.layer(archive.end()).unwrap_err().to_string(), message);
    }
}

#[test]
fn debian_package_merged_usr() {
    let scene = Scene::new();
    fs::create_dir_all(scene.at("usr/lib")).unwrap();
    fs::set_permissions(scene.at("usr"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("usr/lib", scene.at("lib")).unwrap();
    let fields = Fields {
        name: b"./lib/x/f",
        ids: (0, 42),
        ..Fields::default()
    };
    let archive = Tar::default()
        .folder("./")
        .folder("./lib/")
        .folder("./usr/")
        .entry(&fields, b"")
        .folder("./lib/y/")
        .end();
    let owners = scene
        .unpack(archive, UnpackOptions::debian_package())
        .unwrap();
    assert!(fs::symlink_metadata(scene.at("lib")).unwrap().is_symlink());
    assert!(scene.at("usr/lib/x/f").is_file() && scene.at("usr/lib/y").is_dir());
    assert_eq!(
        fs::metadata(scene.at("usr")).unwrap().mode() & 0o7777,
        0o700,
        "a folder that is there stays as it is"
    );
    // Owners are kept for where the file really is.
    assert_eq!(
        owners.owner(&"usr/lib/x/f".parse().unwrap()),
        Owner::new(0, 42)
    );
    assert_eq!(owners.iter().count(), 1);
}

#[test]
fn debian_package_full_folder_in_the_way() {
    let scene = Scene::new();
    fs::create_dir_all(scene.at("d/full")).unwrap();
    let error = scene
        .unpack(
            Tar::default().file("./d", "").end(),
            UnpackOptions::debian_package(),
        )
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "/d is a folder that is not empty; the archive has something else there"
    );
}

#[test]
fn placement_moves_and_skips() {
    let scene = Scene::new();
    let archive = Tar::default()
        .file("./etc/conf", "new")
        .hardlink("./etc/link", "./etc/conf")
        .file("./usr/share/doc/x", "")
        .end();
    let options =
        UnpackOptions::debian_package().placed_by(|entry| match entry.path.to_string().as_str() {
            "/etc/conf" => Placement::At("etc/conf.dpkg-new".parse().unwrap()),
            path if path.starts_with("/usr/share/doc") => Placement::Skip,
            _ => Placement::AsIs,
        });
    scene.unpack(archive, options).unwrap();
    assert_eq!(
        fs::read_to_string(scene.at("etc/conf.dpkg-new")).unwrap(),
        "new"
    );
    assert_eq!(fs::read_to_string(scene.at("etc/link")).unwrap(), "new");
    assert!(!scene.at("etc/conf").try_exists().unwrap() && !scene.at("usr").try_exists().unwrap());
}

#[test]
fn parents_no_symlinks() {
    let scene = Scene::new();
    let options = UnpackOptions {
        parents: Parents::NoSymlinks,
        ..UnpackOptions::layer()
    };
    let error = scene
        .unpack(
            Tar::default()
                .folder("d")
                .symlink("l", "d")
                .file("l/x", "")
                .end(),
            options,
        )
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "/l/x is reached by the symlink /l, which cannot be followed: symlinks are not allowed here"
    );
}

#[test]
fn parent_is_file_or_leads_nowhere() {
    let scene = Scene::new();
    let error = scene
        .layer(Tar::default().file("f", "").file("f/x", "").end())
        .unwrap_err();
    assert_eq!(error.to_string(), "/f/x is in /f, which is not a folder");
    let error = scene
        .layer(Tar::default().symlink("l", "none").file("l/x", "").end())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "/l/x is reached by the symlink /none, which cannot be followed: it leads to a folder that is not there"
    );
}

#[test]
fn devices() {
    let device = |name: &'static [u8]| {
        Tar::default()
            .entry(
                &Fields {
                    name,
                    flag: b'3',
                    ..Fields::default()
                },
                b"",
            )
            .end()
    };
    let scene = Scene::new();
    assert_eq!(
        scene.layer(device(b"dev/null")).unwrap_err().to_string(),
        "/dev/null is a device node; archives for images must not bring any"
    );
    let root = open_root(&scene.at("")).unwrap();
    let options = UnpackOptions {
        devices: Devices::Record,
        ..UnpackOptions::layer()
    };
    let unpacked = unpack(
        &device(b"dev/null")[..],
        root.as_fd(),
        &mut Owners::new(Owner::ROOT),
        options,
    )
    .unwrap();
    assert_eq!(
        (
            unpacked.devices.len(),
            unpacked.devices[0].path.to_string().as_str()
        ),
        (1, "/dev/null")
    );
}

#[test]
fn remove_all_without_permissions() {
    let scene = Scene::new();
    fs::create_dir_all(scene.at("a/b/c")).unwrap();
    fs::write(scene.at("a/b/c/f"), "").unwrap();
    symlink(scene.outside(), scene.at("a/l")).unwrap();
    for path in ["a/b/c", "a/b", "a"] {
        fs::set_permissions(scene.at(path), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let root = open_root(&scene.at("")).unwrap();
    remove_all(root.as_fd(), "a".as_ref()).unwrap();
    remove_all(root.as_fd(), "a".as_ref()).unwrap();
    assert!(!scene.at("a").try_exists().unwrap());
    scene.assert_outside_untouched("remove_all");
}
