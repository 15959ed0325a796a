//! The frame of a buildpack's program: libcnb's runtime, and how its errors are shown.
//!
//! ```text
//! pub fn run() -> std::process::ExitCode {
//!     buildpack_kit::program::run(&PythonBuildpack)
//! }
//!
//! impl libcnb::Buildpack for PythonBuildpack {
//!     // …
//!     fn on_error(&self, error: libcnb::Error<PythonError>) {
//!         buildpack_kit::program::report(&error);
//!     }
//! }
//! ```

use crate::message::{Explain, Message, with_causes};
use libcnb::Buildpack;
use std::fmt::Debug;
use std::io::Write as _;
use std::process::ExitCode;

/// Runs the phase that the program's name asks for (`detect` or `build`) and exits by itself.
///
/// The return type is for callers that are a `main`; libcnb ends the process before anything is returned.
pub fn run<B: Buildpack>(buildpack: &B) -> ExitCode {
    // Whoever started the build may have a private umask; the modes of files in an image must not depend on it.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    libcnb::libcnb_runtime(buildpack);
    ExitCode::FAILURE
}

/// Prints an error to standard error, the way all our programs do.
pub fn report<E: Explain + Debug + 'static>(error: &libcnb::Error<E>) {
    let text = format!("\n{}\n", message(error).as_error());
    let mut stderr = std::io::stderr().lock();
    // The exit code tells the lifecycle; where nobody reads standard error, nothing more can be done.
    drop(stderr.write_all(text.as_bytes()));
}

fn message<E: Explain + Debug + 'static>(error: &libcnb::Error<E>) -> Message {
    match error {
        libcnb::Error::BuildpackError(error) => error.explain(),
        other => Message::new(
            "The buildpack could not do its part",
            format!(
                "{}\n\nIf files or folders named above are missing or cannot be written, that is for whoever runs the build to mend.\nOtherwise please report this as a fault in Longshore, with the whole log.",
                framework_words(other)
            ),
        ),
    }
}

/// libcnb's own words; its `Display` needs `E: Debug` only, its `Error` impl needs more than our errors promise.
fn framework_words<E: Debug>(error: &libcnb::Error<E>) -> String {
    match error {
        libcnb::Error::LayerError(error) => with_causes(error),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct NoProcfile;

    impl Explain for NoProcfile {
        fn explain(&self) -> Message {
            Message::new("No Procfile", "Add one.")
        }
    }

    #[test]
    fn message_of_the_buildpack() {
        let error = libcnb::Error::BuildpackError(NoProcfile);
        assert_eq!(
            message(&error).as_error(),
            "[Error: No Procfile]\nAdd one.\n"
        );
    }

    #[test]
    fn message_of_the_framework() {
        let error: libcnb::Error<NoProcfile> =
            libcnb::Error::CannotDetermineAppDirectory(std::io::Error::other("gone"));
        insta::assert_snapshot!(message(&error).as_error(), @"
        [Error: The buildpack could not do its part]
        Couldn't determine app directory: gone

        If files or folders named above are missing or cannot be written, that is for whoever runs the build to mend.
        Otherwise please report this as a fault in Longshore, with the whole log.
        ");
    }
}
