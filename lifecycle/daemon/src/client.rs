//! The handle: what a client of a daemon is made from, and what its copies share.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use fetch::{Budget, FetchError};
use tokio::runtime::Runtime;

use crate::{
    endpoint::Endpoint,
    engine::{Engine, Version},
    error::DaemonError,
    request::Http,
};

/// What a client of a daemon needs to know. The caller reads the environment; this crate does not.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which daemon is meant.
    pub endpoint: Endpoint,
    /// Retries, time limits of connections and silences; for daemons elsewhere also proxies and trust. `total_time` does not count here;
    /// `time_budget` does.
    pub http: fetch::Config,
    /// The most time for one operation, its retries and pauses included.
    pub time_budget: Duration,
    /// The folder for what a daemon exports: as large as the image whose layers are read.
    pub scratch: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::default(),
            http: fetch::Config::default(),
            time_budget: Duration::from_mins(30),
            scratch: "/var/tmp".into(),
        }
    }
}

/// Reads images from a Docker daemon and loads images into it. Cheap to clone; its methods may be called from several threads at
/// once, but not from asynchronous code.
#[derive(Clone)]
pub struct Daemon {
    inner: Arc<Inner>,
}

struct Inner {
    /// There until the end.
    runtime: Option<Runtime>,
    http: Arc<Http>,
    /// What the daemon said of itself, once it was asked.
    engine: Mutex<Option<Engine>>,
    newest_api: Option<Version>,
    time_budget: Duration,
    scratch: PathBuf,
}

impl Daemon {
    /// Makes a client. Nothing is opened yet.
    pub fn new(settings: Settings) -> Result<Self, DaemonError> {
        let Settings {
            endpoint,
            http,
            time_budget,
            scratch,
        } = settings;
        let start = |cause: String| FetchError::Start { cause };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("daemon")
            .enable_all()
            .build()
            .map_err(|error| start(error.to_string()))?;
        let config = endpoint.config(http);
        // A connection costs nothing here, and one that was kept may be that of a daemon that has been restarted.
        let mut builder = fetch::client_builder(&config)?.pool_max_idle_per_host(0);
        if let Some(socket) = endpoint.socket() {
            builder = builder.unix_socket(socket);
        }
        let client = builder.build().map_err(|error| start(error.to_string()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                runtime: Some(runtime),
                http: Arc::new(Http {
                    client,
                    host: endpoint.host,
                    named_by: endpoint.named_by,
                    retry: config.retry,
                    idle_time: config.idle_time,
                }),
                engine: Mutex::default(),
                newest_api: endpoint.newest_api,
                time_budget,
                scratch,
            }),
        })
    }

    pub(crate) fn http(&self) -> &Arc<Http> {
        &self.inner.http
    }

    pub(crate) fn known_engine(&self) -> &Mutex<Option<Engine>> {
        &self.inner.engine
    }

    pub(crate) fn newest_api(&self) -> Option<Version> {
        self.inner.newest_api
    }

    pub(crate) fn scratch(&self) -> &PathBuf {
        &self.inner.scratch
    }

    pub(crate) fn runtime(&self) -> &Runtime {
        self.inner
            .runtime
            .as_ref()
            .expect("the runtime is only taken when the last handle goes")
    }

    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime().block_on(work)
    }

    pub(crate) fn budget(&self) -> Budget {
        Budget::new(self.inner.time_budget)
    }
}

impl fmt::Debug for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Daemon({})", self.inner.http.host)
    }
}

impl Drop for Inner {
    /// The last handle may be in a layer's source, which may go in a thread of some runtime; that thread must not wait for this one's end.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
