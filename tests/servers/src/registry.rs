//! Debian's docker-registry, with everything in one temporary folder.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::free_port;
use crate::process::Process;
use crate::tokens::TokenServer;

/// `htpasswd -nbB -C 4 user secret`
const HTPASSWD: &str = "user:$2b$04$UVHQz3yDT5AbTDBnaRjeve7A4PJTAtiFL04kQ7yG..mjLbdUYoo7K\n";

/// Who may use a registry with a password or tokens: user and password, in Base64.
pub const LOGIN: &str = "dXNlcjpzZWNyZXQ=";

const AUTHORITY: &str = "authority.pem";

/// How a registry is set up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Anybody, over plain HTTP.
    #[default]
    Open,
    /// With a password.
    Password,
    /// Anybody, over TLS with a certificate that nobody trusts.
    Tls,
    /// The same, and clients need a certificate, too.
    ClientCertificates,
    /// With TLS and tokens, which a server gives that has such a certificate too.
    Tokens {
        /// How long one really lives.
        life: Duration,
    },
}

/// A running registry; it ends with the test.
#[derive(Debug)]
pub struct Registry {
    port: u16,
    process: Process,
    /// The authority to trust, as PEM.
    pub authority: Option<String>,
    tokens: Option<TokenServer>,
    folder: TempDir,
}

impl Registry {
    /// Starts one on a free port; `None` where it is not installed.
    pub fn start(kind: Kind) -> Option<Self> {
        let program = test_skip::tool("docker-registry")?;
        let folder = TempDir::with_prefix("longshore-registry-").expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        let (mut tls, mut auth) = (String::new(), String::new());
        let (mut authority, mut tokens) = (None, None);
        if !matches!(kind, Kind::Open | Kind::Password) {
            let made = Certificate::new();
            write(&at("certificate.pem"), &made.certificate);
            write(&at("key.pem"), &made.key);
            let (certificate, key) = (at("certificate.pem"), at("key.pem"));
            let clients = match kind {
                Kind::ClientCertificates => {
                    write(&at("client.cert"), &made.client_certificate);
                    write(&at("client.key"), &made.client_key);
                    format!(", clientcas: [{}]", at(AUTHORITY).display())
                }
                _ => String::new(),
            };
            tls = format!(
                "  tls: {{certificate: {}, key: {}{clients}}}\n",
                certificate.display(),
                key.display()
            );
            if let Kind::Tokens { life } = kind {
                let server = TokenServer::start(made.config, life);
                write(&at("bundle.pem"), &server.certificate);
                auth = server.registry_settings(&at("bundle.pem"));
                tokens = Some(server);
            }
            write(&at(AUTHORITY), &made.authority);
            authority = Some(made.authority);
        }
        if kind == Kind::Password {
            write(&at("htpasswd"), HTPASSWD);
            let path = at("htpasswd");
            auth = format!(
                "auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                path.display()
            );
        }
        loop {
            let port = free_port();
            let config = format!(
                "version: 0.1\nlog: {{level: info, accesslog: {{disabled: false}}}}\n\
                 storage: {{filesystem: {{rootdirectory: {}}}, maintenance: {{uploadpurging: {{enabled: false}}}}}}\n\
                 http:\n  addr: 127.0.0.1:{port}\n  secret: test\n{tls}{auth}",
                at("data").display()
            );
            write(&at("config.yml"), &config);
            let mut command = Command::new(&program);
            command.arg("serve").arg(at("config.yml"));
            let mut process = Process::start(command, &at("log"));
            if process.waits(|process| process.said().contains("listening on")) {
                return Some(Self {
                    port,
                    process,
                    authority,
                    tokens,
                    folder,
                });
            }
            // Somebody else may have taken the port in between.
            let said = process.said();
            assert!(said.contains("address already in use"), "{said}");
        }
    }

    /// `127.0.0.1:PORT`, or `localhost:PORT` where it has a certificate.
    pub fn host(&self) -> String {
        let name = if self.authority.is_some() {
            "localhost"
        } else {
            "127.0.0.1"
        };
        format!("{name}:{}", self.port)
    }

    /// A file with the authority to trust.
    pub fn authority_file(&self) -> Option<String> {
        let file = self
            .authority
            .as_ref()
            .map(|_| self.folder.path().join(AUTHORITY));
        file.map(|file| file.display().to_string())
    }

    /// Its log so far.
    pub fn said(&self) -> String {
        self.process.said()
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.said().matches(" HTTP/1.1\" ").count()
    }

    /// How many tokens were given.
    pub fn tokens(&self) -> usize {
        self.tokens.as_ref().map_or(0, TokenServer::given)
    }

    /// The registry's folder, and a place for a test's own files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("the folder can be written");
}
