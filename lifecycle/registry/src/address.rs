//! Addresses that a server names: where a token is to be had, where an upload goes on, where a redirect leads. A registry on the
//! internet must not make us ask the machines of this network, nor a cloud's metadata service (go-containerregistry's rule). Here is what an
//! address itself says; [`crate::standing`] looks at what names lead to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Why a named address is not used; `None` if it may be.
pub(crate) fn problem(named_by: &Url, address: &Url) -> Option<&'static str> {
    match (named_by.scheme(), address.scheme()) {
        ("https", "http") => return Some("it leads from https to unprotected http"),
        (_, "http" | "https") => {}
        _ => return Some("it is neither http nor https"),
    }
    let is_foreign = named_by.host() != address.host();
    if is_foreign && is_local(address) && !is_local(named_by) {
        return Some("it is in this machine's own network, and the registry is not");
    }
    None
}

/// Is the host this machine, or a machine of a private network, as it is written?
fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_this_machine(name),
        Some(Host::Ipv4(address)) => is_local_ip(address.into()),
        Some(Host::Ipv6(address)) => is_local_ip(address.into()),
        None => true,
    }
}

/// The address, where the host is one, or a name that always leads to this machine (RFC 6761, section 6.3).
pub(crate) fn written(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Domain(name) => is_this_machine(name).then_some(Ipv4Addr::LOCALHOST.into()),
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
    }
}

fn is_this_machine(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

/// Is it this machine's address, or one of a private network?
pub(crate) fn is_local_ip(address: IpAddr) -> bool {
    // It may be an IPv4 address in IPv6 clothes.
    match address.to_canonical() {
        IpAddr::V4(address) => is_local_v4(address),
        IpAddr::V6(address) => is_local_v6(address),
    }
}

/// Is the host this machine itself?
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => false,
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    // 100.64/10 is shared behind carriers' and clouds' NAT (RFC 6598).
    let shared = address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64;
    address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_unspecified()
        || address.octets()[0] == 0
        || shared
}

fn is_local_v6(address: Ipv6Addr) -> bool {
    address.is_loopback()
        || address.is_unspecified()
        || address.is_unique_local()
        || address.is_unicast_link_local()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problem_table() {
        let local = "it is in this machine's own network, and the registry is not";
        let downgrade = "it leads from https to unprotected http";
        for (from, to, expected) in [
            ("https://r.test", "https://auth.test/token", None),
            ("https://r.test", "http://r.test/x", Some(downgrade)),
            ("http://r.test", "https://r.test/x", None),
            (
                "https://r.test",
                "file:///etc/passwd",
                Some("it is neither http nor https"),
            ),
            (
                "https://r.test",
                "https://169.254.169.254/latest",
                Some(local),
            ),
            (
                "http://r.test",
                "http://169.254.169.254/latest",
                Some(local),
            ),
            ("https://r.test", "https://10.0.0.1/", Some(local)),
            ("https://r.test", "https://100.64.1.1/", Some(local)),
            ("https://r.test", "https://[::1]/", Some(local)),
            ("https://r.test", "https://[::ffff:127.0.0.1]/", Some(local)),
            ("https://r.test", "https://[fd00::1]/", Some(local)),
            ("https://r.test", "https://[fe80::1]/", Some(local)),
            ("https://r.test", "https://localhost./", Some(local)),
            ("https://r.test", "https://0x7f000001/", Some(local)),
            ("https://r.test", "https://1.1.1.1/", None),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5001/", None),
            ("http://localhost:5000", "http://127.0.0.1:5001/", None),
            ("https://10.1.1.1", "https://10.0.0.1/", None),
        ] {
            let parse = |text: &str| text.parse::<Url>().unwrap();
            assert_eq!(
                problem(&parse(from), &parse(to)),
                expected,
                "{from} -> {to}"
            );
        }
    }
}
