//! Splits a line of options the way Python's `shlex` does, which pip uses for them.

/// The words of `line`; `None` where a quote is not closed.
pub(crate) fn shell_words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            quote @ ('"' | '\'') => quoted(quote, &mut characters, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(characters.next()?),
            blank if blank.is_whitespace() => words.extend(word.take()),
            other => word.get_or_insert_default().push(other),
        }
    }
    words.extend(word);
    Some(words)
}

fn quoted(quote: char, characters: &mut std::str::Chars<'_>, word: &mut String) -> Option<()> {
    loop {
        match characters.next()? {
            end if end == quote => return Some(()),
            // Only double quotes know escapes, and only for these two.
            '\\' if quote == '"' => match characters.next()? {
                escaped @ ('"' | '\\') => word.push(escaped),
                other => word.extend(['\\', other]),
            },
            other => word.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_words_cases() {
        let cases: [(&str, Option<&[&str]>); 6] = [
            ("a  b", Some(&["a", "b"])),
            (r#"a="x y" 'b c'd"#, Some(&["a=x y", "b cd"])),
            (r#""q\"q" a\ b"#, Some(&["q\"q", "a b"])),
            ("''", Some(&[""])),
            ("", Some(&[])),
            ("'open", None),
        ];
        for (line, expected) in cases {
            let expected =
                expected.map(|words| words.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(shell_words(line), expected, "{line}");
        }
    }
}
