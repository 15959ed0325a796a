//! A world: folders that a program sees at the same paths whichever lifecycle it is of, as the same user and with a network of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::statvfs::{FsFlags, statvfs};
use tempfile::TempDir;

use crate::base::{self, Places};
use crate::docker::{Docker, SOCKET};
use crate::fixture::{Action, By, Case, Step};
use crate::image::Aliases;
use crate::programs::{Lifecycle, Programs};
use crate::snapshot::{Ended, Snapshot};

/// What is written to and compared.
pub(crate) const COMPARED: &[&str] = &[
    "layers",
    "workspace",
    "cache",
    "launch-cache",
    "layout",
    "registry",
    "out",
];

/// What is only read.
const GIVEN: &[&str] = &["cnb", "platform", "etc", "home"];

/// The phases; all are one program.
const PHASES: &[&str] = &[
    "analyzer", "detector", "restorer", "builder", "exporter", "creator", "rebaser",
];

/// docker-registry in the network of the step: it is started before the program and ended after it, so that every world has it at the same
/// address. What it holds is in a folder.
const WITH_REGISTRY: &str = r#"
docker-registry serve /etc/registry.yml >/tmp/registry.log 2>&1 &
until (exec 3<>/dev/tcp/127.0.0.1/5000) 2>/dev/null; do sleep 0.02; done
"$@"
code=$?
kill %1
exit $code
"#;

const REGISTRY_YML: &str = "version: 0.1
storage: {filesystem: {rootdirectory: /registry}, delete: {enabled: true}}
http: {addr: '127.0.0.1:5000'}
log: {level: error, accesslog: {disabled: true}}
";

/// The folders of one lifecycle's run of one case.
#[derive(Debug)]
pub(crate) struct World<'a> {
    case: &'a Case,
    programs: &'a Programs,
    lifecycle: Lifecycle,
    docker: Option<&'a Docker>,
    scratch: TempDir,
    aliases: Aliases,
}

impl<'a> World<'a> {
    pub(crate) fn new(
        case: &'a Case,
        programs: &'a Programs,
        lifecycle: Lifecycle,
        docker: Option<&'a Docker>,
    ) -> Self {
        let scratch = TempDir::with_prefix_in("differential-", scratch_folder());
        let scratch = scratch.expect("a temporary folder");
        let world = Self {
            case,
            programs,
            lifecycle,
            docker,
            scratch,
            aliases: Aliases::default(),
        };
        for folder in COMPARED.iter().chain(GIVEN) {
            fs::create_dir(world.path(folder)).expect("a folder is made");
        }
        for (path, content) in [
            ("/etc/os-release", "ID=debian\nVERSION_ID=13\n"),
            (
                "/etc/passwd",
                "root:x:0:0::/root:/bin/sh\ncnb:x:1000:1000::/home:/bin/sh\n",
            ),
            ("/etc/group", "root:x:0:\ncnb:x:1000:\n"),
            ("/etc/hosts", "127.0.0.1 localhost\n"),
            ("/etc/registry.yml", REGISTRY_YML),
            ("/cnb/lifecycle/launcher", "#!/bin/sh\n"),
            (
                "/cnb/lifecycle/launcher.sbom.cdx.json",
                "{\"launcher\": \"cdx\"}\n",
            ),
            ("/platform/env/PLATFORM_VALUE", "from the platform"),
        ] {
            world.write(path, content);
        }
        for (path, content) in &case.files {
            world.write(path, content);
        }
        for image in &case.images {
            let places = Places {
                layout: &world.path("layout"),
                registry: &world.path("registry"),
                docker,
            };
            base::write(image, places);
        }
        world
    }

    fn path(&self, below: &str) -> PathBuf {
        self.scratch.path().join(below.trim_start_matches('/'))
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        let parent = path.parent().expect("a file is in a folder");
        fs::create_dir_all(parent).expect("a folder is made");
        fs::write(&path, content).expect("a file is written");
        let mode = if content.starts_with("#!") {
            0o755
        } else {
            0o644
        };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is ours");
    }

    /// Does a step, and looks at everything afterwards.
    pub(crate) fn run(&mut self, step: &Step) -> Snapshot {
        let lifecycle = match step.by {
            By::Own => self.lifecycle,
            By::Other => self.lifecycle.other(),
        };
        let mut command = self.sandbox(lifecycle, step);
        match &step.action {
            Action::Sh(script) => command.args(["/bin/bash", "-euc", script]),
            Action::Run(line) => {
                if self.case.registry {
                    command.args(["/bin/bash", "-c", WITH_REGISTRY, "bash"]);
                }
                let mut words = line.split_whitespace();
                let program = words.next().expect("a step names a program");
                command.arg(format!("/programs/{program}")).args(words)
            }
        };
        let output = command.output().expect("bubblewrap can be started");
        let ended = Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        };
        if matches!(step.action, Action::Sh(_)) {
            assert_eq!(ended.code, Some(0), "{}: {ended:?}", step.title());
        }
        Snapshot::take(self.scratch.path(), self.docker, ended, &mut self.aliases)
    }

    fn sandbox(&self, lifecycle: Lifecycle, step: &Step) -> Command {
        let mut command = Command::new(&self.programs.bwrap);
        command.args(["--unshare-all", "--die-with-parent", "--clearenv"]);
        let uid = step.uid.to_string();
        command.args(["--uid", &uid, "--gid", &uid]);
        command.args([
            "--ro-bind",
            "/usr",
            "/usr",
            "--proc",
            "/proc",
            "--dev",
            "/dev",
        ]);
        for name in ["bin", "sbin", "lib", "lib64"] {
            command.args(["--symlink", &format!("usr/{name}"), &format!("/{name}")]);
        }
        command.args(["--tmpfs", "/tmp"]);
        for name in COMPARED.iter().chain(GIVEN) {
            command
                .arg("--bind")
                .arg(self.path(name))
                .arg(format!("/{name}"));
        }
        if let Some(docker) = self.docker {
            command.arg("--bind").arg(docker.socket()).arg(SOCKET);
        }
        for name in ["lifecycle", "launcher"] {
            let program = self.programs.of(lifecycle, name);
            command
                .arg("--ro-bind")
                .arg(program)
                .arg(format!("/programs/{name}"));
        }
        for phase in PHASES {
            command.args(["--symlink", "lifecycle", &format!("/programs/{phase}")]);
        }
        command.args(["--chdir", "/workspace"]);
        let given = [
            ("PATH", "/usr/bin:/bin"),
            ("HOME", "/home"),
            ("CNB_PLATFORM_API", &self.case.platform_api),
            ("CNB_EXPERIMENTAL_MODE", "warn"),
            ("CNB_USER_ID", "1000"),
            ("CNB_GROUP_ID", "1000"),
        ];
        let own = step.env.iter();
        let all = given
            .into_iter()
            .chain(own.map(|(name, value)| (name.as_str(), value.as_str())));
        for (name, value) in all {
            if value == "(unset)" {
                command.args(["--unsetenv", name]);
            } else {
                command.args(["--setenv", name, value]);
            }
        }
        command.arg("--");
        command
    }
}

/// A world is small and both lifecycles sync what they write: in memory, where programs may be run there, that costs nothing.
fn scratch_folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    match statvfs(memory) {
        Ok(found) if !found.flags().contains(FsFlags::ST_NOEXEC) => memory.to_owned(),
        _ => std::env::temp_dir(),
    }
}
