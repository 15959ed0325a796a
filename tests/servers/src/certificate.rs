//! An authority made up just now, which nobody trusts unless told, and two certificates of it: for this machine as a server, and for a client.

use std::fmt;
use std::sync::Arc;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// A certificate for `localhost` and 127.0.0.1, and whom to trust for it.
pub struct Certificate {
    /// The authority to trust, as PEM.
    pub authority: String,
    /// The certificate, as PEM.
    pub certificate: String,
    /// Its key, as PEM.
    pub key: String,
    /// What a server of the tests' own speaks TLS with.
    pub config: Arc<ServerConfig>,
    /// The same for a server that wants a certificate of its clients.
    pub demanding: Arc<ServerConfig>,
    /// A client's certificate, as PEM.
    pub client_certificate: String,
    /// Its key, as PEM.
    pub client_key: String,
}

impl Certificate {
    /// Makes an authority and lets it sign.
    pub fn new() -> Self {
        let authority_key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters =
            rcgen::CertificateParams::new(Vec::new()).expect("no names to be wrong");
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Longshore test authority");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        // Python from 3.13 on insists on what RFC 5280 asks of a certificate: usages, and the issuer's key identifier.
        parameters.key_usages = vec![
            rcgen::KeyUsagePurpose::KeyCertSign,
            rcgen::KeyUsagePurpose::CrlSign,
        ];
        let authority = parameters
            .self_signed(&authority_key)
            .expect("a certificate");
        let issuer = rcgen::Issuer::from_params(&parameters, &authority_key);

        let key = rcgen::KeyPair::generate().expect("a key");
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut parameters = rcgen::CertificateParams::new(names).expect("valid names");
        parameters.use_authority_key_identifier_extension = true;
        let certificate = parameters.signed_by(&key, &issuer).expect("a certificate");

        let client_key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters =
            rcgen::CertificateParams::new(Vec::new()).expect("no names to be wrong");
        parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let client = parameters
            .signed_by(&client_key, &issuer)
            .expect("a certificate");

        let mut roots = RootCertStore::empty();
        roots
            .add(authority.der().clone())
            .expect("it is an authority");
        Self {
            authority: authority.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            config: Arc::new(config(&certificate, &key, None)),
            demanding: Arc::new(config(&certificate, &key, Some(roots))),
            client_certificate: client.pem(),
            client_key: client_key.serialize_pem(),
        }
    }
}

impl Default for Certificate {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Certificate")
    }
}

/// With authorities: those whose certificates clients need.
fn config(
    certificate: &rcgen::Certificate,
    key: &rcgen::KeyPair,
    of_clients: Option<RootCertStore>,
) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let verifier = of_clients.map(|roots| {
        let provider = Arc::clone(&provider);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        verifier.build().expect("there is an authority")
    });
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.3");
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    builder
        .with_single_cert(vec![certificate.der().clone()], secret)
        .expect("key and certificate belong together")
}
