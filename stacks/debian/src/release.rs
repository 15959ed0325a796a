//! `Release` files: which suite this is, how long it is good, and the digests of its indexes
//! (<https://wiki.debian.org/DebianRepository/Format#A.22Release.22_files>).

use std::{collections::BTreeMap, time::SystemTime};

use fetch::Sha256;

use crate::{
    index::is_safe_path,
    keyring::{CLOCK_TOLERANCE, Keyring, SignatureError},
    paragraph::{Paragraph, paragraphs},
};

/// A Release file whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `Origin`; Debian's own says `Debian`.
    pub origin: String,
    /// `Suite`: `stable`, `stable-security`.
    pub suite: String,
    /// `Codename`: `trixie`, `trixie-security`.
    pub codename: String,
    /// `Date`
    pub date: SystemTime,
    /// `Valid-Until`, where the suite has one; trixie itself has none.
    pub valid_until: Option<SystemTime>,
    /// `Components`
    pub components: Vec<String>,
    /// `NotAutomatic: yes`: packages are taken only where nothing else will do.
    pub not_automatic: bool,
    /// `Acquire-By-Hash: yes`: indexes can be had under their digest, so that an update in between does no harm.
    pub by_hash: bool,
    /// Who signed it.
    pub signers: Vec<String>,
    files: BTreeMap<String, IndexFile>,
}

/// What a Release file says of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexFile {
    /// Its digest.
    pub sha256: Sha256,
    /// Its size.
    pub size: u64,
}

/// Whether an outdated Release file is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Freshness {
    /// Refused: an attacker could hold back security updates by serving old files.
    #[default]
    Enforced,
    /// Accepted with a notice: the mirror is frozen on purpose.
    FrozenMirror,
}

impl Release {
    /// Checks the signature of an `InRelease` file and reads it.
    pub fn verify(
        in_release: &[u8],
        keyring: &Keyring,
        now: SystemTime,
    ) -> Result<Self, ReleaseError> {
        let signed = keyring.verify(in_release, now)?;
        let parsed =
            paragraphs(&signed.text).map_err(|error| ReleaseError::Syntax(error.to_string()))?;
        let [paragraph] = &parsed[..] else {
            return Err(ReleaseError::Syntax(format!(
                "it has {} paragraphs instead of one",
                parsed.len()
            )));
        };
        let mut release = Self::read(paragraph)?;
        release.signers = signed.signers;
        Ok(release)
    }

    fn read(paragraph: &Paragraph<'_>) -> Result<Self, ReleaseError> {
        let text = |field: &str| {
            paragraph
                .get_single(field)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let yes = |field: &str| {
            paragraph
                .get_single(field)
                .is_some_and(|value| value.trim() == "yes")
        };
        let date = |field: &'static str| match paragraph.get_single(field) {
            None => Ok(None),
            Some(value) => parse_date(value)
                .map(Some)
                .ok_or_else(|| ReleaseError::Syntax(format!("{field} '{value}' is not a date"))),
        };
        let mut files = BTreeMap::new();
        for line in paragraph
            .get("SHA256")
            .unwrap_or_default()
            .iter()
            .filter(|line| !line.trim().is_empty())
        {
            let (path, file) = parse_file(line).ok_or_else(|| {
                ReleaseError::Syntax(format!(
                    "'{line}' under SHA256 is not a digest, a size and a path"
                ))
            })?;
            files.insert(path.to_owned(), file);
        }
        if files.is_empty() {
            return Err(ReleaseError::Syntax("it has no SHA256 sums".to_owned()));
        }
        Ok(Self {
            origin: text("Origin"),
            suite: text("Suite"),
            codename: text("Codename"),
            date: date("Date")?.ok_or_else(|| ReleaseError::Syntax("it has no Date".to_owned()))?,
            valid_until: date("Valid-Until")?,
            components: text("Components")
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            not_automatic: yes("NotAutomatic"),
            by_hash: yes("Acquire-By-Hash"),
            signers: Vec::new(),
            files,
        })
    }

    /// Checks that this is the suite asked for, and that it is neither outdated nor of the future. Gives what deserves a word.
    pub fn check(
        &self,
        suite: &str,
        now: SystemTime,
        freshness: Freshness,
    ) -> Result<Vec<String>, ReleaseError> {
        if suite != self.suite && suite != self.codename {
            return Err(ReleaseError::WrongSuite {
                wanted: suite.to_owned(),
                suite: self.suite.clone(),
                codename: self.codename.clone(),
            });
        }
        let outdated = self
            .valid_until
            .filter(|end| *end < now)
            .map(|end| ReleaseError::Expired {
                until: show_date(end),
            });
        let future = (self.date > now + CLOCK_TOLERANCE).then(|| ReleaseError::NotYetValid {
            date: show_date(self.date),
        });
        match (outdated.or(future), freshness) {
            (None, _) => Ok(Vec::new()),
            (Some(error), Freshness::Enforced) => Err(error),
            (Some(error), Freshness::FrozenMirror) => {
                Ok(vec![format!("{suite}: accepted although {error}")])
            }
        }
    }

    /// What is said of an index, by its path below the suite: `main/binary-amd64/Packages.gz`.
    pub fn index_file(&self, path: &str) -> Option<IndexFile> {
        self.files.get(path).copied()
    }
}

fn parse_file(line: &str) -> Option<(&str, IndexFile)> {
    let mut words = line.split_whitespace();
    let sha256 = words.next()?.parse().ok()?;
    let size = words.next()?.parse().ok()?;
    let path = words.next().filter(|path| is_safe_path(path))?;
    words
        .next()
        .is_none()
        .then_some((path, IndexFile { sha256, size }))
}

/// `Sat, 12 Sep 2026 07:55:41 UTC`; the day may have one digit, the zone may be written in three ways, and it is always UTC.
fn parse_date(text: &str) -> Option<SystemTime> {
    let words: Vec<_> = text.split_whitespace().collect();
    let [weekday, day, month, year, time, "UTC" | "GMT" | "+0000"] = words[..] else {
        return None;
    };
    httpdate::parse_http_date(&format!("{weekday} {day:0>2} {month} {year} {time} GMT")).ok()
}

/// A time as people read it.
pub(crate) fn show_date(time: SystemTime) -> String {
    // The library's form ends with the year 9999.
    const END_OF_9999: u64 = 253_402_300_800;
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) if since.as_secs() < END_OF_9999 => httpdate::fmt_http_date(time),
        _ => "a date far away".to_owned(),
    }
}

/// Why a Release file is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// Its signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Signed, but not a Release file.
    #[error("it is not a usable Release file: {0}")]
    Syntax(String),
    /// Another suite.
    #[error("it is for the suite '{suite}' (codename '{codename}'), but '{wanted}' was asked for")]
    WrongSuite {
        /// What was asked for.
        wanted: String,
        /// What it says.
        suite: String,
        /// What it says.
        codename: String,
    },
    /// Too old: a mirror that stands still, or somebody who replays old files.
    #[error("it was valid until {until}. The mirror is outdated, or this machine's clock is wrong")]
    Expired {
        /// `Valid-Until`
        until: String,
    },
    /// From the future.
    #[error("it is dated {date}, which is in the future. Check this machine's clock")]
    NotYetValid {
        /// `Date`
        date: String,
    },
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn release(fields: &str) -> Result<Release, ReleaseError> {
        let text = format!(
            "Origin: Debian\nSuite: stable\nCodename: trixie\nDate: Sat, 21 Nov 2026 10:00:00 UTC\nComponents: main contrib\n{fields}\
             SHA256:\n ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad 7 main/binary-amd64/Packages\n"
        );
        Release::read(&paragraphs(&text).expect("a paragraph")[0])
    }

    fn at(text: &str) -> SystemTime {
        parse_date(text).expect("a date")
    }

    #[test]
    fn release_fields() {
        let release = release("Acquire-By-Hash: yes\nNotAutomatic: yes\n").expect("read");
        assert_eq!(release.components, ["main", "contrib"]);
        assert!(release.by_hash && release.not_automatic);
        assert_eq!(
            release
                .index_file("main/binary-amd64/Packages")
                .map(|file| file.size),
            Some(7)
        );
        assert_eq!(release.index_file("main/binary-i386/Packages"), None);
    }

    #[test]
    fn release_suite() {
        let release = release("").expect("read");
        let now = at("Sat, 21 Nov 2026 12:00:00 UTC");
        for name in ["stable", "trixie"] {
            assert_eq!(release.check(name, now, Freshness::Enforced), Ok(vec![]));
        }
        assert_eq!(
            release
                .check("bookworm", now, Freshness::Enforced)
                .expect_err("refused")
                .to_string(),
            "it is for the suite 'stable' (codename 'trixie'), but 'bookworm' was asked for"
        );
    }

    #[test]
    fn release_dates() {
        let release = release("Valid-Until: Sat, 28 Nov 2026 10:00:00 UTC\n").expect("read");
        let check = |now: &str, freshness| release.check("trixie", at(now), freshness);
        assert_eq!(
            check("Sat, 28 Nov 2026 09:59:59 UTC", Freshness::Enforced),
            Ok(vec![])
        );
        assert_eq!(
            check("Sat, 21 Nov 2026 09:55:00 UTC", Freshness::Enforced),
            Ok(vec![])
        );
        let late = "Sat, 28 Nov 2026 10:00:01 UTC";
        let message = "it was valid until Sat, 28 Nov 2026 10:00:00 GMT. The mirror is outdated, or this machine's clock is wrong";
        assert_eq!(
            check(late, Freshness::Enforced)
                .expect_err("refused")
                .to_string(),
            message
        );
        assert_eq!(
            check(late, Freshness::FrozenMirror),
            Ok(vec![format!("trixie: accepted although {message}")])
        );
        let early = check("Sat, 21 Nov 2026 09:00:00 UTC", Freshness::Enforced)
            .expect_err("refused")
            .to_string();
        assert_eq!(
            early,
            "it is dated Sat, 21 Nov 2026 10:00:00 GMT, which is in the future. Check this machine's clock"
        );
    }

    #[test]
    fn parse_date_forms() {
        let expected = SystemTime::UNIX_EPOCH + Duration::from_hours(496_832);
        for text in [
            "Sat, 05 Sep 2026 08:00:00 UTC",
            "Sat, 5 Sep 2026 08:00:00 +0000",
            "Sat,  5 Sep 2026 08:00:00 GMT",
        ] {
            assert_eq!(parse_date(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "yesterday",
            "Sat, 05 Sep 2026 08:00:00 CEST",
            "Sat, 35 Sep 2026 08:00:00 UTC",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    #[test]
    fn release_refused() {
        for (fields, problem) in [
            ("Valid-Until: soon\n", "Valid-Until 'soon' is not a date"),
            (
                "SHA256:\n x 1 y\n",
                "'x 1 y' under SHA256 is not a digest, a size and a path",
            ),
        ] {
            let error = release(fields).expect_err("refused").to_string();
            assert_eq!(error, format!("it is not a usable Release file: {problem}"));
        }
    }
}
