//! A request as messages show it: method, path and daemon.

use std::fmt;

use reqwest::Method;

use crate::host::Host;

/// A request, for messages: `POST /v1.41/images/load (unix:///var/run/docker.sock)`.
#[derive(Clone, PartialEq, Eq)]
pub struct Asked(String);

impl Asked {
    pub(crate) fn new(method: &Method, path: &str, host: &Host) -> Self {
        Self(format!("{method} {path} ({host})"))
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
