//! Where a daemon listens: an address as `DOCKER_HOST` and contexts have it, parsed once.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use url::Url;

/// Where dockerd listens unless it is told otherwise.
const USUAL: &str = "/var/run/docker.sock";

/// The ports of a daemon without and with TLS; `tcp://` addresses may leave them out.
const PORT: u16 = 2375;
const PORT_WITH_TLS: u16 = 2376;

/// The forms that work, for messages.
const EXPECTED: &str = "unix:///PATH, tcp://HOST:PORT, http://HOST:PORT or https://HOST:PORT";

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Unix(PathBuf),
    Http(Url),
}

/// How it is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Over TLS where the address says `https`.
    AsWritten,
    /// Over TLS wherever it is no socket.
    Tls,
}

impl Host {
    pub(crate) fn parse(text: &str, protection: Protection) -> Result<Self, HostProblem> {
        let text = text.trim();
        let unreadable = |cause: String| HostProblem::Unreadable {
            found: shown(text),
            cause,
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(unreadable("it has no `://`".to_owned()));
        };
        let (http, port) = match (scheme, protection) {
            ("unix", _) if rest.starts_with('/') => return Ok(Self::of_socket(rest.into())),
            ("unix", _) => {
                let cause = "the path of a socket has to begin with `/`";
                return Err(unreadable(cause.to_owned()));
            }
            ("tcp", Protection::AsWritten) => ("http", Some(PORT)),
            ("tcp", Protection::Tls) => ("https", Some(PORT_WITH_TLS)),
            ("http", Protection::AsWritten) => ("http", None),
            ("http", Protection::Tls) | ("https", _) => ("https", None),
            ("ssh", _) => return Err(HostProblem::Ssh { found: shown(text) }),
            _ => {
                return Err(HostProblem::Scheme {
                    found: shown(text),
                    scheme: scheme.chars().take(20).collect(),
                });
            }
        };
        let mut url: Url = format!("{http}://{rest}")
            .parse()
            .map_err(|cause: url::ParseError| unreadable(cause.to_string()))?;
        let port = port.filter(|_| !has_port(rest));
        if port.is_some() && url.set_port(port).is_err() {
            return Err(unreadable("it has no host".to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(unreadable("it has a `?` or a `#`".to_owned()));
        }
        Ok(Self(Place::Http(url)))
    }

    pub(crate) fn of_socket(path: PathBuf) -> Self {
        Self(Place::Unix(path))
    }

    /// The socket, where it is one.
    pub(crate) fn socket(&self) -> Option<&Path> {
        match &self.0 {
            Place::Unix(path) => Some(path),
            Place::Http(_) => None,
        }
    }

    /// The address that requests name. Behind a socket the host's name says nothing.
    pub(crate) fn url(&self) -> Url {
        match &self.0 {
            Place::Unix(_) => "http://localhost/".parse().expect("a literal address"),
            Place::Http(url) => url.clone(),
        }
    }

    /// Is it on this machine? Then no proxy stands between.
    pub(crate) fn is_here(&self) -> bool {
        match &self.0 {
            Place::Unix(_) => true,
            Place::Http(url) => match url.host() {
                Some(url::Host::Domain(name)) => name == "localhost",
                Some(url::Host::Ipv4(address)) => address.is_loopback(),
                Some(url::Host::Ipv6(address)) => address.is_loopback(),
                None => false,
            },
        }
    }
}

impl Default for Host {
    /// Where dockerd listens unless it is told otherwise.
    fn default() -> Self {
        Self::of_socket(USUAL.into())
    }
}

fn has_port(rest: &str) -> bool {
    let host = rest.split('/').next().unwrap_or_default();
    host.rsplit_once(':')
        .is_some_and(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()))
}

/// As much as is readable, and no password.
fn shown(text: &str) -> String {
    let shown = match text.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://{host}"),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    };
    shown.chars().take(300).collect()
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Unix(path) => write!(f, "unix://{}", path.display()),
            Place::Http(url) => f.write_str(fetch::redacted(url).trim_end_matches('/')),
        }
    }
}

/// Why a daemon's address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostProblem {
    /// It is not an address.
    #[error("the Docker daemon's address `{found}` cannot be read: {cause}. Expected: {EXPECTED}")]
    Unreadable {
        /// The address.
        found: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A daemon behind ssh.
    #[error(
        "the Docker daemon's address is `{found}`, but Longshore does not speak ssh. Forward the socket and use that: \
         ssh -N -L /tmp/docker.sock:/var/run/docker.sock HOST, then DOCKER_HOST=unix:///tmp/docker.sock"
    )]
    Ssh {
        /// The address.
        found: String,
    },
    /// Another way that is not spoken: Windows' named pipes, systemd's sockets.
    #[error(
        "the Docker daemon's address is `{found}`, but addresses of the kind `{scheme}:` cannot be used. Expected: {EXPECTED}"
    )]
    Scheme {
        /// The address.
        found: String,
        /// Its kind.
        scheme: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_table() {
        for (setting, shown, url, here) in [
            (
                "unix:///run/user/1000/docker.sock",
                "unix:///run/user/1000/docker.sock",
                "http://localhost/",
                true,
            ),
            (
                "tcp://10.0.0.1:2376",
                "http://10.0.0.1:2376",
                "http://10.0.0.1:2376/",
                false,
            ),
            (
                "tcp://docker",
                "http://docker:2375",
                "http://docker:2375/",
                false,
            ),
            // The usual port of http is none of Docker's: it was asked for.
            ("tcp://docker:80", "http://docker", "http://docker/", false),
            (
                "tcp://[::1]",
                "http://[::1]:2375",
                "http://[::1]:2375/",
                true,
            ),
            (
                "http://127.0.0.1:99/prefix",
                "http://127.0.0.1:99/prefix",
                "http://127.0.0.1:99/prefix",
                true,
            ),
            (
                "https://docker.example.com",
                "https://docker.example.com",
                "https://docker.example.com/",
                false,
            ),
        ] {
            let host = Host::parse(setting, Protection::AsWritten).unwrap();
            assert_eq!(
                (
                    host.to_string().as_str(),
                    host.url().as_str(),
                    host.is_here()
                ),
                (shown, url, here),
                "{setting:?}"
            );
        }
    }

    #[test]
    fn parse_with_tls() {
        for (setting, shown) in [
            ("tcp://docker", "https://docker:2376"),
            ("tcp://docker:2375", "https://docker:2375"),
            // Whoever asks for TLS does not mean an unprotected connection.
            ("http://docker:99", "https://docker:99"),
            ("https://docker:99", "https://docker:99"),
            ("unix:///s", "unix:///s"),
        ] {
            let host = Host::parse(setting, Protection::Tls).unwrap();
            assert_eq!(host.to_string(), shown);
        }
        assert_eq!(Host::default().to_string(), "unix:///var/run/docker.sock");
    }

    #[test]
    fn parse_refuses() {
        for (setting, message) in [
            (
                "/var/run/docker.sock",
                "the Docker daemon's address `/var/run/docker.sock` cannot be read: it has no `://`. Expected: unix:///PATH, tcp://HOST:PORT, http://HOST:PORT or https://HOST:PORT",
            ),
            (
                "unix://docker.sock",
                "the Docker daemon's address `unix://docker.sock` cannot be read: the path of a socket has to begin with `/`. Expected: unix:///PATH, tcp://HOST:PORT, http://HOST:PORT or https://HOST:PORT",
            ),
            (
                "npipe:////./pipe/docker_engine",
                "the Docker daemon's address is `npipe:////./pipe/docker_engine`, but addresses of the kind `npipe:` cannot be used. Expected: unix:///PATH, tcp://HOST:PORT, http://HOST:PORT or https://HOST:PORT",
            ),
            (
                "ssh://user:secret@build.example.com",
                "the Docker daemon's address is `ssh://build.example.com`, but Longshore does not speak ssh. Forward the socket and use that: ssh -N -L /tmp/docker.sock:/var/run/docker.sock HOST, then DOCKER_HOST=unix:///tmp/docker.sock",
            ),
        ] {
            let problem = Host::parse(setting, Protection::AsWritten).unwrap_err();
            assert_eq!(problem.to_string(), message);
        }
        assert!(Host::parse("tcp://", Protection::AsWritten).is_err());
    }
}
