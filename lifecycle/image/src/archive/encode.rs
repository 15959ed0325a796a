//! Header blocks as Go's `archive/tar` writes them, byte for byte: the reference lifecycle is written with it, and equal bytes
//! let a user who switches keep the layers there are.
//!
//! Go takes ustar where everything fits (splitting a long name at a slash into prefix and name), else a pax header in front; it never uses
//! GNU's forms unless told to. Times here are whole seconds.

use crate::owners::Owner;
use std::collections::BTreeMap;

/// One entry to be written. The name is written as it is, a leading slash included.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encoded<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) flag: u8,
    pub(crate) link: &'a [u8],
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
    pub(crate) mtime: u64,
    pub(crate) device: (u32, u32),
    pub(crate) xattrs: Vec<(&'a str, &'a [u8])>,
}

pub(crate) const BLOCK: usize = 512;

/// The end of an archive: two blocks of zeros, no padding to a tape's record.
pub(crate) const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// The header blocks of an entry.
pub(crate) fn encode(entry: &Encoded<'_>) -> Vec<u8> {
    let mut records: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut ustar = true;
    let split = split_name(entry.name);
    if !entry.name.is_ascii() || entry.name.len() > 100 {
        ustar &= split.is_some();
        records.insert("path".into(), entry.name.to_vec());
    }
    if !entry.link.is_ascii() || entry.link.len() > 100 {
        ustar = false;
        records.insert("linkpath".into(), entry.link.to_vec());
    }
    let numbers = [
        ("uid", u64::from(entry.owner.uid), 8),
        ("gid", u64::from(entry.owner.gid), 8),
        ("size", entry.size, 12),
        ("mtime", entry.mtime, 12),
    ];
    for (key, value, width) in numbers {
        if !fits_octal(value, width) {
            ustar = false;
            records.insert(key.into(), value.to_string().into_bytes());
        }
    }
    for (name, value) in &entry.xattrs {
        ustar = false;
        records.insert(format!("SCHILY.xattr.{name}"), value.to_vec());
    }
    if ustar {
        let (prefix, name) = split.unwrap_or((b"", entry.name));
        let mut block = template(entry, name, entry.link);
        put_text(&mut block[345..500], prefix);
        return finish(block).to_vec();
    }
    let mut blocks = pax(entry.name, &records);
    let block = template(entry, &ascii(entry.name), &ascii(entry.link));
    blocks.extend_from_slice(&finish(block));
    blocks
}

/// How many zeros follow content of this size.
pub(crate) fn padding(size: u64) -> usize {
    (size.next_multiple_of(BLOCK as u64) - size) as usize
}

fn template(entry: &Encoded<'_>, name: &[u8], link: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[156] = entry.flag;
    put_text(&mut block[0..100], name);
    put_text(&mut block[157..257], link);
    put_octal(&mut block[100..108], u64::from(entry.mode));
    put_octal(&mut block[108..116], u64::from(entry.owner.uid));
    put_octal(&mut block[116..124], u64::from(entry.owner.gid));
    put_octal(&mut block[124..136], entry.size);
    put_octal(&mut block[136..148], entry.mtime);
    put_octal(&mut block[329..337], u64::from(entry.device.0));
    put_octal(&mut block[337..345], u64::from(entry.device.1));
    block
}

fn finish(mut block: [u8; BLOCK]) -> [u8; BLOCK] {
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[148..156].fill(b' ');
    let sum = block.iter().map(|byte| u64::from(*byte)).sum();
    // Six digits and NUL; the space stays.
    put_octal(&mut block[148..155], sum);
    block
}

/// The `x` entry: named after the real one, in a folder `PaxHeaders.0` beside it.
fn pax(name: &[u8], records: &BTreeMap<String, Vec<u8>>) -> Vec<u8> {
    let mut content = Vec::new();
    for (key, value) in records {
        content.extend_from_slice(&record(key, value));
    }
    let trimmed = name.strip_suffix(b"/").unwrap_or(name);
    let slash = trimmed
        .iter()
        .rposition(|byte| *byte == b'/')
        .map_or(0, |slash| slash + 1);
    let header_name = ascii(&[&trimmed[..slash], b"PaxHeaders.0/", &trimmed[slash..]].concat());
    let mut header_name = &header_name[..header_name.len().min(100)];
    while let [rest @ .., b'/'] = header_name {
        header_name = rest;
    }
    let mut block = [0; BLOCK];
    block[156] = b'x';
    put_text(&mut block[0..100], header_name);
    for field in [100..108, 108..116, 116..124, 136..148] {
        put_octal(&mut block[field], 0);
    }
    put_octal(&mut block[124..136], content.len() as u64);
    let mut blocks = finish(block).to_vec();
    blocks.extend_from_slice(&content);
    blocks.resize(blocks.len().next_multiple_of(BLOCK), 0);
    blocks
}

/// `<length> <key>=<value>\n`, where the length counts its own digits.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// Splits a name over 100 bytes so that both parts fit: prefix (155) and name (100).
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if name.len() <= 100 || !name.is_ascii() {
        return None;
    }
    let end = if name.len() > 156 {
        156
    } else {
        name.len() - usize::from(name.ends_with(b"/"))
    };
    let slash = name[..end].iter().rposition(|byte| *byte == b'/')?;
    let rest = name.len() - slash - 1;
    (slash > 0 && rest > 0 && rest <= 100 && slash <= 155)
        .then(|| (&name[..slash], &name[slash + 1..]))
}

/// A string field ends with a NUL unless it is full. A cut name must not end with a slash: old readers take that for a folder.
fn put_text(field: &mut [u8], text: &[u8]) {
    let length = text.len().min(field.len());
    field[..length].copy_from_slice(&text[..length]);
    if text.len() > field.len() && field.ends_with(b"/") {
        let kept = field[..length]
            .iter()
            .rposition(|byte| *byte != b'/')
            .map_or(0, |last| last + 1);
        field[kept] = 0;
    }
}

/// Zero-padded octal digits and a NUL; what does not fit is 0 and stands in the pax header.
fn put_octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    let value = if fits_octal(value, field.len()) {
        value
    } else {
        0
    };
    field[..digits].copy_from_slice(format!("{value:0digits$o}").as_bytes());
    field[digits] = 0;
}

fn fits_octal(value: u64, width: usize) -> bool {
    value < 1 << (3 * (width - 1))
}

/// Go drops what is not ASCII from the short name beside a pax path.
fn ascii(text: &[u8]) -> Vec<u8> {
    text.iter()
        .copied()
        .filter(|byte| byte.is_ascii() && *byte != 0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::archive::{Kind, ReadLimits, Reader};
    use proptest::prelude::*;

    #[test]
    fn record_counts_its_own_digits() {
        for (value, length) in [
            (1, 9),
            (2, 11),
            (90, 99),
            (91, 101),
            (989, 999),
            (990, 1001),
        ] {
            let record = record("path", &vec![b'a'; value]);
            assert_eq!(record.len(), length, "{value}");
            assert!(record.starts_with(format!("{length} path=").as_bytes()));
        }
    }

    proptest! {
        /// What is written is what the strict reader reads.
        #[test]
        fn round_trip(
            name in "[a-zé]{1,60}(/[a-zé]{1,60}){0,8}",
            link in "[/a-zü.]{1,150}",
            size in prop_oneof![0_u64..10_000, (1_u64 << 33) - 2..(1_u64 << 33) + 2],
            mode in 0_u32..0o10000,
            uid in 0_u32..u32::MAX,
            mtime in 0_u64..1_u64 << 40,
            xattr in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let owner = Owner::new(uid, 7);
            let xattrs = vec![("user.k", &xattr[..])];
            let file = Encoded { name: name.as_bytes(), flag: b'0', size, mode, owner, mtime, xattrs, ..Encoded::default() };
            let limits = ReadLimits { bytes: u64::MAX, ..ReadLimits::default() };
            let blocks = encode(&file);
            let entry = Reader::new(&blocks[..], limits).next_entry().unwrap().unwrap();
            prop_assert_eq!(entry.path, name.parse().unwrap());
            prop_assert_eq!((entry.kind, entry.mode, entry.owner), (Kind::File { size }, mode, owner));
            prop_assert_eq!(entry.mtime.seconds as u64, mtime);
            prop_assert_eq!(&entry.xattrs["user.k"], &xattr);

            let symlink = Encoded { name: name.as_bytes(), flag: b'2', link: link.as_bytes(), ..Encoded::default() };
            let blocks = encode(&symlink);
            let entry = Reader::new(&blocks[..], limits).next_entry().unwrap().unwrap();
            prop_assert_eq!(entry.kind, Kind::Symlink { target: link.into_bytes() });
        }
    }
}
