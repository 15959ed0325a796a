//! An authority made up just now, and a certificate of it for this machine.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The authority as PEM, and what a server for `localhost` and 127.0.0.1 needs.
pub(crate) fn certificate() -> (String, Arc<ServerConfig>) {
    let authority_key = rcgen::KeyPair::generate().expect("a key");
    let mut parameters = rcgen::CertificateParams::new(Vec::new()).expect("no names to be wrong");
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = parameters
        .self_signed(&authority_key)
        .expect("a certificate");
    let issuer = rcgen::Issuer::from_params(&parameters, &authority_key);

    let key = rcgen::KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let parameters = rcgen::CertificateParams::new(names).expect("valid names");
    let certificate = parameters.signed_by(&key, &issuer).expect("a certificate");

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let secret = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], secret)
        .expect("key and certificate belong together");
    (authority.pem(), Arc::new(config))
}
