//! Real daemons beside the test, with folders of their own.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use daemon::Daemon;
use tempfile::TempDir;

use crate::fixture::client;

/// A daemon on a busy machine takes its time to start.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Engine {
    child: Child,
    folder: TempDir,
}

impl Engine {
    /// Debian's dockerd.
    pub(crate) fn docker() -> Option<Self> {
        let program = test_skip::tool("dockerd")?;
        Self::start("docker", program, &[])
    }

    /// The same with containerd's image store.
    pub(crate) fn docker_with_containerd() -> Option<Self> {
        const OLDEST: u32 = 28;
        let program = test_skip::tool("dockerd")?;
        let said = Command::new(&program).arg("--version").output();
        let said = String::from_utf8_lossy(&said.expect("it starts").stdout).into_owned();
        // "Docker version 20.10.24+dfsg1, build 5d6db84"
        let version = said.split([' ', ',']).nth(2).unwrap_or_default();
        let major: Option<u32> = version
            .split('.')
            .next()
            .and_then(|major| major.parse().ok());
        if major.is_none_or(|major| major < OLDEST) {
            test_skip::because(&format!(
                "dockerd {version} does not say which content it has; Docker {OLDEST} or later with containerd's image store does"
            ));
            return None;
        }
        Self::start("docker", program, &["--feature=containerd-snapshotter"])
    }

    /// Podman's service, which speaks Docker's API.
    pub(crate) fn podman() -> Option<Self> {
        let program = test_skip::tool("podman")?;
        Self::start("podman", program, &[])
    }

    fn start(kind: &str, program: PathBuf, more: &[&str]) -> Option<Self> {
        if !test_skip::is_root() {
            test_skip::because(&format!("{kind} needs root"));
            return None;
        }
        // Not below TMPDIR: the path of a Unix socket ends at 108 bytes.
        let folder = TempDir::with_prefix_in("longshore-daemon-", "/tmp").expect("a folder");
        let below = |name: &str| folder.path().join(name);
        let socket = format!("unix://{}", below("s").display());
        let mut command = Command::new(program);
        if kind == "docker" {
            command.args([
                "--bridge=none",
                "--iptables=false",
                "--ip6tables=false",
                "-H",
                &socket,
            ]);
            for (flag, name) in [
                ("--data-root", "data"),
                ("--exec-root", "exec"),
                ("--pidfile", "pid"),
            ] {
                command.arg(flag).arg(below(name));
            }
            command.args(more);
        } else {
            for (flag, name) in [
                ("--root", "data"),
                ("--runroot", "run"),
                ("--tmpdir", "tmp"),
            ] {
                command.arg(flag).arg(below(name));
            }
            command.args(["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"]);
            command.args([
                "--events-backend",
                "file",
                "system",
                "service",
                "-t",
                "0",
                &socket,
            ]);
        }
        let log = File::create(below("log")).expect("a log");
        let second = log.try_clone().expect("a second handle");
        command.stdin(Stdio::null()).stdout(log).stderr(second);
        let child = command.spawn().expect("it starts");
        let mut engine = Self { child, folder };
        engine.wait();
        Some(engine)
    }

    fn wait(&mut self) {
        let begun = Instant::now();
        let daemon = self.client();
        while let Err(error) = daemon.inspect("none") {
            let ended = self.child.try_wait().expect("a child");
            let log = self.folder.path().join("log");
            assert!(
                ended.is_none() && begun.elapsed() < PATIENCE,
                "{error}\n{}",
                std::fs::read_to_string(log).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(100));
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("s").display())
    }

    pub(crate) fn client(&self) -> Daemon {
        client(&self.host(), Duration::from_mins(2))
    }

    /// What Docker's own client says.
    pub(crate) fn docker_says(&self, words: &[&str]) -> Option<Output> {
        let client = test_skip::tool("docker")?;
        let output = Command::new(client)
            .args(["-H", &self.host()])
            .args(words)
            .env("HOME", self.folder.path())
            .env_remove("DOCKER_HOST")
            .output()
            .expect("docker starts");
        assert!(
            output.status.success(),
            "docker {words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Some(output)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // SIGTERM: dockerd has children and mounts of its own to end.
        let asked = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        let begun = Instant::now();
        while asked.is_ok() && begun.elapsed() < Duration::from_secs(15) {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}
