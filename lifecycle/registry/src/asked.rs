//! A request as it may be shown: method and address, without user, password and query.

use std::fmt;

use reqwest::Method;
use url::Url;

/// A request, for messages: `PUT https://registry.example.com/v2/app/manifests/1`.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked(String);

impl Asked {
    pub(crate) fn new(method: &Method, url: &Url) -> Self {
        Self(format!("{method} {}", fetch::redacted(url)))
    }

    /// For what is not even an address.
    pub(crate) fn of_text(text: &str) -> Self {
        Self(text.chars().take(300).collect())
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
