//! The build log of a buildpack: headings, plain lines, warnings. The only place that prints.

use crate::message::Message;
use std::io::Write as _;

/// Where a buildpack's words go: standard output, or memory in tests.
#[derive(Debug)]
pub struct Output {
    captured: Option<String>,
}

impl Output {
    /// Standard output: the lifecycle shows it line by line.
    pub fn stdout() -> Self {
        Self { captured: None }
    }

    /// Keeps everything, for [`Output::text`].
    pub fn captured() -> Self {
        Self {
            captured: Some(String::new()),
        }
    }

    /// What was captured so far; empty for [`Output::stdout`].
    pub fn text(&self) -> &str {
        self.captured.as_deref().unwrap_or_default()
    }

    /// `[Heading]` after an empty line: a new step begins.
    pub fn heading(&mut self, heading: &str) {
        self.write(&format!("\n[{heading}]\n"));
    }

    /// One line (or several, where `line` holds newlines).
    pub fn line(&mut self, line: impl AsRef<str>) {
        self.write(&format!("{}\n", line.as_ref()));
    }

    /// `Notice: …`: something was decided that the user may want to know.
    pub fn notice(&mut self, notice: impl AsRef<str>) {
        self.write(&format!("Notice: {}\n", notice.as_ref()));
    }

    /// A warning, set off by empty lines.
    pub fn warning(&mut self, warning: &Message) {
        self.write(&format!("\n{}\n", warning.as_warning()));
    }

    fn write(&mut self, text: &str) {
        if let Some(captured) = &mut self.captured {
            captured.push_str(text);
            return;
        }
        let mut stdout = std::io::stdout().lock();
        // Where nobody reads the log any more there is nobody to tell, and the build's result does not depend on it.
        drop(
            stdout
                .write_all(text.as_bytes())
                .and_then(|()| stdout.flush()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_captured() {
        let mut output = Output::captured();
        output.heading("Python");
        output.line("Using Python 3.13.5");
        output.notice("setuptools<82 is installed too");
        output.warning(&Message::new("Old Python", "It ended."));
        assert_eq!(
            output.text(),
            "\n[Python]\nUsing Python 3.13.5\nNotice: setuptools<82 is installed too\n\n[Warning: Old Python]\nIt ended.\n\n"
        );
    }
}
