//! One logical line of a requirements file as a typed entry: a requirement with its options, or file-wide options.

use super::shell_words::shell_words;

/// What a logical line says. A line of options can say several things.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// `dash==3.0 ; python_version > "3.8" --hash=…`
    Requirement(RequirementEntry),
    /// `-e ./pkg`
    Editable(String),
    /// `-r other.txt`
    Include(String),
    /// `-c limits.txt`
    Constraint(String),
    /// Anything about where packages come from.
    Option(FileOption),
}

/// A requirement and the options behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequirementEntry {
    pub(crate) text: String,
    /// `sha256:…`
    pub(crate) hashes: Vec<String>,
    /// `key=value` for the package's build backend.
    pub(crate) config_settings: Vec<String>,
    /// `--global-option` and its kin: only pip and setup.py know them.
    pub(crate) legacy_options: Vec<String>,
}

/// A file-wide option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FileOption {
    IndexUrl(String),
    ExtraIndexUrl(String),
    FindLinks(String),
    NoIndex,
    TrustedHost(String),
    NoBinary(String),
    OnlyBinary(String),
    PreferBinary,
    RequireHashes,
    Pre,
    UseFeature(String),
}

type ValueOption = (&'static str, Option<&'static str>, fn(String) -> Entry);

/// Options that take a value, with their short forms.
const VALUE_OPTIONS: [ValueOption; 10] = [
    ("--requirement", Some("-r"), Entry::Include),
    ("--constraint", Some("-c"), Entry::Constraint),
    ("--editable", Some("-e"), Entry::Editable),
    ("--index-url", Some("-i"), |value| {
        Entry::Option(FileOption::IndexUrl(value))
    }),
    ("--extra-index-url", None, |value| {
        Entry::Option(FileOption::ExtraIndexUrl(value))
    }),
    ("--find-links", Some("-f"), |value| {
        Entry::Option(FileOption::FindLinks(value))
    }),
    ("--trusted-host", None, |value| {
        Entry::Option(FileOption::TrustedHost(value))
    }),
    ("--no-binary", None, |value| {
        Entry::Option(FileOption::NoBinary(value))
    }),
    ("--only-binary", None, |value| {
        Entry::Option(FileOption::OnlyBinary(value))
    }),
    ("--use-feature", None, |value| {
        Entry::Option(FileOption::UseFeature(value))
    }),
];

/// `--pypi-url` is an old name of `--index-url`; pip still takes it.
const OLD_NAMES: [(&str, &str); 1] = [("--pypi-url", "--index-url")];

const FLAGS: [(&str, FileOption); 4] = [
    ("--no-index", FileOption::NoIndex),
    ("--prefer-binary", FileOption::PreferBinary),
    ("--require-hashes", FileOption::RequireHashes),
    ("--pre", FileOption::Pre),
];

/// Reads one logical line whose variables are already replaced.
pub(crate) fn parse_line(line: &str) -> Result<Vec<Entry>, EntryError> {
    if line.starts_with('-') {
        parse_options(line)
    } else {
        parse_requirement(line).map(|entry| vec![Entry::Requirement(entry)])
    }
}

fn parse_options(line: &str) -> Result<Vec<Entry>, EntryError> {
    let mut words = shell_words(line)
        .ok_or(EntryError::UnbalancedQuotes)?
        .into_iter();
    let mut entries = Vec::new();
    while let Some(word) = words.next() {
        let (name, attached) = split_option(&word);
        if let Some((_, option)) = FLAGS.iter().find(|(flag, _)| *flag == name) {
            entries.push(Entry::Option(option.clone()));
            continue;
        }
        let Some((long, _, make)) = VALUE_OPTIONS
            .iter()
            .find(|(long, short, _)| *long == name || *short == Some(name))
        else {
            return Err(EntryError::UnknownOption(name.to_owned()));
        };
        let value = match attached {
            Some(value) => value.to_owned(),
            None => words
                .next()
                .ok_or(EntryError::NoValue((*long).to_owned()))?,
        };
        entries.push(make(value));
    }
    Ok(entries)
}

/// `--name=value`, `-rvalue`, or a name alone.
fn split_option(word: &str) -> (&str, Option<&str>) {
    if word.starts_with("--") {
        let (name, value) = word
            .split_once('=')
            .map_or((word, None), |(name, value)| (name, Some(value)));
        let name = OLD_NAMES
            .iter()
            .find(|(old, _)| *old == name)
            .map_or(name, |(_, new)| *new);
        return (name, value);
    }
    match word.char_indices().nth(2) {
        Some((end, _)) => (
            &word[..end],
            Some(word[end..].strip_prefix('=').unwrap_or(&word[end..])),
        ),
        None => (word, None),
    }
}

fn parse_requirement(line: &str) -> Result<RequirementEntry, EntryError> {
    // As pip does it: the requirement ends where a word begins with a dash.
    let options_at = line
        .match_indices(char::is_whitespace)
        .map(|(offset, blank)| offset + blank.len())
        .find(|start| line[*start..].starts_with('-'));
    let (text, options) = match options_at {
        Some(start) => (line[..start].trim_end(), &line[start..]),
        None => (line, ""),
    };
    let mut entry = RequirementEntry {
        text: text.to_owned(),
        ..RequirementEntry::default()
    };
    let mut words = shell_words(options)
        .ok_or(EntryError::UnbalancedQuotes)?
        .into_iter();
    while let Some(word) = words.next() {
        let (name, attached) = split_option(&word);
        let target = match name {
            "--hash" => &mut entry.hashes,
            "--config-settings" | "--config-setting" | "-C" => &mut entry.config_settings,
            "--global-option" | "--install-option" => &mut entry.legacy_options,
            _ => return Err(EntryError::UnknownOption(name.to_owned())),
        };
        let value = match attached {
            Some(value) => value.to_owned(),
            None => words.next().ok_or(EntryError::NoValue(name.to_owned()))?,
        };
        if name == "--global-option" || name == "--install-option" {
            target.push(format!("{name}={value}"));
        } else {
            target.push(value);
        }
    }
    Ok(entry)
}

/// Why a line is no entry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// An option that pip does not allow in requirements files.
    #[error("'{0}' is not an option of requirements files")]
    UnknownOption(String),
    /// An option at the end of the line.
    #[error("'{0}' needs a value")]
    NoValue(String),
    /// A quote that is not closed.
    #[error("a quote is not closed")]
    UnbalancedQuotes,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requirement(text: &str) -> Entry {
        Entry::Requirement(RequirementEntry {
            text: text.into(),
            ..RequirementEntry::default()
        })
    }

    #[test]
    fn parse_line_every_form() {
        let option = |option| vec![Entry::Option(option)];
        let cases = [
            (
                "dash == 3.0 ; python_version>'3'",
                vec![requirement("dash == 3.0 ; python_version>'3'")],
            ),
            ("-r base.txt", vec![Entry::Include("base.txt".into())]),
            ("-rbase.txt", vec![Entry::Include("base.txt".into())]),
            (
                "--requirement=base.txt",
                vec![Entry::Include("base.txt".into())],
            ),
            (
                "-c limits.txt",
                vec![Entry::Constraint("limits.txt".into())],
            ),
            ("-e ./pkg[all]", vec![Entry::Editable("./pkg[all]".into())]),
            (
                "--pypi-url https://h",
                option(FileOption::IndexUrl("https://h".into())),
            ),
            (
                "-i https://h/simple",
                option(FileOption::IndexUrl("https://h/simple".into())),
            ),
            ("--pre", option(FileOption::Pre)),
            (
                "--find-links 'my wheels'",
                option(FileOption::FindLinks("my wheels".into())),
            ),
            (
                "--no-index -f wheels",
                vec![
                    Entry::Option(FileOption::NoIndex),
                    Entry::Option(FileOption::FindLinks("wheels".into())),
                ],
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(parse_line(line).as_ref(), Ok(&expected), "{line}");
        }
    }

    #[test]
    fn parse_line_options_of_a_requirement() {
        let line = "x==1 --hash=sha256:aa --hash sha256:bb --config-settings=k=v --global-option=\"--quiet\"";
        let expected = RequirementEntry {
            text: "x==1".into(),
            hashes: vec!["sha256:aa".into(), "sha256:bb".into()],
            config_settings: vec!["k=v".into()],
            legacy_options: vec!["--global-option=--quiet".into()],
        };
        assert_eq!(parse_line(line), Ok(vec![Entry::Requirement(expected)]));
    }

    #[test]
    fn parse_line_errors() {
        let cases = [
            (
                "--target /x",
                "'--target' is not an option of requirements files",
            ),
            ("-z", "'-z' is not an option of requirements files"),
            ("-r", "'--requirement' needs a value"),
            ("-f 'x", "a quote is not closed"),
            (
                "dash --upgrade",
                "'--upgrade' is not an option of requirements files",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(parse_line(line).unwrap_err().to_string(), expected);
        }
    }
}
