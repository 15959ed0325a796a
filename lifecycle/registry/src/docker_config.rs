//! Docker's `config.json`, which Podman's and skopeo's `auth.json` also follow (containers-auth.json(5)):
//!
//! ```json
//! {
//!   "auths": {
//!     "https://index.docker.io/v1/": { "auth": "dXNlcjpwYXNzd29yZA==" },
//!     "registry.example.com/team":   { "identitytoken": "…" }
//!   },
//!   "credHelpers": { "gcr.io": "gcloud" },
//!   "credsStore": "secretservice"
//! }
//! ```
//!
//! A key is a registry, in Podman's files also a part of one; the longest that fits counts.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::login::Login;

/// Docker Hub goes by many names; the first is the one credentials are filed under.
pub(crate) const DOCKER_HUB: [&str; 4] = [
    "index.docker.io",
    "docker.io",
    "registry-1.docker.io",
    "registry.hub.docker.com",
];

/// What a file says about credentials.
#[derive(Debug, Clone, Default)]
pub(crate) struct DockerConfig {
    logins: BTreeMap<String, Login>,
    helpers: BTreeMap<String, String>,
    store: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    auths: Option<BTreeMap<String, Option<Entry>>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

impl DockerConfig {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, ParseConfigError> {
        let File {
            auths,
            cred_helpers,
            creds_store,
        } = serde_json::from_slice(text).map_err(|error| ParseConfigError(error.to_string()))?;
        let mut logins = BTreeMap::new();
        for (key, entry) in auths.unwrap_or_default() {
            let login = entry.unwrap_or_default().login().map_err(|()| {
                ParseConfigError(format!(
                    "the entry for {key} is not `user:password` in Base64"
                ))
            })?;
            if let Some(login) = login {
                logins.insert(normal_key(&key), login);
            }
        }
        let helpers = cred_helpers.unwrap_or_default().into_iter();
        Ok(Self {
            logins,
            helpers: helpers
                .map(|(key, name)| (normal_key(&key), name))
                .collect(),
            store: creds_store.filter(|name| !name.is_empty()),
        })
    }

    /// The login in the file itself.
    pub(crate) fn login(&self, registry: &str, repository: &str) -> Option<&Login> {
        longest(&self.logins, registry, repository)
    }

    /// The helper to ask: the registry's own, else the one for all.
    pub(crate) fn helper(&self, registry: &str, repository: &str) -> Option<&str> {
        longest(&self.helpers, registry, repository)
            .or(self.store.as_ref())
            .map(String::as_str)
    }
}

impl Entry {
    /// Docker leaves an empty entry where a helper has the credentials.
    fn login(self) -> Result<Option<Login>, ()> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        if let Some(token) = given(self.registrytoken) {
            return Ok(Some(Login::Bearer(token)));
        }
        if let Some(token) = given(self.identitytoken) {
            return Ok(Some(Login::Identity(token)));
        }
        if let Some(user) = given(self.username) {
            let password = self.password.unwrap_or_default();
            return Ok(Some(Login::Basic { user, password }));
        }
        given(self.auth)
            .map(|encoded| Login::from_basic(&encoded).ok_or(()))
            .transpose()
    }
}

/// `https://index.docker.io/v1/` and `docker.io` are one registry; `https://` and `/v2/` say nothing.
pub(crate) fn normal_key(key: &str) -> String {
    let key = key.trim();
    let key = key
        .strip_prefix("https://")
        .or_else(|| key.strip_prefix("http://"))
        .unwrap_or(key)
        .trim_end_matches('/');
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let host = host.to_ascii_lowercase();
    let host = if DOCKER_HUB.contains(&host.as_str()) {
        DOCKER_HUB[0]
    } else {
        &host
    };
    match path {
        "" | "v1" | "v2" => host.to_owned(),
        path => format!("{host}/{path}"),
    }
}

/// The entry for the repository, for what it lies in, or for the registry. Whole parts only: a registry whose name starts
/// like another's must not get its credentials.
pub(crate) fn longest<'m, V>(
    entries: &'m BTreeMap<String, V>,
    registry: &str,
    repository: &str,
) -> Option<&'m V> {
    let whole = format!("{registry}/{repository}");
    let mut part = whole.as_str();
    loop {
        if let Some(found) = entries.get(part) {
            return Some(found);
        }
        part = part.rsplit_once('/')?.0;
    }
}

/// The file is not what it should be. The words hold nothing of its values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseConfigError(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(user: &str, password: &str) -> Login {
        Login::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }

    #[test]
    fn parse_every_kind_of_entry() {
        let config = DockerConfig::parse(
            br#"{"auths": {
                "https://index.docker.io/v1/": {"auth": "aHViOnA6dw=="},
                "r.test": {"username": "u", "password": "p"},
                "r.test/team/app": {"identitytoken": "i", "auth": "eDp5"},
                "tokens.test:5000": {"registrytoken": "t"},
                "helped.test": {}, "null.test": null},
              "credHelpers": {"gcr.io": "gcloud"}, "credsStore": "store", "HttpHeaders": {}}"#,
        )
        .unwrap();
        for (registry, repository, expected) in [
            ("index.docker.io", "library/app", Some(basic("hub", "p:w"))),
            ("r.test", "team/other", Some(basic("u", "p"))),
            ("r.test", "team/app", Some(Login::Identity("i".into()))),
            ("r.test", "team/app/sub", Some(Login::Identity("i".into()))),
            ("r.test", "team/application", Some(basic("u", "p"))),
            ("tokens.test:5000", "a", Some(Login::Bearer("t".into()))),
            ("tokens.test", "a", None),
            ("evil-r.test", "a", None),
            ("r.test.evil", "a", None),
            ("helped.test", "a", None),
        ] {
            assert_eq!(
                config.login(registry, repository),
                expected.as_ref(),
                "{registry}/{repository}"
            );
        }
        assert_eq!(config.helper("gcr.io", "a"), Some("gcloud"));
        assert_eq!(config.helper("other.io", "a"), Some("store"));
    }

    #[test]
    fn parse_says_what_is_wrong_without_secrets() {
        let message = |text: &[u8]| DockerConfig::parse(text).unwrap_err().to_string();
        assert_eq!(
            message(br#"{"auths": {"r.test": {"auth": "c2VjcmV0"}}}"#),
            "the entry for r.test is not `user:password` in Base64"
        );
        assert!(!message(br#"{"auths": {"r.test": {"auth": "#).is_empty());
    }

    #[test]
    fn normal_key_table() {
        for (key, normal) in [
            ("https://index.docker.io/v1/", "index.docker.io"),
            ("docker.io", "index.docker.io"),
            ("docker.io/library/app", "index.docker.io/library/app"),
            ("http://R.test:5000/v2", "r.test:5000"),
            ("[::1]:5000", "[::1]:5000"),
        ] {
            assert_eq!(normal_key(key), normal);
        }
    }
}
