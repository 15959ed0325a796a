//! Names to addresses.
//!
//! The C library's resolver cannot be used: a static program has no part of it that asks name servers. So resolv.conf and hosts are read, and
//! name servers asked, by hickory.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::OnceCell;

/// Who knows the addresses of names. A client connects to the addresses that it gets here, and asks nobody else.
#[derive(Clone)]
pub struct Names(Arc<dyn Resolve>);

impl Names {
    /// The machine's own: its hosts file and its name servers. What it has looked up it remembers as long as name servers allow; its
    /// connections live in the tokio runtime that asks first, so each runtime needs one of its own.
    pub fn of_system() -> Self {
        Self::by(System::default())
    }

    /// Names that somebody else looks up.
    pub fn by(resolver: impl Resolve + 'static) -> Self {
        Self(Arc::new(resolver))
    }
}

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        self.0.resolve(name)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

#[derive(Default)]
struct System(Arc<OnceCell<TokioResolver>>);

impl Resolve for System {
    fn resolve(&self, name: Name) -> Resolving {
        let made = Arc::clone(&self.0);
        Box::pin(async move {
            let resolver = made.get_or_try_init(async || resolver()).await?;
            let found = resolver.lookup_ip(name.as_str()).await?;
            // The port is the address's own.
            let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn resolver() -> Result<TokioResolver, NetError> {
    let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|_| {
        // resolv.conf(5): without a name server there, the one on this machine is asked.
        let here = NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into());
        let config = ResolverConfig::from_parts(None, Vec::new(), vec![here]);
        TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
    });
    // Both kinds: the connection goes to whichever answers first.
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    builder.build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn of_system_knows_this_machine() {
        let found = Names::of_system()
            .resolve("localhost".parse().unwrap())
            .await;
        let found: Vec<_> = found.unwrap().collect();
        assert!(!found.is_empty());
        assert!(
            found.iter().all(|address| address.ip().is_loopback()),
            "{found:?}"
        );
    }
}
