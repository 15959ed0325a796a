//! What was asked, written down.

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// Did it come to the other host?
    pub elsewhere: bool,
    /// `GET`
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// How many bytes came with it.
    pub body: usize,
    /// The answer's status; none before there is one, or if there was none.
    pub status: Option<u16>,
}

impl Logged {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(have, _): &&(String, String)| have == name;
        self.headers
            .iter()
            .find(named)
            .map(|(_, value)| value.as_str())
    }

    /// Method and target, for comparisons.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}
