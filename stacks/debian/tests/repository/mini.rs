//! Makes small repositories: packages, indexes, a Release file, a key, a signature.

use std::{
    fs,
    io::Write,
    path::Path,
    time::{Duration, SystemTime},
};

use debian::{
    keyring::Keyring,
    name::Architecture,
    release::Freshness,
    repository::{Presence, SuiteSource, Trust},
};
use fetch::{Client, Config, RetryPolicy, Sha256};
use pgp::{
    composed::{CleartextSignedMessage, KeyType, SecretKeyParamsBuilder, SignedSecretKey},
    ser::Serialize,
    types::{Password, Timestamp},
};
use tempfile::TempDir;
use url::Url;

/// When the Release files of these repositories are made.
pub(crate) fn made() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(498_682) // Sat, 21 Nov 2026 10:00:00 GMT
}

pub(crate) fn key() -> SignedSecretKey {
    let created = Timestamp::try_from(made() - Duration::from_hours(24)).expect("in range");
    SecretKeyParamsBuilder::default()
        .key_type(KeyType::Ed25519Legacy)
        .can_sign(true)
        .can_certify(true)
        .created_at(created)
        .primary_user_id("Test Archive <test@example.org>".into())
        .build()
        .expect("parameters")
        .generate(rand_for_pgp::thread_rng())
        .expect("a key")
}

pub(crate) fn public(key: &SignedSecretKey) -> Vec<u8> {
    key.to_public_key().to_bytes().expect("serialized")
}

pub(crate) fn keyring(key: &SignedSecretKey) -> Keyring {
    Keyring::from_bytes(&public(key)).expect("a keyring")
}

/// Signs as of now, which the tests' clock is always after.
pub(crate) fn sign(text: &str, key: &SignedSecretKey) -> String {
    let message =
        CleartextSignedMessage::sign(rand_for_pgp::thread_rng(), text, &**key, &Password::empty());
    message
        .expect("signed")
        .to_armored_string(None.into())
        .expect("text")
}

/// A mirror in a folder.
pub(crate) struct Mini {
    pub(crate) folder: TempDir,
    pub(crate) key: SignedSecretKey,
}

impl Mini {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            key: key(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn url(&self) -> Url {
        Url::from_directory_path(self.path()).expect("a URL")
    }

    pub(crate) fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, bytes).expect("written");
    }

    /// Adds a file to the pool and gives its paragraph for the index.
    pub(crate) fn package(&self, name: &str, version: &str, fields: &str) -> String {
        let body = format!("the .deb of {name} {version}");
        let filename = format!("pool/main/{name}_{version}_amd64.deb");
        self.write(&filename, body.as_bytes());
        let sha256 = Sha256::of(body.as_bytes());
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\n{fields}Filename: {filename}\nSize: {}\nSHA256: {sha256}\n\n",
            body.len()
        )
    }

    /// Writes a suite with one index, and signs it.
    pub(crate) fn suite(&self, suite: &str, packages: &str, fields: &str) {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(packages.as_bytes()).expect("written");
        let index = gzip.finish().expect("packed");
        let release = Self::release(suite, fields, &index);
        self.write(
            &format!("dists/{suite}/main/binary-amd64/Packages.gz"),
            &index,
        );
        self.write(
            &format!("dists/{suite}/InRelease"),
            sign(&release, &self.key).as_bytes(),
        );
    }

    pub(crate) fn release(suite: &str, fields: &str, index: &[u8]) -> String {
        format!(
            "Origin: Debian\nSuite: {suite}\nCodename: {suite}\nDate: {}\nComponents: main\n{fields}SHA256:\n {} {} main/binary-amd64/Packages.gz\n",
            httpdate::fmt_http_date(made()),
            Sha256::of(index),
            index.len()
        )
    }
}

pub(crate) fn client() -> Client {
    let retry = RetryPolicy {
        attempts: 2,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(5),
    };
    Client::new(Config {
        retry,
        ..Config::default()
    })
    .expect("a client")
}

pub(crate) fn source(mirror: &Url, suite: &str) -> SuiteSource {
    SuiteSource {
        mirror: mirror.clone(),
        suite: suite.to_owned(),
        components: vec!["main".to_owned()],
        presence: Presence::Required,
    }
}

/// An hour after both the Release file and the signature were made.
pub(crate) fn trust(keyring: &Keyring) -> Trust<'_> {
    let now = made().max(SystemTime::now()) + Duration::from_hours(1);
    Trust {
        keyring,
        now,
        freshness: Freshness::Enforced,
    }
}

pub(crate) fn amd64() -> Architecture {
    Architecture::amd64()
}
