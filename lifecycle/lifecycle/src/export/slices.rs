//! Divides the app's files into slices and the rest (Platform specification, "Export": "slices").
//!
//! A folder that a pattern matches is in the slice with everything in it; a file that several slices match belongs to the first of them. The folders above a slice's files are
//! in its layer too, and also in the rest, unless everything in them was taken.

use std::collections::{BTreeMap, BTreeSet};

use super::pattern::Pattern;

/// The app's files as a tree of names. Paths are relative to the app's folder, which is the empty path.
#[derive(Debug, Default)]
pub(super) struct Division {
    /// Sorted as bytes. Was it taken by a slice?
    taken: BTreeMap<Vec<u8>, bool>,
}

impl Division {
    /// Of these paths; the app's own folder among them.
    pub(super) fn new(paths: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let taken = paths.into_iter().map(|path| (path, false)).collect();
        Self { taken }
    }

    /// Takes what a slice's patterns match. Gives the slice's entries: files, and the folders above them.
    pub(super) fn take(&mut self, patterns: &[Pattern]) -> Vec<Vec<u8>> {
        let matched: Vec<Vec<u8>> = self
            .taken
            .keys()
            .filter(|path| !path.is_empty())
            .filter(|path| {
                let text = String::from_utf8_lossy(path);
                patterns.iter().any(|pattern| pattern.matches(&text))
            })
            .cloned()
            .collect();
        let mut slice = BTreeSet::new();
        for path in matched {
            self.take_with_everything_in_it(path, &mut slice);
        }
        let mut parents = BTreeSet::new();
        for path in &slice {
            let mut path = path.as_slice();
            while let Some(parent) = parent_of(path) {
                if !slice.contains(parent) {
                    parents.insert(parent.to_vec());
                }
                path = parent;
            }
        }
        // The deepest first: a folder is used up when all in it are.
        let mut deepest_first: Vec<&Vec<u8>> = parents.iter().collect();
        deepest_first.sort_by_key(|path| std::cmp::Reverse(depth(path)));
        for folder in deepest_first {
            let used_up = self.children(folder).all(|(_, taken)| *taken);
            self.taken.insert(folder.clone(), used_up);
        }
        slice.extend(parents);
        slice.into_iter().collect()
    }

    /// Takes what is left.
    pub(super) fn rest(self) -> Vec<Vec<u8>> {
        let left = self.taken.into_iter().filter(|(_, taken)| !taken);
        left.map(|(path, _)| path).collect()
    }

    /// What is taken already stays where it is, but what is in a folder may still be free.
    fn take_with_everything_in_it(&mut self, path: Vec<u8>, slice: &mut BTreeSet<Vec<u8>>) {
        if self.taken.get(&path) != Some(&false) {
            return;
        }
        let children: Vec<Vec<u8>> = self.children(&path).map(|(path, _)| path.clone()).collect();
        for child in children {
            self.take_with_everything_in_it(child, slice);
        }
        self.taken.insert(path.clone(), true);
        slice.insert(path);
    }

    fn children<'a>(&'a self, folder: &[u8]) -> impl Iterator<Item = (&'a Vec<u8>, &'a bool)> {
        let prefix = match folder {
            [] => Vec::new(),
            folder => [folder, b"/"].concat(),
        };
        let length = prefix.len();
        let from = self.taken.range(prefix.clone()..);
        from.take_while(move |(path, _)| path.starts_with(&prefix))
            .filter(move |(path, _)| path.len() > length && !path[length..].contains(&b'/'))
    }
}

fn depth(path: &[u8]) -> usize {
    match path {
        [] => 0,
        path => path.split(|byte| *byte == b'/').count(),
    }
}

/// The folder that a path is in; none for the app's own folder.
fn parent_of(path: &[u8]) -> Option<&[u8]> {
    if path.is_empty() {
        return None;
    }
    let slash = path.iter().rposition(|byte| *byte == b'/');
    Some(slash.map_or(&[][..], |slash| &path[..slash]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn divided(files: &[&str], slices: &[&[&str]]) -> Vec<String> {
        let mut division = Division::new(files.iter().map(|path| path.as_bytes().to_vec()));
        let text = |paths: Vec<Vec<u8>>| {
            let texts = paths.into_iter().map(|path| {
                if path.is_empty() {
                    ".".to_owned()
                } else {
                    String::from_utf8(path).unwrap()
                }
            });
            texts.collect::<Vec<_>>().join(" ")
        };
        let mut layers = Vec::new();
        for slice in slices {
            let patterns: Vec<_> = slice
                .iter()
                .map(|text| Pattern::new(text).unwrap())
                .collect();
            layers.push(text(division.take(&patterns)));
        }
        layers.push(text(division.rest()));
        layers
    }

    const FILES: &[&str] = &[
        "", "a", "a/1", "a/b", "a/b/2", "a/b/3", "a-x", "c", "c/4", "d.py",
    ];

    #[test]
    fn division_without_slices_is_sorted_by_bytes() {
        assert_eq!(
            divided(FILES, &[]),
            [". a a-x a/1 a/b a/b/2 a/b/3 c c/4 d.py"]
        );
    }

    #[test]
    fn division_slices() {
        for (slices, expected, why) in [
            (
                &[&["a/b/2"][..]][..],
                &[". a a/b a/b/2", ". a a-x a/1 a/b a/b/3 c c/4 d.py"][..],
                "the folders above are in both",
            ),
            (
                &[&["c/*"][..]],
                &[". c c/4", ". a a-x a/1 a/b a/b/2 a/b/3 d.py"],
                "a folder that is used up is not in the rest",
            ),
            (
                &[&["a/b"][..], &["a"]],
                &[". a a/b a/b/2 a/b/3", ". a a/1", ". a-x c c/4 d.py"],
                "the first slice wins",
            ),
            (
                &[&["*"][..]],
                &[". a a-x a/1 a/b a/b/2 a/b/3 c c/4 d.py", ""],
                "everything",
            ),
            (
                &[&["none"][..]],
                &["", ". a a-x a/1 a/b a/b/2 a/b/3 c c/4 d.py"],
                "nothing",
            ),
            (
                &[&["*.py", "c"][..]],
                &[". c c/4 d.py", ". a a-x a/1 a/b a/b/2 a/b/3"],
                "two patterns",
            ),
        ] {
            assert_eq!(divided(FILES, slices), expected, "{why}");
        }
    }
}
