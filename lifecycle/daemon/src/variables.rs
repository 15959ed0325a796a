//! The variables that say where the daemon is. An empty value means that none is set, to Docker as well.

use std::{ffi::OsString, path::PathBuf};

pub(crate) struct Variables {
    /// `DOCKER_HOST`
    pub(crate) host: Option<String>,
    /// `DOCKER_CONTEXT`
    pub(crate) context: Option<String>,
    /// `DOCKER_CONFIG`
    config: Option<PathBuf>,
    /// `HOME`
    home: Option<PathBuf>,
    /// `DOCKER_TLS`: any value means yes, `0` too.
    pub(crate) tls: bool,
    /// `DOCKER_TLS_VERIFY`: the same.
    pub(crate) tls_verify: bool,
    /// `DOCKER_CERT_PATH`
    pub(crate) cert_path: Option<PathBuf>,
    /// `DOCKER_API_VERSION`
    pub(crate) api_version: Option<String>,
}

impl Variables {
    pub(crate) fn of(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| {
            let value = set(name)?.to_string_lossy().trim().to_owned();
            Some(value).filter(|value| !value.is_empty())
        };
        Self {
            host: text("DOCKER_HOST"),
            context: text("DOCKER_CONTEXT"),
            config: set("DOCKER_CONFIG").map(PathBuf::from),
            home: set("HOME").map(PathBuf::from),
            tls: set("DOCKER_TLS").is_some(),
            tls_verify: set("DOCKER_TLS_VERIFY").is_some(),
            cert_path: set("DOCKER_CERT_PATH").map(PathBuf::from),
            api_version: text("DOCKER_API_VERSION"),
        }
    }

    /// The folder of the user's `config.json`, contexts and certificates.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        let usual = || self.home.as_ref().map(|home| home.join(".docker"));
        self.config.clone().or_else(usual)
    }
}
