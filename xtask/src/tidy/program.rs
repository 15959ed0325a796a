//! Every program that ships is static: it names no interpreter (PT_INTERP) and needs no library (DT_NEEDED), so that it
//! runs on a machine that has nothing.
//!
//! An ELF file begins with a header that says where the program headers are; one of them may name the dynamic section, a
//! list of (tag, value) pairs. `elf(5)` has the offsets used here, those of 64-bit little-endian files.

use std::path::{Path, PathBuf};

use crate::steps::ChoreError;

const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const DT_NEEDED: u64 = 1;

/// Every shipped program in a build folder that is not static; what is not built is not looked at.
pub(super) fn broken(folder: &Path) -> Result<Vec<String>, ChoreError> {
    let mut broken = Vec::new();
    for program in shipped(folder) {
        let content = std::fs::read(&program).map_err(ChoreError::file(&program))?;
        let found = wants(&content).unwrap_or_else(|| vec!["is no 64-bit little-endian ELF file"]);
        broken.extend(
            found
                .iter()
                .map(|want| format!("{}: {want}", program.display())),
        );
    }
    Ok(broken)
}

/// The command line, the phases, and the launchers that the command line's build script made.
fn shipped(folder: &Path) -> Vec<PathBuf> {
    let mut programs = vec![folder.join("longshore"), folder.join("lifecycle")];
    let mut open = vec![folder.join("build")];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder && !path.ends_with("deps") && !path.ends_with("incremental") {
                open.push(path);
            } else if entry.file_name() == "launcher" {
                programs.push(path);
            }
        }
    }
    programs.retain(|program| program.is_file());
    programs
}

/// What an ELF file wants from the machine; `None` where it is no such file.
fn wants(elf: &[u8]) -> Option<Vec<&'static str>> {
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, size, count) = (
        number(elf, 32, 8)?,
        number(elf, 54, 2)?,
        number(elf, 56, 2)?,
    );
    let mut wants = Vec::new();
    for position in 0..count {
        let header = table.checked_add(position.checked_mul(size)?)?;
        match number(elf, header, 4)? as u32 {
            PT_INTERP => wants.push("has a PT_INTERP, so it needs a dynamic loader"),
            PT_DYNAMIC => {
                let (start, length) = (number(elf, header + 8, 8)?, number(elf, header + 32, 8)?);
                let pairs = (0..length / 16).map_while(|pair| number(elf, start + pair * 16, 8));
                wants.extend(
                    pairs
                        .filter(|tag| *tag == DT_NEEDED)
                        .map(|_| "has a DT_NEEDED, so it needs a library"),
                );
            }
            _ => {}
        }
    }
    Some(wants)
}

/// A little-endian number of some bytes.
fn number(elf: &[u8], offset: u64, length: usize) -> Option<u64> {
    let start = usize::try_from(offset).ok()?;
    let bytes = elf.get(start..start.checked_add(length)?)?;
    Some(
        bytes
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u64::from(byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wants_of_real_programs() {
        let dynamic = std::fs::read("/bin/sh").unwrap();
        let expected = [
            "has a PT_INTERP, so it needs a dynamic loader",
            "has a DT_NEEDED, so it needs a library",
        ];
        assert_eq!(wants(&dynamic).unwrap()[..2], expected);
        // This test is built as everything here is: static.
        let ourselves = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(wants(&ourselves).unwrap(), [""; 0]);
        assert_eq!(wants(b"#!/bin/sh"), None);
    }
}
