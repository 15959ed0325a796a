//! Writing a layer in one pass, over threads, in constant memory.

use super::contents::LayerContents;
use super::pieces::{Outlet, Piece};
use super::tar_out::TarOut;
use super::walk::{WalkError, write_tar};
use crate::digest::{BlobDigest, DiffId};
use crate::hashing::{HashingWriter, Sha256};
use crate::layer_blob::LayerBlob;
use crate::tree_path::ParseTreePathError;
use libdeflater::{CompressionLvl, Compressor};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// How a layer is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Gzip, level 1 by libdeflate, in members of 1 MiB of tar, compressed by so many threads. The number does not
    /// change the bytes.
    Gzip {
        /// How many threads compress.
        threads: NonZeroUsize,
    },
    /// Zstandard, level 1, in frames of 1 MiB of tar: twice as fast as gzip, and a little smaller. For what only we read: old programs
    /// cannot.
    Zstd {
        /// How many threads compress.
        threads: NonZeroUsize,
    },
    /// As it is: for sinks that need no compressed layers. The blob's digest is the diffID.
    None,
}

/// More threads than this gain nothing and cost memory: at 16, 34 buffers of 1 MiB twice would pass 64 MiB.
const MOST_THREADS: usize = 12;

/// Writes a layer to `sink` and says what it is. Nothing is said about the sink's durability: that is its owner's to ensure.
pub fn write_layer(
    contents: &LayerContents<'_>,
    sink: impl Write,
    compression: Compression,
) -> Result<LayerBlob, WriteLayerError> {
    match compression {
        Compression::Gzip { threads } => write_packed(contents, sink, threads, Packer::gzip),
        Compression::Zstd { threads } => write_packed(contents, sink, threads, Packer::zstd),
        Compression::None => write_plain(contents, sink),
    }
}

/// What a layer would unpack to, without storing it, and how many bytes its tar has.
pub fn diff_id(contents: &LayerContents<'_>) -> Result<(DiffId, u64), WriteLayerError> {
    write_plain(contents, io::sink()).map(|blob| (blob.diff_id, blob.uncompressed_size))
}

fn write_plain(
    contents: &LayerContents<'_>,
    sink: impl Write,
) -> Result<LayerBlob, WriteLayerError> {
    let (to_writer, pieces) = channel::<Arc<Piece>>();
    thread::scope(|scope| {
        let walk = scope.spawn(move || produce(contents, 4, |piece| to_writer.send(piece).is_ok()));
        let mut writer = HashingWriter::new(sink);
        // The receiver goes when this is done or has failed; then the producer stops.
        let written = pieces
            .into_iter()
            .try_for_each(|piece| writer.write_all(piece.tar()))
            .and_then(|()| writer.flush());
        let bytes = finished(walk, written)?;
        let (_, digest, size) = writer.finish();
        debug_assert_eq!(bytes, size, "what was made was written");
        Ok(LayerBlob {
            diff_id: DiffId::new(digest),
            digest: BlobDigest::new(digest),
            size,
            uncompressed_size: size,
        })
    })
}

fn write_packed(
    contents: &LayerContents<'_>,
    sink: impl Write,
    threads: NonZeroUsize,
    packer: fn() -> Packer,
) -> Result<LayerBlob, WriteLayerError> {
    let threads = threads.get().min(MOST_THREADS);
    let (to_hash, hashed) = channel::<Arc<Piece>>();
    let (to_compress, compressed) = channel::<Arc<Piece>>();
    let (to_writer, pieces) = channel::<Arc<Piece>>();
    thread::scope(|scope| {
        let take = move |piece: Arc<Piece>| {
            to_hash.send(Arc::clone(&piece)).is_ok() && to_compress.send(piece).is_ok()
        };
        let walk = scope.spawn(move || produce(contents, 2 * threads + 2, take));
        let hash = scope.spawn(move || {
            let mut hash = Sha256::new();
            for piece in hashed {
                hash.update(piece.tar());
            }
            hash.finish()
        });
        let compressed = Arc::new(Mutex::new(compressed));
        for _ in 0..threads {
            let (compressed, to_writer) = (Arc::clone(&compressed), to_writer.clone());
            scope.spawn(move || compress(packer(), &compressed, &to_writer));
        }
        // When the compressors are gone, so are these; each side sees that the other has ended.
        drop((compressed, to_writer));
        let mut writer = HashingWriter::new(sink);
        let written = write_in_order(pieces, &mut writer);
        let uncompressed_size = finished(walk, written)?;
        let diff_id = DiffId::new(
            hash.join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        );
        let (_, digest, size) = writer.finish();
        Ok(LayerBlob {
            diff_id,
            digest: BlobDigest::new(digest),
            size,
            uncompressed_size,
        })
    })
}

/// Walks and reads; gives the number of bytes of tar.
fn produce(
    contents: &LayerContents<'_>,
    buffers: usize,
    take: impl FnMut(Arc<Piece>) -> bool,
) -> Result<u64, WalkError> {
    let (outlet, first) = Outlet::new(buffers, take);
    let mut out = TarOut::new(outlet, first);
    write_tar(contents, &mut out)?;
    let bytes = out.bytes;
    out.finish();
    Ok(bytes)
}

/// What one thread compresses with.
enum Packer {
    Gzip(Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Packer {
    fn gzip() -> Self {
        let level = CompressionLvl::new(1).expect("libdeflate has level 1");
        Self::Gzip(Compressor::new(level))
    }

    fn zstd() -> Self {
        Self::Zstd(zstd::bulk::Compressor::new(1).expect("zstd has level 1"))
    }

    /// Compresses a piece into a buffer that grows as needed; gives the length.
    fn pack(&mut self, tar: &[u8], buffer: &mut Vec<u8>) -> usize {
        match self {
            Self::Gzip(gzip) => {
                buffer.resize(gzip.gzip_compress_bound(tar.len()), 0);
                gzip.gzip_compress(tar, buffer)
                    .expect("the buffer has the size that libdeflate asks for")
            }
            Self::Zstd(zstd) => {
                buffer.resize(zstd::zstd_safe::compress_bound(tar.len()), 0);
                zstd.compress_to_buffer(tar, &mut buffer[..])
                    .expect("the buffer has the size that zstd asks for")
            }
        }
    }
}

fn compress(
    mut packer: Packer,
    pieces: &Mutex<Receiver<Arc<Piece>>>,
    to_writer: &Sender<Arc<Piece>>,
) {
    loop {
        let next = pieces.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(piece) = next else { return };
        piece.with_packed(|buffers| {
            buffers.packed_length = packer.pack(piece.tar(), &mut buffers.packed);
        });
        if to_writer.send(piece).is_err() {
            return;
        }
    }
}

fn write_in_order(pieces: Receiver<Arc<Piece>>, writer: &mut impl Write) -> io::Result<()> {
    let mut waiting = BTreeMap::new();
    let mut next = 0;
    for piece in pieces {
        waiting.insert(piece.number, piece);
        while let Some(piece) = waiting.remove(&next) {
            piece.with_packed(|buffers| {
                writer.write_all(&buffers.packed[..buffers.packed_length])
            })?;
            next += 1;
        }
    }
    writer.flush()
}

type Walk<'scope> = thread::ScopedJoinHandle<'scope, Result<u64, WalkError>>;

/// The walk's error comes first: the writer then wrote all it got and knows nothing of it.
fn finished(walk: Walk<'_>, written: io::Result<()>) -> Result<u64, WriteLayerError> {
    match (
        walk.join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        written,
    ) {
        (Err(WalkError::Failed(error)), _) => Err(error),
        (_, Err(error)) => Err(WriteLayerError::Sink(error)),
        (Ok(bytes), Ok(())) => Ok(bytes),
        (Err(WalkError::Stopped), Ok(())) => {
            Err(WriteLayerError::Sink(io::ErrorKind::BrokenPipe.into()))
        }
    }
}

/// Why a layer could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteLayerError {
    /// A file or folder could not be read.
    #[error("cannot read {path} for a layer", path = path.display())]
    Read {
        /// The file on disk.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file became shorter while it was read.
    #[error("{path} changed while the layer was written; build again when nothing writes to it", path = path.display())]
    Changed {
        /// The file on disk.
        path: PathBuf,
    },
    /// A name that no image can hold.
    #[error("a file cannot go into a layer")]
    Path(#[source] ParseTreePathError),
    /// The layer could not be written where it should go.
    #[error("cannot write the layer")]
    Sink(#[source] io::Error),
}
