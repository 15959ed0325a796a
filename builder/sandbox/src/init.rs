//! Pid 1 of the sandbox: makes its world, starts the program, reaps orphans, passes signals on.
//!
//! It ends when the program has ended or when the helper is gone, and then the kernel kills whatever is left.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal as NixSignal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};

use crate::child::Status;
use crate::error::Failure;
use crate::mounts::enter_world;
use crate::seccomp::install_filter;
use crate::user::drop_privileges;
use crate::wire::{Order, Report, Request, receive, send};

/// Pid 1's whole life.
pub(crate) fn run(helper: UnixStream, request: Request, files: Vec<OwnedFd>) -> ExitCode {
    // Two ways to end with the helper: this one, and the end of the socket.
    nix::sys::prctl::set_pdeathsig(NixSignal::SIGKILL).ok();
    match prepare(&helper, &request).and_then(|made| Ok((made, start(&request, files)?))) {
        Ok((mount_points, (program, signals))) => {
            if send(&helper, &Report::Started(mount_points), &[]).is_err() {
                return ExitCode::FAILURE;
            }
            attend(&helper, program, &signals)
        }
        Err(failure) => {
            send(&helper, &Report::Failed(failure), &[]).ok();
            ExitCode::FAILURE
        }
    }
}

/// Mounts, privileges, filter: in this order, since each step forbids the one before it.
fn prepare(helper: &UnixStream, request: &Request) -> Result<Vec<PathBuf>, Failure> {
    let sandbox = &request.sandbox;
    let mount_points = enter_world(sandbox)?;
    std::env::set_current_dir(&sandbox.cwd)
        .map_err(Failure::step_io(format!("enter {}", sandbox.cwd.display())))?;
    drop_privileges(sandbox.user)?;
    // Nobody in the sandbox is to look into init, which is its own uid.
    nix::sys::prctl::set_dumpable(false).ok();
    let listener = install_filter(&sandbox.root_emulation, sandbox.syncs)
        .map_err(Failure::step("install the seccomp filter"))?;
    if let Some(listener) = listener {
        let root = open_root().map_err(Failure::step("open the sandbox's root"))?;
        send(
            helper,
            &Report::Listening,
            &[listener.as_fd(), root.as_fd()],
        )
        .map_err(Failure::step_io("hand over the seccomp listener"))?;
    }
    Ok(mount_points)
}

/// For the helper, which could not open `/proc/<init>/root`: init is not to be looked into.
fn open_root() -> rustix::io::Result<OwnedFd> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open("/", folder, Mode::empty())
}

fn start(request: &Request, files: Vec<OwnedFd>) -> Result<(Pid, SignalFd), Failure> {
    let Ok([stdin, stdout, stderr]) = <[OwnedFd; 3]>::try_from(files) else {
        return Err(Failure::Step {
            action: "receive the program's three standard streams".to_owned(),
            errno: libc::EBADF,
        });
    };
    // Blocked before the program starts, so that its end cannot be missed. The standard library unblocks it in the child.
    let mut children = SigSet::empty();
    children.add(NixSignal::SIGCHLD);
    let signals = children
        .thread_block()
        .and_then(|()| {
            SignalFd::with_flags(&children, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        })
        .map_err(|errno| Failure::Step {
            action: "watch for the program's end".to_owned(),
            errno: errno as i32,
        })?;
    let [program, arguments @ ..] = request.argv.as_slice() else {
        return Err(Failure::Program {
            program: String::new(),
            errno: libc::ENOENT,
        });
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(&request.sandbox.env)
        .stdin(Stdio::from(stdin))
        .stdout(Stdio::from(stdout))
        .stderr(Stdio::from(stderr));
    own_session(&mut command);
    let child = command.spawn().map_err(|error| Failure::Program {
        program: Path::new(program).display().to_string(),
        errno: error.raw_os_error().unwrap_or(0),
    })?;
    Ok((Pid::from_raw(child.id().cast_signed()), signals))
}

/// A session of its own keeps the program away from the terminal's control, and makes it the head of a process group.
#[expect(
    unsafe_code,
    reason = "setsid is async-signal-safe, which is all that pre_exec asks"
)]
fn own_session(command: &mut Command) {
    unsafe {
        command.pre_exec(|| {
            nix::unistd::setsid()?;
            Ok(())
        });
    }
}

fn attend(helper: &UnixStream, program: Pid, signals: &SignalFd) -> ExitCode {
    loop {
        let mut waiting = [
            PollFd::new(helper, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
        ];
        match poll(&mut waiting, None) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return ExitCode::FAILURE,
            Ok(_) => {}
        }
        let [from_helper, from_children] = waiting.map(|waited| !waited.revents().is_empty());
        if from_children {
            while let Ok(Some(_)) = signals.read_signal() {}
            if let Some(status) = reap(program) {
                return end(helper, status);
            }
        }
        if from_helper && !pass_signal_on(helper, program) {
            return ExitCode::FAILURE;
        }
    }
}

/// Takes the dead away; says how the program ended if it is among them.
pub(crate) fn reap(program: Pid) -> Option<Status> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == program => {
                return Some(Status::Exited(code));
            }
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == program => {
                return Some(Status::Signaled(signal as i32));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return None,
            // `Err`: also a real-time signal, which nix has no name for; its process is gone all the same.
            Ok(_) | Err(_) => {}
        }
    }
}

fn pass_signal_on(helper: &UnixStream, program: Pid) -> bool {
    let Ok(Some((Order::Signal { signal, group }, _))) = receive::<Order>(helper) else {
        return false;
    };
    // A signal that does not exist, or a program that has just ended: nobody is waiting for an answer.
    if let Ok(signal) = NixSignal::try_from(signal) {
        let target = if group {
            Pid::from_raw(-program.as_raw())
        } else {
            program
        };
        nix::sys::signal::kill(target, signal).ok();
    }
    true
}

fn end(helper: &UnixStream, status: Status) -> ExitCode {
    // Everyone else, before owners are looked up: nobody renames files any more.
    nix::sys::signal::kill(Pid::from_raw(-1), NixSignal::SIGKILL).ok();
    while !matches!(waitpid(None, None), Err(Errno::ECHILD)) {}
    let ended = Report::Ended {
        status,
        owners: std::collections::BTreeMap::new(),
    };
    if send(helper, &ended, &[]).is_err() {
        return ExitCode::FAILURE;
    }
    // The helper still needs this process's root; the end of the socket says that it is done.
    receive::<Order>(helper).ok();
    ExitCode::SUCCESS
}
