//! Debian's version numbers: `[epoch:]upstream[-revision]`, compared exactly as dpkg does (Debian policy 5.6.12).
//!
//! The order is our own code: the crate `debversion` says `1.` < `1.0` and `1.0~` > `1.`, where dpkg says equal and less, and it
//! spends half a second on the regular expressions for one suite. `tests/dpkg.rs` compares ours with dpkg's.

use std::{cmp::Ordering, fmt, str::FromStr};

/// A version. `1.0` and `1.00-0` are equal, though written differently.
#[derive(Clone)]
pub struct Version {
    text: Box<str>,
    epoch: u32,
    /// Where the upstream part begins and ends in `text`.
    upstream: (u32, u32),
}

impl Version {
    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn upstream(&self) -> &str {
        let (start, end) = self.upstream;
        self.text
            .get(start as usize..end as usize)
            .unwrap_or_default()
    }

    fn revision(&self) -> &str {
        self.text
            .get(self.upstream.1 as usize + 1..)
            .unwrap_or_default()
    }
}

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = |problem| ParseVersionError {
            text: text.chars().take(80).collect(),
            problem,
        };
        let (epoch, start) = match text.split_once(':') {
            None => (0, 0),
            Some((epoch, _))
                if !epoch.is_empty() && epoch.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                let number: i32 = epoch.parse().map_err(|_| error("its epoch is too large"))?;
                (number.unsigned_abs(), epoch.len() + 1)
            }
            Some(_) => return Err(error("its epoch is not a number")),
        };
        let end = text
            .rfind('-')
            .filter(|dash| *dash >= start)
            .unwrap_or(text.len());
        let upstream = text.get(start..end).unwrap_or_default();
        let revision = text.get(end..).unwrap_or_default();
        if upstream.is_empty() {
            return Err(error("it has no number"));
        }
        if revision == "-" {
            return Err(error("its revision is empty"));
        }
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".+~".contains(&byte);
        let upstream_allowed = |byte: u8| is_allowed(byte) || byte == b'-' || byte == b':';
        if !upstream.bytes().all(upstream_allowed) || !revision.bytes().skip(1).all(is_allowed) {
            return Err(error(
                "it has characters other than letters, digits and . + ~ - :",
            ));
        }
        if text.len() > 1000 {
            return Err(error("it is longer than 1000 characters"));
        }
        Ok(Self {
            text: text.into(),
            epoch,
            upstream: (start as u32, end as u32),
        })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.epoch
            .cmp(&other.epoch)
            .then_with(|| compare_part(self.upstream().as_bytes(), other.upstream().as_bytes()))
            .then_with(|| compare_part(self.revision().as_bytes(), other.revision().as_bytes()))
    }
}

/// Alternates between runs of non-digits, compared by `weight`, and runs of digits, compared as numbers. What is missing
/// counts as the end of a non-digit run, or as zero.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (a_word, a_rest) = a.split_at(a.iter().position(u8::is_ascii_digit).unwrap_or(a.len()));
        let (b_word, b_rest) = b.split_at(b.iter().position(u8::is_ascii_digit).unwrap_or(b.len()));
        for place in 0..a_word.len().max(b_word.len()) {
            match weight(a_word.get(place)).cmp(&weight(b_word.get(place))) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
        let (a_number, a_rest) = a_rest.split_at(
            a_rest
                .iter()
                .position(|byte| !byte.is_ascii_digit())
                .unwrap_or(a_rest.len()),
        );
        let (b_number, b_rest) = b_rest.split_at(
            b_rest
                .iter()
                .position(|byte| !byte.is_ascii_digit())
                .unwrap_or(b_rest.len()),
        );
        let (a_number, b_number) = (without_zeros(a_number), without_zeros(b_number));
        // Without leading zeros, the longer number is the larger, however long it is.
        match a_number
            .len()
            .cmp(&b_number.len())
            .then_with(|| a_number.cmp(b_number))
        {
            Ordering::Equal => (a, b) = (a_rest, b_rest),
            unequal => return unequal,
        }
    }
    Ordering::Equal
}

/// `~` sorts before the end, the end before letters, letters before all else.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    }
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == b'0').count();
    number.get(zeros..).unwrap_or_default()
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.text)
    }
}

impl serde::Serialize for Version {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> serde::Deserialize<'de> for Version {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The text is not a Debian version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not a Debian version: {problem}")]
pub struct ParseVersionError {
    /// What stood there.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().expect("a version")
    }

    #[test]
    fn version_order() {
        // each row in ascending order
        for row in [
            &[
                "1.0~~", "1.0~~a", "1.0~", "1.0", "1.0a", "1.0+b1", "1.0.1", "1.1", "1.10",
            ][..],
            &[
                "1~rc1-1",
                "1-0.1",
                "1-1~bpo12+1",
                "1-1",
                "1-1+b1",
                "1-1+deb13u1",
                "1-2",
            ],
            &["9:1", "10:0"],
            &["1.99999999999999999999998", "1.99999999999999999999999"],
            &["a", "."].map(|part| if part == "a" { "0a" } else { "0." }),
        ] {
            for pair in row.windows(2) {
                let [low, high] = pair else { continue };
                assert_eq!(
                    version(low).cmp(&version(high)),
                    Ordering::Less,
                    "{low} {high}"
                );
                assert_eq!(
                    version(high).cmp(&version(low)),
                    Ordering::Greater,
                    "{high} {low}"
                );
            }
        }
    }

    #[test]
    fn version_equal_though_written_differently() {
        for (a, b) in [
            ("1", "0:1"),
            ("1.0", "1."),
            ("1", "1-0"),
            ("1.01", "1.1"),
            ("1-1.", "1-1.0"),
        ] {
            assert_eq!(version(a), version(b), "{a} {b}");
        }
    }

    #[test]
    fn version_parts() {
        let version = version("2:1.0-rc1:2-3");
        assert_eq!(
            (version.epoch, version.upstream(), version.revision()),
            (2, "1.0-rc1:2", "3")
        );
    }

    #[test]
    fn version_refused() {
        for text in [
            "",
            ":1",
            "a:1",
            "1:",
            "1-",
            "-1",
            "1 2",
            "1_2",
            "1\n",
            "99999999999:1",
            "ü",
        ] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
    }
}
