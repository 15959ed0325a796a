//! Maintainer scripts as text: lines with their continuations, and the commands in a line.

/// Words after which a command begins.
const BEFORE_COMMANDS: [&str; 10] = [
    "if", "then", "elif", "else", "do", "while", "!", "{", "(", "exec",
];

/// Lines with their continuations.
pub(crate) fn logical_lines(script: &str) -> impl Iterator<Item = String> {
    let mut lines = script.lines();
    std::iter::from_fn(move || {
        let mut whole = lines.next()?.to_owned();
        while let Some(start) = whole.strip_suffix('\\') {
            whole = format!("{start} {}", lines.next().unwrap_or_default());
        }
        Some(whole)
    })
}

/// The words of a line that stand where a command does. Quotes are dropped, not obeyed: no maintainer script depends on that here.
pub(crate) fn commands(line: &str) -> impl Iterator<Item = &str> {
    let text = line.trim_start();
    let code = match text.split_once(')') {
        _ if text.starts_with('#') => "",
        // The pattern of a `case`: `install|upgrade) cp a b`.
        Some((pattern, rest)) if !pattern.contains(['(', '$', '"', '`']) => rest,
        _ => text,
    };
    let parts = code.split([';', '|', '&']);
    parts.filter_map(|part| {
        let mut words = part
            .split_whitespace()
            .skip_while(|word| BEFORE_COMMANDS.contains(word));
        words
            .next()
            .map(|word| word.trim_matches(['"', '\'', '(', ')']))
    })
}

#[cfg(test)]
mod tests {
    use super::{commands, logical_lines};

    #[test]
    fn logical_lines_joined() {
        assert_eq!(
            logical_lines("a \\\n  b\nc\\").collect::<Vec<_>>(),
            ["a    b", "c "]
        );
    }

    #[test]
    fn commands_table() {
        for (line, expected) in [
            ("  cp a b", &["cp"][..]),
            ("# cp", &[]),
            (
                "if ! cp a b; then mv c d && ln e; fi",
                &["cp", "mv", "ln", "fi"],
            ),
            (
                "configure) \"/usr/bin/x\" y || true",
                &["/usr/bin/x", "true"],
            ),
            ("", &[]),
        ] {
            let found: Vec<_> = commands(line).collect();
            assert_eq!(found, expected, "{line}");
        }
    }
}
