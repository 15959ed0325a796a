//! The only code that prints. Stdout carries the result alone; people read stderr.

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use std::io::{IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::ci_log::Sections;
use crate::failure::Failure;

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

/// For whom stderr is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// People: lines, and bars on a terminal.
    People,
    /// People who read a CI system's log, which folds sections.
    Log(Sections),
    /// A program: one JSON object a line.
    Program,
}

/// Progress for people or programs on stderr; results for programs on stdout.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    level: Level,
    audience: Audience,
    colour: bool,
    terminal: bool,
    /// The section that is open in a CI system's log.
    section: Arc<Mutex<Option<String>>>,
}

impl Output {
    /// `no_colour` is the NO_COLOR convention: any value but an empty one.
    pub(crate) fn new(level: Level, audience: Audience, no_colour: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && audience != Audience::Program;
        Self {
            level,
            audience,
            colour: terminal && !no_colour,
            terminal,
            section: Arc::default(),
        }
    }

    pub(crate) fn level(&self) -> Level {
        self.level
    }

    /// A heading such as a phase's name.
    pub(crate) fn heading(&self, text: &str) {
        let bold = anstyle::Style::new().bold();
        match self.audience {
            Audience::People => {
                self.line(Level::Normal, &self.styled(bold, &format!("===> {text}")));
            }
            Audience::Log(sections) if self.level >= Level::Normal => {
                self.end_section();
                self.line(Level::Normal, &sections.start(text, SystemTime::now()));
                self.line(Level::Normal, &format!("===> {text}"));
                *self.open_section() = Some(text.to_owned());
            }
            Audience::Log(_) => {}
            Audience::Program => self.event(&json!({"event": "phase", "name": text})),
        }
    }

    /// Closes what a CI system's log would fold, so that what comes next is seen.
    pub(crate) fn end_section(&self) {
        let open = self.open_section().take();
        if let (Audience::Log(sections), Some(text)) = (self.audience, open) {
            self.line(Level::Normal, &sections.end(&text, SystemTime::now()));
        }
    }

    fn open_section(&self) -> MutexGuard<'_, Option<String>> {
        self.section.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One line of progress.
    pub(crate) fn info(&self, text: &str) {
        self.say(Level::Normal, "line", text, text);
    }

    /// One line that only `--verbose` shows.
    pub(crate) fn detail(&self, text: &str) {
        self.say(Level::Verbose, "detail", text, text);
    }

    /// Lines of a warning that somebody else worded.
    pub(crate) fn passed_on(&self, text: &str) {
        self.say(Level::Quiet, "warning", text, text);
    }

    /// Something the user should change or know, though the work goes on.
    pub(crate) fn warning(&self, text: &str) {
        let yellow = anstyle::AnsiColor::Yellow.on_default();
        let shown = self.styled(yellow, &format!("Warning: {text}"));
        self.say(Level::Quiet, "warning", text, &shown);
    }

    /// The error that ends the program.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.end_section();
        let Failure { exit, title, body } = failure;
        if self.audience == Audience::Program {
            let code = *exit as u8;
            self.event(&json!({"event": "error", "title": title, "body": body, "exitCode": code}));
            return;
        }
        let red = anstyle::AnsiColor::Red.on_default();
        let text = failure.to_string();
        let (first, rest) = text.split_once('\n').unwrap_or((&text, ""));
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

    /// What was built, for a program that embeds us: what `--metadata-file` writes.
    pub(crate) fn built(&self, metadata: &Value) {
        if self.audience == Audience::Program {
            self.event(&json!({"event": "built", "metadata": metadata}));
        }
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

    /// How far something is, for programs.
    pub(crate) fn progress(&self, what: &str, unit: Unit, done: u64, total: u64) {
        if self.audience == Audience::Program && self.level >= Level::Normal {
            let unit = match unit {
                Unit::Bytes => "bytes",
                Unit::Things => "things",
            };
            let event = json!({"event": "progress", "what": what, "unit": unit, "done": done, "total": total});
            self.event(&event);
        }
    }

    fn say(&self, at: Level, event: &str, text: &str, shown: &str) {
        if self.level < at {
            return;
        }
        match self.audience {
            Audience::Program => self.event(&json!({"event": event, "text": text.trim_end()})),
            Audience::People | Audience::Log(_) => self.line(at, shown),
        }
    }

    fn event(&self, event: &Value) {
        self.line(Level::Quiet, &event.to_string());
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
