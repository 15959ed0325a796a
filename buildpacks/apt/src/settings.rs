//! What the platform says about mirrors, certificates and proxies: variables of `<platform>/env`, under them the lifecycle's own.

use buildpack_kit::Variables;
use debian::mirror::MirrorSettings;
use debian::release::Freshness;
use fetch::trust::{self, TrustSettings};
use fetch::{Client, Config, FetchError, Proxies};

/// The mirror of Debian's archive.
const MIRROR: &str = "LONGSHORE_DEBIAN_MIRROR";
/// The mirror of its security archive.
const SECURITY_MIRROR: &str = "LONGSHORE_DEBIAN_SECURITY_MIRROR";
/// Whether what an earlier build resolved is resolved anew.
const REFRESH: &str = "LONGSHORE_REFRESH";
/// Whether the mirror stands still on purpose, so that an outdated suite is no attack.
const FROZEN_MIRROR: &str = "LONGSHORE_FROZEN_MIRROR";

/// The variables, read.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) mirrors: MirrorSettings,
    pub(crate) trust: TrustSettings,
    pub(crate) proxies: Proxies,
    pub(crate) refresh: bool,
    pub(crate) freshness: Freshness,
}

impl Settings {
    /// The platform's variables win over the lifecycle's, as for every buildpack.
    pub(crate) fn new(lifecycle: &Variables, platform: &Variables) -> Result<Self, SettingsError> {
        let variable = |name: &str| {
            platform
                .get(name)
                .or_else(|| lifecycle.get(name))
                .map(str::to_owned)
        };
        let proxy = |upper: &str, lower: &str| variable(upper).or_else(|| variable(lower));
        let mirror = |name: &'static str| -> Result<_, SettingsError> {
            let Some(text) = variable(name) else {
                return Ok(None);
            };
            let url = text
                .parse()
                .map_err(|_| SettingsError::Mirror { name, text })?;
            Ok(Some((url, name.to_owned())))
        };
        let is_on = |name: &str| platform.is_on(name) || lifecycle.is_on(name);
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
            refresh: is_on(REFRESH),
            freshness: if is_on(FROZEN_MIRROR) {
                Freshness::FrozenMirror
            } else {
                Freshness::Enforced
            },
        })
    }

    /// The client for every download of this build, and what deserves a word.
    pub(crate) fn client(&self) -> Result<(Client, Vec<String>), FetchError> {
        let (roots, notices) = trust::load(&self.trust)?;
        let client = Client::new(Config {
            roots,
            proxies: self.proxies.clone(),
            ..Config::default()
        })?;
        Ok((client, notices))
    }
}

/// Why a variable cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A mirror that is no address.
    #[error("{name} is '{text}', which is no address")]
    Mirror {
        /// The variable.
        name: &'static str,
        /// Its value.
        text: String,
    },
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
        let platform: Variables = [
            ("http_proxy", "http://b/"),
            (MIRROR, "http://d/debian"),
            (REFRESH, "1"),
        ]
        .into_iter()
        .collect();
        let settings = Settings::new(&lifecycle, &platform).unwrap();
        assert_eq!(settings.mirrors.main.unwrap().0.as_str(), "http://d/debian");
        assert_eq!(settings.proxies.http.as_deref(), Some("http://a/"));
        assert_eq!(settings.proxies.no_proxy.as_deref(), Some("x"));
        assert!(settings.refresh);
    }

    #[test]
    fn new_mirror_that_is_no_address() {
        let platform: Variables = [(MIRROR, "debian")].into_iter().collect();
        let error = Settings::new(&Variables::default(), &platform).unwrap_err();
        assert_eq!(
            error.to_string(),
            "LONGSHORE_DEBIAN_MIRROR is 'debian', which is no address"
        );
    }
}
