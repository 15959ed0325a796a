//! The caller's side: start a program in a sandbox, signal it, wait for it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::SandboxError;
use crate::files::{null_device, remove_mount_points};
use crate::helper::HELPER_NAME;
use crate::owners::Owner;
use crate::spec::{Access, Helper, Root, RootEmulation, Sandbox, User};
use crate::wire::{Order, Report, Request, receive, send};

impl Sandbox {
    /// Starts `argv` and returns when it runs, or with the reason why it could not.
    pub fn spawn<S: AsRef<OsStr>>(
        &self,
        argv: &[S],
        streams: Streams,
    ) -> Result<Child, SandboxError> {
        if matches!(self.root_emulation, RootEmulation::On { .. }) && self.user != User::ROOT {
            return Err(SandboxError::EmulationNeedsRoot);
        }
        let argv: Vec<OsString> = argv.iter().map(|word| word.as_ref().to_owned()).collect();
        if argv.is_empty() {
            return Err(SandboxError::NoProgram);
        }
        let (stdin, our_stdin) = streams.stdin.open(Direction::ToChild)?;
        let (stdout, our_stdout) = streams.stdout.open(Direction::FromChild(1))?;
        let (stderr, our_stderr) = streams.stderr.open(Direction::FromChild(2))?;

        let helper = HelperProcess::start(&self.helper)?;
        let request = Request {
            sandbox: self.clone(),
            argv,
        };
        let theirs = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
        helper.order(&Order::Run(Box::new(request)), &theirs)?;
        let mount_points = match helper.report()? {
            Report::Started(mount_points) => mount_points,
            Report::Failed(failure) => return Err(failure.into()),
            _ => return Err(SandboxError::Lost),
        };
        Ok(Child {
            stdin: our_stdin,
            stdout: our_stdout,
            stderr: our_stderr,
            helper,
            cleanup: self.writable_root().map(|root| (root, mount_points)),
        })
    }

    /// Where mount points that had to be made are found afterwards.
    fn writable_root(&self) -> Option<PathBuf> {
        match &self.root {
            Root::Overlay(dirs) => Some(dirs.upper.clone()),
            Root::Folder {
                path,
                access: Access::ReadWrite,
            } => Some(path.clone()),
            Root::Folder {
                access: Access::ReadOnly,
                ..
            } => None,
        }
    }
}

/// A program that runs in a sandbox. Dropping it kills the program and everything it started.
#[derive(Debug)]
pub struct Child {
    /// The end of [`Stream::Piped`] that is ours.
    pub stdin: Option<File>,
    /// The end of [`Stream::Piped`] that is ours.
    pub stdout: Option<File>,
    /// The end of [`Stream::Piped`] that is ours.
    pub stderr: Option<File>,
    helper: HelperProcess,
    cleanup: Option<(PathBuf, Vec<PathBuf>)>,
}

impl Child {
    /// Waits until the program has ended. What it left running is killed then.
    pub fn wait(mut self) -> Result<Finished, SandboxError> {
        drop(self.stdin.take());
        let report = self.helper.report();
        // The helper has no reason to stay, and its end is the end of every mount.
        self.helper.finish();
        if let Some((root, mount_points)) = self.cleanup.take() {
            remove_mount_points(&root, &mount_points);
        }
        match report? {
            Report::Ended { status, owners } => Ok(Finished { status, owners }),
            Report::Failed(failure) => Err(failure.into()),
            _ => Err(SandboxError::Lost),
        }
    }

    /// A handle that sends signals, for another thread.
    pub fn signaller(&self) -> Signaller {
        Signaller(Arc::clone(&self.helper.socket))
    }

    /// Kills the program and everything it started.
    pub fn kill(mut self) {
        self.helper.finish();
        if let Some((root, mount_points)) = self.cleanup.take() {
            remove_mount_points(&root, &mount_points);
        }
    }
}

/// Sends signals into a sandbox. After the program's end they go nowhere.
#[derive(Debug, Clone)]
pub struct Signaller(Arc<UnixStream>);

impl Signaller {
    /// Sends a signal to the program alone.
    pub fn signal(&self, signal: i32) -> Result<(), SandboxError> {
        self.send(signal, false)
    }

    /// Sends a signal to the program's process group, as a terminal does for Ctrl-C.
    pub fn signal_group(&self, signal: i32) -> Result<(), SandboxError> {
        self.send(signal, true)
    }

    fn send(&self, signal: i32, group: bool) -> Result<(), SandboxError> {
        match send(&self.0, &Order::Signal { signal, group }, &[]) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(SandboxError::Talk),
        }
    }
}

/// What a program left behind.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: Status,
    /// What the `chown` family asked for under root emulation, by the path at the end. Explicit root:root is listed too.
    pub owners: BTreeMap<PathBuf, Owner>,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// With this exit code.
    Exited(i32),
    /// By this signal.
    Signaled(i32),
}

impl Status {
    /// The code a shell would show: 128 and the signal's number for a signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signaled(signal) => 128 + signal,
        }
    }

    /// Whether it is exit code 0.
    pub fn success(self) -> bool {
        self == Self::Exited(0)
    }
}

/// The program's standard streams.
#[derive(Debug)]
pub struct Streams {
    /// What it reads.
    pub stdin: Stream,
    /// What it prints.
    pub stdout: Stream,
    /// What it complains about.
    pub stderr: Stream,
}

impl Streams {
    /// All three are the caller's.
    pub fn inherit() -> Self {
        Self {
            stdin: Stream::Inherit,
            stdout: Stream::Inherit,
            stderr: Stream::Inherit,
        }
    }

    /// Nothing to read; output and errors come through pipes.
    pub fn piped() -> Self {
        Self {
            stdin: Stream::Null,
            stdout: Stream::Piped,
            stderr: Stream::Piped,
        }
    }
}

/// Where one standard stream leads.
#[derive(Debug)]
pub enum Stream {
    /// Nowhere.
    Null,
    /// To where the caller's own leads.
    Inherit,
    /// To a pipe, whose other end is in [`Child`].
    Piped,
    /// To this open file.
    File(OwnedFd),
}

#[derive(Clone, Copy)]
pub(crate) enum Direction {
    ToChild,
    FromChild(u8),
}

impl Stream {
    /// The program's end, and ours.
    pub(crate) fn open(
        self,
        direction: Direction,
    ) -> Result<(OwnedFd, Option<File>), SandboxError> {
        let opened = match self {
            Self::Null => null_device().map(|file| (file, None)),
            Self::Inherit => match direction {
                Direction::ToChild => std::io::stdin().as_fd().try_clone_to_owned(),
                Direction::FromChild(1) => std::io::stdout().as_fd().try_clone_to_owned(),
                Direction::FromChild(_) => std::io::stderr().as_fd().try_clone_to_owned(),
            }
            .map(|file| (file, None)),
            Self::Piped => std::io::pipe().map(|(reader, writer)| match direction {
                Direction::ToChild => (reader.into(), Some(File::from(OwnedFd::from(writer)))),
                Direction::FromChild(_) => (writer.into(), Some(File::from(OwnedFd::from(reader)))),
            }),
            Self::File(file) => Ok((file, None)),
        };
        opened.map_err(SandboxError::Streams)
    }
}

/// The helper and the socket it lives by.
#[derive(Debug)]
pub(crate) struct HelperProcess {
    socket: Arc<UnixStream>,
    process: std::process::Child,
}

impl HelperProcess {
    pub(crate) fn start(Helper(program): &Helper) -> Result<Self, SandboxError> {
        let failed = |source| SandboxError::StartHelper {
            program: program.clone(),
            source,
        };
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        // The socket is the helper's standard input: no descriptor has to be inheritable, so no other thread's
        // child can keep it open by accident.
        let process = Command::new(program)
            .arg0(HELPER_NAME)
            .env_clear()
            .current_dir(Path::new("/"))
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .spawn()
            .map_err(failed)?;
        Ok(Self {
            socket: Arc::new(ours),
            process,
        })
    }

    pub(crate) fn order(
        &self,
        order: &Order,
        files: &[std::os::fd::BorrowedFd<'_>],
    ) -> Result<(), SandboxError> {
        match send(&self.socket, order, files) {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err(SandboxError::Lost),
            other => other.map_err(SandboxError::Talk),
        }
    }

    pub(crate) fn report(&self) -> Result<Report, SandboxError> {
        match receive(&self.socket) {
            Ok(Some((report, _))) => Ok(report),
            Ok(None) => Err(SandboxError::Lost),
            Err(error) => Err(SandboxError::Talk(error)),
        }
    }

    /// Closes the socket for good and waits until the helper, and so the sandbox, is gone.
    fn finish(&mut self) {
        // Both can only fail if the helper is gone already.
        self.socket.shutdown(std::net::Shutdown::Both).ok();
        self.process.wait().ok();
    }
}

impl Drop for HelperProcess {
    fn drop(&mut self) {
        self.finish();
    }
}
