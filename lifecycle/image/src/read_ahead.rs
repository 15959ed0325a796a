//! Reading on a thread of its own, so that what makes bytes (a network, a decompressor) and what takes them work at the same time.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

/// Large enough that handing a piece over costs nothing beside making it.
const PIECE: usize = 256 << 10;

/// How far ahead: enough to get over the other side's pauses, and 1 MiB at most.
const PIECES: usize = 4;

/// Reads what another thread has read ahead. Dropped early, it ends that thread with the piece that it is reading.
#[derive(Debug)]
pub struct ReadAhead {
    pieces: Receiver<io::Result<Vec<u8>>>,
    piece: Vec<u8>,
    given: usize,
    ended: bool,
}

impl ReadAhead {
    /// Starts to read `source`.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        source: impl Read + Send + 'scope,
    ) -> Self {
        let (sender, pieces) = sync_channel(PIECES);
        scope.spawn(move || read(source, &sender));
        Self {
            pieces,
            piece: Vec::new(),
            given: 0,
            ended: false,
        }
    }
}

/// An empty piece is the end: a thread that just stopped has not seen it.
fn read(mut source: impl Read, pieces: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut piece = vec![0; PIECE];
        let read = fill(&mut source, &mut piece).map(|count| {
            piece.truncate(count);
            piece
        });
        let is_last = read.as_ref().map_or(true, Vec::is_empty);
        if pieces.send(read).is_err() || is_last {
            return;
        }
    }
}

/// As much as there is room for: a source may give its bytes in crumbs.
fn fill(source: &mut impl Read, piece: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while count < piece.len() {
        match source.read(&mut piece[count..]) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

impl Read for ReadAhead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.piece.len() && !self.ended && !buffer.is_empty() {
            let next = self.pieces.recv();
            let next = next.unwrap_or_else(|_| Err(io::Error::other("the reading thread died")));
            self.ended = next.as_ref().map_or(true, Vec::is_empty);
            self.given = 0;
            self.piece.clear();
            self.piece = next?;
        }
        let rest = &self.piece[self.given..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    /// Gives its bytes in crumbs, then fails or ends.
    struct Crumbs(usize, bool);

    impl Read for Crumbs {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 && self.1 {
                return Err(io::Error::other("broken off"));
            }
            let count = self.0.min(buffer.len()).min(1000);
            buffer[..count].fill(7);
            self.0 -= count;
            Ok(count)
        }
    }

    #[test]
    fn read_ahead_whole() {
        for size in [0, 1, PIECE, 10 * PIECE + 3] {
            let mut bytes = Vec::new();
            thread::scope(|scope| {
                ReadAhead::start(scope, Crumbs(size, false)).read_to_end(&mut bytes)
            })
            .unwrap();
            assert_eq!(bytes, vec![7; size]);
        }
    }

    #[test]
    fn read_ahead_fails_where_the_source_does() {
        let mut bytes = Vec::new();
        let error = thread::scope(|scope| {
            ReadAhead::start(scope, Crumbs(2 * PIECE, true)).read_to_end(&mut bytes)
        });
        assert_eq!(error.unwrap_err().to_string(), "broken off");
        assert_eq!(bytes.len(), 2 * PIECE);
    }

    #[test]
    fn read_ahead_dropped_early() {
        thread::scope(|scope| {
            let mut reader = ReadAhead::start(scope, io::repeat(0));
            reader.read_exact(&mut [0; 10]).unwrap();
        });
    }
}
