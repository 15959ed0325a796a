//! longshore/deps as a program of its own, for a builder that takes single buildpacks. In Longshore it is a part of `longshore`.

use std::process::ExitCode;

fn main() -> ExitCode {
    buildpack_deps::run()
}
