//! Tar streams made byte by byte, also wrong ones.

use std::fmt::Write as _;

/// An archive under construction.
#[derive(Default, Clone)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

/// The fields of a header that tests vary.
pub(crate) struct Fields<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) flag: u8,
    pub(crate) link: &'a [u8],
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) ids: (u32, u32),
    pub(crate) mtime: u64,
}

impl Default for Fields<'_> {
    fn default() -> Self {
        Self {
            name: b"name",
            flag: b'0',
            link: b"",
            size: 0,
            mode: 0o644,
            ids: (0, 0),
            mtime: 1_000_000_000,
        }
    }
}

/// A header block with a right checksum; `change` may break anything before that is computed.
pub(crate) fn block(fields: &Fields<'_>, change: impl FnOnce(&mut [u8; 512])) -> [u8; 512] {
    let mut block = [0; 512];
    let mut put =
        |offset: usize, text: &[u8]| block[offset..offset + text.len()].copy_from_slice(text);
    put(0, fields.name);
    put(100, format!("{:07o}", fields.mode).as_bytes());
    put(108, format!("{:07o}", fields.ids.0).as_bytes());
    put(116, format!("{:07o}", fields.ids.1).as_bytes());
    put(124, format!("{:011o}", fields.size).as_bytes());
    put(136, format!("{:011o}", fields.mtime).as_bytes());
    put(156, &[fields.flag]);
    put(157, fields.link);
    put(257, b"ustar\x0000");
    change(&mut block);
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    block
}

impl Tar {
    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn entry(self, fields: &Fields<'_>, content: &[u8]) -> Self {
        let block = block(fields, |_| {});
        self.raw(&block).content(content)
    }

    pub(crate) fn content(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, name: &str, content: &str) -> Self {
        let fields = Fields {
            name: name.as_bytes(),
            size: content.len() as u64,
            ..Fields::default()
        };
        self.entry(&fields, content.as_bytes())
    }

    pub(crate) fn folder(self, name: &str) -> Self {
        self.entry(
            &Fields {
                name: name.as_bytes(),
                flag: b'5',
                mode: 0o755,
                ..Fields::default()
            },
            b"",
        )
    }

    pub(crate) fn symlink(self, name: &str, target: &str) -> Self {
        let fields = Fields {
            name: name.as_bytes(),
            flag: b'2',
            link: target.as_bytes(),
            mode: 0o777,
            ..Fields::default()
        };
        self.entry(&fields, b"")
    }

    pub(crate) fn hardlink(self, name: &str, target: &str) -> Self {
        self.entry(
            &Fields {
                name: name.as_bytes(),
                flag: b'1',
                link: target.as_bytes(),
                ..Fields::default()
            },
            b"",
        )
    }

    /// A pax header of `records` for the next entry.
    pub(crate) fn pax(self, records: &[(&str, &str)]) -> Self {
        self.extended(b'x', &pax_records(records))
    }

    /// An entry of flag `x`, `g`, `L` or `K`.
    pub(crate) fn extended(self, flag: u8, content: &[u8]) -> Self {
        self.entry(
            &Fields {
                name: b"extended",
                flag,
                size: content.len() as u64,
                ..Fields::default()
            },
            content,
        )
    }

    pub(crate) fn end(self) -> Vec<u8> {
        self.raw(&[0; 1024]).0
    }
}

pub(crate) fn pax_records(records: &[(&str, &str)]) -> Vec<u8> {
    let mut content = String::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length += 1;
        }
        writeln!(content, "{length} {key}={value}").unwrap();
    }
    content.into_bytes()
}
