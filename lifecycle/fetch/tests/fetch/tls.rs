//! TLS with a company's own CA: trusted when given, and a message that says how to give it.

use std::sync::Arc;

use fetch::{Client, Config, FetchError, trust::Roots};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};

use crate::{
    quick,
    server::{Reply, Server},
};

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let pem = params.self_signed(&key).expect("a certificate").pem();
    Authority {
        pem,
        issuer: Issuer::new(params, key),
    }
}

fn server_for(name: &str, authority: &Authority) -> ServerConfig {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new([name.to_owned()]).expect("parameters");
    let certificate = params
        .signed_by(&key, &authority.issuer)
        .expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a server")
}

fn client_trusting(pem: &str) -> Client {
    Client::new(Config {
        roots: Roots::from_pem(pem.as_bytes()),
        ..quick()
    })
    .expect("a client")
}

#[test]
fn tls_own_authority() {
    let authority = authority();
    let server = Server::start_tls(server_for("localhost", &authority), |_, _| {
        Reply::new(200, b"secret")
    });
    let bytes = client_trusting(&authority.pem)
        .get(&server.url_as("localhost", "/x"), 100)
        .expect("fetched");
    assert_eq!(bytes, b"secret");
}

#[test]
fn tls_unknown_authority_says_how_to_trust_it() {
    let server = Server::start_tls(server_for("localhost", &authority()), |_, _| {
        Reply::new(200, b"secret")
    });
    let url = server.url_as("localhost", "/x");
    for client in [client_trusting(""), client_trusting(&authority().pem)] {
        let error = client.get(&url, 100).expect_err("refused");
        assert!(
            matches!(error, FetchError::UntrustedCertificate { .. }),
            "{error:?}"
        );
        let message = error.to_string();
        let start = format!(
            "{url}: the server's TLS certificate is not signed by an authority that this machine trusts ("
        );
        assert!(message.starts_with(&start), "{message}");
        assert!(
            message.ends_with("--ca-cert FILE or SSL_CERT_FILE=FILE."),
            "{message}"
        );
    }
    assert_eq!(server.requests().len(), 0);
}

#[test]
fn tls_certificate_of_another_server() {
    let authority = authority();
    let server = Server::start_tls(server_for("other.test", &authority), |_, _| {
        Reply::new(200, b"secret")
    });
    let error = client_trusting(&authority.pem)
        .get(&server.url_as("localhost", "/x"), 100)
        .expect_err("refused");
    assert!(
        matches!(error, FetchError::InvalidCertificate { .. }),
        "{error:?}"
    );
}

#[test]
fn tls_redirect_to_plain_http_is_refused() {
    let authority = authority();
    let plain = Server::start(|_, _| Reply::new(200, b"plain"));
    let target = plain.url("/x").to_string();
    let server = Server::start_tls(server_for("localhost", &authority), move |_, _| {
        Reply::new(302, b"").header("Location", target.clone())
    });
    let message = client_trusting(&authority.pem)
        .get(&server.url_as("localhost", "/x"), 100)
        .expect_err("refused")
        .to_string();
    assert!(
        message.ends_with("is not followed: it leads from https to unprotected http"),
        "{message}"
    );
    assert_eq!(plain.requests().len(), 0);
}
