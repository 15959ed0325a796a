//! Programs without a sandbox: what they leave, and what is left of them.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sandbox::{Cleanup, Helper, Here, Program, Status, Stream, Streams, User};
use tempfile::TempDir;

use crate::world::{eventually, processes_with};

/// A folder to be emptied, one to be removed, and the helper that does both.
struct Ground {
    folder: TempDir,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["emptied", "removed"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn start(&self) -> Here {
        let lock = fs::File::open(self.path("emptied")).unwrap();
        lock.lock().unwrap();
        let cleanup = Cleanup {
            emptied: vec![self.path("emptied")],
            removed: vec![self.path("removed")],
        };
        Here::start(&Helper(crate::world::program()), cleanup, lock.into()).unwrap()
    }

    fn is_locked(&self) -> bool {
        let file = fs::File::open(self.path("emptied")).unwrap();
        file.try_lock().is_err()
    }
}

fn script(text: &str, cwd: &Path) -> Program {
    Program {
        argv: ["sh", "-c", text].map(Into::into).into(),
        env: [("PATH".into(), "/usr/bin:/bin".into())].into(),
        cwd: cwd.to_owned(),
        user: None,
    }
}

/// How a program ended, and what it printed.
fn run(here: &Here, program: &Program) -> (Status, String) {
    let (mut lines, writer) = std::io::pipe().unwrap();
    let streams = Streams {
        stdin: Stream::Null,
        stderr: Stream::File(writer.try_clone().unwrap().into()),
        stdout: Stream::File(writer.into()),
    };
    here.spawn(program, streams).unwrap();
    let mut text = String::new();
    lines.read_to_string(&mut text).unwrap();
    (here.wait().unwrap(), text)
}

fn quiet() -> Streams {
    Streams {
        stdin: Stream::Null,
        stdout: Stream::Null,
        stderr: Stream::Null,
    }
}

#[test]
fn programs_one_after_the_other() {
    let ground = Ground::new();
    let here = ground.start();
    let emptied = ground.path("emptied");
    let (status, text) = run(
        &here,
        &script("pwd; umask; env | sort | head -3; exit 7", &emptied),
    );
    assert_eq!(status, Status::Exited(7));
    assert_eq!(
        text,
        format!(
            "{0}\n0022\nPATH=/usr/bin:/bin\nPWD={0}\n",
            emptied.display()
        )
    );
    let (status, _) = run(&here, &script("kill -KILL $$", &emptied));
    assert_eq!(status, Status::Signaled(9));
    let error = here
        .spawn(
            &Program {
                argv: vec!["/no/such/program".into()],
                ..script("", &emptied)
            },
            quiet(),
        )
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "could not start /no/such/program in the sandbox: No such file or directory (os error 2)"
    );
    // And it goes on after that.
    assert_eq!(run(&here, &script("true", &emptied)).0, Status::Exited(0));
}

#[test]
fn root_becomes_another_user_who_gains_nothing() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let ground = Ground::new();
    let here = ground.start();
    let program = Program {
        user: Some(User::CNB),
        ..script(
            "id -u; id -g; id -G; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status",
            Path::new("/"),
        )
    };
    let (status, text) = run(&here, &program);
    assert_eq!(status, Status::Exited(0));
    assert_eq!(
        text,
        "1000\n1000\n1000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n"
    );
}

#[test]
fn what_a_program_leaves_running_ends_with_it() {
    let ground = Ground::new();
    let here = ground.start();
    let word = "98765.41";
    // A daemon: in a session of its own, its parent gone.
    let text = format!("(trap '' TERM HUP; setsid sleep {word} >/dev/null 2>&1 &); exit 3");
    let (status, _) = run(&here, &script(&text, &ground.path("emptied")));
    assert_eq!(status, Status::Exited(3));
    assert_eq!(processes_with(word), [0; 0]);
}

#[test]
fn the_end_of_the_caller_ends_and_empties_everything() {
    let ground = Ground::new();
    let emptied = ground.path("emptied");
    fs::set_permissions(&emptied, fs::Permissions::from_mode(0o1777)).unwrap();
    let here = ground.start();
    fs::set_permissions(&emptied, fs::Permissions::from_mode(0o755)).unwrap();
    let word = "98765.42";
    let text = format!(
        "mkdir -p closed/inner; touch closed/inner/file; ln -s /etc link; chmod 500 closed/inner closed; \
         touch ../removed/file; setsid sleep {word} & sleep {word}"
    );
    here.spawn(&script(&text, &emptied), quiet()).unwrap();
    eventually("the programs run", || processes_with(word).len() == 2);
    assert!(ground.is_locked());

    // Its socket closes, as by kill -9.
    drop(here);
    assert_eq!(processes_with(word), [0; 0]);
    assert_eq!(fs::read_dir(&emptied).unwrap().count(), 0);
    assert!(!ground.path("removed").try_exists().unwrap());
    let mode = fs::metadata(&emptied).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o1777, "the mode that was found is back");
    assert!(!ground.is_locked(), "the next one may begin");
    assert!(Path::new("/etc/passwd").try_exists().unwrap());
}
