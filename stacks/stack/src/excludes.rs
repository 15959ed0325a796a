//! Which files of a package stay out: dpkg's `path-exclude` and `path-include` (`dpkg(1)`).
//!
//! A pattern is a shell pattern over the whole path, in which `*` matches slashes too. An inclusion wins over an exclusion:
//! in a dpkg.cfg the later rule counts, and ours are written exclusions first.

use crate::definition::Files;

/// Whether a file of a package is unpacked.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    exclude: Vec<Vec<u8>>,
    include: Vec<Vec<u8>>,
}

impl Filter {
    pub(crate) fn new(files: &Files) -> Self {
        let bytes = |patterns: &[String]| {
            patterns
                .iter()
                .map(|pattern| pattern.clone().into_bytes())
                .collect()
        };
        Self {
            exclude: bytes(&files.exclude),
            include: bytes(&files.include),
        }
    }

    /// `path` is absolute.
    pub(crate) fn leaves_out(&self, path: &[u8]) -> bool {
        let any = |patterns: &[Vec<u8>]| patterns.iter().any(|pattern| matches(pattern, path));
        any(&self.exclude) && !any(&self.include)
    }

    /// Whether something that comes in again may be below `path`. dpkg keeps such folders and links although they are left out:
    /// `/usr/share/doc/cpp` leads to the licence in another folder.
    pub(crate) fn may_lead_to_included(&self, path: &[u8]) -> bool {
        self.include.iter().any(|pattern| {
            let literal = pattern
                .iter()
                .position(|byte| b"*?[\\".contains(byte))
                .unwrap_or(pattern.len());
            path.starts_with(&pattern[..literal])
        })
    }

    /// The same for dpkg itself, so that it expects what is there.
    pub(crate) fn dpkg_configuration(&self) -> String {
        let lines = |name: &str, patterns: &[Vec<u8>]| -> String {
            patterns
                .iter()
                .flat_map(|pattern| {
                    let pattern = String::from_utf8_lossy(pattern).into_owned();
                    [name.to_owned(), "=".to_owned(), pattern, "\n".to_owned()]
                })
                .collect()
        };
        format!(
            "# What this image leaves out.\n{}{}",
            lines("path-exclude", &self.exclude),
            lines("path-include", &self.include)
        )
    }
}

/// `fnmatch(3)` without flags, for patterns of literal bytes, `*` and `?`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    // Where the last star stood, and what it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                t += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    t = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_out_by_the_last_rule() {
        let filter = Filter::new(&Files {
            exclude: vec!["/usr/share/doc/*".to_owned(), "/usr/share/man/*".to_owned()],
            include: vec!["/usr/share/doc/*/copyright".to_owned()],
        });
        let cases = [
            ("/usr/share/doc", false),
            ("/usr/share/doc/bash", true),
            ("/usr/share/doc/bash/copyright", false),
            ("/usr/share/doc/bash/deep/copyright", false),
            ("/usr/share/doc/bash/copyright.gz", true),
            ("/usr/share/man/man1/bash.1.gz", true),
            ("/usr/share/manual", false),
            ("/bin/bash", false),
        ];
        for (path, expected) in cases {
            assert_eq!(filter.leaves_out(path.as_bytes()), expected, "{path}");
        }
        assert!(filter.may_lead_to_included(b"/usr/share/doc/cpp"));
        assert!(!filter.may_lead_to_included(b"/usr/share/man/man1"));
        assert_eq!(
            filter.dpkg_configuration(),
            "# What this image leaves out.\npath-exclude=/usr/share/doc/*\npath-exclude=/usr/share/man/*\n\
             path-include=/usr/share/doc/*/copyright\n"
        );
    }

    #[test]
    fn matches_stars_and_question_marks() {
        let cases = [
            ("*", "", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbY", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("", "a", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(
                matches(pattern.as_bytes(), text.as_bytes()),
                expected,
                "{pattern} {text}"
            );
        }
    }
}
