//! A platform's folders in a scratch directory, buildpacks in bash, and the programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// Detector and builder refuse to run as root; as root, the tests run the programs as this user.
pub(crate) const USER: u32 = 1000;

/// The folders that a platform gives to the phases.
pub(crate) struct Fixture {
    scratch: TempDir,
    pub(crate) platform_api: &'static str,
}

/// What became of a program.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Fixture {
    pub(crate) fn new(platform_api: &'static str) -> Self {
        let scratch = tempfile::Builder::new().prefix("cnb").tempdir().unwrap();
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(scratch.path(), open).unwrap();
        let fixture = Self {
            scratch,
            platform_api,
        };
        for folder in [
            "app",
            "layers",
            "platform/env",
            "buildpacks",
            "config/env",
            "tmp",
        ] {
            fs::create_dir_all(fixture.path(folder)).unwrap();
        }
        fixture
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.scratch.path().join(below)
    }

    pub(crate) fn write(&self, below: &str, text: &str) -> PathBuf {
        let path = self.path(below);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn read(&self, below: &str) -> String {
        let path = self.path(below);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    pub(crate) fn there(&self, below: &str) -> bool {
        fs::symlink_metadata(self.path(below)).is_ok()
    }

    /// Makes a component buildpack of version 1. The scripts are bash.
    pub(crate) fn buildpack(&self, id: &str, api: &str, toml: &str, detect: &str, build: &str) {
        let dir = format!("buildpacks/{}/1", id.replace('/', "_"));
        let head = format!("api = \"{api}\"\n\n[buildpack]\nid = \"{id}\"\nversion = \"1\"\n");
        self.write(&format!("{dir}/buildpack.toml"), &(head + toml));
        for (name, script) in [("detect", detect), ("build", build)] {
            let text = format!("#!/usr/bin/env bash\nset -eu\n{script}\n");
            let path = self.write(&format!("{dir}/bin/{name}"), &text);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// Writes `order.toml`: a group a line, ids separated by spaces, a question mark for the optional ones.
    pub(crate) fn order(&self, groups: &[&str]) {
        self.write("layers/order.toml", &order_text(groups));
    }

    /// Runs a program with the platform's folders as flags, and `args`.
    pub(crate) fn run(&self, program: &str, args: &[&str]) -> Ended {
        self.run_with(program, args, &[])
    }

    /// The same with more in its environment.
    pub(crate) fn run_with(&self, program: &str, args: &[&str], env: &[(&str, &str)]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifecycle"));
        command.arg0(format!("/cnb/lifecycle/{program}")).args(args);
        self.finish(command, env)
    }

    /// Runs a bash script with the same environment.
    pub(crate) fn run_bash(&self, script: &Path) -> Ended {
        let mut command = Command::new("bash");
        command.arg(script);
        self.finish(command, &[])
    }

    fn finish(&self, mut command: Command, env: &[(&str, &str)]) -> Ended {
        let as_root = env.iter().find(|(name, _)| *name == "AS_ROOT");
        // Empty: the files are root's, too.
        let owner = match as_root {
            Some((_, "")) => 0,
            _ => USER,
        };
        let as_root = as_root.is_some();
        give_all(self.scratch.path(), owner);
        command.env_clear().envs(env.iter().copied());
        let path = std::env::var_os("PATH").unwrap();
        let defaults = [
            ("PATH", path),
            ("HOME", self.path("tmp").into()),
            ("TMPDIR", self.path("tmp").into()),
            ("CNB_PLATFORM_API", self.platform_api.into()),
            ("CNB_APP_DIR", self.path("app").into()),
            ("CNB_LAYERS_DIR", self.path("layers").into()),
            ("CNB_PLATFORM_DIR", self.path("platform").into()),
            ("CNB_BUILDPACKS_DIR", self.path("buildpacks").into()),
            ("CNB_BUILD_CONFIG_DIR", self.path("config").into()),
        ];
        for (name, value) in defaults {
            if env.iter().all(|(other, _)| *other != name) {
                command.env(name, value);
            }
        }
        command.current_dir(self.path("tmp"));
        let root = nix::unistd::getuid().is_root();
        if root && !as_root {
            command.uid(USER).gid(USER);
        }
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        if let Some((_, millis)) = env.iter().find(|(name, _)| *name == "KILLED_AFTER") {
            std::thread::sleep(Duration::from_millis(millis.parse().unwrap()));
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code(),
            signal: output.status.signal(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Runs a program that has to work.
    pub(crate) fn run_ok(&self, program: &str, args: &[&str]) -> String {
        let ended = self.run(program, args);
        assert_eq!(ended.code, Some(0), "{program}: {ended:?}");
        ended.stdout
    }
}

/// See [`Fixture::order`].
pub(crate) fn order_text(groups: &[&str]) -> String {
    let mut text = String::new();
    for group in groups {
        text += "[[order]]\n";
        for entry in group.split_whitespace() {
            let id = entry.trim_end_matches('?');
            let optional = entry.ends_with('?');
            let entry =
                format!("[[order.group]]\nid = \"{id}\"\nversion = \"1\"\noptional = {optional}\n");
            text += &entry;
        }
    }
    text
}

/// Gives everything to a user, where we may.
fn give_all(path: &Path, user: u32) {
    if nix::unistd::getuid().is_root() {
        std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                give_all(&entry.path(), user);
            } else {
                std::os::unix::fs::lchown(entry.path(), Some(user), Some(user)).unwrap();
            }
        }
    }
}
