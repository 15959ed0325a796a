//! What a daemon says of itself: the version of the API, and how it keeps images.

use std::{fmt, str::FromStr, sync::PoisonError};

use fetch::Budget;
use reqwest::Method;
use serde_json::Value;

use crate::{
    client::Daemon,
    error::DaemonError,
    request::{Call, Reply},
};

/// The oldest API that is spoken: Docker 1.13. It has `?quiet=1` and the errors' JSON form.
const OLDEST: Version = Version(1, 25);

/// The newest API that is needed (Docker 28.0): since then a daemon says whether all blobs of a manifest are there. Newer daemons speak it
/// too; Docker 29 goes down to 1.44.
const NEWEST: Version = Version(1, 48);

/// Says the newest version of the API that a daemon speaks.
const VERSION_HEADER: &str = "Api-Version";

/// Only podman says it.
const PODMAN_HEADER: &str = "Libpod-API-Version";

/// What stands in the `DriverStatus` of a daemon with containerd's image store.
const CONTAINERD_DRIVER: &str = "io.containerd.snapshotter.v1";

/// A daemon that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Engine {
    /// `v1.41`: how paths begin.
    prefix: String,
    is_podman: bool,
}

/// How a daemon keeps images, as far as loading one is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    /// Layers unpacked; one that is there need not be sent.
    GraphDriver,
    /// The same, but the archive has to be whole.
    Podman,
    /// Manifests and blobs as they come.
    Containerd,
}

/// A version of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Version(u32, u32);

impl Version {
    /// The value of `DOCKER_API_VERSION`, if it is one that can be spoken. What is newer than the daemon, or than what is needed, is no
    /// mistake: it is the newest that may be spoken.
    pub(crate) fn of_setting(text: &str) -> Option<Self> {
        let version = text.trim_start_matches('v').parse().ok();
        version.filter(|version| *version >= OLDEST)
    }
}

impl FromStr for Version {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (major, minor) = text.trim().split_once('.').ok_or(())?;
        Ok(Self(
            major.parse().map_err(drop)?,
            minor.parse().map_err(drop)?,
        ))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Daemon {
    /// A request to the API, in a version that both sides speak.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
        budget: &Budget,
    ) -> Result<Call, DaemonError> {
        let engine = self.engine(budget).await?;
        let path = [&[engine.prefix.as_str()], path].concat();
        Ok(self.http().call(method, &path, query))
    }

    /// How the daemon keeps images. It is asked each time: a daemon may come back with another store.
    pub(crate) async fn store(&self, budget: &Budget) -> Result<Store, DaemonError> {
        if self.engine(budget).await?.is_podman {
            return Ok(Store::Podman);
        }
        let call = self.call(Method::GET, &["info"], &[], budget).await?;
        let info: Value = self.http().ask(&call, budget).await?.json()?;
        Ok(store_of(&info))
    }

    async fn engine(&self, budget: &Budget) -> Result<Engine, DaemonError> {
        // Two threads that ask at the same time get the same answer.
        let known = || {
            self.known_engine()
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(engine) = known().clone() {
            return Ok(engine);
        }
        // The one path that has no version, and that is asked with GET since Docker before 18.09 knows no HEAD here.
        let call = self.http().call(Method::GET, &["_ping"], &[]);
        let ping = self.http().ask(&call, budget).await?;
        let engine = met(&ping, self.newest_api())?;
        *known() = Some(engine.clone());
        Ok(engine)
    }
}

fn met(ping: &Reply, newest_wanted: Option<Version>) -> Result<Engine, DaemonError> {
    let header = |name| ping.headers.get(name)?.to_str().ok();
    let Some(said) = header(VERSION_HEADER) else {
        return Err(DaemonError::Protocol {
            asked: ping.asked.clone(),
            problem: format!("it has no {VERSION_HEADER}; does something else listen there?"),
        });
    };
    let version: Version = said.parse().map_err(|()| DaemonError::Protocol {
        asked: ping.asked.clone(),
        problem: format!("its {VERSION_HEADER} is no version"),
    })?;
    if version < OLDEST {
        return Err(DaemonError::TooOld {
            asked: ping.asked.clone(),
            found: version.to_string(),
        });
    }
    let newest = newest_wanted.map_or(NEWEST, |wanted| wanted.min(NEWEST));
    Ok(Engine {
        prefix: format!("v{}", version.min(newest)),
        is_podman: header(PODMAN_HEADER).is_some(),
    })
}

fn store_of(info: &Value) -> Store {
    let is_containerd = info["DriverStatus"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|pair| pair[1] == CONTAINERD_DRIVER);
    if is_containerd {
        Store::Containerd
    } else {
        Store::GraphDriver
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{asked::Asked, host::Host};
    use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
    use serde_json::json;

    fn ping(headers: &[(&str, &str)]) -> Result<(String, bool), String> {
        ping_with(headers, None)
    }

    fn ping_with(
        headers: &[(&str, &str)],
        newest_wanted: Option<Version>,
    ) -> Result<(String, bool), String> {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect();
        let host = Host::of_socket("/s".into());
        let reply = Reply {
            asked: Asked::new(&Method::GET, "/_ping", &host),
            headers,
            body: Vec::new(),
        };
        met(&reply, newest_wanted)
            .map(|engine| (engine.prefix, engine.is_podman))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn met_versions() {
        for (version, prefix) in [
            ("1.41", "v1.41"),
            ("1.51", "v1.48"),
            ("2.0", "v1.48"),
            ("1.25", "v1.25"),
        ] {
            assert_eq!(
                ping(&[("api-version", version)]),
                Ok((prefix.to_owned(), false))
            );
        }
        assert_eq!(
            ping(&[("api-version", "1.41"), ("libpod-api-version", "4.3.1")]),
            Ok(("v1.41".to_owned(), true))
        );
    }

    #[test]
    fn met_no_newer_than_wanted() {
        let headers = [("api-version", "1.41")];
        for (setting, prefix) in [("1.30", "v1.30"), ("v1.41", "v1.41"), ("1.99", "v1.41")] {
            let wanted = Version::of_setting(setting);
            assert!(wanted.is_some(), "{setting}");
            assert_eq!(ping_with(&headers, wanted), Ok((prefix.to_owned(), false)));
        }
        for setting in ["1.24", "latest", ""] {
            assert_eq!(Version::of_setting(setting), None, "{setting}");
        }
    }

    #[test]
    fn met_refuses() {
        for (headers, message) in [
            (
                &[][..],
                "GET /_ping (unix:///s): the answer is not a Docker daemon's: it has no Api-Version; does something else listen there?",
            ),
            (
                &[("api-version", "x")][..],
                "GET /_ping (unix:///s): the answer is not a Docker daemon's: its Api-Version is no version",
            ),
            (
                &[("api-version", "1.24")][..],
                "GET /_ping (unix:///s): the daemon speaks the Docker Engine API 1.24; Docker 1.13 (API 1.25) or later is needed",
            ),
        ] {
            assert_eq!(ping(headers), Err(message.to_owned()));
        }
    }

    #[test]
    fn store_of_driver_status() {
        let containerd = json!({"Driver": "overlayfs", "DriverStatus": [["driver-type", "io.containerd.snapshotter.v1"]]});
        assert_eq!(store_of(&containerd), Store::Containerd);
        let graph =
            json!({"Driver": "overlay2", "DriverStatus": [["Backing Filesystem", "extfs"]]});
        assert_eq!(store_of(&graph), Store::GraphDriver);
        assert_eq!(store_of(&json!({"DriverStatus": null})), Store::GraphDriver);
    }
}
