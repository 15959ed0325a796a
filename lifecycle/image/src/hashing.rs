//! Hashing while bytes go by: a reader and a writer that know the digest of what passed, and a reader that insists on it.

use crate::digest::Digest;
use sha2::Digest as _;
use std::fmt;
use std::io::{self, Read, Write};

/// A SHA-256 computation. It keeps the hash crate's traits out of our interfaces.
#[derive(Clone, Default)]
pub struct Sha256(sha2::Sha256);

impl Sha256 {
    /// A hash of nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of everything added.
    pub fn finish(self) -> Digest {
        Digest::from_bytes(self.0.finalize().into())
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sha256")
    }
}

/// Counts and hashes what is read through it.
#[derive(Debug)]
pub struct HashingReader<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> HashingReader<R> {
    /// Reads from `inner`.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    /// Reads what is left, then gives the digest and the number of all bytes.
    pub fn finish(mut self) -> io::Result<(Digest, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((self.hash.finish(), self.bytes))
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Counts and hashes what is written through it.
#[derive(Debug)]
pub struct HashingWriter<W> {
    inner: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> HashingWriter<W> {
    /// Writes to `inner`.
    pub fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            bytes: 0,
        }
    }

    /// The inner writer, the digest and the number of the bytes written.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hash.finish(), self.bytes)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Gives bytes on, and fails with [`io::ErrorKind::InvalidData`] at the end (or as soon as there are too many) unless they were
/// the expected ones. Who has not seen the end has not seen verified bytes.
#[derive(Debug)]
pub struct VerifyingReader<R> {
    inner: R,
    hash: Option<Sha256>,
    left: u64,
    expected: Digest,
}

impl<R: Read> VerifyingReader<R> {
    /// Reads `size` bytes with the digest `expected` from `inner`.
    pub fn new(inner: R, expected: Digest, size: u64) -> Self {
        Self {
            inner,
            hash: Some(Sha256::new()),
            left: size,
            expected,
        }
    }

    fn mismatch(&self, what: &str) -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!(
                "the content of {} is not what its digest says: {what}",
                self.expected
            ),
        )
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let Some(hash) = &mut self.hash else {
            return Ok(0);
        };
        let count = self.inner.read(buffer)?;
        if count as u64 > self.left {
            return Err(self.mismatch("there are more bytes"));
        }
        hash.update(&buffer[..count]);
        self.left -= count as u64;
        if count == 0 {
            if self.left > 0 {
                return Err(self.mismatch(&format!("{} bytes are missing", self.left)));
            }
            let found = self.hash.take().map(Sha256::finish);
            if found != Some(self.expected) {
                return Err(self.mismatch("the bytes differ"));
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifying_reader_same() {
        let mut text = String::new();
        VerifyingReader::new(&b"layer"[..], Digest::of(b"layer"), 5)
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "layer");
    }

    #[test]
    fn verifying_reader_differs() {
        let table: [(&[u8], &str); 3] = [
            (b"lay", "2 bytes are missing"),
            (b"layers", "there are more bytes"),
            (b"lAyer", "the bytes differ"),
        ];
        for (bytes, reason) in table {
            let error = VerifyingReader::new(bytes, Digest::of(b"layer"), 5)
                .read_to_end(&mut Vec::new())
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                format!(
                    "the content of {} is not what its digest says: {reason}",
                    Digest::of(b"layer")
                )
            );
        }
    }

    #[test]
    fn reader_and_writer_agree() {
        let mut writer = HashingWriter::new(Vec::new());
        writer.write_all(b"some bytes").unwrap();
        let (bytes, digest, count) = writer.finish();
        assert_eq!(
            HashingReader::new(&bytes[..]).finish().unwrap(),
            (digest, count)
        );
        assert_eq!(count, 10);
    }
}
