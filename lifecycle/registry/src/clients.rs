//! The HTTP clients for one registry: one for the registry itself, which shows it who asks, and others for what it leads to elsewhere.
//! All believe the registry's own authorities, as Docker does: its token server and its storage seldom have others. Where names may lead is
//! [`crate::standing`]'s matter.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use fetch::{Config, FetchError, Names, Proxies};
use reqwest::Client;
use url::Url;

use crate::{
    address,
    certificates::Certificates,
    host::Host,
    standing::{Guarded, IsLocal, Standing, Whose},
};

/// The clients for one registry.
#[derive(Debug)]
pub(crate) struct Clients {
    /// Has the client certificate.
    own: Client,
    /// For servers on this machine, as they are written: they are only asked for registries that are on it, too.
    here: Client,
    elsewhere: Client,
    pub(crate) standing: Arc<Standing>,
}

impl Clients {
    /// For the registry at this address.
    pub(crate) fn new(
        registry: &Url,
        http: &Config,
        certificates: Certificates,
        is_local: IsLocal,
    ) -> Result<Self, FetchError> {
        let standing = Arc::new(Standing::new(address::written(registry), is_local));
        let names = http.names.clone().unwrap_or_else(Names::of_system);
        let guarded = |whose| {
            let (names, standing) = (names.clone(), Arc::clone(&standing));
            Some(Names::by(Guarded {
                names,
                standing,
                whose,
            }))
        };
        let Certificates {
            authorities,
            identity,
        } = certificates;
        let elsewhere = Config {
            roots: http.roots.and(&authorities),
            names: guarded(Whose::Named),
            ..http.clone()
        };
        // No proxy stands between.
        let here = Config {
            proxies: Proxies::default(),
            names: Some(names.clone()),
            ..elsewhere.clone()
        };
        let beside = if address::is_loopback(registry) {
            &here
        } else {
            &elsewhere
        };
        let own = Config {
            identity,
            names: guarded(Whose::Own),
            ..beside.clone()
        };
        Ok(Self {
            own: client(&own)?,
            here: client(&here)?,
            elsewhere: client(&elsewhere)?,
            standing,
        })
    }

    /// The client for a request on behalf of this registry.
    pub(crate) fn of(&self, registry: &Host, url: &Url) -> &Client {
        match () {
            () if registry.is_at(url) => &self.own,
            () if address::is_loopback(url) => &self.here,
            () => &self.elsewhere,
        }
    }
}

fn client(config: &Config) -> Result<Client, FetchError> {
    // A registry on this machine often listens on one of these only, whatever the hosts file says of `localhost`.
    let loopback = [
        SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        SocketAddr::from((Ipv6Addr::LOCALHOST, 0)),
    ];
    fetch::client_builder(config)?
        .resolve_to_addrs("localhost", &loopback)
        .build()
        .map_err(|error| FetchError::Start {
            cause: error.to_string(),
        })
}
