//! One registry: its address, whether it speaks https, and what was learned of it so far.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use oci_image::{BlobDigest, Reference};
use url::Url;

use crate::{
    address, asked::Asked, auth::Auth, certificates::Certificates, clients::Clients, distribution,
    error::RegistryError, standing::IsLocal,
};

/// What clients of registries are made from.
#[derive(Debug)]
pub(crate) struct HostSettings {
    pub(crate) http: fetch::Config,
    pub(crate) insecure: Vec<String>,
    pub(crate) certificate_folders: Vec<PathBuf>,
    pub(crate) is_local: IsLocal,
}

/// A registry and what is known of it.
#[derive(Debug)]
pub(crate) struct Host {
    /// As credentials are filed.
    pub(crate) registry: String,
    /// Host and port of the API.
    api: String,
    pub(crate) kind: Kind,
    /// Plain http or TLS, once that is known.
    protocol: Mutex<Option<Protocol>>,
    pub(crate) auth: Auth,
    pub(crate) clients: Clients,
    /// Uploads that were opened to see whether pushing is allowed, by repository; the next blob uses one.
    pub(crate) sessions: Mutex<BTreeMap<String, Vec<Url>>>,
    /// What is known of repositories.
    repositories: Mutex<BTreeMap<String, Holding>>,
    /// Whether it was seen to be a registry that refuses manifests whose blobs it does not have.
    checks_manifests: AtomicBool,
    /// Blobs that were seen in a repository by this client: they are not asked for again, unless the registry says that it misses some.
    seen: Mutex<BTreeSet<(String, BlobDigest)>>,
}

/// What a repository was found to hold before anything was sent there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holding {
    /// Nothing: the registry knew no repository of this name.
    Nothing,
    /// An image: what is pushed there may be there.
    Images,
}

/// Which protocols may be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// TLS only.
    Secure,
    /// The user allows plain http: TLS is tried first.
    Insecure,
    /// On this machine: plain http is tried first.
    Loopback,
}

/// How the registry is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Https,
}

impl Protocol {
    fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl Host {
    pub(crate) fn new(
        reference: &Reference,
        settings: &HostSettings,
    ) -> Result<Self, RegistryError> {
        let HostSettings {
            http,
            insecure,
            certificate_folders,
            is_local,
        } = settings;
        let registry = reference.registry().to_owned();
        let api = reference.api_host().to_owned();
        let url = url_with(&api, Protocol::Https, "/v2/")?;
        let bare = url.host_str().unwrap_or_default();
        let kind = match () {
            () if address::is_loopback(&url) => Kind::Loopback,
            () if insecure
                .iter()
                .any(|name| *name == registry || name == bare) =>
            {
                Kind::Insecure
            }
            () => Kind::Secure,
        };
        let certificates = Certificates::of_registry(certificate_folders, &registry)?;
        Ok(Self {
            registry,
            api,
            kind,
            protocol: Mutex::new((kind == Kind::Secure).then_some(Protocol::Https)),
            auth: Auth::default(),
            clients: Clients::new(&url, http, certificates, *is_local)?,
            sessions: Mutex::default(),
            repositories: Mutex::default(),
            checks_manifests: AtomicBool::new(false),
            seen: Mutex::default(),
        })
    }

    pub(crate) fn protocol(&self) -> Option<Protocol> {
        *self.protocol.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn settle(&self, protocol: Protocol) {
        *self.protocol.lock().unwrap_or_else(PoisonError::into_inner) = Some(protocol);
    }

    /// Keeps in mind what a repository was found to hold. An image that was seen counts for more than none of another name.
    pub(crate) fn found(&self, repository: &str, holding: Holding) {
        let mut repositories = self
            .repositories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let known = repositories.entry(repository.to_owned()).or_insert(holding);
        if holding == Holding::Images {
            *known = holding;
        }
    }

    /// What a repository holds, if somebody looked.
    pub(crate) fn holding(&self, repository: &str) -> Option<Holding> {
        let repositories = self
            .repositories
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        repositories.get(repository).copied()
    }

    /// Looks at the address that an upload was given: it may tell what the registry is.
    pub(crate) fn opened_upload(&self, address: &Url) {
        if distribution::is_upload(address) {
            self.checks_manifests.store(true, Ordering::Relaxed);
        }
    }

    /// Will the registry refuse a manifest whose blobs it does not have? False where that is not known.
    pub(crate) fn checks_manifests(&self) -> bool {
        self.checks_manifests.load(Ordering::Relaxed)
    }

    /// A blob is in this repository.
    pub(crate) fn has_blob_in(&self, repository: &str, digest: BlobDigest) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert((repository.to_owned(), digest));
    }

    /// Was a blob seen in this repository?
    pub(crate) fn has_seen(&self, repository: &str, digest: BlobDigest) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.contains(&(repository.to_owned(), digest))
    }

    /// The address of a path of the API, with what is known or supposed of the protocol.
    pub(crate) fn url(&self, path: &str) -> Result<Url, RegistryError> {
        let supposed = match self.kind {
            Kind::Secure | Kind::Insecure => Protocol::Https,
            Kind::Loopback => Protocol::Http,
        };
        self.url_with(self.protocol().unwrap_or(supposed), path)
    }

    pub(crate) fn url_with(&self, protocol: Protocol, path: &str) -> Result<Url, RegistryError> {
        url_with(&self.api, protocol, path)
    }

    /// Are credentials for this registry meant for this address? The whole origin counts: another port is another server.
    pub(crate) fn is_origin_of(&self, url: &Url) -> bool {
        self.url("/v2/")
            .is_ok_and(|own| own.origin() == url.origin())
    }

    /// Is this the registry's own address, whichever protocol is spoken?
    pub(crate) fn is_at(&self, url: &Url) -> bool {
        let protocol = match url.scheme() {
            "http" => Protocol::Http,
            _ => Protocol::Https,
        };
        self.url_with(protocol, "/v2/")
            .is_ok_and(|own| own.origin() == url.origin())
    }
}

fn url_with(api: &str, protocol: Protocol, path: &str) -> Result<Url, RegistryError> {
    let text = format!("{}://{api}{path}", protocol.scheme());
    text.parse()
        .map_err(|error: url::ParseError| RegistryError::Protocol {
            asked: Asked::of_text(&text),
            problem: format!("the registry's name makes no address: {error}"),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(insecure: &[&str]) -> HostSettings {
        HostSettings {
            http: fetch::Config::default(),
            insecure: insecure.iter().copied().map(str::to_owned).collect(),
            certificate_folders: Vec::new(),
            is_local: address::is_local_ip,
        }
    }

    #[test]
    fn new_which_protocols_and_where() {
        let settings = settings(&["old.test", "other.test:5000"]);
        for (text, kind, url) in [
            ("ubuntu", Kind::Secure, "https://registry-1.docker.io/v2/"),
            ("r.test/a", Kind::Secure, "https://r.test/v2/"),
            ("old.test:1/a", Kind::Insecure, "https://old.test:1/v2/"),
            (
                "other.test:5000/a",
                Kind::Insecure,
                "https://other.test:5000/v2/",
            ),
            ("other.test/a", Kind::Secure, "https://other.test/v2/"),
            (
                "localhost:5000/a",
                Kind::Loopback,
                "http://localhost:5000/v2/",
            ),
            ("127.1.2.3/a", Kind::Loopback, "http://127.1.2.3/v2/"),
            ("[::1]:5000/a", Kind::Loopback, "http://[::1]:5000/v2/"),
            ("[2001:db8::1]/a", Kind::Secure, "https://[2001:db8::1]/v2/"),
        ] {
            let host = Host::new(&text.parse().unwrap(), &settings).unwrap();
            assert_eq!(host.kind, kind, "{text}");
            assert_eq!(host.url("/v2/").unwrap().as_str(), url);
        }
    }

    #[test]
    fn is_origin_of_is_strict() {
        let host = Host::new(&"r.test:5000/a".parse().unwrap(), &settings(&[])).unwrap();
        for (url, expected) in [
            ("https://r.test:5000/v2/x", true),
            ("http://r.test:5000/v2/x", false),
            ("https://r.test/v2/x", false),
            ("https://r.test.evil:5000/v2/x", false),
        ] {
            assert_eq!(host.is_origin_of(&url.parse().unwrap()), expected, "{url}");
        }
    }
}
