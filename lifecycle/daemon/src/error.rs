//! Why a daemon could not be used. Every message names the request or the socket, and what the daemon said.

use std::{fmt, io, path::PathBuf, time::Duration};

use fetch::FetchError;
use oci_image::{BlobDigest, ParseReferenceError, ReadImageError};

use crate::asked::Asked;

/// Why a daemon could not be used.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Nobody answers there.
    #[error("no Docker daemon answers at {daemon}: {reason}")]
    Unreachable {
        /// The address that was tried, and what says that it is there.
        daemon: String,
        /// Why, and what to do.
        reason: Unreachable,
    },

    /// Every attempt failed in a way that another one might have cured.
    #[error("{asked} did not succeed: {cause} ({attempts} attempt(s) in {:.1} s)", elapsed.as_secs_f32())]
    GaveUp {
        /// The request.
        asked: Asked,
        /// How the last attempt failed.
        cause: String,
        /// All attempts made.
        attempts: u32,
        /// From the start of the operation.
        elapsed: Duration,
    },

    /// The daemon speaks an API that is too old.
    #[error(
        "{asked}: the daemon speaks the Docker Engine API {found}; Docker 1.13 (API 1.25) or later is needed"
    )]
    TooOld {
        /// The request.
        asked: Asked,
        /// The newest version it speaks.
        found: String,
    },

    /// The daemon answered, and its answer is no.
    #[error("{asked}: the daemon answered {status}{}", said(message))]
    Refused {
        /// The request.
        asked: Asked,
        /// The status.
        status: u16,
        /// What the daemon said.
        message: String,
    },

    /// The daemon took the archive, and could not make an image of it.
    #[error("{asked}: the daemon could not load the image: {message}")]
    Load {
        /// The request.
        asked: Asked,
        /// What the daemon said.
        message: String,
    },

    /// The daemon said that it loaded the image, but what it has is something else.
    #[error("{asked}: the daemon should have {expected} by this name, but has {found}")]
    WrongImage {
        /// The request that found it out.
        asked: Asked,
        /// The image that was loaded.
        expected: BlobDigest,
        /// What is there.
        found: String,
    },

    /// The answer is not what the API says.
    #[error("{asked}: the answer is not a Docker daemon's: {problem}")]
    Protocol {
        /// The request.
        asked: Asked,
        /// What is wrong.
        problem: String,
    },

    /// What was to be loaded cannot be read here.
    #[error("the layer {layer} cannot be read, so the image was not loaded")]
    Source {
        /// The layer's blob.
        layer: BlobDigest,
        /// Why.
        #[source]
        source: io::Error,
    },

    /// What the daemon exports cannot be used.
    #[error("{asked}: the daemon's export of the image cannot be used")]
    Export {
        /// The request.
        asked: Asked,
        /// Why.
        #[source]
        source: Box<ReadImageError>,
    },

    /// What the daemon exports cannot be kept.
    #[error("the daemon's export of an image cannot be kept in {}", folder.display())]
    Scratch {
        /// The folder.
        folder: PathBuf,
        /// A full disk, for instance.
        #[source]
        source: io::Error,
    },

    /// It is not the name of an image.
    #[error(transparent)]
    Name(#[from] ParseReferenceError),

    /// The HTTP client itself could not start.
    #[error(transparent)]
    Start(#[from] FetchError),
}

fn said(message: &str) -> String {
    if message.is_empty() {
        String::new()
    } else {
        format!(": {message}")
    }
}

/// Why nobody answers, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreachable {
    /// There is no such socket.
    NoSocket,
    /// Nobody listens.
    Refused,
    /// The user may not use the socket.
    Forbidden,
    /// It speaks TLS only, and was spoken to without.
    WantsTls,
    /// Its certificate cannot be verified.
    Unverified {
        /// What the TLS library said.
        cause: String,
    },
    /// It wants a certificate of us, or refuses the one it was shown.
    Identity {
        /// The TLS alert that it sent.
        cause: String,
    },
    /// Something else on the way.
    Other {
        /// What the system or the library said.
        cause: String,
    },
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSocket => f.write_str(
                "there is no such socket. Is dockerd running (`systemctl start docker`)? \
                 If it listens elsewhere, set DOCKER_HOST, for example DOCKER_HOST=unix:///run/user/1000/docker.sock",
            ),
            Self::Refused => f.write_str(
                "nobody listens there. Is dockerd running (`systemctl start docker`)? If it listens elsewhere, set DOCKER_HOST",
            ),
            Self::Forbidden => f.write_str(
                "this user may not use the socket. Add the user to the group `docker` and log in again \
                 (members of that group are as good as root), or set DOCKER_HOST to a daemon that is the user's own",
            ),
            Self::WantsTls => f.write_str(
                "it speaks TLS only. Set DOCKER_TLS_VERIFY=1, and DOCKER_CERT_PATH to the folder with ca.pem, cert.pem and key.pem",
            ),
            Self::Unverified { cause } => write!(
                f,
                "its TLS certificate cannot be verified ({cause}). The ca.pem beside cert.pem and key.pem has to be that of the daemon's authority"
            ),
            Self::Identity { cause } => write!(
                f,
                "it wants a client certificate of its own authority ({cause}). Put that as cert.pem, and its key as key.pem, beside ca.pem"
            ),
            Self::Other { cause } => {
                write!(f, "{cause}. Check DOCKER_HOST and the way to that machine")
            }
        }
    }
}

impl DaemonError {
    /// True where no daemon was reached at all: nothing about the image is wrong.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable { .. })
    }

    /// True where the daemon answered that there is nothing of that name.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}
