//! Runs a buildpack's own program as a lifecycle would, with this machine's Python, package index and Debian mirror.
//! Included by the buildpacks' tests with `#[path]`: a test's harness is part of the test.

#![expect(clippy::unwrap_used, reason = "tests stop where something is wrong")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

/// A build's places, in a scratch folder.
pub(crate) struct Build {
    pub(crate) root: tempfile::TempDir,
    pub(crate) variables: Vec<(String, String)>,
    /// Put in front of PATH.
    pub(crate) path: Option<PathBuf>,
}

/// What a phase said.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) log: String,
    pub(crate) errors: String,
}

/// Variables of this machine that say how to reach the package index; a platform passes them on.
const PASSED_ON: [&str; 12] = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "PIP_CERT",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "no_proxy",
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "UV_DEFAULT_INDEX",
];

/// Whether the package index answers; says loudly where it does not.
pub(crate) fn index_is_reachable() -> bool {
    static REACHABLE: LazyLock<bool> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        (0..3).any(|_| {
            Command::new("python3")
                .args([
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--no-deps",
                    "--disable-pip-version-check",
                    "idna==3.10",
                    "--dest",
                ])
                .arg(folder.path())
                .status()
                .is_ok_and(|status| status.success())
        })
    });
    if !*REACHABLE {
        test_skip::because("python3 -m pip cannot reach a package index from here");
    }
    *REACHABLE
}

impl Build {
    /// `program` is the buildpack's, `manifest_dir` the folder of its `buildpack.toml`.
    pub(crate) fn new(program: &str, manifest_dir: &str, files: &[(&str, &[u8])]) -> Self {
        let build = Self {
            root: tempfile::tempdir().unwrap(),
            variables: PASSED_ON
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)))
                .collect(),
            path: None,
        };
        for folder in ["app", "layers", "platform/env", "buildpack", "bin", "home"] {
            fs::create_dir_all(build.path(folder)).unwrap();
        }
        for (name, text) in files {
            build.write(name, text);
        }
        let manifest = Path::new(manifest_dir).join("buildpack.toml");
        fs::copy(manifest, build.path("buildpack/buildpack.toml")).unwrap();
        for phase in ["detect", "build"] {
            symlink(program, build.path("bin").join(phase)).unwrap();
        }
        fs::write(build.path("plan.toml"), "").unwrap();
        build
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.root.path().join(below)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path("app").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn detect(&self) -> Ran {
        self.run(
            "detect",
            &[self.path("platform"), self.path("detected.toml")],
        )
    }

    pub(crate) fn build(&self) -> Ran {
        self.take_types_away();
        self.run(
            "build",
            &[
                self.path("layers"),
                self.path("platform"),
                self.path("plan.toml"),
            ],
        )
    }

    fn run(&self, phase: &str, arguments: &[PathBuf]) -> Ran {
        for (name, value) in &self.variables {
            fs::write(self.path("platform/env").join(name), value).unwrap();
        }
        let path = std::env::var("PATH").unwrap();
        let path = match &self.path {
            Some(first) => format!("{}:{path}", first.display()),
            None => path,
        };
        let output = Command::new(self.path("bin").join(phase))
            .args(arguments)
            .env_clear()
            .envs([
                ("PATH", path.as_str()),
                ("CNB_TARGET_OS", "linux"),
                ("CNB_TARGET_ARCH", "amd64"),
            ])
            .envs([
                ("CNB_TARGET_DISTRO_NAME", "debian"),
                ("CNB_TARGET_DISTRO_VERSION", "13"),
            ])
            .env("CNB_BUILDPACK_DIR", self.path("buildpack"))
            .env("HOME", self.path("home"))
            .current_dir(self.path("app"))
            .output()
            .unwrap();
        Ran {
            code: output.status.code(),
            log: String::from_utf8(output.stdout).unwrap(),
            errors: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// As a restoring lifecycle does.
    fn take_types_away(&self) {
        for entry in fs::read_dir(self.path("layers")).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.extension().is_none_or(|extension| extension != "toml")
                || ["launch.toml", "store.toml", "build.toml"].contains(&name.as_str())
            {
                continue;
            }
            let Ok(text) = fs::read_to_string(&path) else {
                continue;
            };
            let mut table: toml::Table = text.parse().unwrap();
            table.remove("types");
            fs::write(path, table.to_string()).unwrap();
        }
    }
}

/// Every file below `folder`: name, permissions to execute, link target or content; the way to `folder` itself replaced.
pub(crate) fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut entries = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in fs::read_dir(current).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            let metadata = path.symlink_metadata().unwrap();
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_symlink() {
                entries.push((
                    name,
                    fs::read_link(path)
                        .unwrap()
                        .into_os_string()
                        .into_encoded_bytes(),
                ));
            } else {
                entries.push((name, fs::read(path).unwrap()));
            }
        }
    }
    entries.sort();
    entries
}
