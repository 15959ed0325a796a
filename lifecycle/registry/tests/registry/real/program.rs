//! docker-registry as a child process, with everything in one temporary folder.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use super::certificate::Certificate;

pub(super) struct DockerRegistry {
    child: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl DockerRegistry {
    /// `None` where it is not installed; the test says so and ends.
    pub(super) fn start(settings: &str) -> Option<Self> {
        Self::run("", settings)
    }

    pub(super) fn start_tls(certificate: &Certificate, settings: &str) -> Option<Self> {
        let tls = format!(
            "  tls:\n    certificate: {}\n    key: {}\n",
            certificate.certificate_file().display(),
            certificate.key_file().display()
        );
        Self::run(&tls, settings)
    }

    fn run(http: &str, settings: &str) -> Option<Self> {
        let program = test_skip::tool("docker-registry")?;
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let config = folder.path().join("config.yml");
        let text = format!(
            "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\n  \
             maintenance:\n    uploadpurging:\n      enabled: false\n\
             http:\n  addr: 127.0.0.1:{port}\n  secret: test\n{http}{settings}",
            folder.path().join("data").display()
        );
        fs::write(&config, text).expect("written");
        let child = Command::new(&program)
            .arg("serve")
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.path().join("log")).expect("a file"))
            .spawn()
            .expect("docker-registry runs");
        let mut server = Self {
            child,
            port,
            folder,
        };
        if server.is_up() {
            return Some(server);
        }
        // Somebody else may have taken the port in between.
        let log = fs::read_to_string(server.folder().join("log")).unwrap_or_default();
        assert!(log.contains("address already in use"), "{log}");
        Self::run(http, settings)
    }

    fn is_up(&mut self) -> bool {
        let until = Instant::now() + Duration::from_mins(1);
        while Instant::now() < until {
            if self.child.try_wait().expect("a child of ours").is_some() {
                return false;
            }
            if TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        false
    }

    pub(super) fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is over.
        drop((self.child.kill(), self.child.wait()));
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
