//! What we write of dpkg's database, read by dpkg itself.

use std::{fs, os::fd::AsFd, path::Path, process::Command};

use debian::{
    deb::{Conffiles, Deb},
    dpkg::{info_files, installed_packages, unpacked_paragraph},
};
use oci_image::{
    Owner, Owners,
    unpack::{UnpackOptions, open_root},
};

use crate::made_up::hello;

fn dpkg_query(database: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("dpkg-query")
        .arg("--admindir")
        .arg(database)
        .args(arguments)
        .output()
        .ok()?;
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn database_is_dpkgs_own() {
    let written = hello().write();
    let deb = Deb::open(&written.path).expect("a package");
    let folder = tempfile::tempdir().expect("a folder");
    let root = open_root(folder.path()).expect("opened");
    let mut owners = Owners::new(Owner::ROOT);
    let unpacked = deb
        .unpack(
            root.as_fd(),
            &mut owners,
            Conffiles::BesideTheirPlace,
            UnpackOptions::debian_package(),
        )
        .expect("unpacked");

    let paragraph = unpacked_paragraph(deb.control());
    insta::assert_snapshot!(paragraph);
    let files = info_files(deb.control(), &unpacked);
    let names: Vec<_> = files
        .iter()
        .map(|file| format!("{} {:o}", file.name, file.mode))
        .collect();
    assert_eq!(
        names,
        [
            "hello:amd64.list 644",
            "hello:amd64.conffiles 644",
            "hello:amd64.postinst 755",
            "hello:amd64.triggers 644"
        ]
    );
    assert_eq!(installed_packages(&paragraph).expect("read").len(), 1);

    let database = folder.path().join("dpkg");
    fs::create_dir_all(database.join("info")).expect("made");
    fs::create_dir_all(database.join("updates")).expect("made");
    fs::write(database.join("status"), &paragraph).expect("written");
    fs::write(database.join("info/format"), "1\n").expect("written");
    for file in files {
        fs::write(database.join("info").join(file.name), file.content).expect("written");
    }
    let Some(shown) = dpkg_query(
        &database,
        &[
            "-W",
            "-f",
            "${Package} ${Version} ${Status}|${Conffiles}|${Depends}",
            "hello",
        ],
    ) else {
        return test_skip::because("dpkg-query is not here; only our own reader was asked");
    };
    assert_eq!(
        shown,
        "hello 1:1.0-2 install ok unpacked| /etc/hello.conf newconffile|libc6 (>= 2.38)"
    );
    let list = dpkg_query(&database, &["-L", "hello"]).expect("dpkg-query was there");
    assert_eq!(
        list,
        "/.\n/etc\n/etc/hello.conf\n/usr\n/usr/bin\n/usr/bin/hello\n/usr/bin/hi\n"
    );
}
