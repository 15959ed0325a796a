//! The only code that prints. Stdout carries the result alone; people read stderr.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Quiet,
    Normal,
    Verbose,
}

/// What a bar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Things,
}

/// Progress for people on stderr; results for programs on stdout.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    level: Level,
    colour: bool,
    terminal: bool,
}

impl Output {
    /// `no_colour` is the NO_COLOR convention: any value but an empty one.
    pub(crate) fn new(level: Level, no_colour: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            level,
            colour: terminal && !no_colour,
            terminal,
        }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// A heading such as a phase's name.
    pub(crate) fn heading(&self, text: &str) {
        let bold = anstyle::Style::new().bold();
        self.line(Level::Normal, &self.styled(bold, &format!("===> {text}")));
    }

    /// One line of progress.
    pub(crate) fn info(&self, text: &str) {
        self.line(Level::Normal, text);
    }

    /// One line that only `--verbose` shows.
    pub(crate) fn detail(&self, text: &str) {
        self.line(Level::Verbose, text);
    }

    /// Lines of a warning that somebody else worded.
    pub(crate) fn passed_on(&self, text: &str) {
        self.line(Level::Quiet, text);
    }

    /// Something the user should change or know, though the work goes on.
    pub(crate) fn warning(&self, text: &str) {
        let yellow = anstyle::AnsiColor::Yellow.on_default();
        self.line(
            Level::Quiet,
            &self.styled(yellow, &format!("Warning: {text}")),
        );
    }

    /// The error that ends the program.
    pub(crate) fn error(&self, text: &str) {
        let red = anstyle::AnsiColor::Red.on_default();
        let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
        self.line(
            Level::Quiet,
            &format!("{}\n{rest}", self.styled(red, first)),
        );
    }

    /// A result, on stdout. A reader that went away is not an error of ours.
    #[expect(clippy::unused_self, reason = "whoever prints has an `Output`")]
    pub(crate) fn result(&self, text: &str) {
        let mut stdout = std::io::stdout().lock();
        drop(writeln!(stdout, "{text}").and_then(|()| stdout.flush()));
    }

    /// The lifecycle's log, for phases that run in this program.
    pub(crate) fn lifecycle(&self) -> lifecycle::output::Output {
        let own = self.clone();
        let lowest = if self.level == Level::Verbose {
            lifecycle::output::Level::Debug
        } else {
            lifecycle::output::Level::Info
        };
        lifecycle::output::Output::new(lowest, move |level, line| match level {
            lifecycle::output::Level::Warn | lifecycle::output::Level::Error => own.warning(line),
            _ => own.info(line),
        })
    }

    /// A bar over so many bytes or things; hidden where stderr is no terminal, or with `--quiet`.
    pub(crate) fn bar(&self, what: &str, unit: Unit, total: u64) -> ProgressBar {
        if !self.terminal || self.level == Level::Quiet {
            return ProgressBar::hidden();
        }
        let template = match unit {
            Unit::Bytes => "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec}",
            Unit::Things => "{msg} [{bar:30}] {pos}/{len}",
        };
        let style = ProgressStyle::with_template(template)
            .expect("the templates are constants that indicatif accepts")
            .progress_chars("=> ");
        let bar = ProgressBar::new(total)
            .with_style(style)
            .with_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }

    fn styled(&self, style: anstyle::Style, text: &str) -> String {
        if self.colour {
            format!("{style}{text}{style:#}")
        } else {
            text.to_owned()
        }
    }

    fn line(&self, at: Level, text: &str) {
        if self.level >= at {
            let mut stderr = std::io::stderr().lock();
            drop(writeln!(stderr, "{}", text.trim_end()));
        }
    }
}

/// A byte count for people: `812 B`, `4.2 kB`, `118.0 MB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_picks_the_unit() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (999_999, "999.9 kB"),
            (1_000_000, "1.0 MB"),
            (118_049_000, "118.0 MB"),
            (2_500_000_000, "2.5 GB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
