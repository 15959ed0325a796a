//! The helper's way in: a program that finds itself started under [`HELPER_NAME`] becomes the helper.

use std::ffi::OsStr;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

use crate::files::null_device;
use crate::here;
use crate::probe;
use crate::supervisor;
use crate::wire::{Order, receive};

/// The name (last part of `argv[0]`) under which a program is the sandbox's helper.
pub const HELPER_NAME: &str = "longshore-sandbox";

/// Does the helper's work if that is what the program was started for. To be called first in `main`,
/// before there is a second thread.
pub fn dispatch(argv0: &OsStr) -> Option<ExitCode> {
    if Path::new(argv0).file_name() != Some(OsStr::new(HELPER_NAME)) {
        return None;
    }
    Some(serve().unwrap_or(ExitCode::FAILURE))
}

/// One order, then its answer. Without a caller there is nobody to tell, so every error just ends the process.
fn serve() -> Option<ExitCode> {
    let socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().ok()?);
    // One descriptor alone is to hold the socket, so that whoever closes it closes it for good.
    nix::unistd::dup2_stdin(null_device().ok()?).ok()?;
    // A terminal's Ctrl-C is for the caller, who passes on what is meant for the program.
    nix::unistd::setsid().ok();
    let (order, files) = receive::<Order>(&socket).ok()??;
    match order {
        Order::Run(request) => Some(supervisor::run(socket, *request, files)),
        Order::Probe(scratch) => Some(probe::answer(&socket, &scratch)),
        Order::Keep(cleanup) => Some(here::keep(socket, cleanup, files)),
        Order::Start(_) | Order::Signal { .. } => None,
    }
}
