//! Digests as validated values: what a layer unpacks to and what a registry stores cannot be swapped.
//!
//! A digest is written `sha256:` and 64 lower-case hexadecimal digits (OCI image specification 1.1, descriptor.md#digests).
//! SHA-512 is allowed there too, but nothing that Longshore reads uses it.

use crate::hashing::Sha256;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The SHA-256 digest of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// A digest from the 32 bytes of a finished hash.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(bytes);
        hash.finish()
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// 64 lower-case hexadecimal digits, without the algorithm: the file name in an OCI layout.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// Reads 64 lower-case hexadecimal digits, as they stand in file names, lock files and Debian indexes.
    pub fn from_hex(text: &str) -> Result<Self, ParseDigestError> {
        let refuse = || ParseDigestError::Hex {
            found: shortened(text),
        };
        if text.len() != 64
            || text
                .bytes()
                .any(|byte| !matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        {
            return Err(refuse());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| refuse())?;
        Ok(Self(bytes))
    }
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        match text.split_once(':') {
            Some(("sha256", hex)) => Self::from_hex(hex),
            _ => Err(ParseDigestError::Algorithm {
                found: shortened(text),
            }),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TryFrom<String> for Digest {
    type Error = ParseDigestError;

    fn try_from(text: String) -> Result<Self, ParseDigestError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// One meaning of a digest: a type of its own with the same text form.
macro_rules! digest_meaning {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Digest);

        impl $name {
            /// Gives a digest this meaning.
            pub const fn new(digest: Digest) -> Self {
                Self(digest)
            }

            /// The digest itself.
            pub const fn digest(&self) -> Digest {
                self.0
            }

            /// 64 lower-case hexadecimal digits, without the algorithm.
            pub fn hex(&self) -> String {
                self.0.hex()
            }
        }

        impl FromStr for $name {
            type Err = ParseDigestError;

            fn from_str(text: &str) -> Result<Self, ParseDigestError> {
                text.parse().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

digest_meaning! {
    /// The digest of a layer's uncompressed tar (OCI image specification, config.md#layer-diffid): what it unpacks to.
    DiffId
}

digest_meaning! {
    /// The digest of a blob as it is stored and sent: a compressed layer, a configuration, a manifest.
    BlobDigest
}

/// At most 100 characters of what was found, for messages.
fn shortened(text: &str) -> String {
    text.chars().take(100).collect()
}

/// Why a text is not a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseDigestError {
    /// It does not start with `sha256:`.
    #[error("`{found}` is not a digest: it has to start with `sha256:`")]
    Algorithm {
        /// The start of the text.
        found: String,
    },
    /// What follows is not 64 lower-case hexadecimal digits.
    #[error("`{found}` is not a SHA-256 digest: it has to be 64 digits of 0-9 and a-f")]
    Hex {
        /// The start of the text.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn of_empty() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
    }

    #[test]
    fn round_trip_json() {
        let digest: DiffId = serde_json::from_str(&format!("\"{EMPTY}\"")).unwrap();
        assert_eq!(
            serde_json::to_string(&digest).unwrap(),
            format!("\"{EMPTY}\"")
        );
    }

    #[test]
    fn from_str_refuses() {
        let upper = EMPTY.replace("e3", "E3");
        let table = [
            ("", "`` is not a digest: it has to start with `sha256:`"),
            // Paths must not get in (CVE-2024-3727).
            (
                "sha256:../../etc",
                "`../../etc` is not a SHA-256 digest: it has to be 64 digits of 0-9 and a-f",
            ),
            (
                "sha512:00",
                "`sha512:00` is not a digest: it has to start with `sha256:`",
            ),
        ];
        for (text, message) in table {
            assert_eq!(text.parse::<Digest>().unwrap_err().to_string(), message);
        }
        assert!(upper.parse::<Digest>().is_err());
        assert!(EMPTY[..70].parse::<BlobDigest>().is_err());
        assert!(format!("{EMPTY}0").parse::<BlobDigest>().is_err());
    }
}
