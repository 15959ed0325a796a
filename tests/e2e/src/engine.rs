//! Docker and Podman beside the test, with folders of their own and no bridge: containers run with `--network host`.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use test_servers::daemon::Daemon;

use crate::program::Said;
use crate::running::Running;
use crate::skip;

/// Podman's settings, in the engine's folder.
const CONFIGURATION: &str = "containers.conf";

/// A way to load and run images.
#[derive(Debug)]
pub struct Engine {
    base: Vec<String>,
    daemon: Option<Daemon>,
    folder: TempDir,
}

impl Engine {
    /// A `dockerd` of the test's own; it needs root.
    pub fn docker() -> Option<Self> {
        let client = skip::tool("docker")?;
        let daemon = Daemon::docker(&[])?;
        Some(Self {
            base: vec![program(client), "-H".to_owned(), daemon.host()],
            folder: TempDir::with_prefix("longshore-docker-").expect("a temporary folder"),
            daemon: Some(daemon),
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
        // Podman asks for more open files than a machine's hard limit may allow; pods take no flag for that.
        let limits =
            "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";
        std::fs::write(folder.path().join(CONFIGURATION), limits)
            .expect("the folder can be written");
        Some(Self {
            base,
            daemon: None,
            folder,
        })
    }

    /// `load`s an archive and returns the name it got.
    pub fn load(&self, archive: &Path) -> String {
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
        let daemon = self.daemon.as_ref();
        daemon.expect("only Docker has a daemon").host()
    }

    /// An image with one more variable, as a Dockerfile says it.
    pub fn with_variable(&self, base: &str, name: &str, value: &str, image: &str) {
        let dockerfile = format!("FROM {base}\nENV {name}={value}\n");
        let folder = TempDir::with_prefix("longshore-dockerfile-").expect("a temporary folder");
        std::fs::write(folder.path().join("Dockerfile"), dockerfile).expect("it can be written");
        let words = ["build", "--quiet", "--tag", image].map(OsStr::new);
        let words = [&words[..], &[folder.path().as_os_str()]].concat();
        let said = self.command(&words).output().expect("the engine starts");
        assert!(said.status.success(), "no image {image}: {said:?}");
    }

    /// Its command with all options, for scripts.
    pub fn words(&self) -> &[String] {
        &self.base
    }

    /// What the engine says of an image, by a template.
    pub fn inspect(&self, image: &str, template: &str) -> String {
        let words = ["image", "inspect", "--format", template, image];
        let said = self.command(&words).output().expect("the engine starts");
        assert!(said.status.success(), "no image {image}: {said:?}");
        String::from_utf8_lossy(&said.stdout).trim().to_owned()
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
        words.extend(options);
        words.push(image);
        words.extend(command);
        Running::start(self.command(&words))
    }

    /// Podman plays a pod of Kubernetes that has one container, to its end.
    pub fn play(&self, pod: &Path, container: &str) -> Said {
        let run = |words: &[&OsStr]| self.command(words).output().expect("the engine starts");
        let played = run(&["kube".as_ref(), "play".as_ref(), pod.as_ref()]);
        assert!(played.status.success(), "{played:?}");
        let ended = run(&["wait".as_ref(), container.as_ref()]);
        let code = String::from_utf8_lossy(&ended.stdout).trim().parse();
        let said = Said::from(run(&["logs".as_ref(), container.as_ref()]));
        // The next pod has new volumes.
        run(&["kube".as_ref(), "down".as_ref(), pod.as_ref()]);
        run(&["volume".as_ref(), "prune".as_ref(), "-f".as_ref()]);
        Said {
            code: code.expect("an exit code"),
            ..said
        }
    }

    fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(&self.base[0]);
        command
            .args(&self.base[1..])
            .args(arguments)
            .env("HOME", self.folder.path())
            .env("CONTAINERS_CONF", self.folder.path().join(CONFIGURATION))
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
