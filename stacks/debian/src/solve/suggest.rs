//! "Did you mean": names that differ by few keystrokes.

use crate::{name::PackageName, universe::Universe};

/// At most three names, the nearest first.
pub(crate) fn similar(universe: &Universe, wanted: &str) -> Vec<PackageName> {
    const MOST: usize = 3;
    // One slip in a short name, up to three in a long one.
    let limit = (wanted.len() / 4).clamp(1, 3);
    let mut found: Vec<_> = universe
        .names()
        .filter_map(|name| Some((distance(wanted, name.as_str(), limit)?, name)))
        .collect();
    found.sort();
    let best = found.first().map_or(0, |(distance, _)| *distance);
    // "libfo" is no help where "libfoo1" is one letter away and forty others are three.
    found
        .into_iter()
        .take_while(|(distance, _)| *distance <= best + 1)
        .take(MOST)
        .map(|(_, name)| name.clone())
        .collect()
}

/// Insertions, deletions, replacements and swaps of neighbours between two ASCII names, if there are no more than `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (row, letter) in a.iter().enumerate() {
        let mut current = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let at =
                |line: &[usize], place: usize| line.get(place).copied().unwrap_or(usize::MAX / 2);
            let replaced = at(&last, column) + usize::from(letter != other);
            let mut best = replaced
                .min(at(&last, column + 1) + 1)
                .min(at(&current, column) + 1);
            let swapped = row > 0
                && column > 0
                && a.get(row - 1) == Some(other)
                && b.get(column - 1) == Some(letter);
            if swapped {
                best = best.min(at(&before_last, column - 1) + 1);
            }
            current.push(best);
        }
        if current.iter().min().is_some_and(|least| *least > limit) {
            return None;
        }
        before_last = std::mem::replace(&mut last, current);
    }
    last.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_cases() {
        for (a, b, expected) in [
            ("gcc", "gcc", Some(0)),
            ("gcc", "gc", Some(1)),
            ("gcc", "gccc", Some(1)),
            ("gcc", "gec", Some(1)),
            ("libqp-dev", "libpq-dev", Some(1)),
            ("ffmpge", "ffmpeg", Some(1)),
            ("kitten", "sitting", Some(3)),
            ("abc", "xyz", Some(3)),
            ("abcd", "wxyz", None),
            ("a", "abcde", None),
        ] {
            assert_eq!(distance(a, b, 3), expected, "{a} {b}");
            assert_eq!(distance(b, a, 3), expected, "{b} {a}");
        }
    }
}
