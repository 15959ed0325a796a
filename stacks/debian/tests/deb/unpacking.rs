//! Unpacking below an open folder.

use std::{fs, os::fd::AsFd, os::unix::fs::PermissionsExt};

use debian::deb::{Conffiles, Deb, DebProblem};
use oci_image::{
    Owner, Owners, TreePath,
    unpack::{Placement, UnpackOptions, open_root},
};

use crate::made_up::{Tar, hello};

fn path(text: &str) -> TreePath {
    TreePath::from_bytes(text.as_bytes()).expect("a path")
}

#[test]
fn unpack_owners_modes_and_conffiles() {
    let written = hello().write();
    let deb = Deb::open(&written.path).expect("a package");
    for (conffiles, name) in [
        (Conffiles::BesideTheirPlace, "etc/hello.conf.dpkg-new"),
        (Conffiles::InPlace, "etc/hello.conf"),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let root = open_root(folder.path()).expect("opened");
        let mut owners = Owners::new(Owner::ROOT);
        let unpacked = deb
            .unpack(
                root.as_fd(),
                &mut owners,
                conffiles,
                UnpackOptions::debian_package(),
            )
            .expect("unpacked");
        assert_eq!(
            fs::read(folder.path().join(name)).expect("there"),
            b"greeting\n"
        );
        assert_eq!(owners.owner(&path(name)), Owner::new(0, 42));
        assert_eq!(owners.mode(&path("usr/bin/hello"), 0o755), 0o4755);
        assert_eq!(
            fs::read_link(folder.path().join("usr/bin/hi")).expect("a link"),
            std::path::Path::new("hello")
        );
        let mode = fs::metadata(folder.path().join("usr/bin/hello"))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111);
        // dpkg lists files under their own names
        let paths: Vec<_> = unpacked.paths.iter().map(ToString::to_string).collect();
        assert_eq!(
            paths[1..],
            [
                "/etc",
                "/etc/hello.conf",
                "/usr",
                "/usr/bin",
                "/usr/bin/hello",
                "/usr/bin/hi"
            ]
        );
    }
}

#[test]
fn unpack_through_a_merged_usr() {
    let mut data = Tar::new();
    data.folder("./");
    data.folder("./lib/");
    data.file("./lib/x.so", 0o644, 0, "x");
    let mut parts = hello();
    parts.data = data.bytes();
    let written = parts.write();
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir_all(folder.path().join("usr/lib")).expect("made");
    std::os::unix::fs::symlink("usr/lib", folder.path().join("lib")).expect("made");
    let root = open_root(folder.path()).expect("opened");
    let mut owners = Owners::new(Owner::ROOT);
    let deb = Deb::open(&written.path).expect("a package");
    deb.unpack(
        root.as_fd(),
        &mut owners,
        Conffiles::InPlace,
        UnpackOptions::debian_package(),
    )
    .expect("unpacked");
    assert_eq!(
        fs::read(folder.path().join("usr/lib/x.so")).expect("there"),
        b"x"
    );
    assert!(
        fs::symlink_metadata(folder.path().join("lib"))
            .expect("there")
            .is_symlink()
    );
}

#[test]
fn unpack_skips_what_it_is_told_to() {
    let written = hello().write();
    let folder = tempfile::tempdir().expect("a folder");
    let root = open_root(folder.path()).expect("opened");
    let mut owners = Owners::new(Owner::ROOT);
    let options = UnpackOptions::debian_package().placed_by(|entry| {
        if entry.path.as_bytes().starts_with(b"etc") {
            Placement::Skip
        } else {
            Placement::AsIs
        }
    });
    let deb = Deb::open(&written.path).expect("a package");
    let unpacked = deb
        .unpack(root.as_fd(), &mut owners, Conffiles::InPlace, options)
        .expect("unpacked");
    assert!(!folder.path().join("etc").try_exists().expect("asked"));
    assert_eq!(unpacked.paths.len(), 5);
}

#[test]
fn unpack_never_leaves_the_folder() {
    let outside = tempfile::tempdir().expect("a folder");
    let target = outside.path().display().to_string();
    let evil: [fn(&mut Tar, &str); 3] = [
        |tar, _| tar.file("../evil", 0o644, 0, "x"),
        |tar, target| {
            tar.link("./out", target);
            tar.file("./out/evil", 0o644, 0, "x");
        },
        |tar, target| tar.file(&format!("{target}/evil"), 0o644, 0, "x"),
    ];
    for make in evil {
        let mut data = Tar::new();
        make(&mut data, &target);
        let mut parts = hello();
        parts.data = data.bytes();
        let written = parts.write();
        let root_folder = written.folder.path().join("root");
        fs::create_dir(&root_folder).expect("made");
        let root = open_root(&root_folder).expect("opened");
        let mut owners = Owners::new(Owner::ROOT);
        let deb = Deb::open(&written.path).expect("a package");
        // refused, or put below the root
        if let Err(error) = deb.unpack(
            root.as_fd(),
            &mut owners,
            Conffiles::InPlace,
            UnpackOptions::debian_package(),
        ) {
            assert!(matches!(error.problem, DebProblem::Unpack(_)), "{error}");
        }
        assert_eq!(fs::read_dir(outside.path()).expect("a folder").count(), 0);
        assert!(
            !written
                .folder
                .path()
                .join("evil")
                .try_exists()
                .expect("asked")
        );
    }
}
