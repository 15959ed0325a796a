//! `differences.toml`: the table of what we mean to do otherwise than the reference implementation, with reasons.

use std::path::Path;

use serde::Deserialize;

use crate::compare::Difference;

/// The entries for one fixture.
#[derive(Debug)]
pub(crate) struct Table {
    /// With each: was it needed, or may it be without?
    entries: Vec<(Entry, bool)>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    difference: Vec<Entry>,
}

/// One thing that we mean.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// Why we mean it.
    reason: String,
    /// The fixtures that show it; each has to. Of those that only a pattern names, not every one does.
    fixtures: Vec<String>,
    /// Where it shows: patterns in which `*` is any text.
    places: Vec<String>,
    /// Words of the step, if it is not every step.
    #[serde(default)]
    step: String,
}

impl Table {
    /// Reads the table for a fixture.
    pub(crate) fn of(fixture: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("differences.toml");
        let text = std::fs::read_to_string(path).expect("differences.toml is there");
        let file: File = toml::from_str(&text).expect("differences.toml is well-formed");
        let entries = file.difference.into_iter();
        let entries = entries.filter_map(|entry| {
            let names = entry.fixtures.iter();
            let fitting: Vec<&String> = names.filter(|name| matches(name, fixture)).collect();
            let has_to_show_it = fitting.iter().any(|name| *name == fixture);
            (!fitting.is_empty()).then_some((entry, !has_to_show_it))
        });
        Self {
            entries: entries.collect(),
        }
    }

    /// Is this difference in the table? Remembers that its entry was needed.
    pub(crate) fn means(&mut self, step: &str, difference: &Difference) -> bool {
        let mut meant = false;
        for (entry, needed) in &mut self.entries {
            let at = |pattern: &String| matches(pattern, &difference.place);
            if step.contains(&entry.step) && entry.places.iter().any(at) {
                *needed = true;
                meant = true;
            }
        }
        meant
    }

    /// The reasons of entries that nothing needed.
    pub(crate) fn unneeded(&self) -> Vec<&str> {
        let unneeded = self.entries.iter().filter(|(_, needed)| !needed);
        unneeded.map(|(entry, _)| entry.reason.as_str()).collect()
    }
}

/// Does the pattern, in which `*` is any text, describe the whole text?
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(text) = text.strip_prefix(start) else {
        return false;
    };
    (0..=text.len())
        .filter(|index| text.is_char_boundary(*index))
        .any(|index| matches(rest, &text[index..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_any_text_at_stars() {
        for (pattern, text) in [
            ("exit", "exit"),
            ("/layers/*.toml#mode", "/layers/a/b.toml#mode"),
            ("*", ""),
            ("a*b*c", "abbc"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("exit", "exits"), ("*b", "abc"), ("a*", "ba")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
