//! Which certificate authorities to believe: those the host believes, and those the user adds.
//!
//! `SSL_CERT_FILE` and `SSL_CERT_DIR` take the place of the system's bundle, as OpenSSL has it; `--ca-cert` adds to whatever
//! is in force, since a TLS-inspecting proxy seldom inspects every host. The result is also a PEM bundle, to be shown to
//! the programs in the sandbox.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fmt, fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// A CA bundle is some 250 KB; what is 60 times as large is another file.
const LARGEST_BUNDLE: u64 = 16 << 20;

/// Where Linux distributions keep their bundle: Debian and Alpine, Fedora, openSUSE, Fedora's old name, OpenSSL's own.
const SYSTEM_BUNDLES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// What the user and the host say about trust, as values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustSettings {
    /// `SSL_CERT_FILE`.
    pub ssl_cert_file: Option<PathBuf>,
    /// `SSL_CERT_DIR`: folders separated by colons.
    pub ssl_cert_dir: Option<OsString>,
    /// `--ca-cert`, each one added to the rest.
    pub ca_cert: Vec<PathBuf>,
    /// The first of these that is there is the system's bundle.
    pub system_bundles: Vec<PathBuf>,
}

impl Default for TrustSettings {
    fn default() -> Self {
        Self {
            ssl_cert_file: None,
            ssl_cert_dir: None,
            ca_cert: Vec::new(),
            system_bundles: SYSTEM_BUNDLES.map(PathBuf::from).to_vec(),
        }
    }
}

/// Reads the certificates in force. The notices say what was set and is of no use.
pub fn load(settings: &TrustSettings) -> Result<(Roots, Vec<String>), TrustError> {
    let TrustSettings {
        ssl_cert_file,
        ssl_cert_dir,
        ca_cert,
        system_bundles,
    } = settings;
    let mut roots = RootsBuilder::default();
    let mut notices = Vec::new();

    let file = ssl_cert_file
        .as_ref()
        .filter(|path| !path.as_os_str().is_empty());
    let folders = ssl_cert_dir.as_ref().filter(|folders| !folders.is_empty());
    if let Some(path) = file {
        roots.add_file(path, "SSL_CERT_FILE")?;
    }
    if let Some(folders) = folders {
        for folder in std::env::split_paths(folders) {
            if let Err(error) = roots.add_folder(&folder) {
                notices.push(format!(
                    "SSL_CERT_DIR names {}, which cannot be read: {error}",
                    folder.display()
                ));
            }
        }
    }
    if file.is_none() && folders.is_none() {
        add_first_system_bundle(&mut roots, system_bundles, &mut notices)?;
    }
    for path in ca_cert {
        roots.add_file(path, "--ca-cert")?;
    }
    Ok((roots.done(), notices))
}

fn add_first_system_bundle(
    roots: &mut RootsBuilder,
    bundles: &[PathBuf],
    notices: &mut Vec<String>,
) -> Result<(), TrustError> {
    for path in bundles {
        match roots.add_file(path, "the system's CA bundle") {
            Err(TrustError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            other => return other,
        }
    }
    notices.push(
        "this machine has no CA bundle (the package ca-certificates): https addresses cannot be verified and will fail".to_owned(),
    );
    Ok(())
}

/// Trusted certificate authorities.
#[derive(Clone, Default)]
pub struct Roots {
    bundle: Arc<Vec<Certificate>>,
}

#[derive(Clone)]
struct Certificate {
    der: CertificateDer<'static>,
    pem: String,
}

impl Roots {
    /// The certificates of a PEM bundle.
    pub fn from_pem(pem: &[u8]) -> Self {
        let mut roots = RootsBuilder::default();
        roots.add(pem);
        roots.done()
    }

    /// The certificates of both.
    #[must_use]
    pub fn and(&self, more: &Self) -> Self {
        if more.is_empty() {
            return self.clone();
        }
        let mut roots = RootsBuilder::default();
        for certificate in self.bundle.iter().chain(more.bundle.iter()) {
            roots.add_certificate(certificate.clone());
        }
        roots.done()
    }

    /// All certificates as one PEM bundle: what the sandbox shows as `SSL_CERT_FILE`.
    pub fn pem(&self) -> String {
        self.bundle
            .iter()
            .map(|certificate| certificate.pem.as_str())
            .collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bundle.len()
    }

    /// True if no server can be verified.
    pub fn is_empty(&self) -> bool {
        self.bundle.is_empty()
    }

    pub(crate) fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        // Bundles of real companies hold certificates that are no v3 roots; OpenSSL skips those as well.
        store.add_parsable_certificates(
            self.bundle
                .iter()
                .map(|certificate| certificate.der.clone()),
        );
        store
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Roots({})", self.len())
    }
}

#[derive(Default)]
struct RootsBuilder {
    bundle: Vec<Certificate>,
    seen: BTreeSet<Vec<u8>>,
}

impl RootsBuilder {
    fn add_file(&mut self, path: &Path, origin: &'static str) -> Result<(), TrustError> {
        let pem = read_capped(path).map_err(|source| TrustError::Read {
            origin,
            path: path.to_owned(),
            source,
        })?;
        if self.add(&pem) == 0 {
            return Err(TrustError::NoCertificate {
                origin,
                path: path.to_owned(),
            });
        }
        Ok(())
    }

    /// OpenSSL reads only names like `5ed36f99.0`; here every file that holds a certificate counts, so that `c_rehash` is not needed.
    fn add_folder(&mut self, folder: &Path) -> io::Result<()> {
        let mut paths = fs::read_dir(folder)?
            .map(|entry| Ok(entry?.path()))
            .collect::<io::Result<Vec<_>>>()?;
        paths.sort();
        for path in paths {
            // Keys (unreadable), sub-folders, dangling links: not certificates, and no reason to stop.
            if let Ok(pem) = read_capped(&path) {
                self.add(&pem);
            }
        }
        Ok(())
    }

    /// Returns how many certificates stand in `pem`, known ones included.
    fn add(&mut self, pem: &[u8]) -> usize {
        let text = String::from_utf8_lossy(pem);
        let mut found = 0;
        for block in certificate_blocks(&text) {
            let Ok(der) = CertificateDer::from_pem_slice(block.as_bytes()) else {
                continue;
            };
            found += 1;
            self.add_certificate(Certificate {
                der,
                pem: format!("{block}\n"),
            });
        }
        found
    }

    fn add_certificate(&mut self, certificate: Certificate) {
        if self.seen.insert(certificate.der.to_vec()) {
            self.bundle.push(certificate);
        }
    }

    fn done(self) -> Roots {
        Roots {
            bundle: Arc::new(self.bundle),
        }
    }
}

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// Only certificates: a key that stands in the same file must not reach the sandbox with the bundle.
fn certificate_blocks(text: &str) -> impl Iterator<Item = &str> {
    text.split(BEGIN).skip(1).filter_map(move |rest| {
        let length = rest.find(END)?;
        let start = rest.as_ptr() as usize - text.as_ptr() as usize - BEGIN.len();
        text.get(start..start + BEGIN.len() + length + END.len())
    })
}

pub(crate) fn read_capped(path: &Path) -> io::Result<Vec<u8>> {
    let file = fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "not a regular file",
        ));
    }
    let mut bytes = Vec::new();
    file.take(LARGEST_BUNDLE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_BUNDLE {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "larger than any CA bundle (16 MiB)",
        ));
    }
    Ok(bytes)
}

/// Why the certificates to trust are unusable.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// A file that was named cannot be read.
    #[error("{origin} names {}, which cannot be read: {source}", path.display())]
    Read {
        /// The variable or option.
        origin: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file that was named holds no certificate.
    #[error(
        "{origin} names {}, which holds no PEM certificate. A DER file is converted by: openssl x509 -inform der -in FILE -out FILE.pem",
        path.display()
    )]
    NoCertificate {
        /// The variable or option.
        origin: &'static str,
        /// The file.
        path: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(name: &str) -> String {
        rcgen::generate_simple_self_signed([name.to_owned()])
            .expect("a certificate")
            .cert
            .pem()
    }

    fn nothing_set() -> TrustSettings {
        TrustSettings {
            system_bundles: Vec::new(),
            ..TrustSettings::default()
        }
    }

    #[test]
    fn load_prefers_ssl_cert_file_and_adds_ca_cert() {
        let folder = tempfile::tempdir().expect("a folder");
        let [system, file, extra] =
            ["system", "file", "extra"].map(|name| folder.path().join(name));
        fs::write(&system, certificate("system.test")).expect("written");
        fs::write(&file, certificate("file.test")).expect("written");
        fs::write(&extra, certificate("extra.test")).expect("written");

        let mut settings = TrustSettings {
            system_bundles: vec![folder.path().join("absent"), system.clone()],
            ..nothing_set()
        };
        let (roots, notices) = load(&settings).expect("loaded");
        assert_eq!(
            (roots.pem(), notices),
            (
                Roots::from_pem(&fs::read(&system).expect("read")).pem(),
                vec![]
            )
        );

        settings.ssl_cert_file = Some(file.clone());
        settings.ca_cert = vec![extra.clone()];
        let (roots, _) = load(&settings).expect("loaded");
        let both = [
            fs::read(&file).expect("read"),
            fs::read(&extra).expect("read"),
        ]
        .concat();
        assert_eq!(roots.pem(), Roots::from_pem(&both).pem());
        assert_eq!(roots.store().len(), 2);
    }

    #[test]
    fn and_has_each_certificate_once() {
        let [one, two] = ["one.test", "two.test"].map(certificate);
        let both = Roots::from_pem(format!("{one}{two}").as_bytes());
        let roots = Roots::from_pem(one.as_bytes()).and(&both);
        assert_eq!(roots.pem(), both.pem());
    }

    #[test]
    fn load_reads_folders_once_each_certificate() {
        let folder = tempfile::tempdir().expect("a folder");
        let pem = certificate("a.test");
        fs::write(folder.path().join("a.pem"), &pem).expect("written");
        fs::write(folder.path().join("0123abcd.0"), &pem).expect("written");
        fs::write(folder.path().join("README"), "no certificate").expect("written");
        let mut folders = folder.path().as_os_str().to_owned();
        folders.push(":/no/such/folder");

        let (roots, notices) = load(&TrustSettings {
            ssl_cert_dir: Some(folders),
            ..nothing_set()
        })
        .expect("loaded");
        assert_eq!(roots.len(), 1);
        assert_eq!(
            notices,
            [
                "SSL_CERT_DIR names /no/such/folder, which cannot be read: No such file or directory (os error 2)"
            ]
        );
    }

    #[test]
    fn load_leaves_keys_out_of_the_bundle() {
        let made =
            rcgen::generate_simple_self_signed(["a.test".to_owned()]).expect("a certificate");
        let file = format!(
            "{}\n# words\n{}",
            made.signing_key.serialize_pem(),
            made.cert.pem()
        );
        let pem = Roots::from_pem(file.as_bytes()).pem();
        assert!(pem.starts_with(BEGIN) && !pem.contains("PRIVATE"), "{pem}");
    }

    #[test]
    fn load_says_which_setting_is_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ca.der");
        fs::write(&path, [0x30, 0x82]).expect("written");
        let message = load(&TrustSettings {
            ca_cert: vec![path.clone()],
            ..nothing_set()
        })
        .expect_err("refused")
        .to_string();
        assert!(
            message.starts_with(&format!(
                "--ca-cert names {}, which holds no PEM certificate",
                path.display()
            )),
            "{message}"
        );

        let settings = TrustSettings {
            ssl_cert_file: Some("/no/such/file".into()),
            ..nothing_set()
        };
        assert_eq!(
            load(&settings).expect_err("refused").to_string(),
            "SSL_CERT_FILE names /no/such/file, which cannot be read: No such file or directory (os error 2)"
        );
    }
}
