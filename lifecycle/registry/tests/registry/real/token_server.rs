//! A token server for docker-registry: who shows the password gets a JWT for what was asked, signed with a key whose
//! certificate the registry was given (distribution's "Token Authentication Implementation").

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rcgen::{KeyPair, SigningKey as _};
use serde_json::{Value, json};

pub(super) struct TokenServer {
    port: u16,
    bundle: tempfile::NamedTempFile,
}

struct Signer {
    key: KeyPair,
    certificate: Vec<u8>,
}

impl TokenServer {
    pub(super) fn start() -> Self {
        let key = KeyPair::generate().expect("a key");
        let parameters = rcgen::CertificateParams::new(vec!["tokens".to_owned()]).expect("names");
        let certificate = parameters.self_signed(&key).expect("a certificate");
        let bundle = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(bundle.path(), certificate.pem()).expect("written");
        let signer = Arc::new(Signer {
            key,
            certificate: certificate.der().to_vec(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let signer = Arc::clone(&signer);
                // A client that goes away is no matter for the next.
                thread::spawn(move || drop(answer(stream, &signer)));
            }
        });
        Self { port, bundle }
    }

    /// The registry's settings that lead here.
    pub(super) fn registry_settings(&self) -> String {
        format!(
            "auth:\n  token:\n    realm: http://127.0.0.1:{}/token\n    service: test\n    issuer: tests\n    rootcertbundle: {}\n",
            self.port,
            self.bundle.path().display()
        )
    }
}

fn answer(stream: TcpStream, signer: &Signer) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut allowed = false;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        // user:secret
        allowed |= line
            .trim()
            .eq_ignore_ascii_case("authorization: Basic dXNlcjpzZWNyZXQ=");
    }
    let target = first.split(' ').nth(1).unwrap_or_default();
    let (status, body) = if allowed {
        (
            200,
            json!({"token": signer.token(target), "expires_in": 300}),
        )
    } else {
        (401, json!({"details": "incorrect username or password"}))
    };
    let body = body.to_string();
    let head = format!(
        "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    reader.get_mut().write_all((head + &body).as_bytes())
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
        let header =
            json!({"typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(&self.certificate)]});
        let claims = json!({"iss": "tests", "sub": "user", "aud": "test", "jti": "1", "access": access,
            "iat": now, "nbf": now - 60, "exp": now + 300});
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
