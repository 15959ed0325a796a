//! `${NAME}` in requirements files: pip replaces it by the variable's value, and leaves it alone where there is none.
//!
//! Only braces and only `[A-Z0-9_]`: `$NAME` and `${name}` are text.
//! <https://pip.pypa.io/en/stable/reference/requirements-file-format/#using-environment-variables>

use buildpack_kit::Variables;
use buildpack_kit::digest;
use buildpack_kit::redact::redact;
use std::collections::BTreeMap;

/// `line` with its variables replaced.
pub(crate) fn expand(line: &str, variables: &Variables) -> String {
    let mut result = String::new();
    let mut rest = line;
    while let Some((before, name, after)) = next_variable(rest) {
        result.push_str(before);
        match variables.get(name) {
            Some(value) => result.push_str(value),
            None => result.push_str(&rest[before.len()..rest.len() - after.len()]),
        }
        rest = after;
    }
    result.push_str(rest);
    result
}

/// Digests of the variables that decide what is installed. Those inside `user:password@` only open doors: they stay out, so that a
/// rotated token rebuilds nothing, and no digest of a secret is written anywhere.
pub(crate) fn deciding_variables(line: &str, variables: &Variables) -> BTreeMap<String, String> {
    let public = redact(line);
    let mut found = BTreeMap::new();
    let mut rest = public.as_str();
    while let Some((_, name, after)) = next_variable(rest) {
        if let Some(value) = variables.get(name) {
            found.insert(name.to_owned(), digest::of_bytes(redact(value)));
        }
        rest = after;
    }
    found
}

fn next_variable(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(found) = text[from..].find("${") {
        let start = from + found;
        let name = &text[start + 2..];
        let end = name
            .find(|character: char| {
                !(character.is_ascii_uppercase() || character.is_ascii_digit() || character == '_')
            })
            .unwrap_or(name.len());
        if end > 0 && name[end..].starts_with('}') {
            return Some((&text[..start], &name[..end], &name[end + 1..]));
        }
        from = start + 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expand_cases() {
        let variables: Variables = [("V", "3.0"), ("TOKEN", "t0p"), ("EMPTY", "")]
            .into_iter()
            .collect();
        let cases = [
            ("dash==${V}", "dash==3.0"),
            ("${V}${V}", "3.03.0"),
            ("git+https://${TOKEN}@h/${V}", "git+https://t0p@h/3.0"),
            (
                "dash==${UNSET} $V ${v} ${EMPTY} ${",
                "dash==${UNSET} $V ${v} ${EMPTY} ${",
            ),
        ];
        for (line, expected) in cases {
            assert_eq!(expand(line, &variables), expected);
        }
    }

    #[test]
    fn deciding_variables_leave_credentials_out() {
        let variables: Variables = [("V", "3.0"), ("TOKEN", "t0p")].into_iter().collect();
        let found = deciding_variables("git+https://${TOKEN}@h/r@${V}", &variables);
        assert_eq!(found.into_keys().collect::<Vec<_>>(), ["V"]);
    }
}
