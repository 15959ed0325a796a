//! Certificates for one registry, as Docker and Podman keep them: a folder named `HOST` or `HOST:PORT`, in which
//!
//! - `*.crt` are authorities to believe beside those that the machine believes,
//! - `*.cert` is a certificate that shows the registry who asks, and `*.key`, with the same name before the dot, its key.
//!
//! (<https://docs.docker.com/engine/security/certificates/>, containers-certs.d(5).)

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use fetch::{CertificateFileError, Identity, trust::Roots};

use crate::docker_config::DOCKER_HUB;

/// What a registry's folder holds.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    pub(crate) authorities: Roots,
    pub(crate) identity: Option<Identity>,
}

impl Certificates {
    /// Those of the first of these folders that has one for the registry; as with Podman, others are not looked at then.
    pub(crate) fn of_registry(
        folders: &[PathBuf],
        registry: &str,
    ) -> Result<Self, CertificatesError> {
        let names = if DOCKER_HUB.contains(&registry) {
            &DOCKER_HUB[..]
        } else {
            &[registry]
        };
        for folder in folders {
            for name in names {
                let folder = folder.join(name);
                if let Some(files) = files_of(&folder)? {
                    return Self::read(&folder, &files);
                }
            }
        }
        Ok(Self::default())
    }

    fn read(folder: &Path, files: &[PathBuf]) -> Result<Self, CertificatesError> {
        let with = |extension: &str| {
            let has = |path: &&PathBuf| path.extension().is_some_and(|found| found == extension);
            files.iter().filter(has).collect::<Vec<_>>()
        };
        let mut authorities = Roots::default();
        for path in with("crt") {
            authorities = authorities.and(&Roots::of_file(path)?);
        }
        for key in with("key") {
            let certificate = key.with_extension("cert");
            if !files.contains(&certificate) {
                let key = key.clone();
                return Err(CertificatesError::NoCertificate { key, certificate });
            }
        }
        let identity = match with("cert")[..] {
            [] => None,
            [certificate] => {
                let key = certificate.with_extension("key");
                if !files.contains(&key) {
                    let certificate = certificate.clone();
                    return Err(CertificatesError::NoKey { certificate, key });
                }
                Some(Identity::read(certificate, &key)?)
            }
            [first, second, ..] => {
                return Err(CertificatesError::SeveralIdentities {
                    folder: folder.to_owned(),
                    first: first.clone(),
                    second: second.clone(),
                });
            }
        };
        Ok(Self {
            authorities,
            identity,
        })
    }
}

/// The paths in a folder, sorted; none if there is no such folder.
fn files_of(folder: &Path) -> Result<Option<Vec<PathBuf>>, CertificatesError> {
    let listed = fs::read_dir(folder).and_then(|entries| {
        let paths = entries.map(|entry| Ok(entry?.path()));
        paths.collect::<io::Result<Vec<_>>>()
    });
    match listed {
        Ok(mut paths) => {
            paths.sort();
            Ok(Some(paths))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(CertificatesError::Folder {
            folder: folder.to_owned(),
            source,
        }),
    }
}

/// Why a registry's certificates cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificatesError {
    /// The folder cannot be read.
    #[error("the certificates for a registry in {} cannot be read: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] CertificateFileError),
    /// A certificate without its key.
    #[error(
        "the client certificate {} has no key: {} is not there. If it is an authority's, its name has to end in .crt",
        certificate.display(),
        key.display()
    )]
    NoKey {
        /// The certificate.
        certificate: PathBuf,
        /// Where its key should be.
        key: PathBuf,
    },
    /// A key without its certificate.
    #[error(
        "the key {} has no client certificate: {} is not there",
        key.display(),
        certificate.display()
    )]
    NoCertificate {
        /// The key.
        key: PathBuf,
        /// Where its certificate should be.
        certificate: PathBuf,
    },
    /// It is not said which one to show.
    #[error(
        "{} has several client certificates, {} and {}; leave the one to show to the registry",
        folder.display(),
        first.display(),
        second.display()
    )]
    SeveralIdentities {
        /// The folder.
        folder: PathBuf,
        /// The first of them.
        first: PathBuf,
        /// The second.
        second: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use test_servers::certificate::Certificate;

    use super::*;

    /// What is read where the folders `one` and `two` have these files; and what does not name the temporary folder.
    fn read(files: &[(&str, &str)], registry: &str) -> Result<(usize, bool), String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let folders = ["none", "one", "two"].map(|name| folder.path().join(name));
        let found = Certificates::of_registry(&folders, registry);
        let found = found.map(|found| (found.authorities.len(), found.identity.is_some()));
        let place = folder.path().display().to_string();
        found.map_err(|error| error.to_string().replace(&place, "DIR"))
    }

    #[test]
    fn of_registry_table() {
        let [a, b] = [Certificate::new(), Certificate::new()];
        let pair = |folder: &str| {
            [
                (
                    format!("{folder}/client.cert"),
                    a.client_certificate.clone(),
                ),
                (format!("{folder}/client.key"), a.client_key.clone()),
            ]
        };
        let [(cert, cert_text), (key, key_text)] = pair("one/r.test:5000");
        let files = [
            ("one/r.test/a.crt", &*a.authority),
            ("one/r.test/b.crt", &*b.authority),
            ("one/r.test/README", "not a certificate"),
            ("two/r.test/a.crt", "never read"),
            (&*cert, &*cert_text),
            (&*key, &*key_text),
            ("two/docker.io/a.crt", &*a.authority),
        ];
        for (registry, authorities, identity) in [
            ("r.test", 2, false),
            ("r.test:5000", 0, true),
            ("r.test:5001", 0, false),
            ("test", 0, false),
            ("index.docker.io", 1, false),
        ] {
            assert_eq!(
                read(&files, registry),
                Ok((authorities, identity)),
                "{registry}"
            );
        }
    }

    #[test]
    fn of_registry_says_which_file_is_wrong() {
        let made = Certificate::new();
        let (cert, key) = (&*made.client_certificate, &*made.client_key);
        for (files, expected) in [
            (
                &[("one/r/a.cert", cert)][..],
                "the client certificate DIR/one/r/a.cert has no key: DIR/one/r/a.key is not there. If it is an authority's, its name has to end in .crt",
            ),
            (
                &[("one/r/a.key", key)],
                "the key DIR/one/r/a.key has no client certificate: DIR/one/r/a.cert is not there",
            ),
            (
                &[("one/r/a.crt", key)],
                "DIR/one/r/a.crt holds no PEM certificate. A DER file is converted by: openssl x509 -inform der -in FILE -out FILE.pem",
            ),
            (
                &[
                    ("one/r/a.cert", cert),
                    ("one/r/a.key", key),
                    ("one/r/b.cert", cert),
                    ("one/r/b.key", key),
                ],
                "DIR/one/r has several client certificates, DIR/one/r/a.cert and DIR/one/r/b.cert; leave the one to show to the registry",
            ),
            (
                &[("one/r", "")],
                "the certificates for a registry in DIR/one/r cannot be read: Not a directory (os error 20)",
            ),
        ] {
            assert_eq!(read(files, "r"), Err(expected.to_owned()));
        }
    }
}
