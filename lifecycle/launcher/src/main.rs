//! Starts a process of an app image: it makes the environment that the buildpacks' layers ask for and then becomes the process.
//!
//! The image's entrypoint is `/cnb/process/<type>`, a symlink to this program, or `/cnb/lifecycle/launcher` itself. The rules are those of the
//! Platform API ("launcher") and of the Buildpack API ("Launch"). Every container start runs this once, so it has no runtime, allocates
//! little and reads each file once.

mod arena;
mod environment;
mod errors;
mod exec_d;
mod folder;
mod inputs;
mod launch;
mod layers;
mod metadata;
mod process;
mod program;
mod shell;

use std::io::Write;
use std::process::ExitCode;

#[global_allocator]
static MEMORY: arena::Arena = arena::Arena::new();

fn main() -> ExitCode {
    let inputs = inputs::Inputs::of_this_process();
    if inputs.asks_for_version() {
        print_version()
    } else {
        ExitCode::from(errors::report(&launch::launch(inputs)))
    }
}

/// Prints `VERSION+COMMIT`, as every program of the lifecycle does.
fn print_version() -> ExitCode {
    let commit = option_env!("LONGSHORE_COMMIT").unwrap_or("unknown");
    let written = writeln!(std::io::stdout(), "{}+{commit}", env!("CARGO_PKG_VERSION"));
    ExitCode::from(u8::from(written.is_err()))
}
