//! The handle: what a client of registries is made from, and what its copies share.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fetch::{Budget, FetchError};
use oci_image::Reference;
use tokio::runtime::Runtime;

use crate::{
    address,
    auth::Access,
    credentials::Credentials,
    error::RegistryError,
    host::{Host, HostSettings},
    request::Http,
    scopes::{Right, Scopes},
    upload,
};

/// The most time that closing what was opened for nothing may take.
const LEAVING: Duration = Duration::from_secs(2);

/// What a client of registries needs to know. The caller reads the environment; this crate does not.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Trust, proxies, retries, time limits of connections and silences. `total_time` does not count here; `time_budget` does.
    pub http: fetch::Config,
    /// Credentials.
    pub credentials: Credentials,
    /// Registries (`host` or `host:port`) that may be spoken to in plain http where they do not speak TLS.
    pub insecure: Vec<String>,
    /// Where certificates for single registries are, as Docker and Podman keep them (`/etc/docker/certs.d`): the first folder that has
    /// something for a registry counts for it. [`crate::certificate_folders`] has the usual ones.
    pub certificate_folders: Vec<PathBuf>,
    /// Which addresses are of this machine's own network: registries outside of it may not lead there. A test says something else.
    pub is_local: fn(IpAddr) -> bool,
    /// The most time for one push or pull, its retries and pauses included.
    pub time_budget: Duration,
    /// Blobs that are sent at the same time.
    pub parallel_uploads: usize,
    /// A blob that is larger is sent in pieces of this size after its upload broke off.
    pub chunk_size: u64,
    /// A blob that is not larger is sent without asking whether it is there, which would take as long; unless an image was seen in
    /// the repository: then it probably is. Nothing is asked for in a repository that the registry does not know.
    pub ask_first_from: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            http: fetch::Config::default(),
            credentials: Credentials::none(),
            insecure: Vec::new(),
            certificate_folders: Vec::new(),
            is_local: address::is_local_ip,
            time_budget: Duration::from_mins(30),
            parallel_uploads: 6,
            chunk_size: 16 << 20,
            ask_first_from: 64 << 10,
        }
    }
}

/// Pulls images from registries and pushes them. Cheap to clone; its methods may be called from several threads at once, but
/// not from asynchronous code.
#[derive(Clone)]
pub struct Registry {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    /// There until the end.
    runtime: Option<Runtime>,
    pub(crate) http: Http,
    hosts: Mutex<BTreeMap<String, Arc<Host>>>,
    host_settings: HostSettings,
    time_budget: Duration,
    pub(crate) parallel_uploads: usize,
    pub(crate) chunk_size: u64,
    pub(crate) ask_first_from: u64,
}

impl Registry {
    /// Makes a client. Nothing is opened yet.
    pub fn new(settings: Settings) -> Result<Self, RegistryError> {
        let Settings {
            http,
            credentials,
            insecure,
            certificate_folders,
            is_local,
            time_budget,
            parallel_uploads,
            chunk_size,
            ask_first_from,
        } = settings;
        let start = |cause: String| FetchError::Start { cause };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("registry")
            .enable_all()
            .build()
            .map_err(|error| start(error.to_string()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                http: Http {
                    credentials: Arc::new(credentials),
                    retry: http.retry.clone(),
                    idle_time: http.idle_time,
                    certificate_folders: certificate_folders.clone(),
                },
                runtime: Some(runtime),
                hosts: Mutex::default(),
                host_settings: HostSettings {
                    http,
                    insecure,
                    certificate_folders,
                    is_local,
                },
                time_budget,
                parallel_uploads: parallel_uploads.max(1),
                chunk_size: chunk_size.max(1),
                ask_first_from,
            }),
        })
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    pub(crate) fn http(&self) -> &Http {
        &self.inner.http
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.inner
            .runtime
            .as_ref()
            .expect("the runtime is only taken when the last handle goes")
            .block_on(work)
    }

    pub(crate) fn budget(&self) -> Budget {
        Budget::new(self.inner.time_budget)
    }

    pub(crate) fn host(&self, reference: &Reference) -> Result<Arc<Host>, RegistryError> {
        // A poisoned lock means that a thread panicked between two map operations: the map itself is whole.
        let mut hosts = self
            .inner
            .hosts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = hosts.get(reference.registry()) {
            return Ok(Arc::clone(known));
        }
        let host = Arc::new(Host::new(reference, &self.inner.host_settings)?);
        hosts.insert(reference.registry().to_owned(), Arc::clone(&host));
        Ok(host)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registry")
    }
}

/// Access to one repository.
pub(crate) fn access(reference: &Reference, right: Right) -> Access {
    Access::new(
        reference.repository(),
        Scopes::of(reference.repository(), right),
    )
}

impl Drop for Inner {
    /// Uploads that were opened to see whether pushing is allowed, and that no blob used, are not left to the registry.
    ///
    /// The last handle may also be one that a broken-off upload has in a thread of the runtime itself, to read a layer from another
    /// registry. That thread must not wait for requests or for the runtime's end; such uploads are left behind.
    fn drop(&mut self) {
        let Some(runtime) = self.runtime.take() else {
            return;
        };
        if tokio::runtime::Handle::try_current().is_err() {
            runtime.block_on(self.cancel_prepared());
        }
        runtime.shutdown_background();
    }
}

impl Inner {
    async fn cancel_prepared(&self) {
        let budget = Budget::new(LEAVING);
        let hosts = std::mem::take(&mut *self.hosts.lock().unwrap_or_else(PoisonError::into_inner));
        for host in hosts.into_values() {
            let sessions =
                std::mem::take(&mut *host.sessions.lock().unwrap_or_else(PoisonError::into_inner));
            for (repository, urls) in sessions {
                let access = Access::new(&repository, Scopes::of(&repository, Right::Push));
                for url in urls {
                    upload::cancel(&self.http, &host, &access, url, &budget).await;
                }
            }
        }
    }
}
