//! The blocking client: `get`, `get_if_changed`, `download`, `download_all`.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use reqwest::header::{
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use tokio::runtime::Runtime;
use url::Url;

use crate::{
    attempt::Http,
    builder::client_builder,
    config::{Config, RetryPolicy},
    error::FetchError,
    local,
    parallel::{self, Download, Progress},
    redact::redacted,
    sink::{Expected, FileSink, MemorySink},
    transfer::{Outcome, Transfer, no_cache},
};

/// Fetches files over HTTP(S) and from `file:` addresses. Cheap to clone; for use outside of asynchronous code.
#[derive(Clone)]
pub struct Client {
    runtime: Arc<Runtime>,
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    http: Arc<Http>,
    pub(crate) config: Config,
}

/// What identifies a version of a file: given back to [`Client::get_if_changed`] next time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// The `ETag` header.
    pub etag: Option<String>,
    /// The `Last-Modified` header.
    pub last_modified: Option<String>,
}

/// The answer to a conditional request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Conditional {
    /// What the caller has is still right.
    NotModified,
    /// The content and what identifies it.
    Fresh(Vec<u8>, Validators),
}

impl Client {
    /// Makes a client. Nothing is opened yet.
    pub fn new(config: Config) -> Result<Self, FetchError> {
        let start = |cause: String| FetchError::Start { cause };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("fetch")
            .enable_all()
            .build()
            .map_err(|error| start(error.to_string()))?;
        let client = client_builder(&config)?
            .read_timeout(config.idle_time)
            .build()
            .map_err(|error| start(error.to_string()))?;
        let http = Http {
            client,
            per_host: config.connections_per_host,
            hosts: Mutex::new(BTreeMap::new()),
        };
        Ok(Self {
            runtime: Arc::new(runtime),
            inner: Arc::new(Inner {
                http: Arc::new(http),
                config,
            }),
        })
    }

    /// The same client (connections, trust, proxies) with other patience: few attempts to find out whether a host is there at all.
    #[must_use]
    pub fn with_patience(&self, retry: RetryPolicy, total_time: Duration) -> Self {
        let config = Config {
            retry,
            total_time,
            ..self.inner.config.clone()
        };
        Self {
            runtime: Arc::clone(&self.runtime),
            inner: Arc::new(Inner {
                http: Arc::clone(&self.inner.http),
                config,
            }),
        }
    }

    /// The content at `url`, of at most `cap` bytes.
    pub fn get(&self, url: &Url, cap: u64) -> Result<Vec<u8>, FetchError> {
        match self.get_if_changed(url, cap, &Validators::default())? {
            Conditional::Fresh(bytes, _) => Ok(bytes),
            Conditional::NotModified => Err(FetchError::Status {
                url: redacted(url),
                status: 304,
                reason: "Not Modified, unasked".to_owned(),
                attempts: 1,
            }),
        }
    }

    /// The content at `url`, unless it is still the version that `known` stands for.
    pub fn get_if_changed(
        &self,
        url: &Url,
        cap: u64,
        known: &Validators,
    ) -> Result<Conditional, FetchError> {
        if url.scheme() == "file" {
            return local::read(url, cap)
                .map(|bytes| Conditional::Fresh(bytes, Validators::default()));
        }
        self.runtime
            .block_on(self.inner.get_if_changed(url, cap, known))
    }

    /// Fetches `url` into the file `destination`: written beside it, checked, synced, renamed. It is there whole or not at all.
    pub fn download(
        &self,
        url: &Url,
        expected: Expected,
        destination: &Path,
    ) -> Result<(), FetchError> {
        self.runtime
            .block_on(self.inner.download(url, expected, destination, &mut |_| {}))
    }

    /// Fetches many files at once. The first error stops the rest; what is complete by then stays.
    pub fn download_all(
        &self,
        downloads: Vec<Download>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<(), FetchError> {
        self.runtime
            .block_on(parallel::download_all(&self.inner, downloads, progress))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("config", &self.inner.config)
            .finish_non_exhaustive()
    }
}

impl Inner {
    async fn get_if_changed(
        &self,
        url: &Url,
        cap: u64,
        known: &Validators,
    ) -> Result<Conditional, FetchError> {
        let mut sink = MemorySink {
            bytes: Vec::new(),
            cap,
        };
        let transfer = self.transfer(url, conditions(known))?;
        match transfer.run(&mut sink, &mut |_| {}).await? {
            Outcome::NotModified => Ok(Conditional::NotModified),
            Outcome::Complete(headers) => {
                let text = |name| {
                    headers
                        .get(name)
                        .and_then(|value: &HeaderValue| value.to_str().ok())
                        .map(str::to_owned)
                };
                let validators = Validators {
                    etag: text(ETAG),
                    last_modified: text(LAST_MODIFIED),
                };
                Ok(Conditional::Fresh(sink.bytes, validators))
            }
        }
    }

    pub(crate) async fn download(
        &self,
        url: &Url,
        expected: Expected,
        destination: &Path,
        received: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), FetchError> {
        let save = |source| FetchError::Save {
            url: redacted(url),
            path: destination.to_owned(),
            source,
        };
        let folder = destination
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        fs::create_dir_all(folder).map_err(save)?;
        let mut file = tempfile::Builder::new()
            .prefix(".fetch-")
            .permissions(fs::Permissions::from_mode(0o644))
            .tempfile_in(folder)
            .map_err(save)?;

        let with_path = |error| match error {
            FetchError::Save { source, .. } => save(source),
            other => other,
        };
        match self
            .fill(
                url,
                expected,
                file.as_file_mut(),
                HeaderMap::new(),
                received,
            )
            .await
        {
            // A cache on the way may hold a damaged or an old copy; ask the origin before giving up.
            Err(FetchError::WrongDigest { .. } | FetchError::WrongSize { .. })
                if url.scheme() != "file" =>
            {
                self.fill(url, expected, file.as_file_mut(), no_cache(), received)
                    .await
                    .map_err(with_path)?;
            }
            other => other.map_err(with_path)?,
        }
        let destination = destination.to_owned();
        let kept = tokio::task::spawn_blocking(move || keep(file, &destination)).await;
        match kept {
            Ok(done) => done.map_err(save),
            Err(join) => Err(save(io::Error::other(join))),
        }
    }

    async fn fill(
        &self,
        url: &Url,
        expected: Expected,
        file: &mut fs::File,
        headers: HeaderMap,
        received: &mut (dyn FnMut(u64) + Send),
    ) -> Result<(), FetchError> {
        let mut sink = FileSink::new(file, expected);
        if url.scheme() == "file" {
            local::copy(url, &mut sink, received)?;
        } else {
            let outcome = self
                .transfer(url, headers)?
                .run(&mut sink, received)
                .await?;
            debug_assert!(
                matches!(outcome, Outcome::Complete(_)),
                "no condition was sent"
            );
        }
        let found = sink.digest();
        if found != expected.sha256 {
            return Err(FetchError::WrongDigest {
                url: redacted(url),
                expected: expected.sha256,
                found,
            });
        }
        Ok(())
    }

    fn transfer<'a>(
        &'a self,
        url: &'a Url,
        headers: HeaderMap,
    ) -> Result<Transfer<'a>, FetchError> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(FetchError::UnsupportedScheme {
                url: redacted(url),
                scheme: url.scheme().to_owned(),
            });
        }
        Ok(Transfer {
            http: &self.http,
            config: &self.config,
            url,
            headers,
        })
    }
}

/// The name appears only when the bytes are on the disk, so that no crash leaves a file that is wrong.
fn keep(mut file: tempfile::NamedTempFile, destination: &Path) -> io::Result<()> {
    file.flush()?;
    file.as_file().sync_data()?;
    file.persist(destination).map_err(|error| error.error)?;
    Ok(())
}

fn conditions(known: &Validators) -> HeaderMap {
    let Validators {
        etag,
        last_modified,
    } = known;
    let mut headers = HeaderMap::new();
    let mut insert = |name: HeaderName, value: &Option<String>| {
        if let Some(value) = value
            .as_deref()
            .and_then(|text| HeaderValue::from_str(text).ok())
        {
            headers.insert(name, value);
        }
    };
    insert(IF_NONE_MATCH, etag);
    insert(IF_MODIFIED_SINCE, last_modified);
    headers
}
