//! Two snapshots beside each other: every place where they differ, as deep inside of a file or a configuration as it goes.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::snapshot::Snapshot;

/// A place with two values.
#[derive(Clone, Debug)]
pub(crate) struct Difference {
    /// The key of the snapshot, then the way to the value: `/layers/group.toml#content.group.0.id`.
    pub(crate) place: String,
    ours: Option<Value>,
    reference: Option<Value>,
    /// What both programs printed, where that helps.
    printed: String,
}

impl Difference {
    /// Did the programs end differently? Then the worlds are no longer alike.
    pub(crate) fn ends_all(&self) -> bool {
        self.place == "exit"
    }

    /// Is `later` the same, found once more after a later step?
    pub(crate) fn is_again(&self, later: &Self) -> bool {
        !self.place.starts_with("stdout")
            && self.place == later.place
            && self.ours == later.ours
            && self.reference == later.reference
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |value: &Option<Value>| {
            value
                .as_ref()
                .map_or("nothing".to_owned(), ToString::to_string)
        };
        writeln!(f, "  {}", self.place)?;
        writeln!(f, "    ours:      {}", show(&self.ours))?;
        writeln!(f, "    reference: {}", show(&self.reference))?;
        f.write_str(&self.printed)
    }
}

/// Every difference after a step. Where the programs ended differently, what they left behind is not looked at.
pub(crate) fn differences(ours: &Snapshot, reference: &Snapshot) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut names: BTreeSet<&String> = ours.values.keys().chain(reference.values.keys()).collect();
    if ours.ended.code != reference.ended.code {
        names.retain(|name| *name == "exit");
    }
    for name in names {
        let (ours, reference) = (ours.values.get(name), reference.values.get(name));
        if name == "stdout" {
            lines(ours, reference, &mut found);
        } else {
            descend(name, '#', ours, reference, &mut found);
        }
    }
    let said = |difference: &&mut Difference| {
        difference.place == "exit" || difference.place.starts_with("stdout")
    };
    if let Some(first) = found.iter_mut().find(said) {
        first.printed = printed(ours, reference);
    }
    found
}

fn descend(
    place: &str,
    separator: char,
    ours: Option<&Value>,
    reference: Option<&Value>,
    found: &mut Vec<Difference>,
) {
    let below = |key: &str| format!("{place}{separator}{key}");
    match (ours, reference) {
        (ours, reference) if ours == reference => {}
        (Some(Value::Object(ours)), Some(Value::Object(reference))) => {
            let keys: BTreeSet<&String> = ours.keys().chain(reference.keys()).collect();
            for key in keys {
                descend(&below(key), '.', ours.get(key), reference.get(key), found);
            }
        }
        (Some(Value::Array(ours)), Some(Value::Array(reference)))
            if ours.len() == reference.len() =>
        {
            for (index, (ours, reference)) in ours.iter().zip(reference).enumerate() {
                let place = below(&index.to_string());
                descend(&place, '.', Some(ours), Some(reference), found);
            }
        }
        (ours, reference) => found.push(Difference {
            place: place.to_owned(),
            ours: ours.cloned(),
            reference: reference.cloned(),
            printed: String::new(),
        }),
    }
}

/// Lines that only one of both printed; their order, where both printed the same.
fn lines(ours: Option<&Value>, reference: Option<&Value>, found: &mut Vec<Difference>) {
    let [mut of_ours, mut of_reference] =
        [ours, reference].map(|lines| lines.and_then(Value::as_array).cloned().unwrap_or_default());
    of_ours.retain(
        |line| match of_reference.iter().position(|other| other == line) {
            Some(index) => {
                of_reference.remove(index);
                false
            }
            None => true,
        },
    );
    let place = |line: &Value| format!("stdout: {}", line.as_str().unwrap_or_default());
    let only_ours = of_ours
        .iter()
        .map(|line| (place(line), Some(line.clone()), None));
    let only_reference = of_reference
        .iter()
        .map(|line| (place(line), None, Some(line.clone())));
    let mut all: Vec<_> = only_ours.chain(only_reference).collect();
    if all.is_empty() && ours != reference {
        all.push(("stdout".to_owned(), ours.cloned(), reference.cloned()));
    }
    found.extend(all.into_iter().map(|(place, ours, reference)| Difference {
        place,
        ours,
        reference,
        printed: String::new(),
    }));
}

fn printed(ours: &Snapshot, reference: &Snapshot) -> String {
    let mut text = String::new();
    for (whose, snapshot) in [("ours", ours), ("reference", reference)] {
        for (stream, printed) in [
            ("stdout", &snapshot.ended.stdout),
            ("stderr", &snapshot.ended.stderr),
        ] {
            let lines = printed
                .lines()
                .map(|line| format!("      {whose} {stream}: {line}\n"));
            text.extend(lines);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn places(found: &[Difference]) -> Vec<&str> {
        found.iter().map(|one| one.place.as_str()).collect()
    }

    #[test]
    fn descend_to_the_deepest_place() {
        let ours = json!({"same": 1, "list": [{"id": "a"}, 2], "ours": true, "long": [1]});
        let reference = json!({"same": 1, "list": [{"id": "b"}, 2], "long": [1, 2]});
        let mut found = Vec::new();
        descend("/f", '#', Some(&ours), Some(&reference), &mut found);
        assert_eq!(places(&found), ["/f#list.0.id", "/f#long", "/f#ours"]);
    }

    #[test]
    fn lines_of_one_side_and_their_order() {
        let mut found = Vec::new();
        let (ours, reference) = (json!(["a", "b", "c"]), json!(["b", "d", "a"]));
        lines(Some(&ours), Some(&reference), &mut found);
        lines(
            Some(&json!(["a", "b"])),
            Some(&json!(["b", "a"])),
            &mut found,
        );
        lines(Some(&ours), Some(&ours), &mut found);
        assert_eq!(places(&found), ["stdout: c", "stdout: d", "stdout"]);
    }
}
