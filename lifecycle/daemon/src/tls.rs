//! The certificates with which a daemon is spoken to: `ca.pem` for its authority, `cert.pem` and `key.pem` to show it who asks
//! (<https://docs.docker.com/engine/security/protect-access/>).

use std::path::{Path, PathBuf};

use fetch::{CertificateFileError, Identity, trust::Roots};

use crate::{endpoint::EndpointError, host::Host};

const AUTHORITY: &str = "ca.pem";
const CERTIFICATE: &str = "cert.pem";
const KEY: &str = "key.pem";

/// What was read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tls {
    /// Believed beside those that the machine believes, as Docker does.
    pub(crate) authorities: Roots,
    pub(crate) identity: Option<Identity>,
}

/// Where the files are, before it is known whether they are needed.
pub(crate) struct TlsFiles {
    pub(crate) folder: PathBuf,
    pub(crate) authority: Authority,
    /// What asks for TLS that verifies nothing, if something does.
    pub(crate) unverified: Option<String>,
}

/// Is there an authority's certificate?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authority {
    /// Variables that ask for TLS mean one.
    Needed,
    /// A context may do with those that the machine believes.
    IfThere,
}

impl TlsFiles {
    pub(crate) fn read(self, host: &Host) -> Result<Tls, EndpointError> {
        let daemon = host.to_string();
        if let Some(asked) = self.unverified {
            return Err(EndpointError::Unverified { asked, daemon });
        }
        read(&self.folder, self.authority)
            .map_err(|source| EndpointError::Certificate { daemon, source })
    }
}

fn read(folder: &Path, authority: Authority) -> Result<Tls, CertificateFileError> {
    let [ca, certificate, key] = [AUTHORITY, CERTIFICATE, KEY].map(|name| folder.join(name));
    let authorities = match authority {
        Authority::IfThere if !is_there(&ca) => Roots::default(),
        _ => Roots::of_file(&ca)?,
    };
    // Docker's command line does without both; one of them alone is a mistake.
    let identity = match (is_there(&certificate), is_there(&key)) {
        (false, false) => None,
        _ => Some(Identity::read(&certificate, &key)?),
    };
    Ok(Tls {
        authorities,
        identity,
    })
}

/// A file that may not be looked at is there: reading it says why it cannot be used.
fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}
