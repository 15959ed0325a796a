//! The reader against well-formed and hostile archives.

use super::testing::{Fields, Tar, block, pax_records};
use super::*;
use crate::owners::Owner;
use proptest::prelude::*;
use std::io::Read as _;

fn read_with(
    archive: &[u8],
    limits: ReadLimits,
) -> Result<Vec<(Entry, Vec<u8>)>, ReadArchiveError> {
    let mut reader = Reader::new(archive, limits);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        reader
            .read_to_end(&mut content)
            .map_err(ReadArchiveError::Read)?;
        entries.push((entry, content));
    }
    Ok(entries)
}

fn read(archive: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>, ReadArchiveError> {
    read_with(archive, ReadLimits::default())
}

fn problem(archive: &[u8]) -> ArchiveProblem {
    match read(archive) {
        Err(ReadArchiveError::Malformed { problem, .. }) => problem,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

#[test]
fn reads_all_kinds() {
    let archive = Tar::default()
        .folder("./")
        .folder("./usr/")
        .file("./usr/a", "content")
        .symlink("usr/b", "../../anything")
        .hardlink("usr/c", "./usr/a")
        .entry(
            &Fields {
                name: b"pipe",
                flag: b'6',
                ..Fields::default()
            },
            b"",
        )
        .end();
    let kinds: Vec<(String, Kind)> = read(&archive)
        .unwrap()
        .into_iter()
        .map(|(entry, _)| (entry.path.to_string(), entry.kind))
        .collect();
    assert_eq!(
        kinds,
        [
            ("/".into(), Kind::Directory),
            ("/usr".into(), Kind::Directory),
            ("/usr/a".into(), Kind::File { size: 7 }),
            (
                "/usr/b".into(),
                Kind::Symlink {
                    target: b"../../anything".into()
                }
            ),
            (
                "/usr/c".into(),
                Kind::Hardlink {
                    target: "usr/a".parse().unwrap()
                }
            ),
            ("/pipe".into(), Kind::Fifo),
        ]
    );
}

#[test]
fn reads_long_names_and_pax() {
    let long = "long/".repeat(60) + "name";
    let gnu = Tar::default()
        .extended(b'L', format!("{long}\0").as_bytes())
        .extended(b'K', b"target\0")
        .symlink("short", "short")
        .end();
    let entry = read(&gnu).unwrap().remove(0).0;
    assert_eq!(
        (entry.path, entry.kind),
        (
            long.parse().unwrap(),
            Kind::Symlink {
                target: b"target".into()
            }
        )
    );

    let pax = Tar::default()
        .extended(b'g', &pax_records(&[("comment", "0123")]))
        .pax(&[
            ("path", &long),
            ("uid", "3000000"),
            ("mtime", "5.25"),
            ("SCHILY.xattr.security.capability", "x"),
            ("atime", "1"),
        ])
        .file("short", "abc")
        .end();
    let (entry, content) = read(&pax).unwrap().remove(0);
    assert_eq!(entry.path, long.parse().unwrap());
    assert_eq!(entry.owner, Owner::new(3_000_000, 0));
    assert_eq!(
        entry.mtime,
        Mtime {
            seconds: 5,
            nanoseconds: 250_000_000
        }
    );
    assert_eq!(entry.xattrs["security.capability"], b"x");
    assert_eq!(content, b"abc");
}

#[test]
fn reads_prefix_of_ustar_but_not_of_gnu() {
    let with_prefix = |magic: &'static [u8; 8]| {
        let block = block(&Fields::default(), |block| {
            block[257..265].copy_from_slice(magic);
            block[345..348].copy_from_slice(b"dir");
        });
        read(&Tar::default().raw(&block).end())
            .unwrap()
            .remove(0)
            .0
            .path
            .to_string()
    };
    assert_eq!(with_prefix(b"ustar\x0000"), "/dir/name");
    assert_eq!(with_prefix(b"ustar  \0"), "/name");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn refuses_ambiguous_entries() {
    let file = |tar: Tar| tar.file("name", "content").end();
    let named = |fields: Fields<'_>| Tar::default().entry(&fields, b"").end();
    let table = [
        (
            "two pax headers",
            file(Tar::default().pax(&[("uid", "1")]).pax(&[("gid", "1")])),
            ArchiveProblem::Stacked,
        ),
        (
            "pax and GNU name",
            file(Tar::default().pax(&[("path", "a")]).extended(b'L', b"b\0")),
            ArchiveProblem::Stacked,
        ),
        (
            "GNU name and pax",
            file(Tar::default().extended(b'L', b"b\0").pax(&[("uid", "1")])),
            ArchiveProblem::Stacked,
        ),
        (
            "two GNU names",
            file(Tar::default().extended(b'L', b"a\0").extended(b'L', b"b\0")),
            ArchiveProblem::Stacked,
        ),
        (
            "link target for a file",
            file(Tar::default().pax(&[("linkpath", "b")])),
            ArchiveProblem::Stacked,
        ),
        (
            "GNU target for a file",
            file(Tar::default().extended(b'K', b"b\0")),
            ArchiveProblem::Stacked,
        ),
        (
            "NUL inside a GNU name",
            file(Tar::default().extended(b'L', b"a\0b\0")),
            ArchiveProblem::LongName,
        ),
        (
            "global name",
            file(Tar::default().extended(b'g', &pax_records(&[("path", "a")]))),
            ArchiveProblem::PaxGlobal { key: "path".into() },
        ),
        // CVE-2025-62518: the parsers that skip by the header's size see entries inside the content.
        (
            "pax size differs",
            file(Tar::default().pax(&[("size", "0")])),
            ArchiveProblem::TwoSizes,
        ),
        (
            "pax size differs",
            file(Tar::default().pax(&[("size", "1024")])),
            ArchiveProblem::TwoSizes,
        ),
        (
            "file with slash",
            Tar::default().file("name/", "").end(),
            ArchiveProblem::FileWithSlash,
        ),
        (
            "folder with content",
            named(Fields {
                flag: b'5',
                size: 512,
                ..Fields::default()
            }),
            ArchiveProblem::UnexpectedContent,
        ),
        (
            "hard link with content",
            named(Fields {
                flag: b'1',
                link: b"a",
                size: 512,
                ..Fields::default()
            }),
            ArchiveProblem::UnexpectedContent,
        ),
        (
            "symlink to nothing",
            Tar::default().symlink("a", "").end(),
            ArchiveProblem::NoTarget,
        ),
        (
            "hard link to the root",
            Tar::default().hardlink("a", "./").end(),
            ArchiveProblem::NoTarget,
        ),
        (
            "no name",
            named(Fields {
                name: b"",
                ..Fields::default()
            }),
            ArchiveProblem::NoName,
        ),
        (
            "sparse",
            named(Fields {
                flag: b'S',
                ..Fields::default()
            }),
            ArchiveProblem::Sparse,
        ),
        (
            "unknown type",
            named(Fields {
                flag: b'Z',
                ..Fields::default()
            }),
            ArchiveProblem::UnknownType { flag: 'Z' },
        ),
        (
            "pax without entry",
            Tar::default().pax(&[("uid", "1")]).end(),
            ArchiveProblem::NothingFollows,
        ),
        (
            "user id of all ones",
            file(Tar::default().pax(&[("uid", "4294967295")])),
            ArchiveProblem::Number("uid"),
        ),
        (
            "user id that wraps to 0",
            file(Tar::default().pax(&[("uid", "4294967296")])),
            ArchiveProblem::Number("uid"),
        ),
    ];
    for (what, archive, expected) in table {
        assert_eq!(problem(&archive), expected, "{what}");
    }
}

#[test]
fn refuses_broken_headers() {
    let broken = |change: &dyn Fn(&mut [u8; 512])| {
        Tar::default().raw(&block(&Fields::default(), change)).end()
    };
    assert_eq!(
        problem(&broken(
            &|block| block[257..265].copy_from_slice(b"ustar\x00xx")
        )),
        ArchiveProblem::Dialect
    );
    assert_eq!(
        problem(&broken(
            &|block| block[124..136].copy_from_slice(b"-0000000001\0")
        )),
        ArchiveProblem::Number("size")
    );
    assert_eq!(
        problem(&broken(&|block| block[124..136].fill(0xff))),
        ArchiveProblem::Number("size")
    );
    assert_eq!(
        problem(&broken(&|block| block[108] = 0xff)),
        ArchiveProblem::Number("uid")
    );
    let mut sum = Tar::default().file("a", "").end();
    sum[0] = b'b';
    assert_eq!(problem(&sum), ArchiveProblem::Checksum);
}

#[test]
fn refuses_names_that_lead_out() {
    for name in ["../a", "a/../../b", "/..", "a/.."] {
        assert!(
            matches!(
                problem(&Tar::default().file(name, "").end()),
                ArchiveProblem::Path(_)
            ),
            "{name}"
        );
    }
    assert!(matches!(
        problem(&Tar::default().hardlink("a", "../b").end()),
        ArchiveProblem::Path(_)
    ));
}

#[test]
fn refuses_bad_ends() {
    let whole = Tar::default().file("a", "content").end();
    for length in 0..whole.len() - 1 {
        let error = read(&whole[..length]).unwrap_err();
        assert!(
            matches!(
                error,
                ReadArchiveError::Truncated { .. } | ReadArchiveError::Read(_)
            ),
            "{length}: {error:?}"
        );
    }
    let one_block = [&whole[..1024], &[0; 512], &whole[..]].concat();
    assert_eq!(problem(&one_block), ArchiveProblem::AfterTheEnd);
    let after_two = [&whole[..], &[0; 9_000], b"x"].concat();
    assert_eq!(problem(&after_two), ArchiveProblem::AfterTheEnd);
    assert_eq!(read(&[&whole[..], &[0; 9_000]].concat()).unwrap().len(), 1);
}

#[test]
fn refuses_too_much() {
    let limits = ReadLimits {
        entries: 2,
        bytes: 10,
        metadata_bytes: 100,
        depth: 3,
    };
    let refused = |archive: Vec<u8>| match read_with(&archive, limits) {
        Err(ReadArchiveError::Malformed { problem, .. }) => problem,
        other => panic!("{other:?}"),
    };
    let three = Tar::default().folder("a").folder("b").folder("c").end();
    assert_eq!(refused(three), ArchiveProblem::TooManyEntries { limit: 2 });
    assert_eq!(
        refused(Tar::default().file("a", "123456").file("b", "123456").end()),
        ArchiveProblem::TooManyBytes { limit: 10 }
    );
    assert_eq!(
        refused(Tar::default().folder("a/b/c/d").end()),
        ArchiveProblem::TooDeep { limit: 3 }
    );
    assert_eq!(
        refused(Tar::default().pax(&[("path", &"a".repeat(200))]).end()),
        ArchiveProblem::MetadataTooLong { limit: 100 }
    );
    // A size that no memory could hold must not be tried.
    let huge = Tar::default().raw(&block(
        &Fields {
            flag: b'x',
            ..Fields::default()
        },
        |block| {
            block[124..136].copy_from_slice(&[
                0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            ]);
        },
    ));
    assert_eq!(
        refused(huge.end()),
        ArchiveProblem::MetadataTooLong { limit: 100 }
    );
}

proptest! {
    /// Whatever the bytes, reading ends without a panic.
    #[test]
    fn never_panics(flips in proptest::collection::vec((0_usize..4096, any::<u8>()), 1..12)) {
        let mut archive = Tar::default()
            .pax(&[("path", "some/name"), ("mtime", "12.5"), ("size", "7")])
            .file("a", "content")
            .extended(b'L', b"long name\0")
            .symlink("b", "a")
            .end();
        for (index, value) in flips {
            let length = archive.len();
            let header = index % length / 512 * 512;
            archive[index % length] = value;
            // Make the checksum right again, so that the flip gets past it.
            archive[header + 148..header + 156].fill(b' ');
            let sum: u32 = archive[header..header + 512].iter().map(|byte| u32::from(*byte)).sum();
            archive[header + 148..header + 155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
        drop(read(&archive));
    }
}
