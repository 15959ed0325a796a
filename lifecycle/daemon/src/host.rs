//! Where a daemon listens: the value of `DOCKER_HOST`, parsed once.

use std::{fmt, path::PathBuf, str::FromStr};

use url::Url;

/// Where dockerd listens unless it is told otherwise.
const USUAL: &str = "unix:///var/run/docker.sock";

/// The port of an unprotected daemon; `tcp://` addresses may leave it out.
const USUAL_PORT: u16 = 2375;

/// The forms that work, for messages.
const EXPECTED: &str = "unix:///PATH, tcp://HOST:PORT, http://HOST:PORT or https://HOST:PORT";

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host(Place);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Unix(PathBuf),
    Http(Url),
}

impl Host {
    /// The value of `DOCKER_HOST`; none, or an empty one, means dockerd's usual socket.
    pub fn of_setting(setting: Option<&str>) -> Result<Self, HostProblem> {
        match setting.map(str::trim) {
            None | Some("") => USUAL.parse(),
            Some(text) => text.parse(),
        }
    }

    /// The socket, where it is one.
    pub(crate) fn socket(&self) -> Option<&PathBuf> {
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

impl FromStr for Host {
    type Err = HostProblem;

    fn from_str(text: &str) -> Result<Self, HostProblem> {
        let unreadable = |cause: String| HostProblem::Unreadable {
            found: shown(text),
            cause,
        };
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(unreadable("it has no `://`".to_owned()));
        };
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self(Place::Unix(rest.into()))),
            "unix" => Err(unreadable(
                "the path of a socket has to begin with `/`".to_owned(),
            )),
            "tcp" | "http" | "https" => {
                let scheme = if scheme == "tcp" { "http" } else { scheme };
                let mut url: Url = format!("{scheme}://{rest}")
                    .parse()
                    .map_err(|cause: url::ParseError| unreadable(cause.to_string()))?;
                if text.starts_with("tcp:")
                    && !has_port(rest)
                    && url.set_port(Some(USUAL_PORT)).is_err()
                {
                    return Err(unreadable("it has no host".to_owned()));
                }
                if url.query().is_some() || url.fragment().is_some() {
                    return Err(unreadable("it has a `?` or a `#`".to_owned()));
                }
                Ok(Self(Place::Http(url)))
            }
            "ssh" => Err(HostProblem::Ssh { found: shown(text) }),
            _ => Err(HostProblem::Scheme {
                found: shown(text),
                scheme: scheme.chars().take(20).collect(),
            }),
        }
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
    #[error(
        "the Docker daemon's address `{found}` cannot be read: {cause}. Expected in DOCKER_HOST: {EXPECTED}"
    )]
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
        "the Docker daemon's address is `{found}`, but addresses of the kind `{scheme}:` cannot be used. Expected in DOCKER_HOST: {EXPECTED}"
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
    fn of_setting_table() {
        for (setting, shown, url, here) in [
            (
                None,
                "unix:///var/run/docker.sock",
                "http://localhost/",
                true,
            ),
            (
                Some(" "),
                "unix:///var/run/docker.sock",
                "http://localhost/",
                true,
            ),
            (
                Some("unix:///run/user/1000/docker.sock"),
                "unix:///run/user/1000/docker.sock",
                "http://localhost/",
                true,
            ),
            (
                Some("tcp://10.0.0.1:2376"),
                "http://10.0.0.1:2376",
                "http://10.0.0.1:2376/",
                false,
            ),
            (
                Some("tcp://docker"),
                "http://docker:2375",
                "http://docker:2375/",
                false,
            ),
            // The usual port of http is none of Docker's: it was asked for.
            (
                Some("tcp://docker:80"),
                "http://docker",
                "http://docker/",
                false,
            ),
            (
                Some("tcp://[::1]"),
                "http://[::1]:2375",
                "http://[::1]:2375/",
                true,
            ),
            (
                Some("http://127.0.0.1:99/prefix"),
                "http://127.0.0.1:99/prefix",
                "http://127.0.0.1:99/prefix",
                true,
            ),
            (
                Some("https://docker.example.com"),
                "https://docker.example.com",
                "https://docker.example.com/",
                false,
            ),
        ] {
            let host = Host::of_setting(setting).unwrap();
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
    fn of_setting_refuses() {
        for (setting, message) in [
            (
                "/var/run/docker.sock",
                "the Docker daemon's address `/var/run/docker.sock` cannot be read: it has no `://`. Expected in DOCKER_HOST: unix:///PATH, tcp://HOST:PORT, http://HOST:PORT or https://HOST:PORT",
            ),
            (
                "unix://docker.sock",
                "the Docker daemon's address `unix://docker.sock` cannot be read: the path of a socket has to begin with `/`. Expected in DOCKER_HOST: unix:///PATH, tcp://HOST:PORT, http://HOST:PORT or https://HOST:PORT",
            ),
            (
                "npipe:////./pipe/docker_engine",
                "the Docker daemon's address is `npipe:////./pipe/docker_engine`, but addresses of the kind `npipe:` cannot be used. Expected in DOCKER_HOST: unix:///PATH, tcp://HOST:PORT, http://HOST:PORT or https://HOST:PORT",
            ),
            (
                "ssh://user:secret@build.example.com",
                "the Docker daemon's address is `ssh://build.example.com`, but Longshore does not speak ssh. Forward the socket and use that: ssh -N -L /tmp/docker.sock:/var/run/docker.sock HOST, then DOCKER_HOST=unix:///tmp/docker.sock",
            ),
        ] {
            let problem = Host::of_setting(Some(setting)).unwrap_err();
            assert_eq!(problem.to_string(), message);
        }
        assert!(Host::of_setting(Some("tcp://")).is_err());
    }
}
