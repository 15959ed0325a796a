//! Printing: the log on standard output, a line in one write, so that it is never torn into what a buildpack prints.

use std::io::{self, IsTerminal, Write};

use crate::flags::Kind;
use lifecycle::output::{Level, Output};

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colors {
    /// On a terminal.
    Auto,
    /// Not at all.
    Never,
}

/// The log on standard output.
pub(crate) fn output(lowest: Level, colors: Colors) -> Output {
    let colored = colors == Colors::Auto && io::stdout().is_terminal();
    Output::new(lowest, move |level, line| {
        let prefix = match (level, colored) {
            (Level::Debug | Level::Info, _) => "",
            (Level::Warn, false) => "Warning: ",
            (Level::Warn, true) => "\x1b[33;1mWarning: \x1b[0m",
            (Level::Error, false) => "ERROR: ",
            (Level::Error, true) => "\x1b[31;1mERROR: \x1b[0m",
        };
        write_whole(io::stdout().lock(), &format!("{prefix}{line}\n"));
    })
}

/// How to call a program, on standard error.
pub(crate) fn usage(error: &str, known: &[(&'static str, Kind)]) {
    let mut text = String::new();
    if !error.is_empty() {
        text += error;
        text.push('\n');
    }
    text += "Usage of lifecycle:\n";
    let mut known = known.to_vec();
    known.sort_by_key(|(name, _)| *name);
    for (name, kind) in known {
        let value = match kind {
            Kind::Text => " string",
            Kind::Bool => "",
            Kind::Number => " int",
            Kind::List => " value",
        };
        text += &["  -", name, value, "\n"].concat();
    }
    write_whole(io::stderr().lock(), &text);
}

/// A log that nobody reads any more is no reason to fail.
fn write_whole(mut to: impl Write, text: &str) {
    let written = to.write_all(text.as_bytes()).and_then(|()| to.flush());
    written.unwrap_or_default();
}
