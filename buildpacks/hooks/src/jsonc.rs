//! JSON as people write it: comments and trailing commas, which Dokku takes and DE4 and Heroku do not.

/// The same text with comments and trailing commas blanked out, so that lines and columns stay.
pub(crate) fn without_comments(text: &str) -> String {
    let mut out: Vec<char> = Vec::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let mut last_comma = None;
    while let Some(c) = characters.next() {
        match (c, characters.peek()) {
            ('"', _) => {
                last_comma = None;
                out.push(c);
                copy_string(&mut characters, &mut out);
                continue;
            }
            ('/', Some('/')) => {
                out.push(' ');
                while let Some(skipped) = characters.next_if(|&c| c != '\n') {
                    out.push(if skipped == '\t' { '\t' } else { ' ' });
                }
                continue;
            }
            ('/', Some('*')) => {
                out.push(' ');
                blank_block_comment(&mut characters, &mut out);
                continue;
            }
            (',', _) => last_comma = Some(out.len()),
            ('}' | ']', _) => {
                if let Some(comma) = last_comma.take() {
                    out[comma] = ' ';
                }
            }
            (c, _) if !c.is_whitespace() => last_comma = None,
            _ => {}
        }
        out.push(c);
    }
    out.into_iter().collect()
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// Up to and with the closing quote.
fn copy_string(characters: &mut Characters<'_>, out: &mut Vec<char>) {
    while let Some(c) = characters.next() {
        out.push(c);
        match c {
            '\\' => out.extend(characters.next()),
            '"' => return,
            _ => {}
        }
    }
}

/// From the `*` that opens it to its end.
fn blank_block_comment(characters: &mut Characters<'_>, out: &mut Vec<char>) {
    out.extend(characters.next().map(|_| ' '));
    while let Some(c) = characters.next() {
        out.push(if c == '\n' { '\n' } else { ' ' });
        if c == '*' && characters.next_if_eq(&'/').is_some() {
            out.push(' ');
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::without_comments;

    #[test]
    fn without_comments_table() {
        for (text, expected) in [
            ("{\"a\": 1, // b\n}", "{\"a\": 1      \n}"),
            ("{/* a\n, */\"b\": [1, 2,],}", "{    \n    \"b\": [1, 2 ] }"),
            (
                r#"{"a": "// no, \" /* no */",}"#,
                r#"{"a": "// no, \" /* no */" }"#,
            ),
            ("[1,,]", "[1, ]"), // Still an error: only one comma may be left over.
            ("\"unended", "\"unended"),
            ("/* unended", "          "),
        ] {
            assert_eq!(without_comments(text), expected, "{text}");
        }
    }
}
