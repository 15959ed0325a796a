//! What a request carries. A blob is read in a thread of its own, in pieces, so that no blob is ever whole in memory; every
//! attempt opens it anew.

use std::{
    fmt,
    io::{self, Read},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use futures_core::Stream;
use oci_image::{BlobDigest, Layer};
use tokio::sync::mpsc;

/// How much is read at once, and how many such pieces wait.
const PIECE: usize = 128 << 10;
const WAITING: usize = 4;

type Open = dyn Fn() -> io::Result<Box<dyn Read + Send>> + Send + Sync;

/// A blob that can be opened again and again.
#[derive(Clone)]
pub(crate) struct Blob {
    pub(crate) digest: BlobDigest,
    pub(crate) size: u64,
    open: Arc<Open>,
}

impl Blob {
    pub(crate) fn of_layer(layer: &Layer) -> Self {
        let layer = layer.clone();
        Self {
            digest: layer.digest,
            size: layer.size,
            open: Arc::new(move || layer.open().map(|reader| Box::new(reader) as _)),
        }
    }

    pub(crate) fn of_bytes(digest: BlobDigest, bytes: Arc<[u8]>) -> Self {
        Self {
            digest,
            size: bytes.len() as u64,
            open: Arc::new(move || Ok(Box::new(io::Cursor::new(Arc::clone(&bytes))))),
        }
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({}, {} bytes)", self.digest, self.size)
    }
}

/// What a request carries.
#[derive(Debug, Clone)]
pub(crate) enum Payload {
    None,
    Bytes(Arc<[u8]>),
    /// A part of a blob.
    Part {
        blob: Blob,
        from: u64,
        length: u64,
    },
}

/// A body on its way: how much has been taken, and why its source failed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress {
    sent: Arc<AtomicU64>,
    source_error: Arc<Mutex<Option<io::Error>>>,
}

impl Progress {
    /// Changes as long as something is being sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    pub(crate) fn take_source_error(&self) -> Option<io::Error> {
        self.source_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}

impl Payload {
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Part { length, .. } => *length,
        }
    }

    /// The blob whose source may fail.
    pub(crate) fn digest(&self) -> Option<BlobDigest> {
        match self {
            Self::Part { blob, .. } => Some(blob.digest),
            Self::None | Self::Bytes(_) => None,
        }
    }

    pub(crate) fn body(&self, progress: &Progress) -> reqwest::Body {
        match self {
            Self::None => reqwest::Body::from(Vec::new()),
            Self::Bytes(bytes) => reqwest::Body::from(bytes.to_vec()),
            Self::Part { blob, from, length } => {
                let (sender, receiver) = mpsc::channel(WAITING);
                let (blob, from, length) = (blob.clone(), *from, *length);
                let errors = Arc::clone(&progress.source_error);
                tokio::task::spawn_blocking(move || {
                    if let Err(error) = send_part(&blob, from, length, &sender) {
                        *errors.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        // The body must not end as if it were whole.
                        let broken = io::Error::other("the blob cannot be read");
                        drop(sender.blocking_send(Err(broken)));
                    }
                });
                reqwest::Body::wrap_stream(Pieces {
                    receiver,
                    sent: Arc::clone(&progress.sent),
                })
            }
        }
    }
}

type Piece = io::Result<Vec<u8>>;

fn send_part(blob: &Blob, from: u64, length: u64, sender: &mpsc::Sender<Piece>) -> io::Result<()> {
    let mut reader = (blob.open)()?;
    let skipped = io::copy(&mut reader.by_ref().take(from), &mut io::sink())?;
    if skipped < from {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut left = length;
    while left > 0 {
        let wanted = PIECE.min(usize::try_from(left).unwrap_or(PIECE));
        let mut piece = Vec::with_capacity(wanted);
        reader
            .by_ref()
            .take(wanted as u64)
            .read_to_end(&mut piece)?;
        if piece.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        left -= piece.len() as u64;
        // At the blob's end its digest is checked, before the registry has the last piece.
        if left == 0 && from + length == blob.size {
            io::copy(&mut reader, &mut io::sink())?;
        }
        if sender.blocking_send(Ok(piece)).is_err() {
            // The request is over; whoever made it knows why.
            return Ok(());
        }
        match left {
            0 => failpoint::reach("push-blob-sent"),
            left if left <= length / 2 => failpoint::reach("push-blob-half-sent"),
            _ => {}
        }
    }
    Ok(())
}

struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    sent: Arc<AtomicU64>,
}

impl Stream for Pieces {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        let next = self.receiver.poll_recv(context);
        if let Poll::Ready(Some(Ok(piece))) = &next {
            self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        }
        next
    }
}
