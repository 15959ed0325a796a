//! Physical lines of a requirements file to logical ones: continuations joined, comments removed.
//!
//! The rules are pip's: a line that ends in `\` goes on in the next one; `#` begins a comment at the start of a line or after
//! white space, so that `https://host/x#egg=name` stays whole; a comment line ends a continuation.
//! <https://pip.pypa.io/en/stable/reference/requirements-file-format/>

/// One logical line with the number of its first physical line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LogicalLine {
    pub(crate) number: usize,
    pub(crate) text: String,
}

/// All logical lines that say something.
pub(crate) fn logical_lines(text: &str) -> Vec<LogicalLine> {
    let mut lines = Vec::new();
    let mut open: Option<LogicalLine> = None;
    for (index, physical) in text.lines().enumerate() {
        let is_comment = physical.trim_start().starts_with('#');
        let (content, continues) = match physical.strip_suffix('\\') {
            Some(content) if !is_comment => (content, true),
            _ => (physical, false),
        };
        let line = open.get_or_insert_with(|| LogicalLine {
            number: index + 1,
            text: String::new(),
        });
        if is_comment {
            // The blank makes it a comment behind whatever the continuation held.
            line.text.push(' ');
        }
        line.text.push_str(content);
        if !continues {
            lines.extend(open.take());
        }
    }
    lines.extend(open);
    lines
        .into_iter()
        .filter_map(|LogicalLine { number, text }| {
            let text = without_comment(&text).trim().to_owned();
            (!text.is_empty()).then_some(LogicalLine { number, text })
        })
        .collect()
}

fn without_comment(line: &str) -> &str {
    let mut before_is_blank = true;
    for (offset, character) in line.char_indices() {
        if character == '#' && before_is_blank {
            return &line[..offset];
        }
        before_is_blank = character.is_whitespace();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logical_lines_cases() {
        type Case = (&'static str, &'static [(usize, &'static str)], &'static str);
        let cases: [Case; 6] = [
            (
                "dash\n\n# c\ngunicorn # why\n",
                &[(1, "dash"), (4, "gunicorn")],
                "comments and blanks",
            ),
            (
                "git+https://h/r#egg=x\n",
                &[(1, "git+https://h/r#egg=x")],
                "a fragment is no comment",
            ),
            (
                "a==1 \\\n  --hash=x \\\n  --hash=y\nb\n",
                &[(1, "a==1   --hash=x   --hash=y"), (4, "b")],
                "continuations",
            ),
            (
                "a \\\n# c\nb\n",
                &[(1, "a"), (3, "b")],
                "a comment ends a continuation",
            ),
            ("a \\", &[(1, "a")], "a continuation at the end of the file"),
            ("  # only\n\t\n", &[], "nothing"),
        ];
        for (text, expected, remark) in cases {
            let found = logical_lines(text);
            let found: Vec<_> = found
                .iter()
                .map(|line| (line.number, line.text.as_str()))
                .collect();
            assert_eq!(found, expected, "{remark}");
        }
    }
}
