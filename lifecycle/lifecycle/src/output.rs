//! The log: lines with a level, handed whole to whoever runs a phase.
//!
//! Platforms match some lines by their text, so the texts are part of the contract and stand where they are said. A phase never prints: the program gives the log a place to
//! go, which is standard output for the phase binaries.

use std::fmt;

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// For everyone.
    Info,
    /// Something is not as it should be.
    Warn,
    /// The phase fails.
    Error,
}

/// Where a log's lines go. A line may hold newlines of its own; it has none at its end.
type Sink = Box<dyn Fn(Level, &str) + Send + Sync>;

/// The log of a phase.
pub struct Output {
    lowest: Level,
    sink: Sink,
}

impl Output {
    /// A log that hands lines of `lowest` and more important ones to `sink`.
    pub fn new(lowest: Level, sink: impl Fn(Level, &str) + Send + Sync + 'static) -> Self {
        let sink = Box::new(sink);
        Self { lowest, sink }
    }

    /// Says something to those who look for a fault.
    pub fn debug(&self, line: impl fmt::Display) {
        self.line(Level::Debug, line);
    }

    /// Says something to everyone.
    pub fn info(&self, line: impl fmt::Display) {
        self.line(Level::Info, line);
    }

    /// Warns.
    pub fn warn(&self, line: impl fmt::Display) {
        self.line(Level::Warn, line);
    }

    /// Says why the phase fails.
    pub fn error(&self, line: impl fmt::Display) {
        self.line(Level::Error, line);
    }

    /// Says something at the level given.
    pub fn line(&self, level: Level, line: impl fmt::Display) {
        if level >= self.lowest {
            (self.sink)(level, line.to_string().trim_end_matches('\n'));
        }
    }

    /// Says something whatever its level is, because the phase has failed and every hint counts.
    pub(crate) fn always(&self, level: Level, line: &str) {
        (self.sink)(level, line.trim_end_matches('\n'));
    }

    /// Is this level shown?
    pub(crate) fn shows(&self, level: Level) -> bool {
        level >= self.lowest
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output")
            .field("lowest", &self.lowest)
            .finish_non_exhaustive()
    }
}
