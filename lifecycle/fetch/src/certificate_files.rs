//! Certificates that belong to one server: the authority that signs its own, and the certificate that shows it who asks. Docker's clients
//! keep both as PEM files: `ca.pem`, `cert.pem` and `key.pem` for a daemon, `certs.d` for registries.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};

use crate::trust::{Roots, read_capped};

/// A certificate that shows a server who asks, and its key.
#[derive(Clone)]
pub struct Identity(pub(crate) Arc<CertifiedKey>);

impl Identity {
    /// Reads a certificate, followed by those that lead to its authority, and its key.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, CertificateFileError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&read(certificate)?)
            .filter_map(Result::ok)
            .collect();
        if chain.is_empty() {
            return Err(CertificateFileError::NoCertificate {
                path: certificate.to_owned(),
            });
        }
        let secret = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|_| {
            CertificateFileError::NoKey {
                path: key.to_owned(),
            }
        })?;
        let provider = rustls::crypto::ring::default_provider();
        let pair = CertifiedKey::from_der(chain, secret, &provider).map_err(|cause| {
            CertificateFileError::NoPair {
                certificate: certificate.to_owned(),
                key: key.to_owned(),
                cause: cause.to_string(),
            }
        })?;
        Ok(Self(Arc::new(pair)))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(hidden)")
    }
}

impl Roots {
    /// The authorities in a PEM file.
    pub fn of_file(path: &Path) -> Result<Self, CertificateFileError> {
        let roots = Self::from_pem(&read(path)?);
        if roots.is_empty() {
            return Err(CertificateFileError::NoCertificate {
                path: path.to_owned(),
            });
        }
        Ok(roots)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateFileError> {
    read_capped(path).map_err(|source| CertificateFileError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Why a server's certificate files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFileError {
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file holds no certificate.
    #[error(
        "{} holds no PEM certificate. A DER file is converted by: openssl x509 -inform der -in FILE -out FILE.pem",
        path.display()
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A file holds no key.
    #[error(
        "{} holds no private key in PEM. One with a password is converted by: openssl pkey -in FILE -out FILE.pem",
        path.display()
    )]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// Certificate and key do not belong together.
    #[error(
        "the certificate {} and the key {} cannot be used together: {cause}",
        certificate.display(),
        key.display()
    )]
    NoPair {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the TLS library said.
        cause: String,
    },
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn read_says_which_file_is_wrong() {
        let made = || {
            let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
            (made.cert.pem(), made.signing_key.serialize_pem())
        };
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let (certificate, key) = made();
        let (certificate, key) = (at("cert.pem", &certificate), at("key.pem", &key));
        Identity::read(&certificate, &key).unwrap();

        let other = at("other.pem", &made().1);
        let absent = folder.path().join("absent");
        for (certificate, key, expected) in [
            (
                &certificate,
                &absent,
                format!(
                    "{} cannot be read: No such file or directory (os error 2)",
                    absent.display()
                ),
            ),
            (
                &key,
                &key,
                format!(
                    "{} holds no PEM certificate. A DER file is converted by: openssl x509 -inform der -in FILE -out FILE.pem",
                    key.display()
                ),
            ),
            (
                &certificate,
                &certificate,
                format!(
                    "{} holds no private key in PEM. One with a password is converted by: openssl pkey -in FILE -out FILE.pem",
                    certificate.display()
                ),
            ),
            (
                &certificate,
                &other,
                format!(
                    "the certificate {} and the key {} cannot be used together: keys may not be consistent: KeyMismatch",
                    certificate.display(),
                    other.display()
                ),
            ),
        ] {
            let error = Identity::read(certificate, key).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn of_file_with_nothing_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        fs::write(&path, "").unwrap();
        let error = Roots::of_file(&path).unwrap_err().to_string();
        assert!(error.contains("ca.pem holds no PEM certificate"), "{error}");
    }
}
