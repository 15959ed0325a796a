//! How a command ends when it does not succeed: a title, a body for people, and an exit code by cause.

use std::fmt;

/// Why the program stopped, as the exit code that `--help` documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// Anything without a code of its own.
    Other = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The app folder is wrong; the message says where.
    App = 3,
    /// No buildpack group detected the app (the lifecycle's own code, CNB platform specification).
    NoGroup = 20,
    /// A buildpack failed (the lifecycle's own code).
    Buildpack = 51,
    /// Something could not be downloaded.
    Download = 60,
    /// A signature or a digest is wrong.
    Verification = 61,
    /// A registry wants credentials, or other ones.
    Credentials = 62,
    /// A registry refuses something, or does not answer.
    Registry = 63,
    /// The kernel, or the container around us, forbids the sandbox.
    Sandbox = 70,
    /// The disk or the store failed.
    Storage = 74,
}

/// An error as the user sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    pub(crate) title: String,
    pub(crate) body: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, title: impl Into<String>, body: impl Into<String>) -> Self {
        Self {
            exit,
            title: title.into(),
            body: body.into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[Error: {}]\n{}", self.title, self.body.trim_end())
    }
}

/// An error and all its causes in one line, without saying anything twice: many libraries repeat their source's words.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_title_then_body() {
        let failure = Failure::new(Exit::App, "No Procfile", "Write one.\n");
        assert_eq!(failure.to_string(), "[Error: No Procfile]\nWrite one.");
    }

    #[test]
    fn chain_says_nothing_twice() {
        let inner = std::io::Error::other("disk gone");
        let outer = std::io::Error::other(inner);
        assert_eq!(chain(&outer), "disk gone");
    }
}
