//! Flags as Go's `flag` package reads them: one dash or two, `-name value` or `-name=value`, `-name` alone for a yes. The first word that is no flag, or `--`, ends them.
//!
//! Unlike there, an empty value of whatever flag means that the flag has none: Tekton's tasks pass `-tag= -uid=`.

use std::collections::BTreeMap;

use cnb_spec::api::PlatformApi;

/// What a flag's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text, a path, an image.
    Text,
    /// Yes or no.
    Bool,
    /// A number.
    Number,
    /// Text, any number of times.
    List,
}

/// A command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    values: BTreeMap<&'static str, Vec<String>>,
    /// What follows the flags.
    pub(crate) positionals: Vec<String>,
}

/// The flags of phases that read and write images: where these are, and which run images there are.
pub(crate) fn of_images(api: PlatformApi) -> Vec<(&'static str, Kind)> {
    let mut flags = if api.at_least(12) {
        vec![
            ("layout", Kind::Bool),
            ("layout-dir", Kind::Text),
            ("run", Kind::Text),
        ]
    } else {
        vec![("stack", Kind::Text)]
    };
    if api.at_least(13) {
        flags.push(("insecure-registry", Kind::List));
    }
    flags
}

/// Reads a command line.
pub(crate) fn parse(known: &[(&'static str, Kind)], args: &[String]) -> Result<Flags, FlagError> {
    let mut flags = Flags::default();
    let mut args = args.iter();
    while let Some(arg) = args.as_slice().first() {
        let Some(name) = arg.strip_prefix('-').filter(|name| !name.is_empty()) else {
            break;
        };
        args.next();
        let name = name.strip_prefix('-').unwrap_or(name);
        if name.is_empty() {
            break;
        }
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (name, None),
        };
        if name.is_empty() || name.starts_with('-') {
            return Err(FlagError::BadSyntax { arg: arg.clone() });
        }
        let Some((name, kind)) = known.iter().find(|(known, _)| *known == name) else {
            let name = name.to_owned();
            return Err(match name.as_str() {
                "h" | "help" => FlagError::Help,
                _ => FlagError::Unknown { name },
            });
        };
        let value = match (kind, value) {
            (_, Some(value)) => value,
            (Kind::Bool, None) => "true".to_owned(),
            (_, None) => args.next().cloned().ok_or(FlagError::NoValue { name })?,
        };
        check(name, *kind, &value)?;
        let values = flags.values.entry(name).or_default();
        if *kind != Kind::List {
            values.clear();
        }
        values.push(value);
    }
    flags.positionals = args.cloned().collect();
    Ok(flags)
}

fn check(name: &'static str, kind: Kind, value: &str) -> Result<(), FlagError> {
    let good = match kind {
        _ if value.is_empty() => true,
        Kind::Bool => bool_of(value).is_some(),
        Kind::Number => value.parse::<u32>().is_ok(),
        Kind::Text | Kind::List => true,
    };
    let value = value.to_owned();
    good.then_some(())
        .ok_or(FlagError::BadValue { name, value })
}

/// A yes or no as Go writes it.
pub(crate) fn bool_of(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl Flags {
    /// The last value given; an empty text if it was given without one, none if it was not given.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name)?.last().map(String::as_str)
    }

    /// All values given that are not empty.
    pub(crate) fn values(&self, name: &str) -> Vec<String> {
        let values = self.values.get(name).into_iter().flatten();
        values.filter(|value| !value.is_empty()).cloned().collect()
    }

    /// Was it given as a yes?
    pub(crate) fn is_set(&self, name: &str) -> bool {
        self.value(name).and_then(bool_of).unwrap_or_default()
    }
}

/// What is wrong with a command line. The program exits with 2.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FlagError {
    #[error("")]
    Help,
    #[error("flag provided but not defined: -{name}")]
    Unknown { name: String },
    #[error("flag needs an argument: -{name}")]
    NoValue { name: &'static str },
    #[error("invalid value \"{value}\" for flag -{name}")]
    BadValue { name: &'static str, value: String },
    #[error("bad flag syntax: {arg}")]
    BadSyntax { arg: String },
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[(&str, Kind)] = &[
        ("app", Kind::Text),
        ("daemon", Kind::Bool),
        ("uid", Kind::Number),
        ("tag", Kind::List),
    ];

    fn parsed(line: &str) -> Result<Flags, FlagError> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(KNOWN, &args)
    }

    #[test]
    fn parse_forms() {
        for line in [
            "-app /a -daemon -uid 1",
            "--app=/a --daemon=true --uid=1",
            "-app /b -app /a -daemon=T -uid=1",
        ] {
            let flags = parsed(line).unwrap();
            assert_eq!(flags.value("app"), Some("/a"), "{line}");
            assert!(flags.is_set("daemon"), "{line}");
            assert_eq!(flags.value("uid"), Some("1"), "{line}");
        }
    }

    #[test]
    fn parse_empty_values_are_no_values() {
        let flags = parsed("-app= -uid= -daemon= -tag= -tag a -tag=b").unwrap();
        assert_eq!(flags.value("app"), Some(""));
        assert!(!flags.is_set("daemon"));
        assert_eq!(flags.values("tag"), ["a", "b"]);
    }

    #[test]
    fn parse_ends_at_the_first_other_word() {
        assert_eq!(
            parsed("-daemon x -app y").unwrap().positionals,
            ["x", "-app", "y"]
        );
        assert_eq!(parsed("-daemon -- -app").unwrap().positionals, ["-app"]);
        assert_eq!(parsed("- a").unwrap().positionals, ["-", "a"]);
        let flags = parsed("-daemon false").unwrap();
        assert!(flags.is_set("daemon") && flags.positionals == ["false"]);
    }

    #[test]
    fn parse_refused() {
        for (line, expected) in [
            ("-nope", "flag provided but not defined: -nope"),
            ("-app", "flag needs an argument: -app"),
            ("-daemon=x", "invalid value \"x\" for flag -daemon"),
            ("-uid=x", "invalid value \"x\" for flag -uid"),
            ("---app", "bad flag syntax: ---app"),
            ("-=x", "bad flag syntax: -=x"),
        ] {
            assert_eq!(parsed(line).unwrap_err().to_string(), expected);
        }
        assert_eq!(parsed("--help").unwrap_err(), FlagError::Help);
    }
}
