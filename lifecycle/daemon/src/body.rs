//! An archive on its way into a request: written in the caller's thread, piece by piece, as fast as the daemon takes it, so that
//! it is never whole anywhere.

use std::{
    io::{self, Write},
    pin::Pin,
    task::{Context, Poll},
};

use futures_core::Stream;
use tokio::sync::mpsc;

/// How much is sent at once, and how many such pieces wait.
const PIECE: usize = 256 << 10;
const WAITING: usize = 4;

type Piece = io::Result<Vec<u8>>;

/// Both ends.
pub(crate) fn pipe(progress: &mut dyn FnMut(u64)) -> (Sink<'_>, reqwest::Body) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let sink = Sink {
        sender,
        buffer: Vec::with_capacity(PIECE),
        sent: 0,
        progress,
    };
    (sink, reqwest::Body::wrap_stream(Pieces(receiver)))
}

/// The end that is written to. A write fails with [`io::ErrorKind::BrokenPipe`] once the request is over.
pub(crate) struct Sink<'a> {
    sender: mpsc::Sender<Piece>,
    buffer: Vec<u8>,
    sent: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl Sink<'_> {
    /// Ends the body in a way that no daemon takes for its end.
    pub(crate) fn break_off(self) {
        let broken = io::Error::other("the archive cannot be written to its end");
        // If the request is over, nothing has to be broken off.
        drop(self.sender.blocking_send(Err(broken)));
    }

    fn send(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        let length = piece.len() as u64;
        self.sender
            .blocking_send(Ok(piece))
            .map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.sent += length;
        (self.progress)(self.sent);
        Ok(())
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == PIECE {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.send()
    }
}

struct Pieces(mpsc::Receiver<Piece>);

impl Stream for Pieces {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.0.poll_recv(context)
    }
}
