//! Makes .deb files by hand, so that they can be wrong in every part.

use std::{io::Write, path::PathBuf};

use tar::{EntryType, Header};
use tempfile::TempDir;

/// The parts of a .deb; tests change what they are about.
pub(crate) struct Parts {
    pub(crate) control: String,
    pub(crate) control_files: Vec<(&'static str, u32, &'static str)>,
    pub(crate) data: Vec<u8>,
    pub(crate) packing: &'static str,
}

/// The file `/usr/bin/hello`, the conffile `/etc/hello.conf`, a link.
pub(crate) fn hello() -> Parts {
    let mut data = Tar::new();
    data.folder("./");
    data.folder("./etc/");
    data.file("./etc/hello.conf", 0o640, 42, "greeting\n");
    data.folder("./usr/");
    data.folder("./usr/bin/");
    data.file("./usr/bin/hello", 0o4755, 0, "#!/bin/sh\n");
    data.link("./usr/bin/hi", "hello");
    Parts {
        control: "Package: hello\nVersion: 1:1.0-2\nArchitecture: amd64\nMaintainer: Nobody <n@example.org>\nMulti-Arch: same\n\
                  Depends: libc6 (>= 2.38)\nDescription: greets\n Long\n .\n text\n"
            .to_owned(),
        control_files: vec![
            ("conffiles", 0o644, "/etc/hello.conf\nremove-on-upgrade /etc/old.conf\n"),
            ("postinst", 0o755, "#!/bin/sh\nexit 0\n"),
            ("triggers", 0o644, "activate-noawait ldconfig\n"),
        ],
        data: data.bytes(),
        packing: "xz",
    }
}

impl Parts {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut control = Tar::new();
        control.folder("./");
        control.file("./control", 0o644, 0, &self.control);
        for (name, mode, content) in &self.control_files {
            control.file(&format!("./{name}"), *mode, 0, content);
        }
        let (suffix, pack) = packing(self.packing);
        archive(&[
            ("debian-binary", b"2.0\n".to_vec()),
            (&format!("control.tar{suffix}"), pack(&control.bytes())),
            (&format!("data.tar{suffix}"), pack(&self.data)),
        ])
    }

    pub(crate) fn write(&self) -> Written {
        write(&self.bytes())
    }
}

/// A .deb in a folder of its own.
pub(crate) struct Written {
    pub(crate) folder: TempDir,
    pub(crate) path: PathBuf,
}

pub(crate) fn write(bytes: &[u8]) -> Written {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.deb");
    std::fs::write(&path, bytes).expect("written");
    Written { folder, path }
}

type Pack = fn(&[u8]) -> Vec<u8>;

/// What the names of packed parts end in, and how they are packed.
fn packing(name: &str) -> (&'static str, Pack) {
    match name {
        "xz" => (".xz", |bytes| {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
            encoder.write_all(bytes).expect("packed");
            encoder.finish().expect("packed")
        }),
        "zst" => (".zst", |bytes| zstd::encode_all(bytes, 1).expect("packed")),
        "gz" => (".gz", |bytes| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).expect("packed");
            encoder.finish().expect("packed")
        }),
        "bz2" => (".bz2", <[u8]>::to_vec),
        _ => ("", <[u8]>::to_vec),
    }
}

/// The outer archive.
pub(crate) fn archive(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let size = content.len();
        bytes.extend(
            format!(
                "{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n",
                0, 0, 0, 100_644
            )
            .into_bytes(),
        );
        bytes.extend(content);
        bytes.extend((size % 2 == 1).then_some(b'\n'));
    }
    bytes
}

/// A tar with names as dpkg-deb writes them.
pub(crate) struct Tar(tar::Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    pub(crate) fn folder(&mut self, name: &str) {
        self.add(header(EntryType::Directory, name, 0o755), "");
    }

    pub(crate) fn file(&mut self, name: &str, mode: u32, group: u64, content: &str) {
        let mut header = header(EntryType::Regular, name, mode);
        header.set_gid(group);
        header.set_size(content.len() as u64);
        self.add(header, content);
    }

    pub(crate) fn link(&mut self, name: &str, target: &str) {
        let mut header = header(EntryType::Symlink, name, 0o777);
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        self.add(header, "");
    }

    fn add(&mut self, mut header: Header, content: &str) {
        header.set_cksum();
        self.0
            .append(&header, content.as_bytes())
            .expect("appended");
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0.into_inner().expect("finished")
    }
}

/// The name is put in as it is: the library's own way would clean it, and archives from outside are not clean.
fn header(kind: EntryType, name: &str, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    header.set_size(0);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header
}
