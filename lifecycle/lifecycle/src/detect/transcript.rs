//! What detection would say. When it fails, everything is shown, whatever its level: the reason is in there somewhere.

use std::fmt;

use crate::output::{Level, Output};

/// The lines so far.
#[derive(Debug, Default)]
pub(super) struct Transcript {
    lines: Vec<(Level, String)>,
}

impl Transcript {
    pub(super) fn debug(&mut self, line: impl fmt::Display) {
        self.lines.push((Level::Debug, line.to_string()));
    }

    pub(super) fn info(&mut self, line: impl fmt::Display) {
        self.lines.push((Level::Info, line.to_string()));
    }

    pub(super) fn line(&mut self, level: Level, line: impl fmt::Display) {
        self.lines.push((level, line.to_string()));
    }

    /// Gives the lines to the log: all of them, if detection did not pass.
    pub(super) fn hand_over(self, passed: bool, output: &Output) {
        for (level, line) in self.lines {
            if !passed || output.shows(level) {
                let level = if passed {
                    level
                } else {
                    level.max(Level::Info)
                };
                output.always(level, &line);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn text(&self) -> String {
        self.lines
            .iter()
            .map(|(_, line)| line.clone() + "\n")
            .collect()
    }
}
