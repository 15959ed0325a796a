//! Daemons that speak Docker's API, with no bridge: containers run with `--network host`.

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::free_port;
use crate::process::Process;

/// A running daemon.
#[derive(Debug)]
pub struct Daemon {
    // Ends before its folder goes.
    _process: Process,
    folder: TempDir,
}

impl Daemon {
    /// Debian's dockerd, with more arguments.
    pub fn docker(more: &[&str]) -> Option<Self> {
        Self::dockerd(folder_of_root("dockerd")?, more, "", listens)
    }

    /// The same for a few small images: they are kept in memory, where a load takes a third of the time.
    pub fn docker_in_memory() -> Option<Self> {
        let first = r#"mkdir "$0/data" && mount -t tmpfs tmpfs "$0/data" && "#;
        Self::dockerd(folder_of_root("dockerd")?, &[], first, listens)
    }

    /// The same, also on a port of loopback where it wants TLS with a client's certificate; gives that address as `DOCKER_HOST` says it.
    pub fn docker_with_tls(certificate: &Certificate) -> Option<(Self, String)> {
        let folder = folder_of_root("dockerd")?;
        let Certificate {
            authority,
            certificate,
            key,
            ..
        } = certificate;
        let mut arguments = vec!["--tlsverify".to_owned()];
        for (flag, text) in [
            ("tlscacert", authority),
            ("tlscert", certificate),
            ("tlskey", key),
        ] {
            let path = folder.path().join(flag);
            fs::write(&path, text).expect("the folder can be written");
            arguments.push(format!("--{flag}={}", path.display()));
        }
        let address = format!("tcp://127.0.0.1:{}", free_port());
        arguments.extend(["-H".to_owned(), address.clone()]);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let daemon = Self::dockerd(folder, &arguments, "", |process, _| {
            process.said().contains("API listen on 127.0.0.1:")
        });
        Some((daemon?, address))
    }

    /// `first` is done before dockerd, in its mount namespace; `$0` is the daemon's folder.
    fn dockerd(
        folder: TempDir,
        more: &[&str],
        first: &str,
        ready: fn(&Process, &Path) -> bool,
    ) -> Option<Self> {
        let program = test_skip::tool("dockerd")?;
        // In a mount namespace of its own: it leaves mounts behind, which would keep its folder from being removed.
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "sh", "-c", &format!("{first}exec \"$@\"")])
            .arg(folder.path())
            .arg(program)
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .args(["-H", &host(&folder)])
            .args(more);
        for (flag, name) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            command.arg(flag).arg(folder.path().join(name));
        }
        Some(Self::start(command, folder, ready))
    }

    /// Podman's service.
    pub fn podman() -> Option<Self> {
        let program = test_skip::tool("podman")?;
        let folder = folder_of_root("podman")?;
        let mut command = Command::new(program);
        for (flag, name) in [
            ("--root", "data"),
            ("--runroot", "run"),
            ("--tmpdir", "tmp"),
        ] {
            command.arg(flag).arg(folder.path().join(name));
        }
        command
            .args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"])
            .args(["--events-backend", "file", "system", "service", "-t", "0"])
            .arg(host(&folder));
        Some(Self::start(command, folder, |_, socket| {
            UnixStream::connect(socket).is_ok()
        }))
    }

    fn start(command: Command, folder: TempDir, ready: fn(&Process, &Path) -> bool) -> Self {
        let mut process = Process::start(command, &folder.path().join("log"));
        let socket = socket(&folder);
        let started = process.waits(|process| ready(process, &socket));
        assert!(started, "it ended:\n{}", process.said());
        Self {
            _process: process,
            folder,
        }
    }

    /// What it listens on, as `DOCKER_HOST` says it.
    pub fn host(&self) -> String {
        host(&self.folder)
    }

    /// Its folder, and a place for a test's own files.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

fn listens(process: &Process, _: &Path) -> bool {
    process.said().contains("API listen on")
}

/// Not below TMPDIR: the path of a Unix socket ends at 108 bytes.
fn folder_of_root(daemon: &str) -> Option<TempDir> {
    if !test_skip::is_root() {
        test_skip::because(&format!("{daemon} needs root"));
        return None;
    }
    Some(TempDir::with_prefix_in("longshore-daemon-", "/tmp").expect("a temporary folder"))
}

fn socket(folder: &TempDir) -> PathBuf {
    folder.path().join("s")
}

fn host(folder: &TempDir) -> String {
    format!("unix://{}", socket(folder).display())
}
