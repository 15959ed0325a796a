//! Passwords stay out of logs, metadata and messages: `https://user:secret@host/` becomes `https://****@host/`.

/// Replaces the user information of every URL in `text`.
pub fn redact(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("://") {
        let (before, after) = rest.split_at(start + 3);
        result.push_str(before);
        let authority_end = after
            .find(|character: char| {
                character == '/'
                    || character == '?'
                    || character == '#'
                    || character.is_whitespace()
                    || matches!(character, '"' | '\'' | '`' | ',' | ')' | '>')
            })
            .unwrap_or(after.len());
        // The last `@` of the authority ends the user information: a password may hold an unencoded one.
        match after[..authority_end].rfind('@') {
            Some(at) => {
                result.push_str("****");
                rest = &after[at..];
            }
            None => rest = after,
        }
    }
    result.push_str(rest);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redact_user_information_only() {
        let cases = [
            (
                "--index-url https://me:s3cret@host/simple",
                "--index-url https://****@host/simple",
            ),
            (
                "git+https://token@host/repo@v1",
                "git+https://****@host/repo@v1",
            ),
            ("https://host/a@b", "https://host/a@b"),
            (
                "two: http://a:b@x, http://y",
                "two: http://****@x, http://y",
            ),
            ("pkg @ file:///x@y", "pkg @ file:///x@y"),
            ("nothing", "nothing"),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text), expected);
        }
    }
}
