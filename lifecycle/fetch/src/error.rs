//! Why something could not be fetched. Every message names the URL, without its secrets.

use std::{io, path::PathBuf, time::Duration};

use crate::{digest::Sha256, trust::TrustError};

/// Why something could not be fetched. `url` is always redacted: no credentials, no query.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Only `http`, `https` and `file` are spoken.
    #[error(
        "{url}: addresses of the kind '{scheme}:' cannot be fetched; use https:, http: or file:"
    )]
    UnsupportedScheme {
        /// The address.
        url: String,
        /// Its scheme.
        scheme: String,
    },

    /// The server's certificate leads to no trusted authority.
    #[error(
        "{url}: the server's TLS certificate is not signed by an authority that this machine trusts ({cause}).\n\
         If a proxy inspects TLS traffic here, give its CA certificate as a PEM file: --ca-cert FILE or SSL_CERT_FILE=FILE."
    )]
    UntrustedCertificate {
        /// The address.
        url: String,
        /// What the TLS library said.
        cause: String,
    },

    /// The certificate is signed by a trusted authority, but it is not good for this server now.
    #[error(
        "{url}: the server's TLS certificate is not valid: {cause}. Check the address and this machine's clock."
    )]
    InvalidCertificate {
        /// The address.
        url: String,
        /// What the TLS library said.
        cause: String,
    },

    /// The server wants to know who asks.
    #[error(
        "{url}: the server wants a client certificate ({cause}), and downloads have none. Use a mirror that asks for none"
    )]
    Identity {
        /// The address.
        url: String,
        /// The TLS alert that it sent.
        cause: String,
    },

    /// Every attempt failed in a way that another one might have cured.
    #[error("{url} could not be fetched: {cause} ({attempts} attempt(s) in {:.1} s)", elapsed.as_secs_f32())]
    GaveUp {
        /// The address.
        url: String,
        /// How the last attempt failed.
        cause: String,
        /// All attempts made.
        attempts: u32,
        /// From the first attempt to the end of the last.
        elapsed: Duration,
    },

    /// The server answered, and its answer is no.
    #[error("{url}: the server answered {status} {reason} ({attempts} attempt(s)){}", status_hint(*status))]
    Status {
        /// The address that gave the answer (after redirects).
        url: String,
        /// The status code.
        status: u16,
        /// The status' usual name.
        reason: String,
        /// All attempts made.
        attempts: u32,
    },

    /// A redirect that is not followed.
    #[error("{url}: its redirect to {to} is not followed: {problem}")]
    Redirect {
        /// The address that redirected.
        url: String,
        /// Where to.
        to: String,
        /// Why not.
        problem: RedirectProblem,
    },

    /// The answer is larger than the caller can use.
    #[error(
        "{url}: the answer is larger than {cap} bytes, which is the most that makes sense for it"
    )]
    TooLarge {
        /// The address.
        url: String,
        /// The limit.
        cap: u64,
    },

    /// The content has another size than announced.
    #[error("{url}: {found} bytes came, but {expected} were expected")]
    WrongSize {
        /// The address.
        url: String,
        /// The size that was known beforehand.
        expected: u64,
        /// What came.
        found: u64,
    },

    /// The content has another digest than announced.
    #[error("{url}: its content has the SHA-256 {found}, but {expected} was expected")]
    WrongDigest {
        /// The address.
        url: String,
        /// The digest that was known beforehand.
        expected: Sha256,
        /// The digest of what came.
        found: Sha256,
    },

    /// A `file:` address that cannot be read.
    #[error("{url}: the file cannot be read: {source}")]
    LocalFile {
        /// The address.
        url: String,
        /// What the system said.
        source: io::Error,
    },

    /// What came cannot be written.
    #[error("{url} could not be saved as {}: {source}", path.display())]
    Save {
        /// The address.
        url: String,
        /// The file meant to hold it.
        path: PathBuf,
        /// What the system said; a full disk for instance.
        source: io::Error,
    },

    /// The certificates to trust are unusable.
    #[error(transparent)]
    Trust(#[from] TrustError),

    /// A proxy setting is not an address.
    #[error(
        "the proxy setting {variable} is not a usable address ({cause}); expected for example http://proxy.example:3128"
    )]
    Proxy {
        /// The setting.
        variable: &'static str,
        /// What is wrong with it, without the value: that may hold a password.
        cause: String,
    },

    /// The HTTP client itself could not start.
    #[error("the HTTP client could not start: {cause}")]
    Start {
        /// What was said.
        cause: String,
    },
}

impl FetchError {
    /// True where the server (or the mirror's folder) was reached and does not have the file: 404, 410, no such file.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 404 | 410),
            Self::LocalFile { source, .. } => source.kind() == io::ErrorKind::NotFound,
            _ => false,
        }
    }

    /// True where the cause lies on the way to the server: nobody answered usefully in all attempts.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::GaveUp { .. })
    }
}

fn status_hint(status: u16) -> &'static str {
    match status {
        401 => ". It wants a user and a password, or refuses those given in the address",
        407 => {
            ". The proxy wants a user and a password: write them into HTTPS_PROXY or HTTP_PROXY as http://USER:PASSWORD@HOST:PORT"
        }
        _ => "",
    }
}

/// Why a redirect is not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RedirectProblem {
    /// A chain without end.
    #[error("more than 10 redirects in a row")]
    TooMany,
    /// From https to http.
    #[error("it leads from https to unprotected http")]
    LeavesTls,
    /// For example to `file:`.
    #[error("it leads to something other than http or https")]
    OtherScheme,
    /// No `Location`, or not an address.
    #[error("it does not say a usable address")]
    Unreadable,
}
