//! What a 401 asks for: `WWW-Authenticate` (RFC 9110, section 11.6.1).
//!
//! Several challenges may stand in one header, and several headers in one answer; commas separate challenges as well as a
//! challenge's own parameters. A word without `=` behind it begins the next challenge.

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};

/// More is not read.
const LONGEST_HEADER: usize = 8 << 10;

/// A challenge that can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User and password with every request (RFC 7617).
    Basic,
    /// A token, to be had at the realm (distribution's token specification).
    Bearer(Bearer),
}

/// Where to get a token, and what the registry says it has to be for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
    pub(crate) scope: Option<String>,
}

/// The challenges of an answer. Other kinds (Negotiate, NTLM) are left out.
pub(crate) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let texts = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .filter(|text| text.len() <= LONGEST_HEADER);
    let mut found = Vec::new();
    for text in texts {
        for (scheme, parameters) in parsed(text) {
            let value = |name: &str| {
                let named = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
                parameters
                    .iter()
                    .find(named)
                    .map(|(_, value)| value.clone())
            };
            if scheme.eq_ignore_ascii_case("basic") {
                found.push(Challenge::Basic);
            } else if scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = value("realm")
            {
                found.push(Challenge::Bearer(Bearer {
                    realm,
                    service: value("service"),
                    scope: value("scope"),
                }));
            }
        }
    }
    found
}

type Parameters = Vec<(String, String)>;

fn parsed(text: &str) -> Vec<(String, Parameters)> {
    let mut rest = text;
    let mut found: Vec<(String, Parameters)> = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = token(rest);
        if word.is_empty() {
            return found;
        }
        let gap = after.trim_start_matches([' ', '\t']);
        match (gap.strip_prefix('='), found.last_mut()) {
            (Some(value), Some((_, parameters))) => {
                let Some((value, after)) = parameter_value(value.trim_start_matches([' ', '\t']))
                else {
                    return found;
                };
                parameters.push((word.to_owned(), value));
                rest = after;
            }
            // A parameter before any scheme is not a header that can be understood.
            (Some(_), None) => return found,
            (None, _) => {
                found.push((word.to_owned(), Vec::new()));
                rest = without_token68(gap);
            }
        }
    }
}

/// `Negotiate dGVzdA==` has one value without a name; it ends at a comma.
fn without_token68(text: &str) -> &str {
    let (word, after) = token68(text);
    let padding = after.trim_start_matches('=');
    let ends = padding.trim_start_matches([' ', '\t']);
    let is_whole = !word.is_empty() && (ends.is_empty() || ends.starts_with(','));
    if is_whole { ends } else { text }
}

fn token(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~".contains(c))
        .unwrap_or(text.len());
    text.split_at(end)
}

fn token68(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && !"-._~+/".contains(c))
        .unwrap_or(text.len());
    text.split_at(end)
}

fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let (word, after) = token(text);
        return Some((word.to_owned(), after));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Vec<Challenge> {
        let pairs = texts
            .iter()
            .map(|text| (WWW_AUTHENTICATE, text.parse().unwrap()));
        let mut headers = HeaderMap::new();
        pairs.for_each(|(name, value)| {
            headers.append(name, value);
        });
        challenges(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer(Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        })
    }

    #[test]
    fn challenges_table() {
        let docker = r#"Bearer realm="https://auth.test/token",service="r.test",scope="repository:a:pull,push""#;
        let table: [(&[&str], Vec<Challenge>); 9] = [
            (
                &[docker],
                vec![bearer(
                    "https://auth.test/token",
                    Some("r.test"),
                    Some("repository:a:pull,push"),
                )],
            ),
            (&["Basic realm=\"x\""], vec![Challenge::Basic]),
            (&["basic"], vec![Challenge::Basic]),
            (
                &["Negotiate, Basic realm=\"a, b\", BEARER realm=x"],
                vec![Challenge::Basic, bearer("x", None, None)],
            ),
            (&["Negotiate dGVzdA==, Basic"], vec![Challenge::Basic]),
            (
                &["Basic realm=\"x\"", docker],
                vec![
                    Challenge::Basic,
                    bearer(
                        "https://auth.test/token",
                        Some("r.test"),
                        Some("repository:a:pull,push"),
                    ),
                ],
            ),
            (
                &[r#"Bearer realm = "a\"b" , service=s"#],
                vec![bearer("a\"b", Some("s"), None)],
            ),
            (&["Bearer service=x"], vec![]),
            (&["realm=x", "", "Bearer realm=\"open", ",,;"], vec![]),
        ];
        for (texts, expected) in table {
            assert_eq!(of(texts), expected, "{texts:?}");
        }
    }
}
