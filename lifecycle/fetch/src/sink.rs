//! Where the bytes of an answer go: memory or a file. Both can start over, both have an upper limit.

use std::{
    fs::File,
    io::{self, Seek, SeekFrom, Write},
};

use sha2::Digest as _;

use crate::digest::Sha256;

/// What is known about a file before it is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Its digest.
    pub sha256: Sha256,
    /// Its size; without it only the digest is checked, and `cap` limits what is read.
    pub size: Option<u64>,
    /// The most bytes to accept where the size is not known.
    pub cap: u64,
}

impl Expected {
    /// Digest and size are known.
    pub const fn new(sha256: Sha256, size: u64) -> Self {
        Self {
            sha256,
            size: Some(size),
            cap: size,
        }
    }

    pub(crate) fn limit(&self) -> u64 {
        self.size.unwrap_or(self.cap)
    }
}

/// Receives the bytes of one answer.
pub(crate) trait Sink: Send {
    /// Bytes received so far.
    fn len(&self) -> u64;
    /// Forgets what was received.
    fn restart(&mut self) -> io::Result<()>;
    /// Takes the next bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// No more bytes than this may come.
    fn limit(&self) -> u64;
    /// True if the result is checked against a digest, so that pieces of several answers may be put together.
    fn is_verified(&self) -> bool;
    /// The size that has to come, if that is known.
    fn expected_size(&self) -> Option<u64>;
}

/// Collects in memory.
#[derive(Debug)]
pub(crate) struct MemorySink {
    pub(crate) bytes: Vec<u8>,
    pub(crate) cap: u64,
}

impl Sink for MemorySink {
    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
    fn restart(&mut self) -> io::Result<()> {
        self.bytes.clear();
        Ok(())
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
    fn limit(&self) -> u64 {
        self.cap
    }
    fn is_verified(&self) -> bool {
        false
    }
    fn expected_size(&self) -> Option<u64> {
        None
    }
}

/// Writes a file and hashes it on the way.
pub(crate) struct FileSink<'a> {
    pub(crate) file: &'a mut File,
    pub(crate) expected: Expected,
    hasher: sha2::Sha256,
    written: u64,
}

impl<'a> FileSink<'a> {
    pub(crate) fn new(file: &'a mut File, expected: Expected) -> Self {
        Self {
            file,
            expected,
            hasher: sha2::Sha256::new(),
            written: 0,
        }
    }

    pub(crate) fn digest(&self) -> Sha256 {
        Sha256::from(<[u8; 32]>::from(self.hasher.clone().finalize()))
    }
}

impl Sink for FileSink<'_> {
    fn len(&self) -> u64 {
        self.written
    }
    fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.hasher = sha2::Sha256::new();
        self.written = 0;
        Ok(())
    }
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        Ok(())
    }
    fn limit(&self) -> u64 {
        self.expected.limit()
    }
    fn is_verified(&self) -> bool {
        true
    }
    fn expected_size(&self) -> Option<u64> {
        self.expected.size
    }
}
