//! `info/`: for each package the list of its files and the files of its control part.

use crate::deb::{Control, UnpackedDeb};

/// A file for `/var/lib/dpkg/info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfoFile {
    /// Its name there.
    pub name: String,
    /// Its mode.
    pub mode: u32,
    /// Its content.
    pub content: Vec<u8>,
}

/// What dpkg keeps of a package in `info/` once it is unpacked.
pub fn info_files(control: &Control, unpacked: &UnpackedDeb) -> Vec<InfoFile> {
    let base = base_name(control);
    let mut list = Vec::new();
    for path in &unpacked.paths {
        // The root is written `/.`, all else as `/path`.
        list.push(b'/');
        list.extend_from_slice(if path.is_root() {
            b"."
        } else {
            path.as_bytes()
        });
        list.push(b'\n');
    }
    let others = control.files.iter().map(|(name, file)| InfoFile {
        name: format!("{base}.{name}"),
        mode: file.mode,
        content: file.content.clone(),
    });
    [InfoFile {
        name: format!("{base}.list"),
        mode: 0o644,
        content: list,
    }]
    .into_iter()
    .chain(others)
    .collect()
}

/// `name`, or `name:architecture` where several architectures may stand beside each other.
fn base_name(control: &Control) -> String {
    let Control {
        name, architecture, ..
    } = control;
    if control.multi_arch_same && !architecture.is_all() {
        format!("{name}:{architecture}")
    } else {
        name.to_string()
    }
}
