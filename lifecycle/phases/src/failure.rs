//! How a program fails: an exit code and a message that begins with `failed to …`.

use std::fmt;

/// Anything without a code of its own.
pub(crate) const OTHER: u8 = 1;
/// An unknown flag.
pub(crate) const BAD_FLAG: u8 = 2;
/// Missing or superfluous arguments.
pub(crate) const INVALID_ARGS: u8 = 3;
/// A Platform API that is not supported.
pub(crate) const PLATFORM_API: u8 = 11;
/// A Buildpack API that is not supported.
pub(crate) const BUILDPACK_API: u8 = 12;

/// The end of a program that did not work.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    pub(crate) message: String,
}

impl Failure {
    /// `failed to <action>: <reason>`
    pub(crate) fn new(code: u8, action: &str, reason: impl fmt::Display) -> Self {
        let message = format!("failed to {action}: {reason}");
        Self { code, message }
    }
}
