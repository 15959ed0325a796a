//! Folders in which a layer's programs look for their own libraries: absolute `RUNPATH`s of ELF files.
//!
//! `libpulse.so.0` finds `libpulsecommon-17.0.so` because it says `/usr/lib/x86_64-linux-gnu/pulseaudio`. In a layer that folder is elsewhere,
//! so it has to be on the library path. Only what is needed for that is read: program headers, the dynamic section, its strings.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use walkdir::WalkDir;

// elf(5)
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;
const PROGRAM_HEADER: usize = 56;

/// A dynamic section has some thirty entries; a run path is a few paths.
const MOST_ENTRIES: usize = 1024;
const LONGEST_RUNPATH: usize = 4096;

/// Absolute run paths of the layer's ELF files that the layer itself has, as `/usr/lib/x`, sorted.
pub(crate) fn own_folders(layer: &Path) -> io::Result<BTreeSet<String>> {
    let mut folders = BTreeSet::new();
    for entry in WalkDir::new(layer) {
        let entry = entry.map_err(io::Error::from)?;
        if entry.file_type().is_file() {
            // A file that only looks like ELF is no reason to stop.
            let runpaths = runpaths(entry.path()).unwrap_or_default();
            folders.extend(
                runpaths
                    .into_iter()
                    .filter(|path| layer.join(path.trim_start_matches('/')).is_dir()),
            );
        }
    }
    Ok(folders)
}

/// The absolute entries of a file's run path; none where it is no 64-bit little-endian ELF file.
fn runpaths(path: &Path) -> Option<Vec<String>> {
    let mut file = File::open(path).ok()?;
    let mut header = [0; 64];
    file.read_exact(&mut header).ok()?;
    if header[..6] != *b"\x7fELF\x02\x01" {
        return None;
    }
    let table = read(
        &file,
        number(&header, 32)?,
        PROGRAM_HEADER * usize::from(u16::from_le_bytes(header[56..58].try_into().ok()?)),
    )?;
    let segments: Vec<Segment> = table
        .chunks_exact(PROGRAM_HEADER)
        .filter_map(Segment::read)
        .collect();
    let dynamic = segments.iter().find(|segment| segment.kind == PT_DYNAMIC)?;
    let size = usize::try_from(dynamic.file_size)
        .ok()?
        .min(16 * MOST_ENTRIES);
    let entries = read(&file, dynamic.offset, size)?;
    let value = |tag: u64| {
        entries
            .chunks_exact(16)
            .find(|entry| number(entry, 0) == Some(tag))
            .and_then(|entry| number(entry, 8))
    };
    let name = value(DT_RUNPATH).or_else(|| value(DT_RPATH))?;
    let strings = value(DT_STRTAB)?;
    let loaded = |segment: &&Segment| {
        segment.kind == PT_LOAD
            && (segment.address..segment.address.saturating_add(segment.file_size))
                .contains(&strings)
    };
    let segment = segments.iter().find(loaded)?;
    let at = (strings - segment.address)
        .checked_add(segment.offset)?
        .checked_add(name)?;
    let text = read_string(&file, at)?;
    Some(
        text.split(':')
            .filter(|path| path.starts_with('/') && !path.split('/').any(|part| part == ".."))
            .map(|path| path.trim_end_matches('/').to_owned())
            .collect(),
    )
}

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    file_size: u64,
}

impl Segment {
    fn read(header: &[u8]) -> Option<Self> {
        let kind = u32::from_le_bytes(header.get(..4)?.try_into().ok()?);
        Some(Self {
            kind,
            offset: number(header, 8)?,
            address: number(header, 16)?,
            file_size: number(header, 32)?,
        })
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn read(file: &File, at: u64, size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, at).ok()?;
    Some(bytes)
}

fn read_string(file: &File, at: u64) -> Option<String> {
    let mut bytes = vec![0; LONGEST_RUNPATH];
    let length = file.read_at(&mut bytes, at).ok()?;
    let end = bytes[..length].iter().position(|&byte| byte == 0)?;
    String::from_utf8(bytes[..end].to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::{own_folders, runpaths};
    use std::fs;
    use std::process::Command;

    #[test]
    fn runpaths_of_a_real_library() {
        let layer = tempfile::tempdir().unwrap();
        let library = layer.path().join("liba.so");
        let runpath = "-Wl,-rpath,/usr/lib/x/private:/nowhere:$ORIGIN/y:/usr/../etc";
        let made = Command::new("cc")
            .args(["-shared", "-x", "c", "/dev/null", runpath, "-o"])
            .arg(&library)
            .status();
        if !made.is_ok_and(|status| status.success()) {
            test_skip::because("no C compiler to make a library with");
            return;
        }
        assert_eq!(
            runpaths(&library).unwrap(),
            ["/usr/lib/x/private", "/nowhere"]
        );
        fs::create_dir_all(layer.path().join("usr/lib/x/private")).unwrap();
        assert_eq!(
            own_folders(layer.path())
                .unwrap()
                .into_iter()
                .collect::<Vec<_>>(),
            ["/usr/lib/x/private"]
        );
    }

    #[test]
    fn runpaths_of_nonsense() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        let mut lying = b"\x7fELF\x02\x01".to_vec();
        lying.resize(200, 0xFF);
        for bytes in [&b""[..], b"#!/bin/sh\n", b"\x7fELF", &lying] {
            fs::write(&file, bytes).unwrap();
            assert_eq!(runpaths(&file), None);
        }
    }
}
