//! Pax records: `<length> <key>=<value>\n`, the length counting itself (POSIX.1-2017, "pax Extended Header").

use super::entry::Mtime;
use super::reader::ArchiveProblem;
use std::collections::{BTreeMap, BTreeSet};

/// What pax records say of the entry they stand before.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct PaxRecords {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link_path: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Mtime>,
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
}

impl PaxRecords {
    /// Parses the content of an `x` entry. A key that comes twice is refused: readers disagree on which one holds.
    pub(super) fn parse(content: &[u8]) -> Result<Self, ArchiveProblem> {
        let mut records = Self::default();
        let mut seen = BTreeSet::new();
        for record in split(content) {
            let (key, value) = record?;
            if !seen.insert(key) {
                return Err(ArchiveProblem::PaxTwice {
                    key: key.to_owned(),
                });
            }
            records.add(key, value)?;
        }
        Ok(records)
    }

    /// Checks the content of a `g` entry, which would hold for all that follow. Comments are fine (`git archive` writes one);
    /// whatever would change an entry is refused.
    pub(super) fn check_global(content: &[u8]) -> Result<(), ArchiveProblem> {
        for record in split(content) {
            let (key, _) = record?;
            if key != "comment" {
                return Err(ArchiveProblem::PaxGlobal {
                    key: key.to_owned(),
                });
            }
        }
        Ok(())
    }

    fn add(&mut self, key: &str, value: &[u8]) -> Result<(), ArchiveProblem> {
        let refused = || ArchiveProblem::PaxValue {
            key: key.to_owned(),
        };
        let name = || {
            if value.is_empty() || value.contains(&0) {
                Err(refused())
            } else {
                Ok(value.to_vec())
            }
        };
        let text = || std::str::from_utf8(value).map_err(|_| refused());
        match key {
            "path" => self.path = Some(name()?),
            "linkpath" => self.link_path = Some(name()?),
            "size" => self.size = Some(decimal(text()?).ok_or_else(refused)?),
            "uid" => self.uid = Some(decimal(text()?).ok_or_else(refused)?),
            "gid" => self.gid = Some(decimal(text()?).ok_or_else(refused)?),
            "mtime" => self.mtime = Some(time(text()?).ok_or_else(refused)?),
            // Sparse files keep their real name and size in records of their own; nothing that makes layers or packages writes them.
            _ if key.starts_with("GNU.sparse.") => return Err(ArchiveProblem::Sparse),
            _ => {
                if let Some(attribute) = key.strip_prefix("SCHILY.xattr.") {
                    self.xattrs.insert(attribute.to_owned(), value.to_vec());
                }
                // Other keys (times of access, names, the vendors' own) do not change what is unpacked.
            }
        }
        Ok(())
    }
}

fn split(mut content: &[u8]) -> impl Iterator<Item = Result<(&str, &[u8]), ArchiveProblem>> {
    std::iter::from_fn(move || {
        if content.is_empty() {
            return None;
        }
        let Some((key, value, rest)) = first(content) else {
            content = &[];
            return Some(Err(ArchiveProblem::PaxRecord));
        };
        content = rest;
        Some(Ok((key, value)))
    })
}

fn first(content: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    let space = content.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(std::str::from_utf8(&content[..space]).ok()?)?).ok()?;
    let record = content.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    let key = std::str::from_utf8(&record[..equals])
        .ok()
        .filter(|key| !key.is_empty() && !key.contains('\0'))?;
    Some((key, &record[equals + 1..], &content[length..]))
}

/// Digits only: `str::parse` would take a plus sign.
fn decimal(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// Seconds with a fraction, perhaps negative; fractions of a negative time count downwards.
fn time(text: &str) -> Option<Mtime> {
    let (negative, text) = text
        .strip_prefix('-')
        .map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let whole = i64::try_from(decimal(whole)?).ok()?;
    let nanoseconds: u32 = format!("{fraction:0<9}")[..9].parse().ok()?;
    Some(match (negative, nanoseconds) {
        (false, _) => Mtime {
            seconds: whole,
            nanoseconds,
        },
        (true, 0) => Mtime {
            seconds: -whole,
            nanoseconds: 0,
        },
        (true, _) => Mtime {
            seconds: -whole - 1,
            nanoseconds: 1_000_000_000 - nanoseconds,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_all_keys() {
        // Two of the values end with a newline of their own.
        let content = b"13 path=a/b\n\n10 uid=10\n13 mtime=1.5\n30 SCHILY.xattr.user.k=value\n\n";
        let records = PaxRecords::parse(content).unwrap();
        assert_eq!(records.path.as_deref(), Some(&b"a/b\n"[..]));
        assert_eq!(
            (records.uid, records.mtime),
            (
                Some(10),
                Some(Mtime {
                    seconds: 1,
                    nanoseconds: 500_000_000
                })
            )
        );
        assert_eq!(records.xattrs["user.k"], b"value\n");
    }

    #[test]
    fn parse_refuses() {
        let table: [(&[u8], ArchiveProblem); 9] = [
            (
                b"9 path=a\n9 path=b\n",
                ArchiveProblem::PaxTwice { key: "path".into() },
            ),
            (
                b"12 path=a\0b\n",
                ArchiveProblem::PaxValue { key: "path".into() },
            ),
            (
                b"8 path=\n",
                ArchiveProblem::PaxValue { key: "path".into() },
            ),
            (
                b"11 size=-1\n",
                ArchiveProblem::PaxValue { key: "size".into() },
            ),
            (
                b"11 size=+1\n",
                ArchiveProblem::PaxValue { key: "size".into() },
            ),
            (b"99 path=a\n", ArchiveProblem::PaxRecord),
            (b"9 path=a ", ArchiveProblem::PaxRecord),
            (b"0 path=a\n", ArchiveProblem::PaxRecord),
            (b"22 GNU.sparse.major=1\n", ArchiveProblem::Sparse),
        ];
        for (content, problem) in table {
            assert_eq!(
                PaxRecords::parse(content),
                Err(problem),
                "{}",
                String::from_utf8_lossy(content)
            );
        }
    }

    #[test]
    fn time_table() {
        let table = [
            ("12", Some((12, 0))),
            ("12.25", Some((12, 250_000_000))),
            ("-1", Some((-1, 0))),
            ("-0.25", Some((-1, 750_000_000))),
            ("1.0000000019", Some((1, 1))),
            ("", None),
            ("1.", None),
            ("1.x", None),
            ("99999999999999999999", None),
        ];
        for (text, expected) in table {
            assert_eq!(
                time(text),
                expected.map(|(seconds, nanoseconds)| Mtime {
                    seconds,
                    nanoseconds
                }),
                "{text}"
            );
        }
    }
}
