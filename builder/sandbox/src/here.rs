//! Programs where the kernel refuses a sandbox: the container around us is the only fence, and the helper holds the reins.
//!
//! ```text
//! caller ── socket ──> helper: takes orphans in, ends everyone when the caller is gone, then empties the folders of the work
//!                        └──> the program, as another user if the caller is root
//! ```
//!
//! Whatever ends the caller, even `SIGKILL`, closes the socket: the programs end and the folders are emptied all the same. Nothing is
//! removed but what came into these folders after the caller had found them empty, under a lock that the helper keeps to its own end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};

use crate::child::{Direction, HelperProcess, Status, Streams};
use crate::error::{Failure, SandboxError};
use crate::init::reap;
use crate::spec::{Helper, User};
use crate::wire::{Order, Report, raw, receive, send};

/// How long killed programs may take to be gone. Longer means that they cannot be killed at all.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is taken away when the work is over, however it ends.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Cleanup {
    /// Folders that are emptied, and get the owner and the mode back that they have now.
    #[serde(with = "raw::paths")]
    pub emptied: Vec<PathBuf>,
    /// Folders that go.
    #[serde(with = "raw::paths")]
    pub removed: Vec<PathBuf>,
}

/// A program that runs here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Program {
    /// Its path and arguments.
    pub argv: Vec<OsString>,
    /// The whole environment.
    #[serde(with = "raw::map")]
    pub env: BTreeMap<OsString, OsString>,
    /// Where it starts.
    #[serde(with = "raw::path")]
    pub cwd: PathBuf,
    /// Who it becomes; `None` is whoever the caller is. Only root can become somebody else.
    pub user: Option<User>,
}

/// The helper that runs programs here, one after the other. Dropping it ends them and cleans up.
#[derive(Debug)]
pub struct Here {
    helper: HelperProcess,
}

impl Here {
    /// Starts the helper. It keeps `lock` open until everything is cleaned up.
    pub fn start(helper: &Helper, cleanup: Cleanup, lock: OwnedFd) -> Result<Self, SandboxError> {
        let helper = HelperProcess::start(helper)?;
        helper.order(&Order::Keep(cleanup), &[lock.as_fd()])?;
        started(&helper)?;
        Ok(Self { helper })
    }

    /// Starts a program; [`Here::wait`] has to come before the next one.
    pub fn spawn(&self, program: &Program, streams: Streams) -> Result<(), SandboxError> {
        let (stdin, _) = streams.stdin.open(Direction::ToChild)?;
        let (stdout, _) = streams.stdout.open(Direction::FromChild(1))?;
        let (stderr, _) = streams.stderr.open(Direction::FromChild(2))?;
        let theirs = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        self.helper
            .order(&Order::Start(Box::new(program.clone())), &theirs)?;
        started(&self.helper)
    }

    /// Waits until the program has ended. What it left running is killed then.
    pub fn wait(&self) -> Result<Status, SandboxError> {
        match self.helper.report()? {
            Report::Ended { status, .. } => Ok(status),
            Report::Failed(failure) => Err(failure.into()),
            _ => Err(SandboxError::Lost),
        }
    }
}

fn started(helper: &HelperProcess) -> Result<(), SandboxError> {
    match helper.report()? {
        Report::Started(_) => Ok(()),
        Report::Failed(failure) => Err(failure.into()),
        _ => Err(SandboxError::Lost),
    }
}

/// The helper's half: programs until the caller is gone, then order again. `lock` is held until this returns.
pub(crate) fn keep(caller: UnixStream, cleanup: Cleanup, lock: Vec<OwnedFd>) -> ExitCode {
    let found: Vec<(PathBuf, Option<Metadata>)> = cleanup
        .emptied
        .into_iter()
        .map(|folder| {
            let metadata = fs::metadata(&folder).ok();
            (folder, metadata)
        })
        .collect();
    let worked = serve(&caller);
    end_everyone();
    for (folder, metadata) in &found {
        empty(folder);
        if let Some(metadata) = metadata {
            restore(folder, metadata);
        }
    }
    for folder in &cleanup.removed {
        remove(folder);
    }
    drop(lock);
    match worked {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn serve(caller: &UnixStream) -> io::Result<()> {
    // What a program leaves behind, daemons included, becomes this process's child instead of pid 1's.
    nix::sys::prctl::set_child_subreaper(true)?;
    // The programs may be of the same user; none of them is to look into this process.
    nix::sys::prctl::set_dumpable(false)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let mut children = SigSet::empty();
    children.add(Signal::SIGCHLD);
    children.thread_block()?;
    let signals = SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
    send(caller, &Report::Started(Vec::new()), &[])?;
    while let Some((Order::Start(program), files)) = receive::<Order>(caller)? {
        let report = match start(&program, files) {
            Ok(pid) => {
                send(caller, &Report::Started(Vec::new()), &[])?;
                let Some(status) = attend(caller, pid, &signals)? else {
                    return Ok(());
                };
                end_everyone();
                Report::Ended {
                    status,
                    owners: BTreeMap::new(),
                }
            }
            Err(failure) => Report::Failed(failure),
        };
        send(caller, &report, &[])?;
    }
    Ok(())
}

fn start(program: &Program, files: Vec<OwnedFd>) -> Result<Pid, Failure> {
    let (Ok([stdin, stdout, stderr]), [path, arguments @ ..]) =
        (<[OwnedFd; 3]>::try_from(files), program.argv.as_slice())
    else {
        return Err(Failure::Program {
            program: String::new(),
            errno: libc::EINVAL,
        });
    };
    let mut command = Command::new(path);
    command
        .args(arguments)
        .env_clear()
        .envs(&program.env)
        .current_dir(&program.cwd)
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::from(stderr));
    if let Some(User { uid, gid }) = program.user {
        // The standard library gives root's other groups up as well.
        command.uid(uid).gid(gid);
    }
    give_up_privileges(&mut command);
    let child = command.spawn().map_err(|error| Failure::Program {
        program: Path::new(path).display().to_string(),
        errno: error.raw_os_error().unwrap_or(0),
    })?;
    Ok(Pid::from_raw(child.id().cast_signed()))
}

/// A session of its own, an end with the helper's, and nothing to be gained from set-user-ID programs. Becoming another user forgets
/// the second of these, so it comes after.
#[expect(
    unsafe_code,
    reason = "setsid and prctl are async-signal-safe, which is all that pre_exec asks"
)]
fn give_up_privileges(command: &mut Command) {
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
            nix::sys::prctl::set_no_new_privs()?;
            Ok(())
        });
    }
}

/// How the program ended; `None` if the caller went away before.
fn attend(caller: &UnixStream, program: Pid, signals: &SignalFd) -> io::Result<Option<Status>> {
    loop {
        let mut waiting = [
            PollFd::new(caller, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        match poll(&mut waiting, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let [from_caller, from_children] = waiting.map(|waited| !waited.revents().is_empty());
        if from_children {
            while let Ok(Some(_)) = signals.read_signal() {}
            if let Some(status) = reap(program) {
                return Ok(Some(status));
            }
        }
        // Nobody orders anything while a program runs: it is the end of the socket.
        if from_caller {
            return Ok(None);
        }
    }
}

/// Kills every child, and theirs as they become ours, until there is none.
fn end_everyone() {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        for child in children() {
            // It may have ended meanwhile; its number is not given away before it is waited for.
            kill(child, Signal::SIGKILL).ok();
        }
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Err(Errno::ECHILD) => return,
                Ok(status) if status.pid().is_some() => {}
                Err(Errno::EINTR) => {}
                // Those that are left are dying.
                _ => break,
            }
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The processes whose parent this one is, by `/proc/<pid>/stat`.
fn children() -> Vec<Pid> {
    let own = std::process::id();
    let processes = fs::read_dir("/proc").into_iter().flatten();
    processes
        .filter_map(Result::ok)
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            fs::read(format!("/proc/{pid}/stat")).is_ok_and(|stat| parent_of(&stat) == Some(own))
        })
        .map(Pid::from_raw)
        .collect()
}

/// `pid (name) state ppid …`, where the name may hold anything (`proc_pid_stat(5)`).
fn parent_of(stat: &[u8]) -> Option<u32> {
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// What cannot be removed stays, and the next build says so.
fn empty(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        remove(&entry.path());
    }
}

fn remove(path: &Path) {
    let is_folder = fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    if is_folder {
        open_up(path);
        fs::remove_dir_all(path).ok();
    } else {
        fs::remove_file(path).ok();
    }
}

/// Folders without write permission, which installers make, keep their files even from their owner.
fn open_up(folder: &Path) {
    fs::set_permissions(folder, Permissions::from_mode(0o700)).ok();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_up(&entry.path());
        }
    }
}

fn restore(folder: &Path, found: &Metadata) {
    // Root alone gives folders away, and the caller changed the mode only of a folder that it owns.
    chown(folder, Some(found.uid()), Some(found.gid())).ok();
    fs::set_permissions(folder, Permissions::from_mode(found.mode() & 0o7777)).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parent_of_any_name() {
        for (stat, parent) in [
            ("17 (python) S 1 17 17 0 -1", Some(1)),
            // A process that calls itself so.
            ("17 (a) R 9 (b) S 4 17 17", Some(4)),
            ("17 (", None),
            ("", None),
        ] {
            assert_eq!(parent_of(stat.as_bytes()), parent, "{stat}");
        }
    }

    #[test]
    fn empty_takes_what_cannot_be_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::write(closed.join("file"), "x").unwrap();
        fs::set_permissions(&closed, Permissions::from_mode(0o500)).unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("link")).unwrap();
        empty(folder.path());
        assert_eq!(folder.path().read_dir().unwrap().count(), 0);
        assert!(Path::new("/etc/passwd").try_exists().unwrap());
    }
}
