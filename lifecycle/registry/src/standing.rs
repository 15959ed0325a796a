//! Where a registry is, and so what it may lead to: one that is outside of this machine's own network must not make us ask machines inside
//! it, by no address and by no name. [`crate::address`] looks at addresses as they are written; this looks at what names lead to.
//!
//! Names are looked up by [`Guarded`], which leaves out what may not be asked; the connection is made to what is left, without another look-up,
//! so a name that leads elsewhere a moment later (DNS rebinding) gains nothing. Where a proxy stands between, it is the proxy that looks
//! names up, in a network of its own: all that can be checked then are addresses as they are written.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fetch::Names;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// Tells the addresses of this machine's own network from others.
pub(crate) type IsLocal = fn(IpAddr) -> bool;

/// What is known of a registry's place.
#[derive(Debug)]
pub(crate) struct Standing {
    is_local: IsLocal,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    place: Place,
    /// What the registry's name led to.
    addresses: BTreeSet<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// It has not answered by itself: nothing has, or a proxy.
    Unknown,
    /// Every answer came from this machine's own network.
    Inside,
    /// An answer came from outside. That stays: whoever has a name may let it lead anywhere later.
    Outside,
}

/// Whose names are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The registry's own, which the user has given.
    Own,
    /// Those of servers that the registry names.
    Named,
}

impl Standing {
    /// Of a registry at an address (`Some`), or one with a name.
    pub(crate) fn new(address: Option<IpAddr>, is_local: IsLocal) -> Self {
        let place = match address {
            None => Place::Unknown,
            Some(address) if is_local(address) => Place::Inside,
            Some(_) => Place::Outside,
        };
        let addresses = BTreeSet::new();
        Self {
            is_local,
            seen: Mutex::new(Seen { place, addresses }),
        }
    }

    /// The registry answered from here. A proxy's address is none of its name's, and says nothing.
    pub(crate) fn answered(&self, peer: Option<SocketAddr>) {
        let Some(peer) = peer.map(|peer| peer.ip()) else {
            return;
        };
        let mut seen = self.seen();
        if seen.place == Place::Outside || !seen.addresses.contains(&peer) {
            return;
        }
        seen.place = if (self.is_local)(peer) {
            Place::Inside
        } else {
            Place::Outside
        };
    }

    /// Those of a name's addresses that may be asked.
    fn admitted(
        &self,
        whose: Whose,
        name: &str,
        found: Vec<SocketAddr>,
    ) -> Result<Vec<SocketAddr>, OwnNetwork> {
        let mut seen = self.seen();
        let admits_all = match (whose, seen.place) {
            (Whose::Own, Place::Outside) | (Whose::Named, Place::Unknown | Place::Outside) => false,
            (Whose::Own, Place::Unknown | Place::Inside) | (Whose::Named, Place::Inside) => true,
        };
        if whose == Whose::Own {
            seen.addresses.extend(found.iter().map(SocketAddr::ip));
        }
        if admits_all {
            return Ok(found);
        }
        let (inside, outside): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|address| (self.is_local)(address.ip()));
        match (&inside[..], &outside[..]) {
            ([first, ..], []) => {
                let (name, address) = (name.to_owned(), first.ip());
                Err(match whose {
                    Whose::Own => OwnNetwork::Moved { name, address },
                    Whose::Named => OwnNetwork::Named { name, address },
                })
            }
            _ => Ok(outside),
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        // A poisoned lock means that a thread panicked between two assignments: each is whole.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks names up for one registry.
pub(crate) struct Guarded {
    pub(crate) names: Names,
    pub(crate) standing: Arc<Standing>,
    pub(crate) whose: Whose,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let text = name.as_str().to_owned();
        let looking_up = self.names.resolve(name);
        let (standing, whose) = (Arc::clone(&self.standing), self.whose);
        Box::pin(async move {
            let found = looking_up.await?.collect();
            let admitted = standing.admitted(whose, &text, found)?;
            Ok(Box::new(admitted.into_iter()) as Addrs)
        })
    }
}

/// A name leads only into this machine's own network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OwnNetwork {
    #[error(
        "`{name}` is {address} here, in this machine's own network, and the registry that leads there is not. \
         If that server is meant to be there, the registry's own name has to lead into this network as well"
    )]
    Named { name: String, address: IpAddr },
    #[error(
        "`{name}` is {address} now, in this machine's own network, and was outside of it before"
    )]
    Moved { name: String, address: IpAddr },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        let parse = |text: &&str| SocketAddr::new(text.parse().unwrap(), 0);
        texts.iter().map(parse).collect()
    }

    /// A registry whose name led to `own`, and that answered from `peer`.
    fn answered(own: &[&str], peer: &str) -> Standing {
        let standing = Standing::new(None, address::is_local_ip);
        standing
            .admitted(Whose::Own, "r.test", addresses(own))
            .unwrap();
        standing.answered(Some(SocketAddr::new(peer.parse().unwrap(), 443)));
        standing
    }

    #[test]
    fn admitted_by_the_registrys_place() {
        let outside = answered(&["1.1.1.1"], "1.1.1.1");
        let inside = answered(&["10.0.0.1"], "10.0.0.1");
        // Both kinds of addresses, as in a network at home: the one that answers counts.
        let both = ["10.0.0.1", "2001:db8::1"];
        let (both_inside, both_outside) = (answered(&both, both[0]), answered(&both, both[1]));
        let through_proxy = answered(&[], "10.0.0.9");
        let not_asked = Standing::new(None, address::is_local_ip);
        let literal = |text: &str| Standing::new(text.parse().ok(), address::is_local_ip);
        let (private, public) = (literal("192.168.1.1"), literal("1.1.1.1"));
        for (standing, found, expected) in [
            (&outside, &["2.2.2.2"][..], Some(&["2.2.2.2"][..])),
            (&outside, &["10.0.0.2", "2.2.2.2"], Some(&["2.2.2.2"])),
            (&outside, &["10.0.0.2"], None),
            (&outside, &["169.254.169.254"], None),
            (&outside, &["::1"], None),
            (&outside, &["::ffff:127.0.0.1"], None),
            (&outside, &[], Some(&[])),
            (&inside, &["10.0.0.2"], Some(&["10.0.0.2"])),
            (&both_inside, &["10.0.0.2"], Some(&["10.0.0.2"])),
            (&both_outside, &["10.0.0.2"], None),
            (&through_proxy, &["10.0.0.2"], None),
            (&not_asked, &["10.0.0.2"], None),
            (&private, &["10.0.0.2"], Some(&["10.0.0.2"])),
            (&public, &["10.0.0.2"], None),
        ] {
            let admitted = standing.admitted(Whose::Named, "n.test", addresses(found));
            assert_eq!(
                admitted.ok(),
                expected.map(addresses),
                "{found:?} {standing:?}"
            );
        }
    }

    #[test]
    fn admitted_own_name_may_not_move_inside() {
        let standing = answered(&["1.1.1.1"], "1.1.1.1");
        let moved = standing.admitted(Whose::Own, "r.test", addresses(&["10.0.0.1"]));
        assert_eq!(
            moved.unwrap_err().to_string(),
            "`r.test` is 10.0.0.1 now, in this machine's own network, and was outside of it before"
        );
        // Nor is it believed that it has, where a kept connection answers meanwhile.
        standing.answered(Some(SocketAddr::new([10, 0, 0, 1].into(), 443)));
        let named = standing.admitted(Whose::Named, "n.test", addresses(&["10.0.0.2"]));
        assert!(named.is_err());
        // Names inside may move as they like: it is the network's own affair.
        let inside = answered(&["10.0.0.1"], "10.0.0.1");
        let moved = inside.admitted(Whose::Own, "r.test", addresses(&["10.0.0.7"]));
        assert_eq!(moved, Ok(addresses(&["10.0.0.7"])));
    }
}
