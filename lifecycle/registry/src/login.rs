//! What is shown to a registry or its token server, and the header that carries it.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Credentials for one registry.
#[derive(Clone, PartialEq, Eq)]
pub enum Login {
    /// User and password.
    Basic {
        /// The user.
        user: String,
        /// The password, or what an account's page calls an access token.
        password: String,
    },
    /// A token with which bearer tokens are fetched (OAuth 2 refresh token).
    Identity(String),
    /// A bearer token, to be used as it is.
    Bearer(String),
}

// Values end up in logs.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic(hidden)",
            Self::Identity(_) => "Identity(hidden)",
            Self::Bearer(_) => "Bearer(hidden)",
        })
    }
}

impl Login {
    /// `user:password` in Base64, as Docker's files and the `Authorization` header have it.
    pub(crate) fn from_basic(encoded: &str) -> Option<Self> {
        let bytes = STANDARD.decode(encoded.trim()).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let (user, password) = text.split_once(':')?;
        Some(Self::Basic {
            user: user.to_owned(),
            // Old versions of Docker padded with NULs.
            password: password.trim_end_matches('\0').to_owned(),
        })
    }

    /// What is sent where a registry or token server takes user and password.
    pub(crate) fn basic_header(&self) -> Option<String> {
        match self {
            Self::Basic { user, password } => Some(format!(
                "Basic {}",
                STANDARD.encode(format!("{user}:{password}"))
            )),
            Self::Identity(_) | Self::Bearer(_) => None,
        }
    }
}
