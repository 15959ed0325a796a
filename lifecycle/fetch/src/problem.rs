//! Why a request had no answer, in the three ways that matter: the certificate's signer, the certificate, the connection.

use std::error::Error;

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
        if let Some(rustls::Error::InvalidCertificate(problem)) = find_tls_error(&error) {
            let cause = problem.to_string();
            return if is_about_trust(problem) {
                Self::Untrusted { cause }
            } else {
                Self::InvalidCertificate { cause }
            };
        }
        let cause = match () {
            () if error.is_timeout() && error.is_connect() => "no connection in time".to_owned(),
            () if error.is_timeout() => "the server fell silent".to_owned(),
            () => chain(&error),
        };
        Self::Transient { cause }
    }
}

fn is_about_trust(problem: &rustls::CertificateError) -> bool {
    use rustls::CertificateError as E;
    match problem {
        E::UnknownIssuer | E::BadSignature | E::UnsupportedSignatureAlgorithmContext { .. } => true,
        // A server whose only certificate is a CA's is a self-signed one: trusting it is the user's choice.
        other => other.to_string().contains("CaUsedAsEndEntity"),
    }
}

/// `io::Error` hides what it wraps from `source()`, so each link is also looked into.
fn find_tls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut link = Some(error);
    while let Some(current) = link {
        if let Some(found) = current.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        let wrapped = current
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|inner| find_tls_error(inner)) {
            return Some(found);
        }
        link = current.source();
    }
    None
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
