//! Whose signatures count.

use std::time::{Duration, SystemTime};

use debian::keyring::{Keyring, KeyringError, SignatureError};
use pgp::{
    composed::{ArmorOptions, SignedSecretKey},
    crypto::hash::HashAlgorithm,
    packet::{SignatureConfig, SignatureType, Subpacket, SubpacketData},
    ser::Serialize,
    types::{KeyDetails, Password, Timestamp},
};

use crate::mini::{key, keyring, public, sign};

const TEXT: &str = "Origin: Debian\nSuite: x\n";

fn now() -> SystemTime {
    SystemTime::now() + Duration::from_mins(1)
}

/// The public key with one more statement by its owner about it.
fn with_statement(
    key: &SignedSecretKey,
    kind: SignatureType,
    statement: Option<SubpacketData>,
) -> Keyring {
    let mut config = SignatureConfig::v4(kind, key.primary_key.algorithm(), HashAlgorithm::Sha256);
    let created = Timestamp::now();
    let mut data = vec![
        SubpacketData::SignatureCreationTime(created),
        SubpacketData::IssuerFingerprint(key.fingerprint()),
    ];
    data.extend(statement);
    config.hashed_subpackets = data
        .into_iter()
        .map(|data| Subpacket::regular(data).expect("a subpacket"))
        .collect();
    let signature = config
        .sign_key(
            &key.primary_key,
            &Password::empty(),
            key.primary_key.public_key(),
        )
        .expect("signed");
    let mut public = key.to_public_key();
    match kind {
        SignatureType::KeyRevocation => public.details.revocation_signatures.push(signature),
        _ => public.details.direct_signatures.push(signature),
    }
    Keyring::from_bytes(&public.to_bytes().expect("bytes")).expect("a keyring")
}

#[test]
fn verify_good_signature() {
    let key = key();
    let signed = keyring(&key)
        .verify(sign(TEXT, &key).as_bytes(), now())
        .expect("good");
    assert_eq!(signed.text, TEXT);
    let fingerprint = hex::encode_upper(key.fingerprint().as_bytes());
    assert_eq!(
        signed.signers,
        [format!("Test Archive <test@example.org> ({fingerprint})")]
    );
}

#[test]
fn verify_armoured_keyring_of_several_keys() {
    let (one, two) = (key(), key());
    let both = [public(&one), public(&two)].concat();
    let keyring = Keyring::from_bytes(&both).expect("a keyring");
    assert!(keyring.verify(sign(TEXT, &two).as_bytes(), now()).is_ok());
    let armoured = two
        .to_public_key()
        .to_armored_bytes(ArmorOptions::default())
        .expect("text");
    assert!(
        Keyring::from_bytes(&armoured)
            .expect("a keyring")
            .verify(sign(TEXT, &two).as_bytes(), now())
            .is_ok()
    );
}

#[test]
fn verify_changed_text() {
    let key = key();
    let changed = sign(TEXT, &key).replace("Suite: x", "Suite: y");
    let error = keyring(&key)
        .verify(changed.as_bytes(), now())
        .expect_err("refused");
    assert!(matches!(error, SignatureError::Wrong { .. }), "{error}");
}

#[test]
fn verify_only_what_was_signed_is_given() {
    let key = key();
    let signed = sign(TEXT, &key);
    for smuggled in [
        format!("Suite: evil\n{signed}"),
        format!("{signed}\nSuite: evil\n"),
    ] {
        if let Ok(signed) = keyring(&key).verify(smuggled.as_bytes(), now()) {
            assert_eq!(signed.text, TEXT);
        }
    }
}

#[test]
fn verify_unknown_key() {
    let error = keyring(&key())
        .verify(sign(TEXT, &key()).as_bytes(), now())
        .expect_err("refused");
    assert!(
        matches!(error, SignatureError::UnknownKey { .. }),
        "{error}"
    );
}

#[test]
fn verify_other_files() {
    let keyring = keyring(&key());
    let error = keyring
        .verify(b"<html>Please log in</html>", now())
        .expect_err("refused")
        .to_string();
    assert!(
        error.starts_with("it is not a signed text; found '<html>Please log in</html>'"),
        "{error}"
    );
    for bytes in [
        &b""[..],
        b"\xff\xfe",
        TEXT.as_bytes(),
        b"-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nSuite: x\n",
    ] {
        assert!(matches!(
            keyring.verify(bytes, now()),
            Err(SignatureError::NotSigned { .. })
        ));
    }
}

#[test]
fn verify_revoked_and_expired_keys() {
    let key = key();
    let signed = sign(TEXT, &key);
    let revoked = with_statement(&key, SignatureType::KeyRevocation, None);
    let error = revoked
        .verify(signed.as_bytes(), now())
        .expect_err("refused")
        .to_string();
    assert!(
        error.ends_with("does not count: the key was revoked"),
        "{error}"
    );

    let two_days = SubpacketData::KeyExpirationTime(pgp::types::Duration::from_secs(2 * 24 * 3600));
    let mut expiring = with_statement(&key, SignatureType::Key, Some(two_days));
    // a statement without key flags means a key for everything
    let later = SystemTime::now() + Duration::from_hours(24 * 30);
    let error = expiring
        .verify(signed.as_bytes(), later)
        .expect_err("refused")
        .to_string();
    assert!(
        error.ends_with("does not count: the key has expired"),
        "{error}"
    );
    expiring = keyring(&key);
    assert!(expiring.verify(signed.as_bytes(), later).is_ok());
}

#[test]
fn verify_signature_from_the_future() {
    let key = key();
    let hour_ago = SystemTime::now() - Duration::from_hours(1);
    let error = keyring(&key)
        .verify(sign(TEXT, &key).as_bytes(), hour_ago)
        .expect_err("refused")
        .to_string();
    assert!(error.contains("it was made in the future"), "{error}");
}

#[test]
fn keyring_refused() {
    assert_eq!(
        Keyring::from_bytes(&key().to_bytes().expect("bytes")).expect_err("refused"),
        KeyringError::Secret
    );
    assert!(Keyring::from_bytes(b"").is_err());
    assert!(Keyring::from_bytes(b"not a key").is_err());
    assert!(Keyring::from_bytes(&public(&key())[..20]).is_err());
}

#[test]
fn keyring_of_the_trixie_stack() {
    let keyring = Keyring::from_bytes(include_bytes!("../../../trixie/debian-archive-keyring.pgp"))
        .expect("a keyring");
    let shown = format!("{keyring:?}");
    // the automatic keys of bookworm and trixie, as named by Debian's ftp-master
    for fingerprint in [
        "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8",
        "04B54C3CDCA79751B16BC6B5225629DF75B188BD",
    ] {
        assert!(shown.contains(fingerprint), "{shown}");
    }
}
