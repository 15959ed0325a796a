//! Pieces of the tar stream on their way between threads, in a fixed number of buffers.

use super::tar_out::{PIECE, Pieces};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// A piece of the stream. Whoever needs it holds the [`Arc`]; when the last one lets go, the buffers are used again, so that no more
/// of them are ever under way than the pool was made with.
pub(super) struct Piece {
    pub(super) number: u64,
    buffers: Mutex<Buffers>,
    tar: Vec<u8>,
    length: usize,
    home: Sender<(Vec<u8>, Buffers)>,
}

/// What a compressor needs beside the tar.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) packed: Vec<u8>,
    pub(super) packed_length: usize,
}

impl Piece {
    pub(super) fn tar(&self) -> &[u8] {
        &self.tar[..self.length]
    }

    /// Works with the compressed bytes.
    pub(super) fn with_packed<T>(&self, work: impl FnOnce(&mut Buffers) -> T) -> T {
        work(&mut self.buffers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let buffers =
            std::mem::take(&mut *self.buffers.lock().unwrap_or_else(PoisonError::into_inner));
        // Fails only when the producer has ended: then nobody needs the buffers.
        drop(self.home.send((std::mem::take(&mut self.tar), buffers)));
    }
}

/// Where full pieces go.
pub(super) struct Outlet<F> {
    take: F,
    next_number: u64,
    home: Sender<(Vec<u8>, Buffers)>,
    empty: Receiver<(Vec<u8>, Buffers)>,
    /// The compression buffers that came with the buffer being filled.
    current: Buffers,
}

impl<F: FnMut(Arc<Piece>) -> bool> Outlet<F> {
    /// An outlet with `count` buffers, and the first of them. `take` says whether more is wanted.
    pub(super) fn new(count: usize, take: F) -> (Self, Vec<u8>) {
        let (home, empty) = channel();
        for _ in 1..count {
            // The receiver stands right here.
            drop(home.send((Vec::new(), Buffers::default())));
        }
        (
            Self {
                take,
                next_number: 0,
                home,
                empty,
                current: Buffers::default(),
            },
            vec![0; PIECE],
        )
    }
}

impl<F: FnMut(Arc<Piece>) -> bool> Pieces for Outlet<F> {
    fn exchange(&mut self, full: Vec<u8>, length: usize) -> Option<Vec<u8>> {
        let piece = Piece {
            number: self.next_number,
            buffers: Mutex::new(std::mem::take(&mut self.current)),
            tar: full,
            length,
            home: self.home.clone(),
        };
        self.next_number += 1;
        if !(self.take)(Arc::new(piece)) {
            return None;
        }
        // We hold a sender ourselves, so this waits until a piece comes home.
        let (mut empty, buffers) = self.empty.recv().ok()?;
        self.current = buffers;
        empty.resize(PIECE, 0);
        Some(empty)
    }
}
