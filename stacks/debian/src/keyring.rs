//! OpenPGP keys that are believed, and clear-signed texts checked against them.
//!
//! The rules are those of gpgv as apt uses it: one good signature by a key of the keyring is enough, signatures by unknown
//! keys do not matter, and a known key's signature that does not fit the text is fatal. Keys and signatures that expired
//! or were revoked, and hashes that can be forged (MD5, SHA-1), do not count.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use pgp::{
    composed::{CleartextSignedMessage, PublicOrSecret, SignedPublicKey, SignedPublicSubKey},
    crypto::hash::HashAlgorithm,
    packet::{PublicKey, PublicSubkey, Signature, SignatureType},
    types::{KeyDetails, Tag, Timestamp},
};

/// A signed Release file has 150 KB.
const LARGEST_SIGNED_TEXT: usize = 16 << 20;

/// How far ahead of ours the clock of a signer may be.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_mins(10);

/// Keys that are believed.
#[derive(Clone)]
pub struct Keyring {
    keys: Vec<SignedPublicKey>,
}

/// A key, or a part of one, that may sign.
struct Key {
    fingerprint: String,
    owner: String,
    material: Material,
    expires: Option<SystemTime>,
    revoked: bool,
}

enum Material {
    Primary(PublicKey),
    Subkey(PublicSubkey),
}

/// A text whose signature is good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedText {
    /// The text that was signed, and nothing else of the file.
    pub text: String,
    /// Who signed it: the keys' owners, with fingerprints.
    pub signers: Vec<String>,
}

impl Keyring {
    /// Reads a keyring as Debian ships it: binary or ASCII-armoured, any number of keys.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyringError> {
        let unreadable = |error: pgp::errors::Error| KeyringError::Unreadable(error.to_string());
        let (parsed, _) = PublicOrSecret::from_reader_many(bytes).map_err(unreadable)?;
        let mut keys = Vec::new();
        for key in parsed {
            match key.map_err(unreadable)? {
                PublicOrSecret::Public(key) => keys.push(key),
                PublicOrSecret::Secret(_) => return Err(KeyringError::Secret),
            }
        }
        if keys.is_empty() {
            return Err(KeyringError::Empty);
        }
        Ok(Self { keys })
    }

    /// Checks a clear-signed text (`InRelease`) as of `now`.
    pub fn verify(&self, signed: &[u8], now: SystemTime) -> Result<SignedText, SignatureError> {
        let not_signed = |found: String| SignatureError::NotSigned { found };
        if signed.len() > LARGEST_SIGNED_TEXT {
            return Err(not_signed(format!("{} bytes", signed.len())));
        }
        let text = std::str::from_utf8(signed)
            .map_err(|_| not_signed("bytes that are no text".to_owned()))?;
        let (message, _) = CleartextSignedMessage::from_string(text).map_err(|error| {
            let first_line: String = text
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(60)
                .collect();
            not_signed(format!("'{first_line}' ({error})"))
        })?;
        let signed_text = message.signed_text();
        let mut signers = Vec::new();
        let mut problems = Vec::new();
        for signature in message.signatures() {
            match self.check(signature, &signed_text, now) {
                Ok(signer) => signers.push(signer),
                Err(error @ SignatureError::Wrong { .. }) => return Err(error),
                Err(other) => problems.push(other),
            }
        }
        if signers.is_empty() {
            // An expired known key says more than an unknown one.
            problems.sort_by_key(|problem| matches!(problem, SignatureError::UnknownKey { .. }));
            return Err(problems
                .into_iter()
                .next()
                .unwrap_or_else(|| not_signed("a text with no signature".to_owned())));
        }
        Ok(SignedText {
            text: signed_text.replace("\r\n", "\n"),
            signers,
        })
    }

    /// Gives the name of the key that made a good signature.
    fn check(
        &self,
        signature: &Signature,
        text: &str,
        now: SystemTime,
    ) -> Result<String, SignatureError> {
        let key = self.find(signature)?;
        let name = || format!("{} ({})", key.owner, key.fingerprint);
        let unusable = |problem: &'static str| SignatureError::Unusable {
            key: name(),
            problem,
        };
        match signature.hash_alg() {
            Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512) => {}
            _ => {
                return Err(unusable(
                    "it uses a hash that can be forged, or an unknown one",
                ));
            }
        }
        if !matches!(
            signature.typ(),
            Some(SignatureType::Binary | SignatureType::Text)
        ) {
            return Err(unusable("it is not a signature of a text"));
        }
        let fits = match &key.material {
            Material::Primary(material) => signature.verify(material, text.as_bytes()),
            Material::Subkey(material) => signature.verify(material, text.as_bytes()),
        };
        fits.map_err(|_| SignatureError::Wrong { key: name() })?;
        let created = signature
            .created()
            .map_or(SystemTime::UNIX_EPOCH, SystemTime::from);
        let expires = signature
            .signature_expiration_time()
            .and_then(|duration| after(created, duration.as_secs()));
        match () {
            () if key.revoked => Err(unusable("the key was revoked")),
            () if key.expires.is_some_and(|end| end <= now) => Err(unusable("the key has expired")),
            () if expires.is_some_and(|end| end <= now) => {
                Err(unusable("the signature has expired"))
            }
            () if created > now + CLOCK_TOLERANCE => Err(unusable(
                "it was made in the future; check this machine's clock",
            )),
            () => Ok(name()),
        }
    }

    fn find(&self, signature: &Signature) -> Result<Key, SignatureError> {
        let fingerprints = signature.issuer_fingerprint();
        let by_fingerprint = fingerprints
            .iter()
            .map(|fingerprint| hex::encode_upper(fingerprint.as_bytes()));
        // Old signatures name only the last eight bytes. A wrong match cannot do harm: the signature would not fit.
        let by_id = signature
            .issuer_key_id()
            .into_iter()
            .map(|id| hex::encode_upper(id.as_ref()));
        let issuers: Vec<_> = by_fingerprint.chain(by_id).collect();
        let is_issuer = |fingerprint: &String| {
            issuers
                .iter()
                .any(|issuer| fingerprint.ends_with(issuer.as_str()))
        };
        // What a key says about itself is checked only for the keys in question: that takes many signature checks.
        let holders = self
            .keys
            .iter()
            .filter(|key| fingerprints_of(key).iter().any(is_issuer));
        let known = holders
            .flat_map(signing_keys)
            .find(|key| is_issuer(&key.fingerprint));
        known.ok_or_else(|| SignatureError::UnknownKey {
            key: issuers
                .first()
                .cloned()
                .unwrap_or_else(|| "no key".to_owned()),
        })
    }
}

/// Of the key itself and of its parts.
fn fingerprints_of(key: &SignedPublicKey) -> Vec<String> {
    let parts = key
        .public_subkeys
        .iter()
        .map(|subkey| fingerprint(&subkey.key));
    [fingerprint(&key.primary_key)]
        .into_iter()
        .chain(parts)
        .collect()
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().flat_map(fingerprints_of))
            .finish()
    }
}

/// The parts of a key that may sign.
fn signing_keys(key: &SignedPublicKey) -> Vec<Key> {
    let owner = key.details.users.first().map_or_else(String::new, |user| {
        String::from_utf8_lossy(user.id.id()).into_owned()
    });
    let primary = &key.primary_key;
    let revoked = key
        .details
        .revocation_signatures
        .iter()
        .any(|signature| signature.verify_key(primary).is_ok());
    let of_users = key.details.users.iter().flat_map(|user| {
        let own = |signature: &&Signature| {
            signature
                .verify_certification(primary, Tag::UserId, &user.id)
                .is_ok()
        };
        user.signatures.iter().filter(own)
    });
    let direct = key
        .details
        .direct_signatures
        .iter()
        .filter(|signature| signature.verify_key(primary).is_ok());
    // The owner's newest statement about the key counts: that is how expiry dates are moved.
    let newest = of_users
        .chain(direct)
        .max_by_key(|signature| signature.created());
    let expires = newest.and_then(|signature| expiry(primary.created_at(), signature));
    let mut keys = Vec::new();
    if newest.is_some_and(may_sign) {
        let material = Material::Primary(primary.clone());
        keys.push(Key {
            fingerprint: fingerprint(primary),
            owner: owner.clone(),
            material,
            expires,
            revoked,
        });
    }
    for subkey in &key.public_subkeys {
        keys.extend(
            signing_subkey(subkey, primary, &owner, expires).map(|key| Key {
                revoked: revoked || key.revoked,
                ..key
            }),
        );
    }
    keys
}

fn signing_subkey(
    subkey: &SignedPublicSubKey,
    primary: &PublicKey,
    owner: &str,
    primary_expires: Option<SystemTime>,
) -> Option<Key> {
    let bound = |signature: &&Signature| {
        signature
            .verify_subkey_binding(primary, &subkey.key)
            .is_ok()
    };
    let revoked = subkey
        .signatures
        .iter()
        .filter(bound)
        .any(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation));
    let bindings = subkey
        .signatures
        .iter()
        .filter(|signature| signature.typ() == Some(SignatureType::SubkeyBinding));
    let newest = bindings
        .filter(bound)
        .max_by_key(|signature| signature.created())?;
    // The subkey has to agree, else anybody could take it for his own (RFC 9580, 5.2.1.9).
    let agreed = newest.embedded_signature().is_some_and(|back| {
        back.verify_primary_key_binding(&subkey.key, primary)
            .is_ok()
    });
    if !newest.key_flags().sign() || !agreed {
        return None;
    }
    let own = expiry(subkey.key.created_at(), newest);
    let expires = [own, primary_expires].into_iter().flatten().min();
    let material = Material::Subkey(subkey.key.clone());
    Some(Key {
        fingerprint: fingerprint(&subkey.key),
        owner: owner.to_owned(),
        material,
        expires,
        revoked,
    })
}

/// Very old keys say nothing about what they are for.
fn may_sign(statement: &Signature) -> bool {
    let flags = statement.key_flags();
    flags.sign() || flags == pgp::packet::KeyFlags::default()
}

fn fingerprint(key: &impl KeyDetails) -> String {
    hex::encode_upper(key.fingerprint().as_bytes())
}

fn expiry(created: Timestamp, statement: &Signature) -> Option<SystemTime> {
    let duration = statement.key_expiration_time()?.as_secs();
    after(SystemTime::from(created), duration)
}

/// Zero means "never".
fn after(start: SystemTime, seconds: u32) -> Option<SystemTime> {
    (seconds > 0).then(|| start + Duration::from_secs(u64::from(seconds)))
}

/// Why a keyring cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// Not a keyring.
    #[error("the keyring cannot be read: {0}")]
    Unreadable(String),
    /// A private key has no place here.
    #[error("the keyring holds a secret key; export the public keys only")]
    Secret,
    /// Nothing to check a signature with.
    #[error("the keyring holds no key")]
    Empty,
}

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no signature: an error page, an unsigned file, damage.
    #[error("it is not a signed text; found {found}")]
    NotSigned {
        /// How it begins.
        found: String,
    },
    /// The text was changed after it was signed.
    #[error("the signature by {key} is wrong: the text is not the one that was signed")]
    Wrong {
        /// The key that is said to have signed.
        key: String,
    },
    /// Nobody we believe signed it.
    #[error("it is signed by {key}, which is not in the keyring, or not there for signing")]
    UnknownKey {
        /// The key's fingerprint.
        key: String,
    },
    /// Expired, revoked, too weak.
    #[error("the signature by {key} does not count: {problem}")]
    Unusable {
        /// The key.
        key: String,
        /// Why.
        problem: &'static str,
    },
}
