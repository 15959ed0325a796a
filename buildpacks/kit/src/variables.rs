//! The variables that the platform gives to a build (`<platform>/env`): the app's and the operator's settings.

use std::collections::BTreeMap;

/// Names and values, in the order of the names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// The value of `name`, where it is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Whether `name` is switched on: `1`, `true`, `yes` or `on`, in any case.
    pub fn is_on(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| {
            ["1", "true", "yes", "on"].contains(&value.trim().to_ascii_lowercase().as_str())
        })
    }

    /// Sets `name`.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// Every name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Names and values that are not Unicode stay out: no tool of a Python build could use them.
impl From<&libcnb::Env> for Variables {
    fn from(env: &libcnb::Env) -> Self {
        env.iter()
            .filter_map(|(name, value)| {
                Some((name.to_str()?.to_owned(), value.to_str()?.to_owned()))
            })
            .collect()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Variables {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn get_empty_is_unset() {
        let variables: Variables = [("A", ""), ("B", "x")].into_iter().collect();
        assert_eq!(
            (variables.get("A"), variables.get("B"), variables.get("C")),
            (None, Some("x"), None)
        );
    }

    #[test]
    fn is_on_words() {
        let variables: Variables = [("A", "1"), ("B", "True"), ("C", "0"), ("D", "")]
            .into_iter()
            .collect();
        assert_eq!(
            ["A", "B", "C", "D", "E"].map(|name| variables.is_on(name)),
            [true, true, false, false, false]
        );
    }
}
