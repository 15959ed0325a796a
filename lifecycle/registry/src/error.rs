//! Why a registry could not be used. Every message names the request, without its secrets, and what the registry said.

use std::{fmt, io, path::PathBuf, time::Duration};

use fetch::{FetchError, RedirectProblem};
use oci_image::{BlobDigest, Digest, ReadImageError};

use crate::{
    asked::Asked, certificates::CertificatesError, credentials::CredentialsError, words::Words,
};

/// Why a registry could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry wants credentials, or other ones. Boxed: it says much.
    #[error("{0}")]
    Unauthorized(Box<Unauthorized>),

    /// The registry knows who asks, and does not allow it.
    #[error(
        "{asked}: the registry denies it ({status}{words}). The account needs the right to {right} here"
    )]
    Denied {
        /// The request.
        asked: Asked,
        /// The status.
        status: u16,
        /// What the registry said.
        words: Words,
        /// What was to be done.
        right: &'static str,
    },

    /// Credentials could not be had.
    #[error(transparent)]
    Credentials(#[from] CredentialsError),

    /// The server's certificate leads to no trusted authority.
    #[error(
        "{asked}: the server's TLS certificate is not signed by an authority that this machine trusts ({cause}).\n\
         If the registry has a CA of its own, give its certificate as a PEM file: --ca-cert FILE or SSL_CERT_FILE=FILE."
    )]
    Untrusted {
        /// The request.
        asked: Asked,
        /// What the TLS library said.
        cause: String,
    },

    /// The certificate is signed by a trusted authority, but it is not good for this server now.
    #[error(
        "{asked}: the server's TLS certificate is not valid: {cause}. Check the address and this machine's clock."
    )]
    InvalidCertificate {
        /// The request.
        asked: Asked,
        /// What the TLS library said.
        cause: String,
    },

    /// The server wants to know who asks.
    #[error(
        "{asked}: the server wants a client certificate, or refuses the one it was shown ({cause}){}",
        folders_hint(folders)
    )]
    Identity {
        /// The request.
        asked: Asked,
        /// The TLS alert that it sent.
        cause: String,
        /// Where certificates for registries were looked for.
        folders: Vec<PathBuf>,
    },

    /// What is kept for a registry beside credentials cannot be used. Boxed: it says much.
    #[error("{0}")]
    Certificates(Box<CertificatesError>),

    /// Every attempt failed in a way that another one might have cured.
    #[error("{asked} did not succeed: {cause} ({attempts} attempt(s) in {:.1} s)", elapsed.as_secs_f32())]
    GaveUp {
        /// The request.
        asked: Asked,
        /// How the last attempt failed.
        cause: String,
        /// All attempts made.
        attempts: u32,
        /// From the start of the push or pull.
        elapsed: Duration,
    },

    /// What has to be there is not.
    #[error("{asked}: the registry does not have it ({status}{words})")]
    NotFound {
        /// The request.
        asked: Asked,
        /// The status.
        status: u16,
        /// What the registry said.
        words: Words,
    },

    /// The tag is taken and may not be given to another image.
    #[error(
        "{asked}: the tag `{tag}` is taken, and the registry does not let it be overwritten ({status}{words}). Choose another tag"
    )]
    TagImmutable {
        /// The request.
        asked: Asked,
        /// The tag.
        tag: String,
        /// The status.
        status: u16,
        /// What the registry said.
        words: Words,
    },

    /// There is no room.
    #[error("{asked}: the registry is full, or takes nothing this large ({status}{words})")]
    Full {
        /// The request.
        asked: Asked,
        /// The status.
        status: u16,
        /// What the registry said.
        words: Words,
    },

    /// Any other refusal.
    #[error("{asked}: the registry answered {status}{words}")]
    Refused {
        /// The request.
        asked: Asked,
        /// The status.
        status: u16,
        /// What the registry said.
        words: Words,
    },

    /// A redirect that is not followed.
    #[error("{asked}: its redirect to {to} is not followed: {problem}")]
    Redirect {
        /// The request.
        asked: Asked,
        /// Where to, without secrets.
        to: String,
        /// Why not.
        problem: RedirectProblem,
    },

    /// The registry names an address that nobody outside of it should make us ask.
    #[error(
        "{asked}: the registry names the address {to} for {purpose}, which is not used: {problem}"
    )]
    Address {
        /// The request whose answer it was.
        asked: Asked,
        /// The address, without secrets.
        to: String,
        /// What it is for.
        purpose: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// A name leads where no registry outside may lead.
    #[error("{asked} is not done: {problem}")]
    OwnNetwork {
        /// The request that was not made.
        asked: Asked,
        /// Which name leads where.
        problem: String,
    },

    /// The content is not what its digest says.
    #[error("{asked}: the content has the digest {found}, but {expected} was expected")]
    WrongDigest {
        /// The request.
        asked: Asked,
        /// The digest that was asked for or announced.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },

    /// The content has another size than its descriptor says.
    #[error("{asked}: the content has {found} bytes or more, but {expected} were expected")]
    WrongSize {
        /// The request.
        asked: Asked,
        /// The size that was known beforehand.
        expected: u64,
        /// What came or was announced.
        found: u64,
    },

    /// The answer is larger than makes sense.
    #[error(
        "{asked}: the answer is larger than {cap} bytes, which is the most that makes sense for it"
    )]
    TooLarge {
        /// The request.
        asked: Asked,
        /// The limit.
        cap: u64,
    },

    /// A manifest or a configuration cannot be used.
    #[error("{asked}: the image cannot be used")]
    Image {
        /// The request.
        asked: Asked,
        /// Why.
        #[source]
        source: Box<ReadImageError>,
    },

    /// The answer is not what the specification says.
    #[error("{asked}: the answer is not a registry's: {problem}")]
    Protocol {
        /// The request.
        asked: Asked,
        /// What is wrong.
        problem: String,
    },

    /// The registry said that it stored something, again and again, and does not have it.
    #[error("{asked}: the registry said that it stored {digest}, but does not have it")]
    NotStored {
        /// The request that found it out.
        asked: Asked,
        /// The blob or manifest.
        digest: BlobDigest,
    },

    /// What was to be pushed cannot be read here.
    #[error("the blob {digest} cannot be read, so it was not pushed")]
    Source {
        /// The blob.
        digest: BlobDigest,
        /// Why.
        #[source]
        source: io::Error,
    },

    /// The HTTP client itself could not start.
    #[error(transparent)]
    Start(#[from] FetchError),
}

fn folders_hint(folders: &[PathBuf]) -> String {
    match folders {
        [] => String::new(),
        [first, ..] => format!(
            ".\nPut it as client.cert, and its key as client.key, into {}/HOST (or HOST:PORT, as in the image's name)",
            first.display()
        ),
    }
}

/// What is known where credentials are missing or refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unauthorized {
    /// The request.
    pub asked: Asked,
    /// The registry, as credentials are filed.
    pub registry: String,
    /// What the registry said.
    pub words: Words,
    /// Were there credentials for it?
    pub had_credentials: bool,
    /// Where credentials were looked for, one a line.
    pub looked_at: Vec<String>,
}

impl fmt::Display for Unauthorized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            asked,
            registry,
            words,
            had_credentials,
            looked_at,
        } = self;
        if *had_credentials {
            write!(
                f,
                "{asked}: {registry} refuses the credentials that were found for it{words}."
            )?;
        } else {
            write!(
                f,
                "{asked}: {registry} wants credentials, and none were found for it{words}."
            )?;
        }
        if looked_at.is_empty() {
            return write!(f, " No place was given to look for credentials");
        }
        write!(f, "\nLooked at:")?;
        looked_at
            .iter()
            .try_for_each(|place| write!(f, "\n- {place}"))
    }
}

impl From<CertificatesError> for RegistryError {
    fn from(error: CertificatesError) -> Self {
        Self::Certificates(Box::new(error))
    }
}

impl RegistryError {
    /// True where the registry answered that there is nothing of that name.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// True where rights are the matter: this request failed, another may be allowed.
    pub(crate) fn is_about_rights(&self) -> bool {
        matches!(self, Self::Unauthorized(_) | Self::Denied { .. })
    }
}
