//! Downloads kept under their digest: `<folder>/sha256/<hex>`, checked again before each use.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
};

use fetch::{Client, Download, Expected, FetchError, Progress, Sha256};
use sha2::Digest as _;
use url::Url;

/// The folder of downloads. Several programs may use it at once: files appear whole, under the name of their content.
#[derive(Debug, Clone)]
pub struct DownloadCache {
    folder: PathBuf,
}

/// A file to have in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub url: Url,
    /// Its digest.
    pub sha256: Sha256,
    /// Its size.
    pub size: u64,
}

/// How far [`DownloadCache::fetch`] is: bytes and files of those that had to be downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fetched {
    /// Bytes that came.
    pub bytes: u64,
    /// Bytes to come in all.
    pub total_bytes: u64,
    /// Files complete.
    pub files: usize,
    /// Files in all.
    pub total_files: usize,
}

impl DownloadCache {
    /// Uses `folder`, which need not be there yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// Where the file of this digest is, or would be.
    pub fn path(&self, sha256: Sha256) -> PathBuf {
        self.folder.join("sha256").join(sha256.to_string())
    }

    /// True if the file is there and its content is right. A damaged one counts as missing, and is replaced by a download.
    pub fn has(&self, sha256: Sha256, size: u64) -> bool {
        file_digest(&self.path(sha256), size).is_ok_and(|found| found == Some(sha256))
    }

    /// Makes sure that all files are there; downloads the missing ones in parallel.
    pub fn fetch(
        &self,
        client: &Client,
        wanted: &[Wanted],
        progress: &mut dyn FnMut(Fetched),
    ) -> Result<(), FetchError> {
        let missing = self.missing(wanted);
        let mut state = Fetched {
            total_bytes: missing.iter().map(|file| file.size).sum(),
            total_files: missing.len(),
            ..Fetched::default()
        };
        progress(state);
        let downloads = missing
            .iter()
            .map(|file| Download {
                url: file.url.clone(),
                expected: Expected::new(file.sha256, file.size),
                destination: self.path(file.sha256),
            })
            .collect();
        let mut received = vec![0; missing.len()];
        client.download_all(downloads, &mut |event: Progress| {
            if let Some(bytes) = received.get_mut(event.index) {
                state.bytes = state.bytes.saturating_sub(*bytes) + event.received;
                *bytes = event.received;
            }
            state.files += usize::from(event.done);
            progress(state);
        })
    }

    /// Hashing is the work here, so all cores share it.
    fn missing(&self, wanted: &[Wanted]) -> Vec<Wanted> {
        let mut wanted: Vec<_> = wanted.to_vec();
        wanted.sort_by_key(|file| file.sha256);
        wanted.dedup_by_key(|file| file.sha256);
        let queue = Mutex::new(wanted.into_iter());
        let missing = Mutex::new(Vec::new());
        let threads = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(8);
        let work = || {
            while let Some(file) = locked(&queue).next() {
                if !self.has(file.sha256, file.size) {
                    locked(&missing).push(file);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(work);
            }
        });
        let mut missing = missing.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Large files first, so that none is left alone at the end.
        missing.sort_by(|a, b| b.size.cmp(&a.size).then_with(|| a.sha256.cmp(&b.sha256)));
        missing
    }
}

/// A thread that panicked between two operations leaves the list usable.
fn locked<T>(list: &Mutex<T>) -> MutexGuard<'_, T> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The digest of a file, or nothing if its size is not the one expected.
fn file_digest(path: &Path, size: u64) -> io::Result<Option<Sha256>> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() != size {
        return Ok(None);
    }
    digest_of(&mut file).map(Some)
}

/// The digest of what is left to read.
pub(crate) fn digest_of(reader: &mut impl Read) -> io::Result<Sha256> {
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(Sha256::from(<[u8; 32]>::from(hasher.finalize()))),
            Ok(count) => hasher.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
