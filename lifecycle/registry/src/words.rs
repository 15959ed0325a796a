//! What a registry says beside a status: `{"errors":[{"code":"DENIED","message":"…"}]}` (OCI distribution specification 1.1,
//! "Error codes"). It comes from outside: cut to a readable length, control characters left out.

use std::fmt;

use serde_json::Value;

/// More is not read of an error's body.
pub(crate) const LONGEST_ERROR: u64 = 64 << 10;

/// Errors shown of one answer.
const MOST_ERRORS: usize = 3;

/// Characters shown of one message.
const LONGEST_MESSAGE: usize = 300;

/// The codes and messages of one answer. Shown behind a status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    errors: Vec<(String, String)>,
    no_space: bool,
}

impl Words {
    pub(crate) fn of(body: &[u8]) -> Self {
        let errors = serde_json::from_slice(body).ok().map(|value: Value| {
            let text = |error: &Value, key: &str| {
                printable(error.get(key).and_then(Value::as_str).unwrap_or_default())
            };
            let list = value.get("errors").and_then(Value::as_array);
            list.into_iter()
                .flatten()
                .take(MOST_ERRORS)
                .map(|error| (text(error, "code"), text(error, "message")))
                // Token servers have a form of their own.
                .chain(
                    value
                        .get("details")
                        .map(|_| (String::new(), text(&value, "details"))),
                )
                .collect()
        });
        let raw = String::from_utf8_lossy(body).to_ascii_lowercase();
        // docker-registry says ENOSPC only as the number in its driver's error.
        let no_space = ["no space left", "quota", "storage limit", "\"err\":28"];
        Self {
            errors: errors.unwrap_or_default(),
            no_space: no_space.iter().any(|sign| raw.contains(sign)),
        }
    }

    /// Does one of the errors have one of these codes?
    pub fn has(&self, codes: &[&str]) -> bool {
        self.errors
            .iter()
            .any(|(code, _)| codes.contains(&code.as_str()))
    }

    /// Does one of the messages have one of these words?
    pub(crate) fn say(&self, parts: &[&str]) -> bool {
        self.errors.iter().any(|(code, message)| {
            let text = format!("{code} {message}").to_ascii_lowercase();
            parts.iter().any(|part| text.contains(part))
        })
    }

    /// Is the registry's storage or the account's quota used up?
    pub(crate) fn are_about_space(&self) -> bool {
        self.no_space
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (code, message) in &self.errors {
            match (code.as_str(), message.as_str()) {
                ("", "") => {}
                ("", text) | (text, "") => write!(f, "; {text}")?,
                (code, message) => write!(f, "; {code}: {message}")?,
            }
        }
        Ok(())
    }
}

fn printable(text: &str) -> String {
    let shown = |character: &char| !character.is_control() && !is_direction_mark(*character);
    text.chars().filter(shown).take(LONGEST_MESSAGE).collect()
}

/// Marks that make a terminal show text in another order than it stands there.
fn is_direction_mark(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_shows_codes_and_messages() {
        let words = Words::of(
            br#"{"errors":[{"code":"DENIED","message":"no\u001b[31m \u202ered"},{"code":"X"},{"message":"m"}]}"#,
        );
        assert_eq!(words.to_string(), "; DENIED: no[31m red; X; m");
        assert!(words.has(&["DENIED"]) && !words.are_about_space());
        assert_eq!(
            Words::of(br#"{"details":"incorrect username"}"#).to_string(),
            "; incorrect username"
        );
        assert_eq!(Words::of(b"<html>").to_string(), "");
    }

    #[test]
    fn of_is_short() {
        let body = format!(
            r#"{{"errors":[{{"code":"A","message":"{}"}}]}}"#,
            "x".repeat(5000)
        );
        assert_eq!(
            Words::of(body.as_bytes()).to_string().len(),
            "; A: ".len() + LONGEST_MESSAGE
        );
    }

    #[test]
    fn are_about_space_signs() {
        for body in [
            r#"{"errors":[{"code":"DENIED","message":"adding 5 MiB would exceed the configured Quota"}]}"#,
            r#"{"errors":[{"code":"UNKNOWN","detail":{"DriverName":"filesystem","Enclosed":{"Op":"write","Err":28}}}]}"#,
        ] {
            assert!(Words::of(body.as_bytes()).are_about_space(), "{body}");
        }
    }
}
