//! An OCI registry for tests, in the same process: it does what the distribution specification says, writes down what it was
//! asked, and fails at exactly the request and in exactly the way that a test chooses.
//!
//! Every request to the registry has an index, from 0 on, requests for tokens included. A second listener is "another host":
//! redirects lead there, and a test can see that no credentials did.

mod access;
mod fault;
mod http;
mod log;
mod routes;
mod server;
mod store;

pub use access::Auth;
pub use fault::Fault;
pub use log::Logged;

use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use test_servers::certificate::Certificate;

use crate::server::{Role, serve};
use crate::store::Store;

/// How the registry behaves.
#[derive(Debug, Clone)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a habit of some registry; a test names those it is about"
)]
pub struct Options {
    /// Who may do what.
    pub auth: Auth,
    /// Speak TLS, with a certificate of an authority made up just now.
    pub tls: bool,
    /// Want a certificate of that authority from clients, too; the other host does as well.
    pub wants_certificates: bool,
    /// The name of 127.0.0.1 in addresses that it tells: of its token server, where an upload goes on, of the other host. With none it is
    /// the number, and uploads go on at a path alone.
    pub name: Option<String>,
    /// Know subjects and list referrers.
    pub referrers: bool,
    /// Lend blobs of other repositories.
    pub mounts: bool,
    /// Refuse manifests whose blobs are not there. Some registries do not look.
    pub checks_manifests: bool,
    /// Name uploads as distribution does, the registry of which Docker Hub and Harbor are made. It checks manifests, too.
    pub is_distribution: bool,
    /// Say so where there is no repository of a name.
    pub knows_names: bool,
    /// Refuse to give a tag to another image.
    pub immutable_tags: bool,
    /// Say `Docker-Content-Digest`.
    pub says_digests: bool,
    /// The largest body of one request.
    pub largest_body: usize,
    /// The pause between two bytes of [`Fault::Slow`].
    pub slowness: Duration,
    /// The time after which a silent server hangs up.
    pub silence: Duration,
    /// The delay of every answer: a registry far away.
    pub latency: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            auth: Auth::None,
            tls: false,
            wants_certificates: false,
            name: None,
            referrers: true,
            mounts: true,
            checks_manifests: true,
            is_distribution: false,
            knows_names: false,
            immutable_tags: false,
            says_digests: true,
            largest_body: usize::MAX,
            slowness: Duration::from_millis(1),
            silence: Duration::from_secs(20),
            latency: Duration::ZERO,
        }
    }
}

/// A running registry; it ends with the test process.
pub struct TestRegistry {
    address: SocketAddr,
    other: SocketAddr,
    certificate: Option<Box<Certificate>>,
    shared: Arc<Shared>,
}

/// What the connections of one registry share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) own: String,
    pub(crate) other: String,
    pub(crate) state: Mutex<State>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) log: Vec<Logged>,
    pub(crate) faults: BTreeMap<usize, Fault>,
    pub(crate) requests: usize,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        // A test that fails while it looks must not make the server fail as well.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TestRegistry {
    /// A registry that anybody may use.
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// A registry that behaves like this.
    pub fn with(options: Options) -> Self {
        let certificate = options.tls.then(|| Box::new(Certificate::new()));
        let tls = certificate.as_ref().map(|made| {
            let config = if options.wants_certificates {
                &made.demanding
            } else {
                &made.config
            };
            Arc::clone(config)
        });
        let bind = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (listener, elsewhere) = (bind(), bind());
        let of =
            |listener: &TcpListener| listener.local_addr().expect("a bound port has an address");
        let (address, other) = (of(&listener), of(&elsewhere));
        let scheme = if options.tls { "https" } else { "http" };
        let told = |address: SocketAddr| match &options.name {
            Some(name) => format!("{scheme}://{name}:{}", address.port()),
            None => format!("{scheme}://{address}"),
        };
        let shared = Arc::new(Shared {
            own: told(address),
            other: told(other),
            options,
            state: Mutex::default(),
        });
        for (listener, role) in [(listener, Role::Registry), (elsewhere, Role::OtherHost)] {
            let (shared, tls) = (Arc::clone(&shared), tls.clone());
            thread::spawn(move || serve(&listener, role, tls.as_ref(), &shared));
        }
        Self {
            address,
            other,
            certificate,
            shared,
        }
    }

    /// `127.0.0.1:PORT`, for references.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The other host, for references.
    pub fn other_host(&self) -> String {
        self.other.to_string()
    }

    /// The certificate authority to trust, where the registry speaks TLS.
    pub fn authority(&self) -> Option<&str> {
        Some(&self.certificate()?.authority)
    }

    /// All certificates, where the registry speaks TLS.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_deref()
    }

    /// Lets one request fail: the one with this index, counted from the last [`TestRegistry::forget`] on.
    pub fn fail_at(&self, index: usize, fault: Fault) {
        self.shared.state().faults.insert(index, fault);
    }

    /// Everything that was asked, in the order it came.
    pub fn log(&self) -> Vec<Logged> {
        self.shared.state().log.clone()
    }

    /// How many requests the registry itself has had.
    pub fn requests(&self) -> usize {
        self.shared.state().requests
    }

    /// Forgets what was asked, the faults, and all tokens; what is stored stays.
    pub fn forget(&self) {
        self.forget_log();
        self.expire_tokens();
    }

    /// Forgets what was asked, and the faults.
    pub fn forget_log(&self) {
        let mut state = self.shared.state();
        state.log.clear();
        state.faults.clear();
        state.requests = 0;
    }

    /// Ends the life of every token.
    pub fn expire_tokens(&self) {
        self.shared.state().store.tokens.clear();
    }

    /// The digest that a tag leads to.
    pub fn tag(&self, repository: &str, tag: &str) -> Option<String> {
        let state = self.shared.state();
        state
            .store
            .repositories
            .get(repository)?
            .tags
            .get(tag)
            .cloned()
    }

    /// A manifest as it is stored.
    pub fn manifest(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        let state = self.shared.state();
        let repository = state.store.repositories.get(repository)?;
        repository
            .manifests
            .get(digest)
            .map(|manifest| manifest.bytes.clone())
    }

    /// A blob as it is stored in a repository.
    pub fn blob(&self, repository: &str, digest: &str) -> Option<Vec<u8>> {
        let state = self.shared.state();
        let is_there = state
            .store
            .repositories
            .get(repository)?
            .blobs
            .contains(digest);
        is_there.then(|| state.store.blobs.get(digest).cloned())?
    }

    /// Puts a blob into a repository without a request; gives its digest.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) -> String {
        self.shared.state().store.put_blob(repository, bytes)
    }

    /// Puts a manifest into a repository without a request; gives its digest.
    pub fn put_manifest(
        &self,
        repository: &str,
        tag: Option<&str>,
        kind: &str,
        bytes: &[u8],
    ) -> String {
        self.shared
            .state()
            .store
            .put_manifest(repository, tag, kind, bytes)
    }

    /// Loses a blob.
    pub fn remove_blob(&self, repository: &str, digest: &str) {
        if let Some(repository) = self.shared.state().store.repositories.get_mut(repository) {
            repository.blobs.remove(digest);
        }
    }

    /// Uploads that were begun and neither finished nor given up.
    pub fn open_uploads(&self) -> usize {
        self.shared.state().store.uploads.len()
    }
}

impl fmt::Debug for TestRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shared.own)
    }
}
