//! The Procfile: which process types an app has, and how each is started.
//!
//! ```text
//! # A comment is a line of its own.
//! web: gunicorn app:server --workers 2
//! worker: celery -A app:celery_app worker
//! ```
//!
//! A line is a process type, a colon and a command for bash. Blank lines and lines that begin with `#` or `//` say nothing. A later line for
//! the same type replaces the earlier one. Platforms differ in what they do with anything else: most drop it silently, which is how apps
//! lose their `web`. Here it is an error that shows the place.

use std::fmt::Write as _;

use buildpack_kit::{AppFile, Explain, Message};

use crate::fault::{Fault, excerpt};
use crate::name::ProcessName;

/// A parsed Procfile: at least one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Procfile {
    entries: Vec<Entry>,
    repairs: Vec<Repair>,
}

/// One process type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The process type.
    pub name: ProcessName,
    /// What bash is given.
    pub command: String,
    /// The line, counted from 1.
    pub line: usize,
}

/// Something that was read in the sense it was meant, although other platforms may not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// The name was spelled in a way that platforms do not take.
    Name {
        /// The line, counted from 1.
        line: usize,
        /// As written.
        written: String,
        /// As read.
        name: ProcessName,
    },
    /// Blanks before the process type, or between it and the colon.
    Blanks {
        /// The line, counted from 1.
        line: usize,
    },
    /// A second line for the same process type: the later one counts.
    Duplicate {
        /// The process type.
        name: ProcessName,
        /// The line that was replaced.
        replaced: usize,
        /// The line that counts.
        line: usize,
    },
}

impl Procfile {
    /// Reads the whole file. The first line that cannot be read is an error.
    pub fn parse(file: &AppFile) -> Result<Self, ProcfileError> {
        let mut procfile = Self {
            entries: Vec::new(),
            repairs: Vec::new(),
        };
        let mut previous = "";
        for (number, line) in file.lines() {
            let text = line.trim();
            if !(text.is_empty() || text.starts_with('#') || text.starts_with("//")) {
                let unreadable =
                    |fault| ProcfileError::unreadable(file, number, line, previous, fault);
                let entry = procfile.parse_line(number, line).map_err(unreadable)?;
                procfile.add(entry);
            }
            previous = line;
        }
        if procfile.entries.is_empty() {
            return Err(ProcfileError::Empty {
                name: file.name().to_owned(),
            });
        }
        Ok(procfile)
    }

    /// Every process type once, in the order of the lines that count.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// What was read although it is not quite right, in the order of the lines.
    pub fn repairs(&self) -> &[Repair] {
        &self.repairs
    }

    /// The process type that the image starts by itself: `web`, or the only one.
    pub fn default_entry(&self) -> Option<&Entry> {
        match &self.entries[..] {
            [only] => Some(only),
            several => several.iter().find(|entry| entry.name.is_web()),
        }
    }

    fn parse_line(&mut self, line: usize, text: &str) -> Result<Entry, Fault> {
        let Some((written, command)) = text.split_once(':') else {
            return Err(Fault::NoColon {
                column: text.trim_end().chars().count() + 1,
            });
        };
        let indent = written.chars().take_while(|c| c.is_whitespace()).count();
        let trimmed = written.trim();
        let name = ProcessName::repaired(trimmed).map_err(|error| Fault::Name {
            column: indent + error.index() + 1,
            error,
        })?;
        let command = command.trim();
        if command.is_empty() {
            return Err(Fault::NoCommand {
                column: written.chars().count() + 2,
            });
        }
        if name.as_str() != trimmed {
            let written = trimmed.to_owned();
            self.repairs.push(Repair::Name {
                line,
                written,
                name: name.clone(),
            });
        }
        if trimmed.len() != written.len() {
            self.repairs.push(Repair::Blanks { line });
        }
        Ok(Entry {
            name,
            command: command.to_owned(),
            line,
        })
    }

    fn add(&mut self, entry: Entry) {
        if let Some(index) = self
            .entries
            .iter()
            .position(|other| other.name == entry.name)
        {
            let replaced = self.entries.remove(index);
            self.repairs.push(Repair::Duplicate {
                name: replaced.name,
                replaced: replaced.line,
                line: entry.line,
            });
        }
        self.entries.push(entry);
    }
}

impl Repair {
    /// One sentence for the log.
    pub fn sentence(&self) -> String {
        match self {
            Self::Name {
                line,
                written,
                name,
            } => {
                format!(
                    "line {line}: '{written}' is read as '{name}'; platforms take lower-case letters, digits and '-' only"
                )
            }
            Self::Blanks { line } => format!(
                "line {line}: blanks around the process type are left out; some platforms drop such a line"
            ),
            Self::Duplicate {
                name,
                replaced,
                line,
            } => {
                format!(
                    "line {line}: this '{name}' replaces the one of line {replaced}; remove one of them"
                )
            }
        }
    }
}

/// Why a Procfile could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProcfileError {
    /// Nothing but blank lines and comments.
    #[error("'{name}' holds no process type")]
    Empty {
        /// The file.
        name: String,
    },
    /// A line that is neither blank, nor a comment, nor a process type with a command.
    #[error("line {line} of '{name}' cannot be read, column {}", fault.column())]
    Unreadable {
        /// The file.
        name: String,
        /// Counted from 1.
        line: usize,
        /// The line as it stands.
        text: String,
        /// Where and why.
        fault: Fault,
        /// Whether the line before ends in a backslash.
        continued: bool,
    },
}

impl ProcfileError {
    fn unreadable(file: &AppFile, line: usize, text: &str, previous: &str, fault: Fault) -> Self {
        let continued = previous.trim_end().ends_with('\\');
        Self::Unreadable {
            name: file.name().to_owned(),
            line,
            text: text.to_owned(),
            fault,
            continued,
        }
    }
}

impl Explain for ProcfileError {
    fn explain(&self) -> Message {
        match self {
            Self::Empty { name } => Message::new(
                format!("No process type in '{name}'"),
                format!(
                    "The file '{name}' holds nothing but blank lines and comments, so there is no command to start the app with.\n\n\
                     Add a line for the web process, for example:\nweb: gunicorn app:server --workers 2"
                ),
            ),
            Self::Unreadable {
                name,
                line,
                text,
                fault,
                continued,
            } => {
                let column = fault.column();
                let mut body = format!(
                    "Line {line} of '{name}', column {column}: {}.\n\n{}\n\n\
                     Each line is a process type, a colon and a command, for example:\nweb: gunicorn app:server --workers 2\n\
                     A process type consists of lower-case letters, digits and '-'. A comment begins with '#'.",
                    fault.reason(),
                    excerpt(*line, text, column)
                );
                if *continued {
                    write!(body, "\nA command cannot go on in the next line: write line {} and line {line} as one.", line - 1)
                        .expect("writing to a string cannot fail");
                }
                Message::new(format!("Cannot read line {line} of '{name}'"), body)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(bytes: &[u8]) -> Result<Procfile, ProcfileError> {
        Procfile::parse(&AppFile::from_bytes("Procfile", bytes).expect("readable"))
    }

    fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
        let procfile = parse(bytes).expect("a good Procfile");
        procfile
            .entries()
            .iter()
            .map(|entry| (entry.name.to_string(), entry.command.clone()))
            .collect()
    }

    fn utf16(text: &str) -> Vec<u8> {
        [0xFEFF]
            .into_iter()
            .chain(text.encode_utf16())
            .flat_map(u16::to_le_bytes)
            .collect()
    }

    #[test]
    fn parse_spellings_that_occur() {
        let web = [("web".to_owned(), "gunicorn app:server".to_owned())];
        for (bytes, remark) in [
            (b"web: gunicorn app:server\n".to_vec(), "the usual"),
            (
                b"web: gunicorn app:server".to_vec(),
                "no final newline: half of all",
            ),
            (b"web:gunicorn app:server\n".to_vec(), "no blank"),
            (b"web:\t gunicorn app:server  \r\n".to_vec(), "CRLF, blanks"),
            (
                b"\xEF\xBB\xBFweb: gunicorn app:server\n".to_vec(),
                "byte order mark",
            ),
            (utf16("web: gunicorn app:server\r\n"), "UTF-16"),
            (
                b"# c\n\n  // c: d\n   # e: f\nweb: gunicorn app:server\n".to_vec(),
                "comments",
            ),
            (
                b"web : gunicorn app:server\n".to_vec(),
                "blank before the colon",
            ),
            (
                b"  Web: gunicorn app:server\n".to_vec(),
                "indented, upper case",
            ),
        ] {
            assert_eq!(pairs(&bytes), web, "{remark}");
        }
    }

    #[test]
    fn parse_keeps_the_command() {
        let command = r#"A=1 sh -c 'echo "$PORT" # not a comment' && x://y"#;
        assert_eq!(
            pairs(format!("web: {command}\n").as_bytes()),
            [("web".to_owned(), command.to_owned())]
        );
    }

    #[test]
    fn parse_repairs() {
        let procfile = parse(b"web: a\nCelery_Beat: b\n worker: c\nweb: d\n").expect("repaired");
        let sentences: Vec<_> = procfile.repairs().iter().map(Repair::sentence).collect();
        let expected = [
            "line 2: 'Celery_Beat' is read as 'celery-beat'; platforms take lower-case letters, digits and '-' only",
            "line 3: blanks around the process type are left out; some platforms drop such a line",
            "line 4: this 'web' replaces the one of line 1; remove one of them",
        ];
        assert_eq!(sentences, expected);
        let commands: Vec<_> = procfile
            .entries()
            .iter()
            .map(|entry| entry.command.as_str())
            .collect();
        assert_eq!(commands, ["b", "c", "d"]);
    }

    #[test]
    fn default_entry_web_or_the_only_one() {
        for (text, expected) in [
            ("worker: a\nweb: b\n", Some("web")),
            ("worker: a\n", Some("worker")),
            ("worker: a\nbeat: b\n", None),
        ] {
            let procfile = parse(text.as_bytes()).expect("a good Procfile");
            assert_eq!(
                procfile.default_entry().map(|entry| entry.name.as_str()),
                expected,
                "{text}"
            );
        }
    }

    fn message(text: &str) -> String {
        parse(text.as_bytes())
            .expect_err("a bad Procfile")
            .explain()
            .as_error()
    }

    #[test]
    fn message_no_colon() {
        insta::assert_snapshot!(message("web: a\ngunicorn app\n"), @r"
        [Error: Cannot read line 2 of 'Procfile']
        Line 2 of 'Procfile', column 13: there is no ':' after a process type.

        2 | gunicorn app
          |             ^

        Each line is a process type, a colon and a command, for example:
        web: gunicorn app:server --workers 2
        A process type consists of lower-case letters, digits and '-'. A comment begins with '#'.
        ");
    }

    #[test]
    fn message_command_without_type() {
        insta::assert_snapshot!(message("\tgunicorn app:server\n"), @r"
        [Error: Cannot read line 1 of 'Procfile']
        Line 1 of 'Procfile', column 10: ' ' cannot stand in a process type.

        1 |  gunicorn app:server
          |          ^

        Each line is a process type, a colon and a command, for example:
        web: gunicorn app:server --workers 2
        A process type consists of lower-case letters, digits and '-'. A comment begins with '#'.
        ");
    }

    #[test]
    fn message_continued_line() {
        insta::assert_snapshot!(message("web: gunicorn app:server \\\n  --workers 2\n"), @r"
        [Error: Cannot read line 2 of 'Procfile']
        Line 2 of 'Procfile', column 14: there is no ':' after a process type.

        2 |   --workers 2
          |              ^

        Each line is a process type, a colon and a command, for example:
        web: gunicorn app:server --workers 2
        A process type consists of lower-case letters, digits and '-'. A comment begins with '#'.
        A command cannot go on in the next line: write line 1 and line 2 as one.
        ");
    }

    #[test]
    fn message_no_command_and_empty_file() {
        insta::assert_snapshot!(message("web:  \n"), @r"
        [Error: Cannot read line 1 of 'Procfile']
        Line 1 of 'Procfile', column 5: no command follows the ':'.

        1 | web:
          |     ^

        Each line is a process type, a colon and a command, for example:
        web: gunicorn app:server --workers 2
        A process type consists of lower-case letters, digits and '-'. A comment begins with '#'.
        ");
        insta::assert_snapshot!(message("# web: a\n"), @r"
        [Error: No process type in 'Procfile']
        The file 'Procfile' holds nothing but blank lines and comments, so there is no command to start the app with.

        Add a line for the web process, for example:
        web: gunicorn app:server --workers 2
        ");
    }

    proptest! {
        #[test]
        fn parse_any_text_gives_an_answer(text in "\\PC{0,60}(\n\\PC{0,60}){0,4}") {
            let file = AppFile::from_bytes("Procfile", text.as_bytes());
            if let Ok(Err(error)) = file.as_ref().map(Procfile::parse) {
                prop_assert!(!error.explain().body().is_empty());
            }
        }

        #[test]
        fn parse_gives_back_what_was_written(entries in prop::collection::btree_map("[a-z]([a-z0-9-]{0,8}[a-z0-9])?", "[!-~]([ -~]{0,30}[!-~])?", 1..5)) {
            let lines: Vec<String> = entries.iter().map(|(name, command)| format!("{name}: {command}")).collect();
            let read: std::collections::BTreeMap<_, _> = pairs(lines.join("\n").as_bytes()).into_iter().collect();
            prop_assert_eq!(read, entries);
        }
    }
}
