//! Debian's docker-registry on loopback, as a company runs one.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::redis::free_port;
use crate::running::Running;
use crate::server;
use crate::skip;

/// `htpasswd -nbB -C 4 user secret`
const HTPASSWD: &str = "user:$2b$04$UVHQz3yDT5AbTDBnaRjeve7A4PJTAtiFL04kQ7yG..mjLbdUYoo7K\n";

/// Who may use a registry with a password: user and password, in Base64.
pub const LOGIN: &str = "dXNlcjpzZWNyZXQ=";

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
}

/// A running registry; it ends with the test.
#[derive(Debug)]
pub struct Registry {
    port: u16,
    running: Running,
    /// The authority to trust, as PEM.
    pub authority: Option<String>,
    folder: TempDir,
}

impl Registry {
    /// Starts one on a free port; `None` where it is not installed.
    pub fn start(kind: Kind) -> Option<Self> {
        let program = skip::tool("docker-registry")?;
        let folder = TempDir::with_prefix("longshore-registry-").expect("a temporary folder");
        let port = free_port();
        let at = |name: &str| folder.path().join(name);
        let mut more = String::new();
        let mut authority = None;
        match kind {
            Kind::Open => {}
            Kind::Password => {
                write(&at("htpasswd"), HTPASSWD);
                let path = at("htpasswd");
                more = format!(
                    "auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
                    path.display()
                );
            }
            Kind::Tls => {
                let made = server::certificate_files();
                write(&at("certificate.pem"), &made.certificate);
                write(&at("key.pem"), &made.key);
                authority = Some(made.authority);
            }
        }
        let tls = if kind == Kind::Tls {
            let (certificate, key) = (at("certificate.pem"), at("key.pem"));
            format!(
                "  tls: {{certificate: {}, key: {}}}\n",
                certificate.display(),
                key.display()
            )
        } else {
            String::new()
        };
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp:\n  addr: 127.0.0.1:{port}\n{tls}{more}log: {{level: info, accesslog: {{disabled: false}}}}\n",
            at("data").display()
        );
        write(&at("config.yml"), &config);
        let mut command = Command::new(program);
        command.arg("serve").arg(at("config.yml"));
        let mut running = Running::start(command);
        running.wait_until_it_says("listening on");
        Some(Self {
            port,
            running,
            authority,
            folder,
        })
    }

    /// `127.0.0.1:PORT`, or `localhost:PORT` for which the certificate is.
    pub fn host(&self) -> String {
        let name = if self.authority.is_some() {
            "localhost"
        } else {
            "127.0.0.1"
        };
        format!("{name}:{}", self.port)
    }

    /// How many requests there were.
    pub fn requests(&self) -> usize {
        self.running.said().matches(" HTTP/1.1\" ").count()
    }

    /// A file beside the registry's, for a test's own settings.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("the folder can be written");
}
