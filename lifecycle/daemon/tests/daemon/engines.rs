//! Real daemons beside the test, and clients of them.

use std::{
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use daemon::Daemon;

use crate::fixture::client;

pub(crate) struct Engine {
    daemon: test_servers::daemon::Daemon,
}

impl Engine {
    /// Debian's dockerd.
    pub(crate) fn docker() -> Option<Self> {
        Self::of(test_servers::daemon::Daemon::docker(&[]))
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
        let more = ["--feature=containerd-snapshotter"];
        Self::of(test_servers::daemon::Daemon::docker(&more))
    }

    /// Podman's service, which speaks Docker's API.
    pub(crate) fn podman() -> Option<Self> {
        Self::of(test_servers::daemon::Daemon::podman())
    }

    fn of(daemon: Option<test_servers::daemon::Daemon>) -> Option<Self> {
        daemon.map(|daemon| Self { daemon })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.daemon.folder()
    }

    pub(crate) fn host(&self) -> String {
        self.daemon.host()
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
            .env("HOME", self.folder())
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
