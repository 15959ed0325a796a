//! ELF files: which libraries one needs, and telling the loader where to look for them first (`DT_RUNPATH`).
//!
//! A RUNPATH belongs to one file, so a private library serves that file and nobody else; LD_LIBRARY_PATH would change what every
//! program of the container loads. Adding one to a finished file needs room in two tables:
//!
//! - `.dynamic` is an array that ends at a `DT_NULL`; GNU ld leaves spare ones behind it (`-z spare-dynamic-tags`, 5 by default). One becomes the entry.
//! - `.dynstr` has no room. A copy with the new string at its end is put behind everything else in the file, and `DT_STRTAB` leads there. So that the loader maps it, the
//!   last `PT_NOTE` program header (the build id, which nothing needs at run time) becomes a read-only `PT_LOAD`.
//!
//! 64-bit little-endian only: that is what amd64 and arm64 are. See elf(5) and the System V gABI, chapter 5.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_NOTE: u32 = 4;
const PF_R: u32 = 4;
const SHT_STRTAB: u32 = 3;

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_STRSZ: u64 = 10;
const DT_SONAME: u64 = 14;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

const HEADER: usize = 64;
const PROGRAM_HEADER: usize = 56;
const SECTION_HEADER: usize = 64;
const DYNAMIC_ENTRY: usize = 16;

/// The smallest page; files for machines with larger ones say so in their segments' alignment.
const SMALLEST_PAGE: u64 = 0x1000;

/// A file that claims more is lying.
const LARGEST_PAGE: u64 = 0x20_0000;

/// No interpreter, library or extension module is larger.
const LARGEST: u64 = 1 << 30;

/// A parsed ELF file in memory.
#[derive(Debug)]
pub struct Elf {
    path: PathBuf,
    bytes: Vec<u8>,
    /// Where the entries of `.dynamic` are in the file.
    dynamic: Range<usize>,
    /// Where `.dynstr` is in the file.
    strings: Range<usize>,
}

impl Elf {
    /// Reads `path`; `None` where it is no ELF file with a dynamic section.
    pub fn read(path: &Path) -> Result<Option<Self>, ElfError> {
        let error = |source| ElfError::Read {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(error)?;
        let mut magic = [0; 6];
        let begins = read_up_to(&mut file, &mut magic).map_err(error)?;
        if magic[..begins] != *b"\x7fELF\x02\x01" {
            return Ok(None);
        }
        if file.metadata().map_err(error)?.len() > LARGEST {
            return Err(ElfError::Malformed {
                path: path.to_owned(),
                what: "it is too large",
            });
        }
        let mut bytes = magic.to_vec();
        file.read_to_end(&mut bytes).map_err(error)?;
        Self::parse(path, bytes)
    }

    fn parse(path: &Path, bytes: Vec<u8>) -> Result<Option<Self>, ElfError> {
        let malformed = |what| ElfError::Malformed {
            path: path.to_owned(),
            what,
        };
        let segments = segments(&bytes)
            .ok_or_else(|| malformed("its program headers are outside the file"))?;
        let Some(dynamic) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else {
            return Ok(None);
        };
        let range = dynamic
            .file_range(&bytes)
            .ok_or_else(|| malformed("its dynamic section is outside the file"))?;
        let value = |tag| {
            dynamic_entries(&bytes[range.clone()])
                .find(|(found, _)| *found == tag)
                .map(|(_, value)| value)
        };
        let (Some(address), Some(size)) = (value(DT_STRTAB), value(DT_STRSZ)) else {
            return Err(malformed("it has no string table"));
        };
        let strings = file_range(&segments, address, size, bytes.len())
            .ok_or_else(|| malformed("its string table is outside the file"))?;
        Ok(Some(Self {
            path: path.to_owned(),
            dynamic: range,
            strings,
            bytes,
        }))
    }

    /// The names of the libraries that it needs (`libssl.so.3`), in its order.
    pub fn needed(&self) -> Vec<String> {
        self.strings_of(DT_NEEDED)
    }

    /// The name under which others need it.
    pub fn soname(&self) -> Option<String> {
        self.strings_of(DT_SONAME).into_iter().next()
    }

    /// Where it looks for libraries first.
    pub fn runpath(&self) -> Option<String> {
        let runpath = self.strings_of(DT_RUNPATH).into_iter().next();
        runpath.or_else(|| self.strings_of(DT_RPATH).into_iter().next())
    }

    fn strings_of(&self, tag: u64) -> Vec<String> {
        dynamic_entries(&self.bytes[self.dynamic.clone()])
            .filter(|(found, _)| *found == tag)
            .filter_map(|(_, offset)| self.string_at(offset))
            .collect()
    }

    fn string_at(&self, offset: u64) -> Option<String> {
        let table = &self.bytes[self.strings.clone()];
        let rest = table.get(usize::try_from(offset).ok()?..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        Some(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    /// Makes the loader look in `runpath` first (`$ORIGIN/../lib/private`), and writes the file anew.
    pub fn set_runpath(mut self, runpath: &str) -> Result<(), ElfError> {
        let malformed = |what| ElfError::Malformed {
            path: self.path.clone(),
            what,
        };
        let segments = segments(&self.bytes)
            .ok_or_else(|| malformed("its program headers are outside the file"))?;
        let note = segments.iter().rposition(|segment| segment.kind == PT_NOTE);
        let last_load = segments.iter().rposition(|segment| segment.kind == PT_LOAD);
        let note = match (note, last_load) {
            // The loader wants PT_LOADs in the order of their addresses.
            (Some(note), Some(load)) if note > load => note,
            _ => return Err(malformed("it has no program header to spare")),
        };
        let slot = runpath_slot(&self.bytes[self.dynamic.clone()])
            .ok_or_else(|| malformed("its dynamic section has no room"))?;

        let mut strings = self.bytes[self.strings.clone()].to_vec();
        let name = strings.len() as u64;
        strings.extend(runpath.as_bytes());
        strings.push(0);

        let end = segments
            .iter()
            .filter(|segment| segment.kind == PT_LOAD)
            .map(Segment::end)
            .max()
            .unwrap_or(0);
        let loads = segments.iter().filter(|segment| segment.kind == PT_LOAD);
        let page = loads
            .map(|segment| segment.alignment)
            .max()
            .unwrap_or(SMALLEST_PAGE)
            .clamp(SMALLEST_PAGE, LARGEST_PAGE);
        let offset = (self.bytes.len() as u64).next_multiple_of(page);
        let address = end.next_multiple_of(page);
        self.bytes.resize(offset as usize, 0);
        let size = strings.len() as u64;
        self.bytes.extend(strings);

        let load = Segment {
            kind: PT_LOAD,
            offset,
            address,
            file_size: size,
            memory_size: size,
            alignment: page,
        };
        let header = load.header();
        let start = program_headers_offset(&self.bytes) + note * PROGRAM_HEADER;
        self.bytes[start..start + PROGRAM_HEADER].copy_from_slice(&header);
        self.move_string_section(offset, address, size);
        self.set_dynamic(slot, DT_RUNPATH, name);
        for (tag, value) in [(DT_STRTAB, address), (DT_STRSZ, size)] {
            let index = dynamic_entries(&self.bytes[self.dynamic.clone()])
                .position(|(found, _)| found == tag);
            let index = index.ok_or_else(|| malformed_at(&self.path, "it has no string table"))?;
            self.set_dynamic(index, tag, value);
        }
        self.write()
    }

    fn set_dynamic(&mut self, index: usize, tag: u64, value: u64) {
        let start = self.dynamic.start + index * DYNAMIC_ENTRY;
        self.bytes[start..start + 8].copy_from_slice(&tag.to_le_bytes());
        self.bytes[start + 8..start + 16].copy_from_slice(&value.to_le_bytes());
    }

    /// Tools that read sections (readelf, strip) shall find the same strings as the loader.
    fn move_string_section(&mut self, offset: u64, address: u64, size: u64) {
        let (Some(table), Some(count)) = (number64(&self.bytes, 40), number16(&self.bytes, 60))
        else {
            return;
        };
        let old = self.strings.start as u64;
        for index in 0..usize::from(count) {
            let start = (table as usize).saturating_add(index * SECTION_HEADER);
            let Some(header) = self
                .bytes
                .get_mut(start..start.saturating_add(SECTION_HEADER))
            else {
                return;
            };
            if number32(header, 4) == Some(SHT_STRTAB) && number64(header, 24) == Some(old) {
                header[16..24].copy_from_slice(&address.to_le_bytes());
                header[24..32].copy_from_slice(&offset.to_le_bytes());
                header[32..40].copy_from_slice(&size.to_le_bytes());
            }
        }
    }

    /// Under a new name first: the file may be a hard link to one that must not change.
    fn write(&self) -> Result<(), ElfError> {
        let error = |source| ElfError::Write {
            path: self.path.clone(),
            source,
        };
        let permissions = fs::metadata(&self.path).map_err(error)?.permissions();
        let new = self.path.with_added_extension("new");
        fs::write(&new, &self.bytes).map_err(error)?;
        fs::set_permissions(&new, permissions).map_err(error)?;
        fs::rename(&new, &self.path).map_err(error)
    }
}

fn malformed_at(path: &Path, what: &'static str) -> ElfError {
    ElfError::Malformed {
        path: path.to_owned(),
        what,
    }
}

#[derive(Clone, Copy, Debug)]
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    file_size: u64,
    memory_size: u64,
    alignment: u64,
}

impl Segment {
    fn read(header: &[u8]) -> Option<Self> {
        Some(Self {
            kind: number32(header, 0)?,
            offset: number64(header, 8)?,
            address: number64(header, 16)?,
            file_size: number64(header, 32)?,
            memory_size: number64(header, 40)?,
            alignment: number64(header, 48)?,
        })
    }

    /// A read-only segment's program header.
    fn header(&self) -> [u8; PROGRAM_HEADER] {
        let mut header = [0; PROGRAM_HEADER];
        header[..4].copy_from_slice(&self.kind.to_le_bytes());
        header[4..8].copy_from_slice(&PF_R.to_le_bytes());
        let numbers = [
            self.offset,
            self.address,
            self.address,
            self.file_size,
            self.memory_size,
            self.alignment,
        ];
        for (index, number) in numbers.into_iter().enumerate() {
            header[8 + 8 * index..16 + 8 * index].copy_from_slice(&number.to_le_bytes());
        }
        header
    }

    fn end(&self) -> u64 {
        self.address.saturating_add(self.memory_size)
    }

    fn file_range(&self, bytes: &[u8]) -> Option<Range<usize>> {
        range(self.offset, self.file_size, bytes.len())
    }
}

fn range(offset: u64, size: u64, length: usize) -> Option<Range<usize>> {
    let end = usize::try_from(offset.checked_add(size)?).ok()?;
    (end <= length).then_some(usize::try_from(offset).ok()?..end)
}

/// Where what is loaded at `address` stands in the file.
fn file_range(
    segments: &[Segment],
    address: u64,
    size: u64,
    length: usize,
) -> Option<Range<usize>> {
    let holds = |segment: &&Segment| {
        segment.kind == PT_LOAD
            && (segment.address..segment.address.saturating_add(segment.file_size))
                .contains(&address)
    };
    let segment = segments.iter().find(holds)?;
    range(
        segment.offset.checked_add(address - segment.address)?,
        size,
        length,
    )
}

fn program_headers_offset(bytes: &[u8]) -> usize {
    number64(bytes, 32)
        .and_then(|offset| usize::try_from(offset).ok())
        .unwrap_or(HEADER)
}

fn segments(bytes: &[u8]) -> Option<Vec<Segment>> {
    let start = program_headers_offset(bytes);
    let count = usize::from(number16(bytes, 56)?);
    let table = bytes.get(start..start.checked_add(count * PROGRAM_HEADER)?)?;
    table
        .chunks_exact(PROGRAM_HEADER)
        .map(Segment::read)
        .collect()
}

/// Tags and values up to the first `DT_NULL`.
fn dynamic_entries(table: &[u8]) -> impl Iterator<Item = (u64, u64)> + '_ {
    table
        .chunks_exact(DYNAMIC_ENTRY)
        .filter_map(|entry| Some((number64(entry, 0)?, number64(entry, 8)?)))
        .take_while(|(tag, _)| *tag != DT_NULL)
}

/// The entry to write a run path to: the one that is there, or a spare one that has another `DT_NULL` behind it.
fn runpath_slot(table: &[u8]) -> Option<usize> {
    if let Some(index) =
        dynamic_entries(table).position(|(tag, _)| tag == DT_RUNPATH || tag == DT_RPATH)
    {
        return Some(index);
    }
    let used = dynamic_entries(table).count();
    (table.len() / DYNAMIC_ENTRY > used + 1).then_some(used)
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

fn number16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn number32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn number64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// Why an ELF file cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// Reading.
    #[error("cannot read '{}': {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Writing.
    #[error("cannot write '{}': {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not what an ELF file may be, or not one that can be changed.
    #[error("cannot use the program or library '{}': {what}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Compiles; false (and loud) where this machine has no C compiler.
    fn compile(arguments: &[&str], folder: &Path) -> bool {
        let compiled = Command::new("cc")
            .args(arguments)
            .current_dir(folder)
            .status();
        let done = compiled.is_ok_and(|status| status.success());
        if !done {
            test_skip::because("no C compiler to make ELF files with");
        }
        done
    }

    #[test]
    fn set_runpath_lets_a_program_find_a_private_library() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("private")).unwrap();
        fs::write(root.join("lib.c"), "int answer(void) { return 42; }").unwrap();
        fs::write(
            root.join("main.c"),
            "int answer(void); int main(void) { return answer(); }",
        )
        .unwrap();
        let library = [
            "-shared",
            "-fPIC",
            "-Wl,-soname,libanswer.so.1",
            "-o",
            "private/libanswer.so.1",
            "lib.c",
        ];
        if !compile(&library, root)
            || !compile(&["-o", "main", "main.c", "private/libanswer.so.1"], root)
        {
            return;
        }
        let program = root.join("main");
        let run = || Command::new(&program).env_clear().status().unwrap().code();
        assert_eq!(
            run(),
            Some(127),
            "without a run path the library is not found"
        );
        fs::hard_link(&program, root.join("other name")).unwrap();

        let elf = Elf::read(&program).unwrap().unwrap();
        assert_eq!(
            elf.needed().first().map(String::as_str),
            Some("libanswer.so.1")
        );
        assert_eq!(elf.runpath(), None);
        elf.set_runpath("$ORIGIN/private").unwrap();
        assert_eq!(run(), Some(42));

        let elf = Elf::read(&program).unwrap().unwrap();
        assert_eq!(elf.runpath().as_deref(), Some("$ORIGIN/private"));
        assert_eq!(
            Elf::read(&root.join("other name"))
                .unwrap()
                .unwrap()
                .runpath(),
            None
        );
        let library = Elf::read(&root.join("private/libanswer.so.1"))
            .unwrap()
            .unwrap();
        assert_eq!(library.soname().as_deref(), Some("libanswer.so.1"));
    }

    #[test]
    fn read_other_files() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for bytes in [
            &b"#!/bin/sh\n"[..],
            b"",
            b"\x7fELF",
            b"\x7fELF\x01\x01 32 bits",
        ] {
            fs::write(&path, bytes).unwrap();
            assert!(Elf::read(&path).unwrap().is_none(), "{bytes:?}");
        }
    }

    #[test]
    fn read_damaged_files_is_an_error_and_no_panic() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let whole = fs::read("/bin/sh").unwrap();
        for length in [6, 32, 63, 64, 100, 1000, whole.len() / 2] {
            fs::write(&path, &whole[..length]).unwrap();
            // Cut short, it is malformed or has no dynamic section; both are answers.
            drop(Elf::read(&path));
        }
        let mut lying = whole.clone();
        lying[32..40].fill(0xFF);
        fs::write(&path, &lying).unwrap();
        assert!(Elf::read(&path).is_err() || Elf::read(&path).unwrap().is_none());
    }
}
