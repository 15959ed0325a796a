//! The patterns of slices, as Go's `filepath.Match` reads them: `*` and `?` do not match a slash, `[a-z]` and `[^a-z]` are sets, `\` takes the next character as it is.

/// A pattern that can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// `*`
    Any,
    /// `?`
    One,
    Exactly(char),
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Pattern {
    /// Reads a pattern. Doubled slashes, `.` parts and a slash at the end mean nothing.
    pub(super) fn new(text: &str) -> Result<Self, &'static str> {
        let parts: Vec<&str> = text
            .split('/')
            .filter(|part| !matches!(*part, "" | "."))
            .collect();
        let clean = parts.join("/");
        let mut chars = clean.chars().peekable();
        let mut pieces = Vec::new();
        while let Some(c) = chars.next() {
            pieces.push(match c {
                '*' => Piece::Any,
                '?' => Piece::One,
                '\\' => Piece::Exactly(chars.next().ok_or("it ends with a backslash")?),
                '[' => {
                    let negated = chars.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
                        let low = set_char(&mut chars)?;
                        let high = match chars.next_if_eq(&'-') {
                            Some(_) => set_char(&mut chars)?,
                            None => low,
                        };
                        ranges.push((low, high));
                    }
                    Piece::Set { negated, ranges }
                }
                c => Piece::Exactly(c),
            });
        }
        Ok(Self { pieces })
    }

    /// Does the whole path match?
    pub(super) fn matches(&self, path: &str) -> bool {
        let path: Vec<char> = path.chars().collect();
        let (mut piece, mut at) = (0, 0);
        // Where to go on when what follows the last star does not fit: the star takes one character more.
        let mut star = None;
        while at < path.len() {
            match self.pieces.get(piece) {
                Some(Piece::Any) => {
                    star = Some((piece, at));
                    piece += 1;
                }
                Some(one) if one.fits(path[at]) => {
                    piece += 1;
                    at += 1;
                }
                _ => match star {
                    Some((star_piece, star_at)) if path[star_at] != '/' => {
                        star = Some((star_piece, star_at + 1));
                        piece = star_piece + 1;
                        at = star_at + 1;
                    }
                    _ => return false,
                },
            }
        }
        self.pieces[piece..]
            .iter()
            .all(|piece| *piece == Piece::Any)
    }
}

fn set_char(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, &'static str> {
    match chars.next() {
        None => Err("a set has no closing bracket"),
        Some('-' | ']') => Err("a set begins or ends a range with nothing"),
        Some('\\') => chars.next().ok_or("it ends with a backslash"),
        Some(c) => Ok(c),
    }
}

impl Piece {
    fn fits(&self, c: char) -> bool {
        match self {
            Self::Any => false,
            Self::One => c != '/',
            Self::Exactly(wanted) => c == *wanted,
            Self::Set { negated, ranges } => {
                let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&c));
                c != '/' && inside != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_matches_as_go_does() {
        for (pattern, path, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[\\-x]", "-", true),
            ("*x", "xxx", true),
            ("a/b/", "a/b", true),
            ("./a//b", "a/b", true),
            ("", "", true),
            ("a*", "a", true),
        ] {
            let found = Pattern::new(pattern).unwrap().matches(path);
            assert_eq!(found, expected, "{pattern} {path}");
        }
        for pattern in [
            "[]a]", "[-]", "[x-]", "[-x]", "[", "[^", "[^bc", "a[", "a\\",
        ] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
