//! The shape of every error and warning that a user reads: a title in brackets, then what was found and what to change.

use std::fmt::{self, Write as _};

/// A title and a body, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    title: String,
    body: String,
}

impl Message {
    /// The title is a few words; the body says what failed, what was found and what to change.
    pub fn new(title: impl Into<String>, body: impl Into<String>) -> Self {
        Self {
            title: title.into(),
            body: body.into().trim_end().to_owned(),
        }
    }

    /// A fault of ours, with a request to report it.
    pub fn internal(body: impl fmt::Display) -> Self {
        Self::new(
            "Internal error in Longshore",
            format!(
                "{body}\n\nThis is a fault in Longshore, not in your app. Please report it, with the whole log."
            ),
        )
    }

    /// The few words in brackets.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// All lines below the title.
    pub fn body(&self) -> &str {
        &self.body
    }

    /// `[Error: Title]`, then the body.
    pub fn as_error(&self) -> String {
        self.render("Error")
    }

    /// `[Warning: Title]`, then the body.
    pub fn as_warning(&self) -> String {
        self.render("Warning")
    }

    fn render(&self, kind: &str) -> String {
        format!("[{kind}: {}]\n{}\n", self.title, self.body)
    }
}

/// Turns an error into what a user reads. Implemented once per program, without a `_` arm.
pub trait Explain {
    /// What failed, what was found, what to change.
    fn explain(&self) -> Message;
}

/// `error: cause: cause of the cause`, each cause only where it adds words.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let words = cause.to_string();
        if !text.contains(&words) {
            write!(text, ": {words}").expect("writing to a string cannot fail");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_as_error() {
        let message = Message::new("No Procfile", "There is no file named 'Procfile'.\n");
        assert_eq!(
            message.as_error(),
            "[Error: No Procfile]\nThere is no file named 'Procfile'.\n"
        );
    }

    #[test]
    fn message_as_warning() {
        let message = Message::new("Two Pythons", "They differ.");
        assert_eq!(
            message.as_warning(),
            "[Warning: Two Pythons]\nThey differ.\n"
        );
    }

    #[test]
    fn with_causes_skips_repeated_words() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot read 'x': {source}")]
        struct Outer {
            source: std::io::Error,
        }
        let error = Outer {
            source: std::io::Error::other("disk on fire"),
        };
        assert_eq!(with_causes(&error), "cannot read 'x': disk on fire");
    }
}
