//! A small root to run things in, and the ways to call a sandbox: from this process, from a program that can be killed,
//! as this user or as an ordinary one.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use sandbox::{
    Access, Helper, Mount, OverlayDirs, Owner, Root, RootEmulation, Sandbox, Status, Streams, User,
};
use tempfile::TempDir;

/// Nobody's number on the machines that run these tests.
pub(crate) const ORDINARY: u32 = 54321;

/// Who calls the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    Me,
    Ordinary,
}

/// Everyone whom this process can be.
pub(crate) fn callers() -> Vec<Caller> {
    if rustix::process::geteuid().is_root() {
        vec![Caller::Me, Caller::Ordinary]
    } else {
        vec![Caller::Me]
    }
}

/// A scratch folder with a root made of the host's /usr, and an overlay's folders.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    caller: Caller,
}

pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) owners: BTreeMap<PathBuf, Owner>,
}

impl World {
    pub(crate) fn new(caller: Caller) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let world = Self { folder, caller };
        for name in ["root", "root/usr", "root/etc", "upper", "work"] {
            world.make(name);
        }
        for name in ["bin", "lib", "lib64"] {
            symlink(format!("usr/{name}"), world.path("root").join(name)).unwrap();
        }
        place_program(&world.path("sandbox-run"));
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A folder that belongs to the caller.
    pub(crate) fn make(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        self.give(&path);
        path
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        self.give(&path);
        path
    }

    fn give(&self, path: &Path) {
        if self.caller == Caller::Ordinary {
            chown(path, Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
    }

    pub(crate) fn sandbox(&self) -> Sandbox {
        let mut sandbox = Sandbox::new(Root::Overlay(OverlayDirs {
            lowers: vec![self.path("root")],
            upper: self.path("upper"),
            work: self.path("work"),
        }));
        sandbox.mounts.push(Mount::Bind {
            source: PathBuf::from("/usr"),
            target: PathBuf::from("/usr"),
            access: Access::ReadOnly,
        });
        sandbox.env =
            BTreeMap::from([(OsString::from("PATH"), OsString::from("/usr/bin:/usr/sbin"))]);
        sandbox.helper = Helper(program());
        sandbox
    }

    pub(crate) fn emulated(&self, known: &[(&str, Owner)]) -> Sandbox {
        let mut sandbox = self.sandbox();
        sandbox.user = User::ROOT;
        sandbox.root_emulation = RootEmulation::On {
            known_owners: known
                .iter()
                .map(|(path, owner)| (PathBuf::from(path), *owner))
                .collect(),
        };
        sandbox
    }

    /// Runs a shell script, by way of the program, as the world's caller.
    pub(crate) fn run(&self, sandbox: &Sandbox, script: &str) -> Outcome {
        let out = self.make_out();
        let output = self
            .command(sandbox, &out, script)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Outcome {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            owners: fs::read(&out)
                .ok()
                .filter(|bytes| !bytes.is_empty())
                .map(|bytes| serde_json::from_slice(&bytes).unwrap())
                .unwrap_or_default(),
        }
    }

    /// The program, ready to be started.
    pub(crate) fn command(&self, sandbox: &Sandbox, out: &Path, script: &str) -> Command {
        let spec = self.path("spec.json");
        fs::write(&spec, serde_json::to_vec(sandbox).unwrap()).unwrap();
        let mut command = Command::new(self.path("sandbox-run"));
        command.arg(&spec).arg(out).args(["sh", "-c", script]);
        if self.caller == Caller::Ordinary {
            command.uid(ORDINARY).gid(ORDINARY);
        }
        command
    }

    fn make_out(&self) -> PathBuf {
        self.write("out.json", "")
    }
}

/// Runs a shell script from this process.
pub(crate) fn run_here(sandbox: &Sandbox, script: &str) -> (Status, String) {
    let mut child = sandbox
        .spawn(&["sh", "-c", script], Streams::piped())
        .unwrap();
    let mut text = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    (child.wait().unwrap().status, text)
}

pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_sandbox-run"))
}

/// Puts the program where an ordinary user can start it. Another thread's child may hold a copy open for writing between its fork
/// and its exec, and then the kernel does not start it; so it is written elsewhere, once, and linked.
fn place_program(path: &Path) {
    static COPY: LazyLock<TempDir> = LazyLock::new(|| {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let copied = Command::new("cp")
            .arg(program())
            .arg(folder.path().join("program"))
            .status();
        assert!(copied.unwrap().success());
        folder
    });
    fs::hard_link(COPY.path().join("program"), path).unwrap();
}

/// The processes whose command line has this word.
pub(crate) fn processes_with(word: &str) -> Vec<u32> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let pid = entry.unwrap().file_name().to_str()?.parse().ok()?;
            let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            String::from_utf8_lossy(&line)
                .split('\0')
                .any(|argument| argument == word)
                .then_some(pid)
        })
        .collect()
}

/// Waits until it is true; says so if it never is.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..500 {
        if is() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("never: {what}");
}
