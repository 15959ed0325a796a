//! The helper while a program runs: outside the sandbox's mounts, between the caller and init.
//!
//! It answers the system calls that the filter hands over, passes signals on, and ends everything when the caller is gone.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use rustix::thread::UnshareFlags;

use crate::error::Failure;
use crate::init;
use crate::ledger::Ledger;
use crate::notify::{answer_one, answer_quickly};
use crate::spec::{RootEmulation, User};
use crate::user::{enter_user_namespace, unshare_namespaces};
use crate::wire::{Order, Report, Request, receive, send};

/// Runs one program; in the forked process, runs init instead. Either way the result is this process's exit code.
pub(crate) fn run(caller: UnixStream, request: Request, files: Vec<OwnedFd>) -> ExitCode {
    let socket = match enter_namespaces(request.sandbox.user) {
        Ok(()) => UnixStream::pair().map_err(Failure::step_io("make a socket")),
        Err(failure) => Err(failure),
    };
    let (ours, theirs) = match socket {
        Ok(pair) => pair,
        Err(failure) => return give_up(&caller, failure),
    };
    match fork() {
        Err(errno) => give_up(&caller, Failure::step("fork")(errno)),
        Ok(None) => {
            drop((ours, caller));
            init::run(theirs, request, files)
        }
        Ok(Some(init)) => {
            drop((theirs, files));
            let known_owners = match request.sandbox.root_emulation {
                RootEmulation::Off => BTreeMap::new(),
                RootEmulation::On { known_owners } => known_owners,
            };
            let mut supervisor = Supervisor {
                caller,
                socket: ours,
                listener: None,
                root: None,
                ledger: Ledger::new(known_owners),
            };
            let code = supervisor.serve();
            // Whether init has ended by itself or not: the sandbox ends here.
            kill_process(init, Signal::KILL).ok();
            waitpid(Some(init), WaitOptions::empty()).ok();
            code
        }
    }
}

pub(crate) fn enter_namespaces(user: User) -> Result<(), Failure> {
    enter_user_namespace(user)?;
    // The pid namespace is for children, so it has to be made before the fork; init makes the others.
    unshare_namespaces(UnshareFlags::NEWPID).map_err(|errno| Failure::UserNamespaces {
        errno: errno.raw_os_error(),
        step: "unshare the pid namespace".to_owned(),
    })
}

fn give_up(caller: &UnixStream, failure: Failure) -> ExitCode {
    send(caller, &Report::Failed(failure), &[]).ok();
    ExitCode::FAILURE
}

#[expect(
    unsafe_code,
    reason = "fork is safe in a process with one thread, which the helper is"
)]
pub(crate) fn fork() -> rustix::io::Result<Option<Pid>> {
    match unsafe { nix::unistd::fork() } {
        Ok(nix::unistd::ForkResult::Child) => Ok(None),
        Ok(nix::unistd::ForkResult::Parent { child }) => Ok(Pid::from_raw(child.as_raw())),
        Err(errno) => Err(rustix::io::Errno::from_raw_os_error(errno as i32)),
    }
}

struct Supervisor {
    caller: UnixStream,
    socket: UnixStream,
    listener: Option<OwnedFd>,
    root: Option<OwnedFd>,
    ledger: Ledger,
}

/// What one turn of the loop came to.
enum Turn {
    Continue,
    Over(ExitCode),
}

impl Supervisor {
    fn serve(&mut self) -> ExitCode {
        loop {
            match self.turn() {
                Ok(Turn::Continue) => {}
                Ok(Turn::Over(code)) => return code,
                Err(error) => {
                    return give_up(
                        &self.caller,
                        Failure::step_io("supervise the sandbox")(error),
                    );
                }
            }
        }
    }

    fn turn(&mut self) -> std::io::Result<Turn> {
        let [caller, init, calls] = self.wait_for_something()?;
        // First the calls that wait for an answer, then init's word: a chown comes before the end that follows it.
        if calls.contains(PollFlags::IN)
            && let (Some(listener), Some(root)) = (&self.listener, &self.root)
        {
            answer_one(listener, root, &mut self.ledger)?;
        } else if !calls.is_empty() {
            // Nobody is left who could call.
            self.listener = None;
        }
        if !init.is_empty()
            && let Turn::Over(code) = self.hear_init()?
        {
            return Ok(Turn::Over(code));
        }
        if !caller.is_empty() {
            return self.hear_caller();
        }
        Ok(Turn::Continue)
    }

    fn wait_for_something(&self) -> std::io::Result<[PollFlags; 3]> {
        let mut waiting = vec![
            PollFd::new(&self.caller, PollFlags::IN),
            PollFd::new(&self.socket, PollFlags::IN),
        ];
        if let Some(listener) = &self.listener {
            waiting.push(PollFd::new(listener, PollFlags::IN));
        }
        loop {
            match poll(&mut waiting, None) {
                Err(rustix::io::Errno::INTR) => {}
                other => {
                    other?;
                    break;
                }
            }
        }
        let ready = |index: usize| {
            waiting
                .get(index)
                .map_or(PollFlags::empty(), PollFd::revents)
        };
        Ok([ready(0), ready(1), ready(2)])
    }

    fn hear_init(&mut self) -> std::io::Result<Turn> {
        let Some((report, files)) = receive::<Report>(&self.socket)? else {
            // Killed from outside; the caller is told by the end of this process.
            return Ok(Turn::Over(ExitCode::FAILURE));
        };
        match report {
            Report::Listening => {
                let mut files = files.into_iter();
                (self.listener, self.root) = (files.next(), files.next());
                if let Some(listener) = &self.listener {
                    answer_quickly(listener);
                }
                Ok(Turn::Continue)
            }
            Report::Ended { status, .. } => {
                // Init is still there, so its root still is.
                let owners = match &self.root {
                    Some(root) => self.ledger.finish(root),
                    None => BTreeMap::new(),
                };
                send(&self.caller, &Report::Ended { status, owners }, &[])?;
                Ok(Turn::Over(ExitCode::SUCCESS))
            }
            failed @ Report::Failed(_) => {
                send(&self.caller, &failed, &[])?;
                Ok(Turn::Over(ExitCode::FAILURE))
            }
            other => {
                send(&self.caller, &other, &[])?;
                Ok(Turn::Continue)
            }
        }
    }

    fn hear_caller(&mut self) -> std::io::Result<Turn> {
        match receive::<Order>(&self.caller)? {
            Some((order @ Order::Signal { .. }, _)) => {
                send(&self.socket, &order, &[])?;
                Ok(Turn::Continue)
            }
            // The caller is gone, or talks nonsense.
            _ => Ok(Turn::Over(ExitCode::FAILURE)),
        }
    }
}
