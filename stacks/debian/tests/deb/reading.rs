//! Reading .deb files: every part, every packing, and everything that can be wrong.

use std::fs;

use debian::{
    deb::{Deb, DebProblem, Script},
    name::Architecture,
    package::{DebFile, Package, Priority, RelationTexts},
};
use fetch::Sha256;

use crate::made_up::{archive, hello, write};

fn package(bytes: &[u8]) -> Package {
    Package {
        name: "hello".parse().expect("a name"),
        version: "1:1.0-2".parse().expect("a version"),
        architecture: Architecture::amd64(),
        essential: false,
        protected: false,
        priority: Priority::Optional,
        relations: RelationTexts::default(),
        source: None,
        installed_size: 1,
        file: DebFile {
            filename: "pool/hello.deb".into(),
            size: bytes.len() as u64,
            sha256: Sha256::of(bytes),
        },
    }
}

fn problem(bytes: &[u8]) -> DebProblem {
    let written = write(bytes);
    let opened = Deb::open(&written.path);
    let deb = match opened {
        Err(error) => return error.problem,
        Ok(deb) => deb,
    };
    deb.entries().expect_err("it is wrong").problem
}

#[test]
fn deb_every_packing() {
    for packing in ["xz", "zst", "gz", ""] {
        let mut parts = hello();
        parts.packing = packing;
        let written = parts.write();
        let deb = Deb::open(&written.path).expect("a package");
        let control = deb.control();
        assert_eq!(
            format!(
                "{} {} {}",
                control.name, control.version, control.architecture
            ),
            "hello 1:1.0-2 amd64"
        );
        assert_eq!(
            control.relations.depends.as_deref(),
            Some("libc6 (>= 2.38)")
        );
        assert_eq!(
            control.script(Script::Postinst),
            Some(&b"#!/bin/sh\nexit 0\n"[..])
        );
        assert_eq!(control.script(Script::Preinst), None);
        assert_eq!(
            control
                .conffiles
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["/etc/hello.conf"]
        );
        assert_eq!(deb.entries().expect("entries").len(), 7, "{packing}");
    }
}

#[test]
fn deb_checked_against_the_index() {
    let bytes = hello().bytes();
    let written = write(&bytes);
    assert!(Deb::open_checked(&written.path, &package(&bytes)).is_ok());

    let other = Package {
        version: "2".parse().expect("a version"),
        ..package(&bytes)
    };
    let error = Deb::open_checked(&written.path, &other)
        .expect_err("refused")
        .to_string();
    assert!(
        error.ends_with("it is 'hello 1:1.0-2 amd64', but the index promised 'hello 2 amd64'"),
        "{error}"
    );

    fs::write(&written.path, &bytes[..bytes.len() - 1]).expect("written");
    let error = Deb::open_checked(&written.path, &package(&bytes)).expect_err("refused");
    assert!(matches!(error.problem, DebProblem::WrongSize { .. }));
    assert!(error.to_string().starts_with(&format!(
        "{} is not a usable Debian package: it has ",
        written.path.display()
    )));

    let mut changed = bytes.clone();
    changed[100] ^= 1;
    fs::write(&written.path, &changed).expect("written");
    let error = Deb::open_checked(&written.path, &package(&bytes)).expect_err("refused");
    assert!(
        matches!(error.problem, DebProblem::WrongDigest { .. }),
        "{error}"
    );
}

#[test]
fn deb_cut_off_anywhere() {
    for packing in ["xz", "zst", "gz", ""] {
        let mut parts = hello();
        parts.packing = packing;
        let bytes = parts.bytes();
        for length in (0..bytes.len() - 1).step_by(37) {
            let found = problem(&bytes[..length]);
            assert!(
                matches!(found, DebProblem::Truncated(_)),
                "{packing} {length}: {found}"
            );
        }
    }
}

#[test]
fn deb_damaged_anywhere_is_an_error_or_the_same() {
    let bytes = hello().bytes();
    let right = Deb::open(&write(&bytes).path)
        .expect("a package")
        .entries()
        .map(|entries| entries.len())
        .expect("entries");
    for place in (0..bytes.len()).step_by(11) {
        let mut damaged = bytes.clone();
        damaged[place] ^= 0x10;
        let written = write(&damaged);
        // xz carries check sums, so what is read at all is right; the headers between may say other times and modes
        if let Ok(entries) = Deb::open(&written.path).and_then(|deb| deb.entries()) {
            assert_eq!(entries.len(), right, "{place}");
        }
    }
}

#[test]
fn deb_wrong_parts() {
    let parts = |members: &[(&str, &[u8])]| {
        let members: Vec<_> = members
            .iter()
            .map(|(name, content)| (*name, content.to_vec()))
            .collect();
        problem(&archive(&members)).to_string()
    };
    assert_eq!(
        problem(b"<html>not found</html>").to_string(),
        "it does not begin as a Debian package does"
    );
    assert_eq!(
        parts(&[("control.tar", b"")]),
        "its part 'control.tar' stands where 'debian-binary' should be"
    );
    assert_eq!(
        parts(&[("debian-binary", b"2.0\n"), ("data.tar", b"")]),
        "its part 'data.tar' stands where 'control.tar' should be"
    );
    assert_eq!(
        parts(&[
            ("debian-binary", b"3.0\n"),
            ("control.tar", b""),
            ("data.tar", b"")
        ]),
        "its format version is not 2.x"
    );
    assert_eq!(
        parts(&[
            ("debian-binary", b"2.0\n"),
            ("control.tar.bz2", b""),
            ("data.tar", b"")
        ]),
        "its part 'control.tar.bz2' is packed with '.bz2', which is not supported (xz, zst, gz)"
    );
}

#[test]
fn deb_additions_are_ignored() {
    let bytes = hello().bytes();
    let binary = 8 + 60 + 4;
    let extra = archive(&[("_gpgbuilder", b"odd".to_vec())]);
    let with_extra = [&bytes[..binary], &extra[8..], &bytes[binary..]].concat();
    assert!(Deb::open(&write(&with_extra).path).is_ok());
}

#[test]
fn deb_wrong_control() {
    for (from, to, message) in [
        (
            "Version: 1:1.0-2\n",
            "",
            "its control part: it has no field Version",
        ),
        (
            "Package: hello",
            "Package: ../x",
            "its control part: '../x' is not a name that Debian allows",
        ),
        (
            "amd64",
            "AMD 64",
            "its control part: 'AMD 64' is not a name that Debian allows",
        ),
        (
            "Description",
            "\nPackage: two\nDescription",
            "its control part: it has 2 paragraphs instead of one",
        ),
    ] {
        let mut parts = hello();
        parts.control = parts.control.replace(from, to);
        let found = problem(&parts.bytes()).to_string();
        assert!(found.starts_with(message), "{found}");
    }
    let mut parts = hello();
    parts.control_files.push(("../evil", 0o644, ""));
    assert!(problem(&parts.bytes()).to_string().contains("control part"));
    parts = hello();
    parts.control_files.push(("sub/evil", 0o644, ""));
    assert_eq!(
        problem(&parts.bytes()).to_string(),
        "its control part: 'sub/evil' has no place in a control part"
    );
}
