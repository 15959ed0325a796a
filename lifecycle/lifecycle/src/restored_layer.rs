//! Puts a cached layer back where it was, and makes sure that it is what its digest says. It is read once: one thread reads and hashes,
//! another makes the files.

use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use oci_image::{DiffId, Sha256};

use crate::files::{FileError, remove_dir};
use crate::unpack_below::{UnpackBelowError, unpack_below};

/// How much is read at once, and how many such pieces may wait.
const PIECE: usize = 256 << 10;
const WAITING: usize = 16;

/// Unpacks what is in or below `folder` of a layer's tar. After an error nothing of it is there.
pub fn restore_layer(
    tar: impl Read + Send,
    diff_id: DiffId,
    folder: &Path,
) -> Result<(), RestoreLayerError> {
    let restored = restore(tar, diff_id, folder);
    if restored.is_err() {
        remove_dir(folder)?;
    }
    restored
}

fn restore(tar: impl Read + Send, diff_id: DiffId, folder: &Path) -> Result<(), RestoreLayerError> {
    let (to_unpacker, pieces) = sync_channel(WAITING);
    let (hashed, unpacked) = thread::scope(|scope| {
        let hashing = scope.spawn(move || hash(tar, &to_unpacker));
        let unpacked = unpack_below(Pieces::new(pieces), folder);
        failpoint::reach("restore-layer-unpacked");
        let hashed = hashing.join();
        let hashed = hashed.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (hashed, unpacked)
    });
    // A broken tar says little where the bytes are known to be wrong ones.
    let found = hashed.map_err(|source| RestoreLayerError::Read { diff_id, source })?;
    if found != diff_id {
        return Err(RestoreLayerError::Damaged { diff_id, found });
    }
    Ok(unpacked?)
}

/// Reads to the end, also when nobody takes the pieces any more.
fn hash(mut tar: impl Read, to_unpacker: &SyncSender<Vec<u8>>) -> io::Result<DiffId> {
    let mut hash = Sha256::new();
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        (&mut tar).take(PIECE as u64).read_to_end(&mut piece)?;
        if piece.is_empty() {
            return Ok(DiffId::new(hash.finish()));
        }
        hash.update(&piece);
        // The unpacker has failed, and says why.
        to_unpacker.send(piece).unwrap_or_default();
    }
}

/// The pieces as a stream.
struct Pieces {
    pieces: Receiver<Vec<u8>>,
    current: io::Cursor<Vec<u8>>,
}

impl Pieces {
    fn new(pieces: Receiver<Vec<u8>>) -> Self {
        Self {
            pieces,
            current: io::Cursor::default(),
        }
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.current.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.pieces.recv() {
                Ok(piece) => self.current = io::Cursor::new(piece),
                Err(_) => return Ok(0),
            }
        }
    }
}

/// Why a cached layer could not be put back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreLayerError {
    /// It cannot be read.
    #[error("failed to read cache layer with SHA '{diff_id}': {source}")]
    Read {
        /// The layer.
        diff_id: DiffId,
        /// Why.
        source: io::Error,
    },
    /// It is not what its digest says.
    #[error("expected layer contents to have SHA '{diff_id}'; found '{found}'")]
    Damaged {
        /// What it should be.
        diff_id: DiffId,
        /// What it is.
        found: DiffId,
    },
    /// Its contents cannot be put where they belong.
    #[error(transparent)]
    Unpack(#[from] UnpackBelowError),
    /// What was made of it cannot be taken away.
    #[error(transparent)]
    File(#[from] FileError),
}
