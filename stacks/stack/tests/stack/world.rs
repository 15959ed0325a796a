//! A store of its own for each test, with everybody's downloads in it, and the program that works on it.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;

use debian::mirror::MirrorSettings;
use oci_image::{BlobDigest, Image};
use stack::{Lock, LockedPackage};
use tempfile::TempDir;

/// Nobody's number on the machines that run these tests.
pub(crate) const ORDINARY: u32 = 54321;

/// A small stack: Debian's essential packages, and one more in the build image.
const SMALL: [(&str, &str); 2] = [
    (RUN_PACKAGES_START, "\"ca-certificates\", \"libc6\"]\n"),
    (BUILD_PACKAGES_START, "\"make\"]\n"),
];
const RUN_PACKAGES_START: &str = "packages = [\n  \"ca-certificates\",";
const BUILD_PACKAGES_START: &str = "packages = [\n  \"g++\",";

/// Only one test at a time: each uses all cores, and some measure what is left running.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) struct World {
    folder: TempDir,
    user: Option<u32>,
    _turn: std::sync::MutexGuard<'static, ()>,
}

/// An image as `stack-run create` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) manifest: String,
    pub(crate) tree: PathBuf,
}

impl World {
    /// The trixie stack, made by this user.
    pub(crate) fn new() -> Self {
        Self::of(None, false)
    }

    /// A small stack, made by this user.
    pub(crate) fn small() -> Self {
        Self::of(None, true)
    }

    /// The trixie stack, made by a user who owns nothing else. Only root can become one.
    pub(crate) fn ordinary() -> Option<Self> {
        let root = rustix::process::geteuid().is_root();
        root.then(|| Self::of(Some(ORDINARY), false))
    }

    fn of(user: Option<u32>, small: bool) -> Self {
        let turn = TURN
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let world = Self {
            folder,
            user,
            _turn: turn,
        };
        for name in [
            "data",
            "cache",
            "cache/downloads",
            "cache/downloads/sha256",
            "stack",
        ] {
            fs::create_dir(world.path(name)).unwrap();
            world.give(&world.path(name));
        }
        link_all(&shared_downloads(), &world.downloads());
        let trixie = Path::new(env!("CARGO_MANIFEST_DIR")).join("../trixie");
        for entry in fs::read_dir(&trixie).unwrap() {
            let name = entry.unwrap().file_name();
            fs::copy(trixie.join(&name), world.path("stack").join(&name)).unwrap();
        }
        fs::copy(program(), world.path("stack-run")).unwrap();
        if small {
            world.shrink();
        }
        world
    }

    fn shrink(&self) {
        let mut text = self.read("stack/stack.toml");
        for (start, packages) in SMALL {
            let at = text.find(start).unwrap();
            let end = at + text[at..].find("]\n").unwrap() + 2;
            text.replace_range(at..end, &format!("packages = [{packages}"));
        }
        self.write("stack/stack.toml", &text);
        let lock = self.run(&["lock"]);
        self.write("stack/stack.lock", &stdout(&lock));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn downloads(&self) -> PathBuf {
        self.path("cache/downloads/sha256")
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.give(&self.path(name));
    }

    fn give(&self, path: &Path) {
        if let Some(user) = self.user {
            chown(path, Some(user), Some(user)).unwrap();
        }
    }

    /// `stack-run COMMAND FOLDER DATA CACHE [OPTION…]`.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path("stack-run"));
        command
            .arg(arguments[0])
            .args(["stack", "data", "cache"].map(|name| self.path(name)))
            .args(&arguments[1..])
            .env_clear()
            .current_dir("/");
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// The same, started by another program with these arguments before it.
    pub(crate) fn wrapped(
        &self,
        wrapper: &str,
        before: &[&str],
        program: &OsStr,
        arguments: &[OsString],
    ) -> Command {
        let mut command = Command::new(wrapper);
        command
            .args(before)
            .arg(program)
            .args(arguments)
            .env_clear()
            .current_dir("/");
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// A package of the stack's lock.
    pub(crate) fn locked(&self, name: &str) -> LockedPackage {
        let lock = Lock::parse(&self.read("stack/stack.lock"), Path::new("stack.lock")).unwrap();
        lock.packages
            .into_iter()
            .find(|package| package.name == name)
            .unwrap()
    }

    /// A copy of the machine's mirror in a folder: the release file, and these files of the pool.
    pub(crate) fn mirror(world: &Self, pool: &[&str]) -> PathBuf {
        let client = fetch::Client::new(fetch::Config::default()).unwrap();
        let found = debian::mirror::find(&client, &MirrorSettings::default(), "trixie").unwrap();
        let folder = world.path("mirror");
        for path in ["dists/trixie/InRelease"].iter().chain(pool) {
            let mut url = found.main.clone();
            url.path_segments_mut()
                .unwrap()
                .pop_if_empty()
                .extend(path.split('/'));
            let file = folder.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, client.get(&url, 100 << 20).unwrap()).unwrap();
        }
        folder
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let output = self.command(arguments).output().unwrap();
        link_all(&self.downloads(), &shared_downloads());
        output
    }

    /// Makes the stack; the build image and the run image.
    #[track_caller]
    pub(crate) fn create(&self, options: &[&str]) -> [Made; 2] {
        let output = self.run(&[&["create"], options].concat());
        assert!(output.status.success(), "{}", stderr(&output));
        parse(&stdout(&output))
    }

    /// Makes the stack and fails; the message.
    #[track_caller]
    pub(crate) fn create_fails(&self, options: &[&str]) -> String {
        let output = self.run(&[&["create"], options].concat());
        assert!(!output.status.success(), "{}", stdout(&output));
        stderr(&output)
    }

    /// The image, its layers' bytes in the store.
    pub(crate) fn image(&self, made: &Made) -> Image {
        let manifest: BlobDigest = made.manifest.parse().unwrap();
        oci_image::read_image(&self.path("data/blobs/sha256"), &manifest).unwrap()
    }
}

pub(crate) fn parse(text: &str) -> [Made; 2] {
    let made: Vec<Made> = text
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            Made {
                name: words[0].to_owned(),
                manifest: words[1].to_owned(),
                tree: PathBuf::from(words[4]),
            }
        })
        .collect();
    made.try_into().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_stack-run"))
}

fn shared_downloads() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("stack-downloads");
    fs::create_dir_all(&path).unwrap();
    path
}

/// Everything that is in one folder, in the other too.
fn link_all(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let whole = entry.file_name().len() == 64;
        let target = to.join(entry.file_name());
        if whole && !target.try_exists().unwrap() {
            fs::hard_link(entry.path(), target).unwrap();
        }
    }
}
