//! The real `pack`, and the reference lifecycle, built from `tests/reference`: what most people make builders and builds with.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::engine::Engine;
use crate::running::Running;
use crate::skip;

/// `build.sh` says so where there is no Go.
const SKIPPED: i32 = 77;

/// `pack`, talking to a daemon of the test's own.
#[derive(Debug)]
pub struct Pack {
    reference: PathBuf,
    host: String,
    home: TempDir,
}

impl Pack {
    /// Builds it, once for all test runs; `None` where that cannot be done.
    pub fn new(engine: &Engine) -> Option<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let reference = root.join("target/reference");
        let built = Command::new(root.join("tests/reference/build.sh"))
            .arg(&reference)
            .output();
        let built = built.expect("bash starts");
        if built.status.code() == Some(SKIPPED) {
            skip::because("pack needs Go, which is not here");
            return None;
        }
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "tests/reference/build.sh: {said}");
        Some(Self {
            reference: reference.canonicalize().expect("it was just filled"),
            host: engine.host(),
            home: TempDir::with_prefix("longshore-pack-").expect("a temporary folder"),
        })
    }

    /// Starts it.
    pub fn start(&self, words: &[&str]) -> Running {
        Running::start(self.command(words))
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.reference.join("pack"));
        command
            .args(words)
            .env("PACK_HOME", self.home.path())
            .env("PACK_VOLUME_KEY", "test")
            .env("DOCKER_HOST", &self.host);
        command
    }

    /// Runs it; anything but success fails the test. Gives all that it said.
    pub fn run(&self, words: &[&str]) -> String {
        let said = self.command(words).output().expect("pack starts");
        let all = [said.stdout, said.stderr].concat();
        let all = String::from_utf8_lossy(&all).into_owned();
        assert!(said.status.success(), "pack {words:?}: {all}");
        all
    }

    /// The reference lifecycle as `[lifecycle] uri` takes it, with the `lifecycle.toml` and the SBOM files of another archive: both have the same
    /// APIs, and what differs in images is the programs.
    pub fn reference_lifecycle(&self, descriptor_of: &Path, archive: &Path) {
        let script = r#"
            set -eu
            folder=$(mktemp -d)
            tar -C "$folder" -xzf "$2" --wildcards lifecycle.toml 'lifecycle/*.sbom.*'
            cp "$1"/lifecycle "$1"/launcher "$folder/lifecycle/"
            for phase in analyzer builder creator detector exporter rebaser restorer; do
                ln -s lifecycle "$folder/lifecycle/$phase"
            done
            tar -C "$folder" -czf "$3" lifecycle.toml lifecycle
            rm -rf "$folder"
        "#;
        let status = Command::new("sh")
            .args(["-c", script, "sh"])
            .args([&self.reference, descriptor_of, archive])
            .status();
        assert!(status.expect("sh starts").success());
    }
}
