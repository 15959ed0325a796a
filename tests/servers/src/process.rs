//! A server as a child process that writes a log, and ends with the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A daemon on a busy machine takes its time to start.
const PATIENCE: Duration = Duration::from_mins(3);
/// dockerd has children and mounts of its own to end.
const LEAVING: Duration = Duration::from_secs(15);

/// A running server.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command; both its outputs go to one file.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let file = File::create(log).expect("the log's folder can be written");
        let second = file.try_clone().expect("a second handle");
        command.stdin(Stdio::null()).stdout(file).stderr(second);
        Self {
            child: command.spawn().expect("the server starts"),
            log: log.to_owned(),
        }
    }

    /// Everything it has said so far.
    pub fn said(&self) -> String {
        let bytes = fs::read(&self.log).expect("the log is there");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it is ready; false if it ends before.
    pub fn waits(&mut self, is_ready: impl Fn(&Self) -> bool) -> bool {
        let start = Instant::now();
        while !is_ready(self) {
            if self.child.try_wait().expect("a child of ours").is_some() {
                return false;
            }
            let said = || self.said();
            assert!(start.elapsed() < PATIENCE, "it does not start:\n{}", said());
            thread::sleep(Duration::from_millis(20));
        }
        true
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let asked = kill(
            Pid::from_raw(self.child.id().cast_signed()),
            Signal::SIGTERM,
        );
        let start = Instant::now();
        while asked.is_ok() && start.elapsed() < LEAVING {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        if self.child.kill().is_ok() {
            drop(self.child.wait());
        }
    }
}
