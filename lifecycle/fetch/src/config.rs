//! What a client is made from: trusted roots, proxies, time limits, the retry policy.

use std::time::Duration;

use crate::{certificate_files::Identity, names::Names, trust::Roots};

/// Everything [`crate::Client::new`] needs to know. The caller reads the environment; this crate does not.
#[derive(Debug, Clone)]
pub struct Config {
    /// The certificate authorities to believe; see [`crate::trust::load`].
    pub roots: Roots,
    /// What is shown to a server that asks who is there.
    pub identity: Option<Identity>,
    /// Proxies, as `HTTP_PROXY` and its kin give them.
    pub proxies: Proxies,
    /// Who looks names up: the machine's own, unless it is said here.
    pub names: Option<Names>,
    /// Sent as `User-Agent`.
    pub user_agent: String,
    /// How often, and after which pauses, a request is tried again.
    pub retry: RetryPolicy,
    /// The most time one request may take, its retries and pauses included.
    pub total_time: Duration,
    /// The most time to open one connection.
    pub connect_time: Duration,
    /// The longest silence in the middle of an answer.
    pub idle_time: Duration,
    /// Simultaneous requests to one host. Mirrors throttle or ban clients that open more than a handful.
    pub connections_per_host: usize,
    /// Simultaneous downloads over all hosts in [`crate::Client::download_all`].
    pub parallel_downloads: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            roots: Roots::default(),
            identity: None,
            proxies: Proxies::default(),
            names: None,
            user_agent: concat!("longshore/", env!("CARGO_PKG_VERSION")).to_owned(),
            retry: RetryPolicy::default(),
            total_time: Duration::from_mins(15),
            connect_time: Duration::from_secs(15),
            idle_time: Duration::from_secs(30),
            connections_per_host: 8,
            parallel_downloads: 16,
        }
    }
}

/// The values of `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`. An empty value means none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    /// The proxy for `http://` addresses.
    pub http: Option<String>,
    /// The proxy for `https://` addresses.
    pub https: Option<String>,
    /// The proxy for what the two above leave open.
    pub all: Option<String>,
    /// Hosts that are asked directly: names, suffixes, addresses, networks, `*`, separated by commas.
    pub no_proxy: Option<String>,
}

impl Proxies {
    /// What the environment that this looks variables up in says. Upper-case names win, as in curl for HTTPS.
    pub fn of_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let of = |upper: &str| {
            let set = |value: &String| !value.is_empty();
            let lower = upper.to_ascii_lowercase();
            variable(upper)
                .filter(set)
                .or_else(|| variable(&lower).filter(set))
        };
        Self {
            http: of("HTTP_PROXY"),
            https: of("HTTPS_PROXY"),
            all: of("ALL_PROXY"),
            no_proxy: of("NO_PROXY"),
        }
    }
}

// Proxy addresses carry passwords, and configurations end up in logs.
impl std::fmt::Debug for Proxies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            http,
            https,
            all,
            no_proxy,
        } = self;
        f.debug_struct("Proxies")
            .field("http", &http.is_some())
            .field("https", &https.is_some())
            .field("all", &all.is_some())
            .field("no_proxy", no_proxy)
            .finish()
    }
}

/// How often a request is tried again, and after which pauses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts in a row that may bring no new byte. An interrupted download that moves forward starts counting anew.
    pub attempts: u32,
    /// The pause after the first failure; it doubles with each further one.
    pub first_wait: Duration,
    /// No pause is longer, what `Retry-After` asks for included.
    pub longest_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_mins(1),
        }
    }
}
