//! A token server for docker-registry: who shows the password gets a JWT for what was asked, signed with a key whose
//! certificate the registry was given (distribution's "Token Authentication Implementation").

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{KeyPair, SigningKey as _};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::registry::LOGIN;

/// docker-registry takes a token for so long after its end, in case clocks differ.
const LEEWAY: u64 = 60;

#[derive(Debug)]
pub(crate) struct TokenServer {
    port: u16,
    /// The certificate of the key that signs, as PEM.
    pub(crate) certificate: String,
    given: Arc<AtomicUsize>,
}

struct Signer {
    key: KeyPair,
    certificate: Vec<u8>,
    life: Duration,
    given: Arc<AtomicUsize>,
}

impl TokenServer {
    /// Its tokens live so long; it does not say so, and a client may believe in a minute (distribution's token specification).
    pub(crate) fn start(tls: Arc<ServerConfig>, life: Duration) -> Self {
        let key = KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(vec!["tokens".to_owned()]).expect("names");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let given = Arc::default();
        let signer = Arc::new(Signer {
            key,
            certificate: certificate.der().to_vec(),
            life,
            given: Arc::clone(&given),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (signer, tls) = (Arc::clone(&signer), Arc::clone(&tls));
                thread::spawn(move || {
                    let connection = ServerConnection::new(tls).map_err(std::io::Error::other)?;
                    // A client that goes away is no matter for the next.
                    answer(StreamOwned::new(connection, stream), &signer)
                });
            }
        });
        Self {
            port,
            certificate: certificate.pem(),
            given,
        }
    }

    /// The registry's settings that lead here. `bundle` is a file with the certificate.
    pub(crate) fn registry_settings(&self, bundle: &Path) -> String {
        format!(
            "auth: {{token: {{realm: \"https://localhost:{}/token\", service: test, issuer: tests, rootcertbundle: {}}}}}\n",
            self.port,
            bundle.display()
        )
    }

    pub(crate) fn given(&self) -> usize {
        self.given.load(Ordering::Relaxed)
    }
}

fn answer(stream: impl Read + Write, signer: &Signer) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut allowed = false;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        let shown = format!("authorization: Basic {LOGIN}");
        allowed |= line.trim().eq_ignore_ascii_case(&shown);
    }
    let target = first.split(' ').nth(1).unwrap_or_default();
    let (status, body) = if allowed {
        (200, json!({"token": signer.token(target)}))
    } else {
        (401, json!({"details": "incorrect username or password"}))
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let stream = reader.get_mut();
    stream.write_all((head + &body).as_bytes())?;
    stream.flush()
}

impl Signer {
    fn token(&self, target: &str) -> String {
        let url: url::Url = format!("http://tokens{target}")
            .parse()
            .expect("a request's target");
        let access: Vec<Value> = url
            .query_pairs()
            .filter(|(name, _)| name == "scope")
            .filter_map(|(_, scope)| {
                let mut parts = scope.splitn(3, ':');
                let (kind, name, actions) = (parts.next()?, parts.next()?, parts.next()?);
                let actions: Vec<&str> = actions.split(',').collect();
                Some(json!({"type": kind, "name": name, "actions": actions}))
            })
            .collect();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .expect("after 1970")
            .as_secs();
        let until = now + self.life.as_secs() - LEEWAY;
        let header =
            json!({"typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(&self.certificate)]});
        let number = self.given.fetch_add(1, Ordering::Relaxed);
        let claims = json!({"iss": "tests", "sub": "user", "aud": "test", "jti": number.to_string(), "access": access,
            "iat": now, "nbf": now - LEEWAY, "exp": until});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.key.sign(signed.as_bytes()).expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(fixed(&signature)))
    }
}

/// JWS has both numbers of an ECDSA signature in 32 bytes each (RFC 7518, 3.4); certificates have them as DER integers:
/// `30 len 02 len r… 02 len s…`.
fn fixed(der: &[u8]) -> Vec<u8> {
    let mut fixed = Vec::new();
    let mut rest = &der[2..];
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        rest = &rest[2 + length..];
        let number = &number[number.iter().take_while(|byte| **byte == 0).count()..];
        fixed.extend(vec![0; 32 - number.len()]);
        fixed.extend(number);
    }
    fixed
}
