//! URLs as they may be shown: without user, password, query and fragment. Mirrors and indexes carry tokens in all of them.

use url::Url;

/// The URL for logs and messages. A hidden part leaves a mark, so that a reader knows that there was one.
pub fn redacted(url: &Url) -> String {
    let mut shown = url.clone();
    let hidden_user = !url.username().is_empty() || url.password().is_some();
    shown.set_query(None);
    shown.set_fragment(None);
    if hidden_user && (shown.set_password(None).is_err() || shown.set_username("redacted").is_err())
    {
        return format!("{}://(hidden)", url.scheme());
    }
    match url.query() {
        Some(_) => format!("{shown}?(hidden)"),
        None => shown.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redacted_cases() {
        for (url, shown) in [
            ("https://example.org/a/b", "https://example.org/a/b"),
            (
                "https://user:pw@example.org/a",
                "https://redacted@example.org/a",
            ),
            (
                "https://token@example.org/a",
                "https://redacted@example.org/a",
            ),
            (
                "https://example.org/a?X-Sig=1#x",
                "https://example.org/a?(hidden)",
            ),
            ("file:///srv/mirror/x", "file:///srv/mirror/x"),
        ] {
            assert_eq!(redacted(&url.parse().expect("a literal URL")), shown);
        }
    }
}
