//! An authority made up just now, and a certificate of it for this machine, as files.

use std::{fs, path::PathBuf};

pub(super) struct Certificate {
    /// PEM.
    pub(super) authority: String,
    folder: tempfile::TempDir,
}

impl Certificate {
    pub(super) fn new() -> Self {
        let authority_key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("no names");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = parameters
            .self_signed(&authority_key)
            .expect("a certificate");
        let issuer = rcgen::Issuer::from_params(&parameters, &authority_key);
        let key = rcgen::KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = rcgen::CertificateParams::new(names)
            .expect("names")
            .signed_by(&key, &issuer)
            .expect("a certificate");
        let made = Self {
            authority: authority.pem(),
            folder: tempfile::tempdir().expect("a folder"),
        };
        fs::write(made.certificate_file(), certificate.pem()).expect("written");
        fs::write(made.key_file(), key.serialize_pem()).expect("written");
        made
    }

    pub(super) fn certificate_file(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    pub(super) fn key_file(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}
