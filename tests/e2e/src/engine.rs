//! Docker and Podman beside the test, with folders of their own and no bridge: containers run with `--network host`.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::running::Running;
use crate::skip;

/// A way to load and run images.
#[derive(Debug)]
pub struct Engine {
    base: Vec<String>,
    run: Vec<String>,
    _daemon: Option<Running>,
    folder: TempDir,
}

impl Engine {
    /// A `dockerd` of the test's own; it needs root.
    pub fn docker() -> Option<Self> {
        let daemon = skip::tool("dockerd")?;
        let client = skip::tool("docker")?;
        if !skip::is_root() {
            skip::because("dockerd needs root");
            return None;
        }
        // Not below TMPDIR: the path of a Unix socket ends at 108 bytes.
        let folder =
            TempDir::with_prefix_in("longshore-docker-", "/tmp").expect("a temporary folder");
        let socket = format!("unix://{}/docker.sock", folder.path().display());
        let mut command = Command::new(daemon);
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
            command.arg(flag).arg(folder.path().join(name));
        }
        let mut daemon = Running::start(command);
        daemon.wait_until_it_says("API listen on");
        let base = vec![program(client), "-H".to_owned(), socket];
        Some(Self {
            base,
            run: Vec::new(),
            _daemon: Some(daemon),
            folder,
        })
    }

    /// Podman with storage of the test's own.
    pub fn podman() -> Option<Self> {
        let client = skip::tool("podman")?;
        if !skip::is_root() {
            skip::because(
                "rootless podman needs newuidmap and subordinate ids, which not every machine has",
            );
            return None;
        }
        let folder =
            TempDir::with_prefix_in("longshore-podman-", "/tmp").expect("a temporary folder");
        let mut base = vec![program(client)];
        for (flag, name) in [
            ("--root", "root"),
            ("--runroot", "run"),
            ("--tmpdir", "tmp"),
        ] {
            base.extend([
                flag.to_owned(),
                folder.path().join(name).display().to_string(),
            ]);
        }
        // No systemd, no journal; crun refuses machines with both versions of cgroups.
        for words in [
            "--cgroup-manager cgroupfs",
            "--events-backend file",
            "--storage-driver vfs",
            "--runtime runc",
        ] {
            base.extend(words.split(' ').map(str::to_owned));
        }
        // Podman asks for more open files than a machine's hard limit may allow.
        let run = [
            "--ulimit",
            "nofile=1024:1024",
            "--ulimit",
            "nproc=1024:1024",
        ]
        .map(str::to_owned)
        .into();
        Some(Self {
            base,
            run,
            _daemon: None,
            folder,
        })
    }

    /// `load`s an archive and returns the name it got.
    pub fn load(&self, archive: &std::path::Path) -> String {
        let said = self
            .command(&[OsStr::new("load"), OsStr::new("-i"), archive.as_os_str()])
            .output();
        let said = said.expect("the engine starts");
        let stdout = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(
            said.status.success(),
            "load failed: {stdout}{}",
            String::from_utf8_lossy(&said.stderr)
        );
        let name = stdout
            .lines()
            .find_map(|line| line.strip_prefix("Loaded image: "));
        name.expect("`load` says what it loaded").to_owned()
    }

    /// What the daemon listens on, as `DOCKER_HOST` says it.
    pub fn host(&self) -> String {
        let at = self.base.iter().position(|word| word == "-H");
        let socket = at.and_then(|at| self.base.get(at + 1));
        socket.expect("a daemon has a socket").clone()
    }

    /// Pulls an image from a registry on loopback, over plain HTTP.
    pub fn pull(&self, image: &str) {
        let mut words = vec!["pull"];
        // Docker needs no word for loopback addresses.
        if self.base[0].ends_with("podman") {
            words.push("--tls-verify=false");
        }
        words.push(image);
        let said = self.command(&words).output().expect("the engine starts");
        assert!(
            said.status.success(),
            "pull failed: {}",
            String::from_utf8_lossy(&said.stderr)
        );
    }

    /// Runs a command in an image through an entrypoint, to its end; gives what it printed.
    pub fn run(&self, image: &str, entrypoint: &str, command: &[&str]) -> String {
        let mut words = vec![
            "run",
            "--rm",
            "--network",
            "host",
            "--entrypoint",
            entrypoint,
        ];
        words.extend(self.run.iter().map(String::as_str));
        words.push(image);
        words.extend(command);
        let said = self.command(&words).output().expect("the engine starts");
        let stdout = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(
            said.status.success(),
            "run failed: {stdout}{}",
            String::from_utf8_lossy(&said.stderr)
        );
        stdout
    }

    /// `run`s an image on the host's network.
    pub fn start(&self, options: &[&str], image: &str, command: &[&str]) -> Running {
        let mut words = vec!["run", "--rm", "--network", "host"];
        words.extend(self.run.iter().map(String::as_str));
        words.extend(options);
        words.push(image);
        words.extend(command);
        Running::start(self.command(&words))
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.base[0]);
        command
            .args(&self.base[1..])
            .args(arguments)
            .env("HOME", self.folder.path())
            .env_remove("DOCKER_HOST");
        command
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // A container that is still running keeps the engine's folders mounted.
        let listed = self
            .command(&["ps", "-q"])
            .output()
            .map(|said| said.stdout)
            .unwrap_or_default();
        for container in String::from_utf8_lossy(&listed).lines() {
            drop(self.command(&["kill", container]).output());
        }
    }
}

fn program(path: PathBuf) -> String {
    path.into_os_string()
        .into_string()
        .expect("engines have plain paths")
}
