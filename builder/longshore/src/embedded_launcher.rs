//! The launcher, as it stands in every image: built by `build.rs`, carried as bytes.

/// A static program for x86-64 Linux.
pub(crate) const LAUNCHER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/launcher"));

#[cfg(test)]
mod tests {
    use super::LAUNCHER;

    /// Program header types of ELF (`elf.h`).
    const PT_DYNAMIC: u32 = 2;
    const PT_INTERP: u32 = 3;
    const DT_NULL: u64 = 0;
    const DT_NEEDED: u64 = 1;

    fn number<const N: usize>(at: usize) -> [u8; N] {
        LAUNCHER[at..at + N].try_into().expect("N bytes")
    }

    fn u16_at(at: usize) -> usize {
        usize::from(u16::from_le_bytes(number(at)))
    }

    fn u64_at(at: usize) -> u64 {
        u64::from_le_bytes(number(at))
    }

    /// Type, offset in the file, and size of every program header of a 64-bit ELF file.
    fn program_headers() -> Vec<(u32, usize, usize)> {
        assert_eq!(
            LAUNCHER[..6],
            *b"\x7fELF\x02\x01",
            "a 64-bit little-endian ELF file"
        );
        let (table, size, count) = (u64_at(32) as usize, u16_at(54), u16_at(56));
        let header = |index| {
            let at = table + index * size;
            (
                u32::from_le_bytes(number(at)),
                u64_at(at + 8) as usize,
                u64_at(at + 32) as usize,
            )
        };
        (0..count).map(header).collect()
    }

    #[test]
    fn launcher_needs_nothing() {
        let headers = program_headers();
        assert!(
            headers.iter().all(|&(kind, ..)| kind != PT_INTERP),
            "no loader: {headers:?}"
        );
        for &(_, offset, size) in headers.iter().filter(|&&(kind, ..)| kind == PT_DYNAMIC) {
            let tags = (offset..offset + size)
                .step_by(16)
                .map(u64_at)
                .take_while(|&tag| tag != DT_NULL);
            assert!(
                tags.into_iter().all(|tag| tag != DT_NEEDED),
                "no shared library"
            );
        }
    }

    #[test]
    fn launcher_is_small() {
        assert!(LAUNCHER.len() < 1_000_000, "{} bytes", LAUNCHER.len());
    }
}
