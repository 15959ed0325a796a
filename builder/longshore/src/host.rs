//! The host's settings that a build uses: folders, trust store, proxies, package indexes. Read once, from the environment
//! given by `main`; everything else gets values. None of it enters an image.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::failure::{Exit, Failure};

/// The process's environment, taken once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    pub(crate) fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    #[cfg(test)]
    pub(crate) fn of<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        Self(
            pairs
                .into_iter()
                .map(|(key, value)| (key.into(), value.into()))
                .collect(),
        )
    }

    /// A variable's value; empty counts as unset, as the XDG and proxy conventions have it.
    pub(crate) fn get(&self, key: &str) -> Option<&OsString> {
        self.0
            .get(&OsString::from(key))
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn text(&self, key: &str) -> Option<String> {
        self.get(key)
            .and_then(|value| value.to_str())
            .map(str::to_owned)
    }

    pub(crate) fn path(&self, key: &str) -> Option<PathBuf> {
        self.get(key).map(PathBuf::from)
    }
}

/// Where Longshore keeps its things (XDG Base Directory Specification).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Folders {
    pub(crate) data: PathBuf,
    pub(crate) cache: PathBuf,
}

impl Folders {
    pub(crate) fn find(env: &Environment) -> Result<Self, Failure> {
        let under = |variable: &str, fallback: &str| {
            let absolute = env.path(variable).filter(|path| path.is_absolute());
            let base = absolute.or_else(|| env.path("HOME").map(|home| home.join(fallback)));
            base.map(|base| base.join("longshore"))
        };
        match (
            under("XDG_DATA_HOME", ".local/share"),
            under("XDG_CACHE_HOME", ".cache"),
        ) {
            (Some(data), Some(cache)) => Ok(Self { data, cache }),
            _ => Err(Failure::new(
                Exit::Usage,
                "No folder to keep images in",
                "HOME is not set, and XDG_DATA_HOME and XDG_CACHE_HOME are not both set.\n\
                 Set HOME, or those two to folders that you may write to.",
            )),
        }
    }
}

/// Proxies, by the variables that curl, pip, uv and git read too.
const PROXY_VARIABLES: [&str; 8] = [
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
];

/// Which package index is asked, and where interpreters come from. Credentials in these go no further than the build's
/// own processes.
const INDEX_VARIABLES: [&str; 20] = [
    "PIP_INDEX_URL",
    "PIP_EXTRA_INDEX_URL",
    "PIP_NO_INDEX",
    "PIP_TRUSTED_HOST",
    "PIP_FIND_LINKS",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_RETRIES",
    "PIP_PRE",
    "PIP_ONLY_BINARY",
    "PIP_NO_BINARY",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_INDEX_STRATEGY",
    "UV_INSECURE_HOST",
    "UV_HTTP_TIMEOUT",
    "UV_PYTHON_INSTALL_MIRROR",
    "UV_PYTHON_DOWNLOADS_JSON_URL",
];

/// Where a build's programs find what the host gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inside {
    /// The certificates that the host trusts.
    pub(crate) ca_bundle: PathBuf,
    /// The file that `PIP_CONFIG_FILE` names.
    pub(crate) pip_config: PathBuf,
    /// The home folder: empty but for pip's configuration, writable, gone afterwards.
    pub(crate) home: PathBuf,
}

impl Inside {
    /// Inside the sandbox.
    pub(crate) fn sandbox() -> Self {
        Self {
            ca_bundle: "/run/longshore/ca-certificates.crt".into(),
            pip_config: "/run/longshore/pip.conf".into(),
            home: "/home/cnb".into(),
        }
    }

    /// Where pip looks for a configuration file.
    pub(crate) fn place_of(&self, config: PipConfig) -> PathBuf {
        match config {
            PipConfig::Site => SITE_PIP_CONFIG.into(),
            PipConfig::Legacy => self.home.join(".pip/pip.conf"),
            PipConfig::User => self.home.join(".config/pip/pip.conf"),
            PipConfig::Chosen => self.pip_config.clone(),
        }
    }
}

/// pip's configuration files (pip user guide, "Configuration Files").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PipConfig {
    /// The machine's.
    Site,
    /// The user's, at the place of old.
    Legacy,
    /// The user's.
    User,
    /// The one that `PIP_CONFIG_FILE` names.
    Chosen,
}

const SITE_PIP_CONFIG: &str = "/etc/pip.conf";

/// What the host says about its network.
#[derive(Debug, Clone, Default)]
pub(crate) struct Network {
    pub(crate) proxies: BTreeMap<String, String>,
    pub(crate) index: BTreeMap<String, String>,
    pub(crate) ssl_cert_file: Option<PathBuf>,
    pub(crate) ssl_cert_dir: Option<OsString>,
    /// pip's configuration files on the host.
    pub(crate) pip_configs: Vec<(PathBuf, PipConfig)>,
}

impl Network {
    pub(crate) fn find(env: &Environment) -> Self {
        let pick = |names: &[&str]| {
            names
                .iter()
                .filter_map(|&name| Some((name.to_owned(), env.text(name)?)))
                .collect()
        };
        Self {
            proxies: pick(&PROXY_VARIABLES),
            index: pick(&INDEX_VARIABLES),
            ssl_cert_file: env.path("SSL_CERT_FILE"),
            ssl_cert_dir: env.get("SSL_CERT_DIR").cloned(),
            pip_configs: pip_configs(env),
        }
    }

    /// The proxies as our own downloads take them.
    pub(crate) fn fetch_proxies(&self) -> fetch::Proxies {
        fetch::Proxies::of_variables(|name| self.proxies.get(name).cloned())
    }

    /// The variables with which pip, uv, git and our own downloads in a build trust and reach what the host does.
    pub(crate) fn variables(&self, inside: &Inside) -> BTreeMap<String, String> {
        let mut variables: BTreeMap<String, String> = [
            "SSL_CERT_FILE",
            "PIP_CERT",
            "REQUESTS_CA_BUNDLE",
            "CURL_CA_BUNDLE",
            "GIT_SSL_CAINFO",
        ]
        .into_iter()
        .map(|name| (name.to_owned(), inside.ca_bundle.display().to_string()))
        .collect();
        variables.extend(self.proxies.clone());
        if self
            .pip_configs
            .iter()
            .any(|(_, config)| *config == PipConfig::Chosen)
        {
            variables.insert(
                "PIP_CONFIG_FILE".to_owned(),
                inside.pip_config.display().to_string(),
            );
        }
        variables
    }

    /// Folders of wheels on this machine that pip's and uv's settings point at; the sandbox has to see them.
    pub(crate) fn local_wheel_folders(&self) -> Vec<PathBuf> {
        let settings = ["PIP_FIND_LINKS", "UV_FIND_LINKS"]
            .iter()
            .filter_map(|&name| self.index.get(name));
        settings
            .flat_map(|value| value.split([' ', ',']))
            .map(|text| PathBuf::from(text.strip_prefix("file://").unwrap_or(text)))
            .filter(|path| path.is_absolute() && path.is_dir())
            .collect()
    }
}

/// pip's configuration files in the order in which pip reads them: site, user, then `PIP_CONFIG_FILE`
/// (pip user guide, "Configuration Files"). `/dev/null` there means none at all.
fn pip_configs(env: &Environment) -> Vec<(PathBuf, PipConfig)> {
    let chosen = env.path("PIP_CONFIG_FILE");
    if chosen.as_deref() == Some(Path::new("/dev/null")) {
        return Vec::new();
    }
    let home = env.path("HOME");
    let user = env
        .path("XDG_CONFIG_HOME")
        .or_else(|| home.as_ref().map(|home| home.join(".config")));
    let candidates = [
        (Some(PathBuf::from(SITE_PIP_CONFIG)), PipConfig::Site),
        (
            home.map(|home| home.join(".pip/pip.conf")),
            PipConfig::Legacy,
        ),
        (
            user.map(|config| config.join("pip/pip.conf")),
            PipConfig::User,
        ),
        (chosen, PipConfig::Chosen),
    ];
    candidates
        .into_iter()
        .filter_map(|(path, config)| {
            path.filter(|path| path.is_file())
                .map(|path| (path, config))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_xdg_before_home() {
        let env = Environment::of([
            ("HOME", "/home/u"),
            ("XDG_DATA_HOME", "/data"),
            ("XDG_CACHE_HOME", ""),
        ]);
        let folders = Folders::find(&env).unwrap();
        assert_eq!(folders.data, Path::new("/data/longshore"));
        assert_eq!(folders.cache, Path::new("/home/u/.cache/longshore"));
    }

    #[test]
    fn folders_relative_xdg_is_ignored() {
        let env = Environment::of([("HOME", "/home/u"), ("XDG_DATA_HOME", "data")]);
        assert_eq!(
            Folders::find(&env).unwrap().data,
            Path::new("/home/u/.local/share/longshore")
        );
    }

    #[test]
    fn folders_nowhere() {
        let failure = Folders::find(&Environment::default()).unwrap_err();
        assert_eq!(failure.title, "No folder to keep images in");
    }

    #[test]
    fn network_takes_only_what_is_listed() {
        let env = Environment::of([
            ("HTTPS_PROXY", "http://p:1"),
            ("AWS_SECRET_ACCESS_KEY", "x"),
            ("PIP_PRE", "1"),
        ]);
        let network = Network::find(&env);
        assert_eq!(network.proxies.len(), 1);
        assert_eq!(network.index.keys().collect::<Vec<_>>(), ["PIP_PRE"]);
    }
}
