//! Why a request had no answer, in the ways that matter: the certificate's signer, the certificate, our own one, the connection.

use std::error::Error;

use rustls::AlertDescription;

use crate::cause::cause_of;

/// Why a request had no answer. No text names the address: it may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestProblem {
    /// The server's certificate leads to no trusted authority. It does not get better by asking again.
    Untrusted {
        /// What the TLS library said.
        cause: String,
    },
    /// The certificate is signed by a trusted authority, but it is not good for this server now.
    InvalidCertificate {
        /// What the TLS library said.
        cause: String,
    },
    /// The server wants a certificate of us, or refuses the one it was shown.
    Identity {
        /// The alert that it sent (RFC 8446, section 6.2).
        cause: String,
    },
    /// The connection did not come about or broke; another attempt may succeed.
    Transient {
        /// What happened.
        cause: String,
    },
}

impl RequestProblem {
    /// Sorts an error of the HTTP library.
    pub fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        match cause_of(&error) {
            Some(rustls::Error::InvalidCertificate(problem)) => {
                let cause = problem.to_string();
                return if is_about_trust(problem) {
                    Self::Untrusted { cause }
                } else {
                    Self::InvalidCertificate { cause }
                };
            }
            Some(rustls::Error::AlertReceived(alert)) if is_about_identity(*alert) => {
                let cause = format!("{alert:?}");
                return Self::Identity { cause };
            }
            _ => {}
        }
        let cause = match () {
            () if error.is_timeout() && error.is_connect() => "no connection in time".to_owned(),
            () if error.is_timeout() => "the server fell silent".to_owned(),
            () => chain(&error),
        };
        Self::Transient { cause }
    }
}

/// Servers before TLS 1.3 say `HandshakeFailure` where a certificate is missing; so they do for much else.
fn is_about_identity(alert: AlertDescription) -> bool {
    use AlertDescription as A;
    matches!(
        alert,
        A::CertificateRequired
            | A::NoCertificate
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
    )
}

fn is_about_trust(problem: &rustls::CertificateError) -> bool {
    use rustls::CertificateError as E;
    match problem {
        E::UnknownIssuer | E::BadSignature | E::UnsupportedSignatureAlgorithmContext { .. } => true,
        // A server whose only certificate is a CA's is a self-signed one: trusting it is the user's choice.
        other => other.to_string().contains("CaUsedAsEndEntity"),
    }
}

/// The innermost links say what happened; the outer ones ("error sending request") only that something did.
fn chain(error: &dyn Error) -> String {
    let mut links = Vec::new();
    let mut link = error.source();
    while let Some(current) = link {
        links.push(current.to_string());
        link = current.source();
    }
    links.dedup_by(|inner, outer| outer.ends_with(inner.as_str()));
    let generic = [
        "client error (Connect)",
        "client error (SendRequest)",
        "tcp connect error",
    ];
    let telling: Vec<_> = links
        .iter()
        .filter(|text| !generic.contains(&text.as_str()))
        .cloned()
        .collect();
    match telling[..] {
        [] => links.last().cloned().unwrap_or_else(|| error.to_string()),
        _ => telling.join(": "),
    }
}
