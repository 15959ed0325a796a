//! What the platform says about mirrors, certificates and proxies, for downloads that Longshore makes itself: variables of
//! `<platform>/env`, under them the lifecycle's own.

use crate::message::{Explain, Message};
use crate::variables::Variables;
use debian::mirror::MirrorSettings;
use debian::release::Freshness;
use fetch::trust::{self, TrustSettings};
use fetch::{Client, Config, FetchError, Proxies};

/// The mirror of Debian's archive.
const MIRROR: &str = "LONGSHORE_DEBIAN_MIRROR";

/// The mirror of its security archive.
const SECURITY_MIRROR: &str = "LONGSHORE_DEBIAN_SECURITY_MIRROR";

/// Whether the mirror stands still on purpose, so that an outdated suite is no attack.
const FROZEN_MIRROR: &str = "LONGSHORE_FROZEN_MIRROR";

/// The variables, read.
#[derive(Clone, Debug)]
pub struct NetworkSettings {
    /// Debian's mirrors.
    pub mirrors: MirrorSettings,
    /// Whose certificates count.
    pub trust: TrustSettings,
    /// The way out.
    pub proxies: Proxies,
    /// Whether outdated suites are refused.
    pub freshness: Freshness,
}

impl NetworkSettings {
    /// The platform's variables win over the lifecycle's, as for every buildpack.
    pub fn new(lifecycle: &Variables, platform: &Variables) -> Result<Self, NetworkSettingsError> {
        let variable = |name: &str| {
            platform
                .get(name)
                .or_else(|| lifecycle.get(name))
                .map(str::to_owned)
        };
        let proxy = |upper: &str, lower: &str| variable(upper).or_else(|| variable(lower));
        let mirror = |name: &'static str| match variable(name) {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(url) => Ok(Some((url, name.to_owned()))),
                Err(_) => Err(NetworkSettingsError { name, text }),
            },
        };
        Ok(Self {
            mirrors: MirrorSettings {
                main: mirror(MIRROR)?,
                security: mirror(SECURITY_MIRROR)?,
                ..MirrorSettings::default()
            },
            trust: TrustSettings {
                ssl_cert_file: variable("SSL_CERT_FILE").map(Into::into),
                ssl_cert_dir: variable("SSL_CERT_DIR").map(Into::into),
                ..TrustSettings::default()
            },
            proxies: Proxies {
                http: proxy("HTTP_PROXY", "http_proxy"),
                https: proxy("HTTPS_PROXY", "https_proxy"),
                all: proxy("ALL_PROXY", "all_proxy"),
                no_proxy: proxy("NO_PROXY", "no_proxy"),
            },
            freshness: if platform.is_on(FROZEN_MIRROR) || lifecycle.is_on(FROZEN_MIRROR) {
                Freshness::FrozenMirror
            } else {
                Freshness::Enforced
            },
        })
    }

    /// The client for every download of this build, and what deserves a word.
    pub fn client(&self) -> Result<(Client, Vec<String>), FetchError> {
        let (roots, notices) = trust::load(&self.trust)?;
        let client = Client::new(Config {
            roots,
            proxies: self.proxies.clone(),
            ..Config::default()
        })?;
        Ok((client, notices))
    }
}

/// A variable that is no address.
#[derive(Debug, thiserror::Error)]
#[error("{name} is '{text}', which is no address")]
pub struct NetworkSettingsError {
    /// The variable.
    pub name: &'static str,
    /// Its value.
    pub text: String,
}

impl Explain for NetworkSettingsError {
    fn explain(&self) -> Message {
        Message::new(
            "No address of a Debian mirror",
            format!(
                "{self}.\n\nA mirror's address looks like https://mirror.example/debian: a folder that holds 'dists' and 'pool'."
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_platform_wins() {
        let lifecycle: Variables = [
            ("HTTP_PROXY", "http://a/"),
            ("no_proxy", "x"),
            (MIRROR, "http://c/debian"),
        ]
        .into_iter()
        .collect();
        let platform: Variables = [("http_proxy", "http://b/"), (MIRROR, "http://d/debian")]
            .into_iter()
            .collect();
        let settings = NetworkSettings::new(&lifecycle, &platform).unwrap();
        assert_eq!(settings.mirrors.main.unwrap().0.as_str(), "http://d/debian");
        assert_eq!(settings.proxies.http.as_deref(), Some("http://a/"));
        assert_eq!(settings.proxies.no_proxy.as_deref(), Some("x"));
    }

    #[test]
    fn new_mirror_that_is_no_address() {
        let platform: Variables = [(MIRROR, "debian")].into_iter().collect();
        let error = NetworkSettings::new(&Variables::default(), &platform).unwrap_err();
        insta::assert_snapshot!(error.explain().as_error(), @"
        [Error: No address of a Debian mirror]
        LONGSHORE_DEBIAN_MIRROR is 'debian', which is no address.

        A mirror's address looks like https://mirror.example/debian: a folder that holds 'dists' and 'pool'.
        ");
    }
}
