//! The phases as one program of many names. See [`phases`].

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let argv0 = args.next().unwrap_or_default();
    let args: Vec<_> = args.collect();
    phases::main(&argv0, &args, std::env::vars_os().collect(), None)
}
