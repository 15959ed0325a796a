//! One 512-byte header block: its checksum, dialect, numbers and names (POSIX.1-2017 pax, "ustar Interchange Format").

use super::reader::ArchiveProblem;

/// A block whose checksum and dialect have been checked.
pub(super) struct Header<'a> {
    block: &'a [u8; 512],
    dialect: Dialect,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// Before POSIX: no magic, no prefix.
    V7,
    /// POSIX.1-1988 and pax: the name may go on in the prefix field.
    Ustar,
    /// GNU: where ustar has its prefix, GNU keeps times.
    Gnu,
}

impl<'a> Header<'a> {
    /// Checks a block that is not all zeros.
    pub(super) fn parse(block: &'a [u8; 512]) -> Result<Self, ArchiveProblem> {
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(index, byte)| {
                if (148..156).contains(&index) {
                    32
                } else {
                    u64::from(*byte)
                }
            })
            .sum();
        if octal(&block[148..156]) != Some(sum) {
            return Err(ArchiveProblem::Checksum);
        }
        let dialect = match &block[257..265] {
            b"ustar\x0000" => Dialect::Ustar,
            b"ustar  \0" => Dialect::Gnu,
            [0, 0, 0, 0, 0, 0, 0, 0] => Dialect::V7,
            _ => return Err(ArchiveProblem::Dialect),
        };
        Ok(Self { block, dialect })
    }

    pub(super) fn type_flag(&self) -> u8 {
        self.block[156]
    }

    /// The name, with ustar's prefix in front.
    pub(super) fn name(&self) -> Vec<u8> {
        let name = text(&self.block[0..100]);
        match text(&self.block[345..500]) {
            prefix if self.dialect == Dialect::Ustar && !prefix.is_empty() => {
                [prefix, b"/", name].concat()
            }
            _ => name.to_vec(),
        }
    }

    pub(super) fn link_name(&self) -> &'a [u8] {
        text(&self.block[157..257])
    }

    pub(super) fn mode(&self) -> Result<u32, ArchiveProblem> {
        // GNU tar once put the file's type above the 12 bits.
        self.number(100..108, "mode")
            .map(|mode| (mode & 0o7777) as u32)
    }

    pub(super) fn uid(&self) -> Result<u64, ArchiveProblem> {
        self.number(108..116, "uid")
    }

    pub(super) fn gid(&self) -> Result<u64, ArchiveProblem> {
        self.number(116..124, "gid")
    }

    pub(super) fn size(&self) -> Result<u64, ArchiveProblem> {
        self.number(124..136, "size")
    }

    pub(super) fn mtime(&self) -> Result<i64, ArchiveProblem> {
        let field = &self.block[136..148];
        if field[0] == 0xff {
            // GNU's base 256 of a time before 1970: two's complement over the whole field.
            let low: [u8; 8] = field[4..].try_into().expect("12 bytes less 4 are 8");
            let seconds = i64::from_be_bytes(low);
            return if field[..4] == [0xff; 4] && seconds < 0 {
                Ok(seconds)
            } else {
                Err(ArchiveProblem::Number("mtime"))
            };
        }
        i64::try_from(self.number(136..148, "mtime")?).map_err(|_| ArchiveProblem::Number("mtime"))
    }

    pub(super) fn device(&self) -> Result<(u32, u32), ArchiveProblem> {
        let part = |field, name| {
            u32::try_from(self.number(field, name)?).map_err(|_| ArchiveProblem::Number(name))
        };
        Ok((part(329..337, "devmajor")?, part(337..345, "devminor")?))
    }

    /// Octal digits, or GNU's base 256 (first bit set), which star and pax writers use too.
    fn number(
        &self,
        field: std::ops::Range<usize>,
        name: &'static str,
    ) -> Result<u64, ArchiveProblem> {
        let field = &self.block[field];
        if field[0] & 0x80 == 0 {
            return octal(field).ok_or(ArchiveProblem::Number(name));
        }
        let (high, low) = field.split_at(field.len() - 8);
        // The first byte is 0x80 and nothing else: 0xff starts a negative number, other bits a number beyond 64 bits.
        let value = match high {
            [] => u64::from_be_bytes(low.try_into().expect("split at 8")) & !(1 << 63),
            [0x80, rest @ ..] if rest.iter().all(|byte| *byte == 0) => {
                u64::from_be_bytes(low.try_into().expect("split at 8"))
            }
            _ => return Err(ArchiveProblem::Number(name)),
        };
        Ok(value)
    }
}

/// Up to the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// Octal digits between spaces and NULs; an empty field is 0, as old writers leave it.
fn octal(field: &[u8]) -> Option<u64> {
    let start = field
        .iter()
        .position(|byte| *byte != b' ')
        .unwrap_or(field.len());
    let digits = field[start..]
        .split(|byte| matches!(byte, 0 | b' '))
        .next()?;
    let rest = &field[start + digits.len()..];
    if rest.iter().any(|byte| !matches!(byte, 0 | b' '))
        || digits.iter().any(|byte| !matches!(byte, b'0'..=b'7'))
    {
        return None;
    }
    // A field has at most 12 bytes, so this cannot overflow.
    Some(
        digits
            .iter()
            .fold(0, |value, digit| value * 8 + u64::from(digit - b'0')),
    )
}

#[cfg(test)]
mod tests {
    use super::octal;

    #[test]
    fn octal_table() {
        let table: [(&[u8], Option<u64>); 8] = [
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"\0\0\0\0", Some(0)),
            (b"77777777777\0", Some(0o777_7777_7777)),
            (b"644\x007\0", None),
            (b"-1\0", None),
            (b"648\0", None),
            (b"+7\0", None),
        ];
        for (field, value) in table {
            assert_eq!(octal(field), value, "{field:?}");
        }
    }
}
