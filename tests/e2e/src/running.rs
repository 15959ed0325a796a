//! A process that runs while a test looks at it, and ends with the test.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::program::Said;

/// Long enough for two workers to import Dash on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);

/// A started process and what it has said so far on both its outputs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Running {
    /// Starts a command and collects its output.
    pub fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the command starts");
        let said = Arc::new(Mutex::new(String::new()));
        collect(child.stdout.take().expect("it is piped"), Arc::clone(&said));
        collect(child.stderr.take().expect("it is piped"), Arc::clone(&said));
        Self { child, said }
    }

    /// Everything it has said so far.
    pub fn said(&self) -> String {
        self.said.lock().expect("no reader panics").clone()
    }

    /// Waits for the `http://127.0.0.1:PORT` that `longshore run` prints.
    pub fn address(&mut self) -> String {
        self.wait_for("an address", |said| {
            let start = said.find("http://127.0.0.1:")?;
            let end = said[start..].find(char::is_whitespace)? + start;
            Some(
                said[start..end]
                    .trim_end_matches(['.', '/', ')'])
                    .to_owned(),
            )
        })
    }

    /// Waits until it has said these words.
    pub fn wait_until_it_says(&mut self, words: &str) {
        self.wait_for(words, |said| said.contains(words).then_some(()));
    }

    /// Waits until what it says answers a question; its end, or three minutes, fail the test.
    pub fn wait_for<T>(&mut self, what: &str, answer: impl Fn(&str) -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = answer(&self.said()) {
                return found;
            }
            let ended = self.child.try_wait().expect("a child can be waited for");
            if ended.is_some() {
                // The last lines may still be on their way through the pipe.
                thread::sleep(Duration::from_millis(200));
                let Some(found) = answer(&self.said()) else {
                    assert!(
                        ended.is_none(),
                        "it ended ({ended:?}) before it said {what}:\n{}",
                        self.said()
                    );
                    continue;
                };
                return found;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "it did not say {what} in time:\n{}",
                self.said()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the process is there");
    }

    /// Waits for the end.
    pub fn end(mut self) -> Said {
        let start = Instant::now();
        while self
            .child
            .try_wait()
            .expect("a child can be waited for")
            .is_none()
        {
            assert!(
                start.elapsed() < PATIENCE,
                "it does not end:\n{}",
                self.said()
            );
            thread::sleep(Duration::from_millis(20));
        }
        let status = self.child.wait().expect("a child can be waited for");
        thread::sleep(Duration::from_millis(100));
        let said = self.said();
        Said::from(std::process::Output {
            status,
            stdout: Vec::new(),
            stderr: said.into_bytes(),
        })
    }

    /// Asks it to end, and waits.
    pub fn stop(self) -> Said {
        self.signal(Signal::SIGTERM);
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            // SIGTERM first: dockerd and chromedriver have children of their own to end.
            if kill(self.pid(), Signal::SIGTERM).is_err() {
                return;
            }
            let start = Instant::now();
            while start.elapsed() < Duration::from_secs(10) {
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
}

fn collect(pipe: impl Read + Send + 'static, said: Arc<Mutex<String>>) {
    thread::spawn(move || {
        let mut lines = BufReader::new(pipe);
        let mut line = Vec::new();
        while lines
            .read_until(b'\n', &mut line)
            .is_ok_and(|length| length > 0)
        {
            said.lock()
                .expect("no reader panics")
                .push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    });
}
