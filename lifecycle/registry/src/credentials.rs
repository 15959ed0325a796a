//! Which credentials there are for which registry: from `CNB_REGISTRY_AUTH`, from the files that Docker, Podman and skopeo
//! write when somebody logs in, and from the helpers that these files name.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::PathBuf,
    sync::Arc,
};

use crate::{
    docker_config::{DockerConfig, ParseConfigError, longest, normal_key},
    helper::{HelperError, Helpers},
    login::Login,
};

/// No file of credentials is longer.
const LONGEST_FILE: u64 = 1 << 20;

/// Credentials for registries. The first place that has some for a registry counts.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    sources: Vec<Source>,
    helpers: Helpers,
    looked_at: Vec<String>,
    /// What was found for a repository (`registry/repository`) when it was asked for beforehand.
    settled: BTreeMap<String, Option<Login>>,
}

#[derive(Debug, Clone)]
enum Source {
    Given(BTreeMap<String, Login>),
    File(Arc<DockerConfig>, String),
}

/// A file in which credentials may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialFile {
    /// Where it is.
    pub path: PathBuf,
    /// Who says so, for messages: `REGISTRY_AUTH_FILE`, `Docker's configuration`.
    pub origin: String,
}

impl Credentials {
    /// None at all: only what is public can be read.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a registry's user and password, or token.
    #[must_use]
    pub fn with_login(mut self, registry: &str, login: Login) -> Self {
        let entry = BTreeMap::from([(normal_key(registry), login)]);
        self.sources.push(Source::Given(entry));
        self
    }

    /// Adds what `CNB_REGISTRY_AUTH` says: `{"registry.example.com": "Basic dXNlcjpwYXNz"}` (Platform specification, "Registry
    /// authentication"; `Bearer` and the reference lifecycle's `X-Identity` are the other schemes).
    pub fn with_cnb_registry_auth(mut self, text: &str) -> Result<Self, CredentialsError> {
        self.looked_at.push("CNB_REGISTRY_AUTH".to_owned());
        if text.trim().is_empty() {
            return Ok(self);
        }
        let wrong = |problem: String| CredentialsError::CnbRegistryAuth { problem };
        // serde_json's message may show a value.
        let entries: BTreeMap<String, String> = serde_json::from_str(text).map_err(|error| {
            wrong(format!(
                "it is not a JSON object of strings (line {}, column {})",
                error.line(),
                error.column()
            ))
        })?;
        let mut logins = BTreeMap::new();
        for (registry, value) in entries {
            let login = match value.split_once(' ') {
                Some(("Basic", encoded)) => Login::from_basic(encoded),
                Some(("Bearer", token)) => Some(Login::Bearer(token.trim().to_owned())),
                Some(("X-Identity", token)) => Some(Login::Identity(token.trim().to_owned())),
                _ => None,
            };
            let login = login.ok_or_else(|| {
                wrong(format!(
                    "the value for {registry} is neither `Basic` and `user:password` in Base64 nor `Bearer` and a token"
                ))
            })?;
            logins.insert(normal_key(&registry), login);
        }
        self.sources.push(Source::Given(logins));
        Ok(self)
    }

    /// Adds what a file says, if it is there.
    pub fn with_file(mut self, file: &CredentialFile) -> Result<Self, CredentialsError> {
        let CredentialFile { path, origin } = file;
        let shown = format!("{} ({origin})", path.display());
        let unreadable = |source| CredentialsError::Read {
            path: path.clone(),
            origin: origin.clone(),
            source,
        };
        let opened = match File::open(path) {
            Err(error) if is_absent(&error) => {
                self.looked_at.push(format!("{shown}: not there"));
                return Ok(self);
            }
            opened => opened.map_err(unreadable)?,
        };
        let mut text = Vec::new();
        opened
            .take(LONGEST_FILE)
            .read_to_end(&mut text)
            .map_err(unreadable)?;
        // Podman makes an empty file before the first login.
        if text.trim_ascii().is_empty() {
            self.looked_at.push(format!("{shown}: empty"));
            return Ok(self);
        }
        let config = DockerConfig::parse(&text).map_err(|source| CredentialsError::Parse {
            path: path.clone(),
            origin: origin.clone(),
            source,
        })?;
        self.looked_at.push(shown.clone());
        self.sources.push(Source::File(Arc::new(config), shown));
        Ok(self)
    }

    /// Where the files' helpers are found, and how long they may take.
    #[must_use]
    pub fn with_helpers(mut self, helpers: Helpers) -> Self {
        self.helpers = helpers;
        self
    }

    /// The places that were looked at, and what was there, for messages.
    pub fn looked_at(&self) -> &[String] {
        &self.looked_at
    }

    /// The login for a repository. It may run a helper, which takes time.
    pub fn find(
        &self,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Login>, CredentialsError> {
        if let Some(settled) = self.settled.get(&format!("{registry}/{repository}")) {
            return Ok(settled.clone());
        }
        for source in &self.sources {
            let found = match source {
                Source::Given(logins) => longest(logins, registry, repository).cloned(),
                Source::File(config, file) => self.in_file(config, file, registry, repository)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Remembers what was found for a repository.
    pub(crate) fn settle(&mut self, registry: &str, repository: &str, login: Option<Login>) {
        self.settled
            .insert(format!("{registry}/{repository}"), login);
    }

    /// Docker's order: the helper first; what stands in the file itself is left from before there was one.
    fn in_file(
        &self,
        config: &DockerConfig,
        file: &str,
        registry: &str,
        repository: &str,
    ) -> Result<Option<Login>, CredentialsError> {
        let helped = match config.helper(registry, repository) {
            Some(name) => self.helpers.ask(name, registry),
            None => Ok(None),
        };
        let in_file = config.login(registry, repository);
        match (helped, in_file) {
            (Ok(Some(login)), _) => Ok(Some(login)),
            (_, Some(login)) => Ok(Some(login.clone())),
            (Ok(None), None) => Ok(None),
            (Err(source), None) => Err(CredentialsError::Helper {
                file: file.to_owned(),
                source,
            }),
        }
    }
}

fn is_absent(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Why credentials could not be had.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// `CNB_REGISTRY_AUTH` is not what it should be.
    #[error("CNB_REGISTRY_AUTH cannot be used: {problem}")]
    CnbRegistryAuth {
        /// What is wrong, without any value.
        problem: String,
    },
    /// A file is there and cannot be read.
    #[error("the credentials in {} ({origin}) cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Who names it.
        origin: String,
        /// Why.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("the credentials in {} ({origin}) cannot be used: {source}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Who names it.
        origin: String,
        /// Why.
        source: ParseConfigError,
    },
    /// A helper gave no answer.
    #[error("{source}; it is named in {file}")]
    Helper {
        /// The file that names it.
        file: String,
        /// What happened.
        source: HelperError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_cnb_registry_auth_forms() {
        let credentials = Credentials::none()
            .with_cnb_registry_auth(
                r#"{"r.test": "Basic dTpw", "https://r.test/team/": "Bearer t", "index.docker.io": "X-Identity i"}"#,
            )
            .unwrap();
        let find =
            |registry: &str, repository: &str| credentials.find(registry, repository).unwrap();
        let basic = Login::Basic {
            user: "u".to_owned(),
            password: "p".to_owned(),
        };
        assert_eq!(find("r.test", "app"), Some(basic));
        assert_eq!(
            find("r.test", "team/app"),
            Some(Login::Bearer("t".to_owned()))
        );
        assert_eq!(
            find("index.docker.io", "library/a"),
            Some(Login::Identity("i".to_owned()))
        );
        assert_eq!(find("other.test", "app"), None);
        assert!(Credentials::none().with_cnb_registry_auth("").is_ok());
    }

    #[test]
    fn with_cnb_registry_auth_says_what_is_wrong_without_secrets() {
        for (text, expected) in [
            (
                "secret",
                "CNB_REGISTRY_AUTH cannot be used: it is not a JSON object of strings (line 1, column 1)",
            ),
            (
                r#"{"r.test": "secret"}"#,
                "CNB_REGISTRY_AUTH cannot be used: the value for r.test is neither `Basic` and `user:password` in Base64 nor `Bearer` and a token",
            ),
        ] {
            let error = Credentials::none()
                .with_cnb_registry_auth(text)
                .unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn with_file_first_place_counts_and_all_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: Option<&str>| {
            let path = folder.path().join(name);
            if let Some(text) = text {
                std::fs::write(&path, text).unwrap();
            }
            CredentialFile {
                path,
                origin: "a test".to_owned(),
            }
        };
        let credentials = Credentials::none()
            .with_file(&file("absent", None))
            .and_then(|found| found.with_file(&file("empty", Some(" "))))
            .and_then(|found| {
                found.with_file(&file(
                    "one",
                    Some(r#"{"auths": {"a.test": {"auth": "MTpw"}}}"#),
                ))
            })
            .and_then(|found| {
                found.with_file(&file(
                    "two",
                    Some(r#"{"auths": {"a.test": {"auth": "Mjpw"}}, "credsStore": "none"}"#),
                ))
            })
            .unwrap();
        let Some(Login::Basic { user, .. }) = credentials.find("a.test", "x").unwrap() else {
            panic!("a login");
        };
        assert_eq!(user, "1");
        let at = |name: &str| folder.path().join(name).display().to_string();
        assert_eq!(
            credentials.looked_at(),
            [
                format!("{} (a test): not there", at("absent")),
                format!("{} (a test): empty", at("empty")),
                format!("{} (a test)", at("one")),
                format!("{} (a test)", at("two")),
            ]
        );
        assert_eq!(
            credentials.find("b.test", "x").unwrap_err().to_string(),
            format!(
                "the credential helper docker-credential-none is not in any folder of PATH; install it, or remove it from credsStore or credHelpers; \
                 it is named in {} (a test)",
                at("two")
            )
        );
    }
}
