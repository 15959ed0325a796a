//! Which daemon is meant, and how it is spoken to: what Docker's clients find in variables and in the user's folder.
//!
//! Docker's command line and the Go library that other programs use read different settings:
//!
//! | | the command line ([`Endpoint::of_user`]) | the library's `client.FromEnv` ([`Endpoint::of_variables`]) |
//! |---|---|---|
//! | address | `DOCKER_HOST`, else the context that `DOCKER_CONTEXT` or config.json names, else the usual socket | `DOCKER_HOST`, else the usual socket |
//! | TLS | where `DOCKER_TLS_VERIFY` is set; files in `DOCKER_CERT_PATH`, else in `~/.docker` | where `DOCKER_CERT_PATH` is set |
//! | TLS without verification | with `DOCKER_TLS` alone | without `DOCKER_TLS_VERIFY` |
//!
//! Both take `DOCKER_API_VERSION`. Sources: <https://docs.docker.com/reference/cli/docker/#environment-variables>,
//! <https://docs.docker.com/engine/manage-resources/contexts/>, `client/envvars.go` and `client/options.go` of moby 28.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    str::FromStr,
};

use fetch::{CertificateFileError, Config, Proxies};

use crate::{
    context::{self, ContextError},
    engine::Version,
    host::{Host, HostProblem, Protection},
    tls::{Authority, Tls, TlsFiles},
    variables::Variables,
};

/// Where Docker's command line looks if TLS is asked for and nothing else.
const USUAL_WITH_TLS: &str = "tcp://localhost:2376";

/// A daemon's address, and what is needed to speak to it.
#[derive(Debug, Clone, Default)]
pub struct Endpoint {
    pub(crate) host: Host,
    /// Certificates for this daemon alone.
    tls: Tls,
    pub(crate) named_by: NamedBy,
    pub(crate) newest_api: Option<Version>,
}

/// What says where the daemon is, for messages; nothing says so of the usual socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedBy(Option<Box<str>>);

/// An endpoint as settings have it.
pub(crate) struct Described {
    /// None: the usual socket.
    pub(crate) address: Option<String>,
    pub(crate) named_by: NamedBy,
    /// What TLS needs, if it is wanted.
    pub(crate) tls: Option<TlsFiles>,
}

impl Endpoint {
    /// The daemon that Docker's command line would use for the user whose environment this looks variables up in; empty values count
    /// as none.
    pub fn of_user(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, EndpointError> {
        let variables = Variables::of(variable);
        let chosen = match variables.host {
            Some(_) => None,
            None => context::chosen(&variables)?,
        };
        let described = chosen.unwrap_or_else(|| by_command_line(&variables));
        Self::new(described, &variables)
    }

    /// The daemon that Docker's Go library would use, and so the reference lifecycle.
    pub fn of_variables(
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, EndpointError> {
        let variables = Variables::of(variable);
        Self::new(by_library(&variables), &variables)
    }

    fn new(described: Described, variables: &Variables) -> Result<Self, EndpointError> {
        let Described {
            address,
            named_by,
            tls,
        } = described;
        let protection = match tls {
            Some(_) => Protection::Tls,
            None => Protection::AsWritten,
        };
        let host = match address {
            None => Host::default(),
            Some(address) => {
                let parsed = Host::parse(&address, protection);
                let named_by = named_by.clone();
                parsed.map_err(|problem| EndpointError::Address { named_by, problem })?
            }
        };
        let newest_api = variables.api_version.as_deref().map(version).transpose()?;
        // A socket is protected by its mode.
        let tls = match tls {
            Some(files) if host.socket().is_none() => files.read(&host)?,
            _ => Tls::default(),
        };
        Ok(Self {
            host,
            tls,
            named_by,
            newest_api,
        })
    }

    /// The socket that the daemon listens on, where it is one.
    pub fn socket(&self) -> Option<&Path> {
        self.host.socket()
    }

    /// The same daemon, to be reached at another socket.
    #[must_use]
    pub fn through(self, socket: PathBuf) -> Self {
        Self {
            host: Host::of_socket(socket),
            ..self
        }
    }

    /// The settings for speaking to this daemon. No proxy stands before one on this machine.
    pub(crate) fn config(&self, http: Config) -> Config {
        let Tls {
            authorities,
            identity,
        } = &self.tls;
        Config {
            roots: http.roots.and(authorities),
            identity: identity.clone(),
            proxies: if self.host.is_here() {
                Proxies::default()
            } else {
                http.proxies
            },
            ..http
        }
    }
}

impl FromStr for Endpoint {
    type Err = HostProblem;

    /// An address alone, written as in `DOCKER_HOST`.
    fn from_str(address: &str) -> Result<Self, HostProblem> {
        Ok(Self {
            host: Host::parse(address, Protection::AsWritten)?,
            ..Self::default()
        })
    }
}

fn version(found: &str) -> Result<Version, EndpointError> {
    Version::of_setting(found).ok_or_else(|| EndpointError::ApiVersion {
        found: found.to_owned(),
    })
}

fn by_command_line(variables: &Variables) -> Described {
    let wanted = variables.tls || variables.tls_verify;
    let folder = variables.cert_path.clone().or_else(|| variables.folder());
    let tls = folder.filter(|_| wanted);
    let tls = tls.map(|folder| of_variables(folder, variables, "DOCKER_TLS"));
    let usual = tls.as_ref().map(|_| USUAL_WITH_TLS.to_owned());
    described(variables, usual, tls)
}

fn by_library(variables: &Variables) -> Described {
    let folder = variables.cert_path.clone();
    let tls = folder.map(|folder| of_variables(folder, variables, "DOCKER_CERT_PATH"));
    described(variables, None, tls)
}

fn of_variables(folder: PathBuf, variables: &Variables, asks: &str) -> TlsFiles {
    let unverified = || format!("{asks} without DOCKER_TLS_VERIFY");
    TlsFiles {
        folder,
        authority: Authority::Needed,
        unverified: (!variables.tls_verify).then(unverified),
    }
}

fn described(variables: &Variables, usual: Option<String>, tls: Option<TlsFiles>) -> Described {
    Described {
        named_by: match variables.host {
            Some(_) => NamedBy::variable(),
            None => NamedBy::default(),
        },
        address: variables.host.clone().or(usual),
        tls,
    }
}

impl NamedBy {
    fn variable() -> Self {
        Self(Some("DOCKER_HOST".into()))
    }

    pub(crate) fn context(name: &str, file: &Path) -> Self {
        let words = format!("the Docker context `{name}`, {}", file.display());
        Self(Some(words.into()))
    }

    /// What a message says before an address.
    fn before(&self) -> String {
        let words = self.0.as_ref().map(|words| format!("{words}: "));
        words.unwrap_or_default()
    }

    /// What a message says behind an address.
    pub(crate) fn behind(&self) -> String {
        let words = self.0.as_ref().map(|words| format!(" ({words})"));
        words.unwrap_or_default()
    }
}

/// Why settings lead to no daemon.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The address cannot be used.
    #[error("{}{problem}", named_by.before())]
    Address {
        /// Where it stands.
        named_by: NamedBy,
        /// What is wrong with it.
        problem: HostProblem,
    },
    /// Nobody would check who answers.
    #[error(
        "{asked} means TLS to {daemon} without verifying who answers, which is not done. \
         Verify it: set DOCKER_TLS_VERIFY=1, and put its authority's certificate as ca.pem into DOCKER_CERT_PATH"
    )]
    Unverified {
        /// What asks for that.
        asked: String,
        /// Where it listens.
        daemon: String,
    },
    /// Files of TLS cannot be used.
    #[error("TLS to the Docker daemon at {daemon} is not possible: {source}")]
    Certificate {
        /// Where it listens.
        daemon: String,
        /// Which file, and why.
        source: CertificateFileError,
    },
    /// The context cannot be used.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The version is none, or too old.
    #[error(
        "DOCKER_API_VERSION is `{found}`; expected is a version of the Docker Engine API such as 1.41, and 1.25 or later"
    )]
    ApiVersion {
        /// The value.
        found: String,
    },
}

#[cfg(test)]
mod tests {
    use std::fs;

    use test_servers::certificate::Certificate;

    use super::*;

    /// What somebody who has set these is led to: by the command line's rules, by the library's.
    fn both(variables: &[(&str, &str)]) -> [String; 2] {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.into())
        };
        [
            Endpoint::of_user(variable),
            Endpoint::of_variables(variable),
        ]
        .map(|found| match found {
            Ok(endpoint) => format!("{}{}", endpoint.host, endpoint.named_by.behind()),
            Err(error) => error.to_string(),
        })
    }

    #[test]
    fn of_variables_table() {
        const USUAL: &str = "unix:///var/run/docker.sock";
        let folder = tempfile::tempdir().unwrap();
        let certificates = folder.path().display().to_string();
        let path = ("DOCKER_CERT_PATH", &*certificates);
        fs::write(folder.path().join("ca.pem"), Certificate::new().authority).unwrap();
        let (host, verify) = (("DOCKER_HOST", "tcp://docker"), ("DOCKER_TLS_VERIFY", "1"));
        let unverified = |asked: &str| {
            format!(
                "{asked} without DOCKER_TLS_VERIFY means TLS to https://docker:2376 without verifying who answers, which is not done. \
                 Verify it: set DOCKER_TLS_VERIFY=1, and put its authority's certificate as ca.pem into DOCKER_CERT_PATH"
            )
        };
        let no_file = "TLS to the Docker daemon at https://docker:2376 is not possible: \
                       /none/ca.pem cannot be read: No such file or directory (os error 2)";
        for (variables, command_line, library) in [
            (&[][..], USUAL, USUAL),
            (&[("DOCKER_HOST", "")], USUAL, USUAL),
            (
                &[host],
                "http://docker:2375 (DOCKER_HOST)",
                "http://docker:2375 (DOCKER_HOST)",
            ),
            (
                &[host, verify, path],
                "https://docker:2376 (DOCKER_HOST)",
                "https://docker:2376 (DOCKER_HOST)",
            ),
            // The library looks at the folder, the command line at the wish.
            (
                &[host, path],
                "http://docker:2375 (DOCKER_HOST)",
                &unverified("DOCKER_CERT_PATH"),
            ),
            (
                &[host, path, ("DOCKER_TLS", "1")],
                &unverified("DOCKER_TLS"),
                &unverified("DOCKER_CERT_PATH"),
            ),
            (&[verify, path], "https://localhost:2376", USUAL),
            (
                &[host, verify, ("DOCKER_CERT_PATH", "/none")],
                no_file,
                no_file,
            ),
            (
                &[host, verify, ("DOCKER_CONFIG", "/none")],
                no_file,
                "http://docker:2375 (DOCKER_HOST)",
            ),
            // A socket needs no certificates, whatever is wrong with them.
            (
                &[("DOCKER_HOST", "unix:///s"), ("DOCKER_CERT_PATH", "/none")],
                "unix:///s (DOCKER_HOST)",
                "unix:///s (DOCKER_HOST)",
            ),
        ] {
            assert_eq!(both(variables), [command_line, library], "{variables:?}");
        }
    }

    #[test]
    fn of_user_says_which_setting_is_wrong() {
        let host = [("DOCKER_HOST", "ssh://build.example")];
        let expected = "DOCKER_HOST: the Docker daemon's address is `ssh://build.example`, but Longshore does not speak ssh. Forward the socket and use that: \
                        ssh -N -L /tmp/docker.sock:/var/run/docker.sock HOST, then DOCKER_HOST=unix:///tmp/docker.sock";
        assert_eq!(both(&host), [expected, expected]);
        let version = [("DOCKER_API_VERSION", "1.24")];
        let expected = "DOCKER_API_VERSION is `1.24`; expected is a version of the Docker Engine API such as 1.41, and 1.25 or later";
        assert_eq!(both(&version), [expected, expected]);
    }
}
