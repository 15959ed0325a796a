//! The tar stream, cut into pieces of equal size as it is made.

use crate::archive::encode::{Encoded, encode, padding};
use std::io::Read;

/// How many bytes of tar make a gzip member. It is part of the layers' bytes: changing it changes every digest.
pub(super) const PIECE: usize = 1 << 20;

/// Takes full pieces and gives empty buffers of [`PIECE`] bytes.
pub(super) trait Pieces {
    /// Hands over the first `length` bytes of `full`; gives an empty buffer, or `None` if nobody wants more.
    fn exchange(&mut self, full: Vec<u8>, length: usize) -> Option<Vec<u8>>;
}

/// Nobody wants the stream any more: its writer has failed and says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stopped;

/// Builds the stream in place: files are read straight into the piece.
pub(super) struct TarOut<P> {
    pieces: P,
    piece: Vec<u8>,
    filled: usize,
    pub(super) bytes: u64,
}

/// What reading a file into the stream can come to.
pub(super) enum FillError {
    Stopped,
    /// The file has fewer bytes than its header says.
    Short,
    Read(std::io::Error),
}

impl From<Stopped> for FillError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl<P: Pieces> TarOut<P> {
    pub(super) fn new(pieces: P, first: Vec<u8>) -> Self {
        Self {
            pieces,
            piece: first,
            filled: 0,
            bytes: 0,
        }
    }

    pub(super) fn header(&mut self, entry: &Encoded<'_>) -> Result<(), Stopped> {
        self.put(&encode(entry))
    }

    pub(super) fn put(&mut self, mut bytes: &[u8]) -> Result<(), Stopped> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let count = room.len().min(bytes.len());
            room[..count].copy_from_slice(&bytes[..count]);
            bytes = &bytes[count..];
            self.advance(count);
        }
        Ok(())
    }

    /// Content from memory, and the zeros behind it.
    pub(super) fn content(&mut self, content: &[u8]) -> Result<(), Stopped> {
        self.put(content)?;
        self.pad(content.len() as u64)
    }

    /// `size` bytes from a file, and the zeros behind them.
    pub(super) fn content_from(
        &mut self,
        file: &mut impl Read,
        size: u64,
    ) -> Result<(), FillError> {
        let mut left = size;
        while left > 0 {
            let room = self.room()?;
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(room.len());
            match file.read(&mut room[..wanted]) {
                Ok(0) => return Err(FillError::Short),
                Ok(count) => {
                    self.advance(count);
                    left -= count as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(FillError::Read(error)),
            }
        }
        Ok(self.pad(size)?)
    }

    /// Hands over what is left.
    pub(super) fn finish(mut self) {
        if self.filled > 0 {
            drop(self.pieces.exchange(self.piece, self.filled));
        }
    }

    fn pad(&mut self, size: u64) -> Result<(), Stopped> {
        self.put(&[0; 512][..padding(size)])
    }

    fn room(&mut self) -> Result<&mut [u8], Stopped> {
        if self.filled == PIECE {
            let full = std::mem::take(&mut self.piece);
            self.piece = self.pieces.exchange(full, PIECE).ok_or(Stopped)?;
            self.filled = 0;
        }
        Ok(&mut self.piece[self.filled..])
    }

    fn advance(&mut self, count: usize) {
        self.filled += count;
        self.bytes += count as u64;
    }
}
