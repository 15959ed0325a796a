//! Tar streams, read strictly.
//!
//! A tar is a row of 512-byte blocks: a header, then the file's bytes padded with zeros, again and again; two blocks of
//! zeros end it. The header has 100 bytes for the name and 12 octal digits for the size, so three dialects put what does not fit
//! into entries before the real one: POSIX pax (`x`: lines `<length> key=value`), GNU (`L` and `K`: the long name or link target as content), and ustar's
//! `prefix` field. Programs that disagree on which of two names or sizes holds can be made to see different files in one archive
//! (CVE-2025-62518); so whatever could be read in two ways is refused here.

pub(crate) mod encode;
mod entry;
mod header;
mod pax;
mod reader;

pub use entry::{Entry, Kind, Mtime};
pub use reader::{ArchiveProblem, ReadArchiveError, ReadLimits, Reader};

#[cfg(test)]
pub(crate) mod testing;

#[cfg(test)]
mod tests;
