//! Runs what a JSON file says in a sandbox: `sandbox-run SPEC.json OUT.json PROGRAM [ARGUMENT…]`.
//!
//! The tests use it as the helper, as a caller under another user's name, and as a caller to kill.

use std::process::ExitCode;

use sandbox::{Sandbox, Streams};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    if let Some(code) = sandbox::dispatch(&name) {
        return code;
    }
    match run(&arguments.collect::<Vec<_>>()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report(&*error);
            ExitCode::from(99)
        }
    }
}

fn run(arguments: &[std::ffi::OsString]) -> Result<u8, Box<dyn std::error::Error>> {
    let [spec, out, argv @ ..] = arguments else {
        return Err("usage: sandbox-run SPEC.json OUT.json PROGRAM [ARGUMENT…]".into());
    };
    let sandbox: Sandbox = serde_json::from_slice(&std::fs::read(spec)?)?;
    let finished = sandbox.spawn(argv, Streams::inherit())?.wait()?;
    std::fs::write(out, serde_json::to_vec(&finished.owners)?)?;
    Ok(u8::try_from(finished.status.code())?)
}

#[expect(
    clippy::print_stderr,
    reason = "a program of the tests says what went wrong"
)]
fn report(error: &dyn std::error::Error) {
    eprintln!("{error}");
}
