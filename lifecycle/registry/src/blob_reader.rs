//! A blob in a registry, read as a stream: resumed where it broke off, its size and digest held against its descriptor.

use std::{
    fmt,
    io::{self, Read},
    sync::Arc,
};

use fetch::{Budget, Tries};
use oci_image::{BlobRef, Digest, OpenBlob, Reference, Sha256};
use reqwest::{
    Method, Response,
    header::{ACCEPT_ENCODING, HeaderValue, RANGE},
};

use crate::{
    asked::Asked,
    auth::Access,
    client::Registry,
    error::RegistryError,
    failure::{Failure, Transient},
    host::Host,
    request::{Call, Opened, Target, within},
};

/// A blob that is fetched when somebody reads it, each time anew.
pub(crate) struct RemoteLayer {
    pub(crate) registry: Registry,
    pub(crate) host: Arc<Host>,
    pub(crate) access: Access,
    pub(crate) repository: Reference,
    pub(crate) blob: BlobRef,
}

impl fmt::Debug for RemoteLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository.in_registry(), self.blob.digest)
    }
}

impl OpenBlob for RemoteLayer {
    fn open(&self, size: u64) -> io::Result<Box<dyn Read + Send>> {
        let blob = BlobRef { size, ..self.blob };
        Ok(Box::new(BlobReader::new(
            self.registry.clone(),
            Arc::clone(&self.host),
            self.access.clone(),
            blob,
        )))
    }

    fn repository(&self) -> Option<&Reference> {
        Some(&self.repository)
    }
}

/// Reads a blob. The end is only reached if all of it came and its digest is right.
pub(crate) struct BlobReader {
    registry: Registry,
    host: Arc<Host>,
    access: Access,
    blob: BlobRef,
    budget: Budget,
    state: State,
}

struct State {
    /// The answer that is being read.
    answer: Option<(Asked, Response)>,
    /// Bytes of it that the caller has already: the server does not know ranges.
    skip: u64,
    /// Ranges are not asked for again once the server got one wrong.
    ranges: bool,
    piece: Vec<u8>,
    piece_read: usize,
    /// Bytes given to the caller.
    given: u64,
    hash: Option<Sha256>,
    failed: bool,
}

impl BlobReader {
    pub(crate) fn new(registry: Registry, host: Arc<Host>, access: Access, blob: BlobRef) -> Self {
        let budget = registry.budget();
        Self {
            registry,
            host,
            access,
            blob,
            budget,
            state: State {
                answer: None,
                skip: 0,
                ranges: true,
                piece: Vec::new(),
                piece_read: 0,
                given: 0,
                hash: Some(Sha256::new()),
                failed: false,
            },
        }
    }

    fn call(&self) -> Call<'_> {
        let path = format!("/v2/{}/blobs/{}", self.access.repository, self.blob.digest);
        let mut call = Call::new(&self.host, &self.access, Method::GET, Target::Path(path));
        // A proxy that compresses on the way would make sizes and ranges meaningless.
        call.headers
            .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        call
    }

    /// Makes sure that there is a piece with unread bytes, or that the blob has ended well.
    async fn fill(&mut self) -> Result<(), RegistryError> {
        let registry = self.registry.clone();
        let http = registry.http();
        let mut tries = Tries::new(&http.retry);
        let from = self.state.given;
        loop {
            let outcome = self.try_fill().await;
            match outcome {
                Ok(()) => return Ok(()),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Transient(transient)) => {
                    self.state.answer = None;
                    self.state.piece.clear();
                    self.state.piece_read = 0;
                    let moved = self.state.given > from;
                    http.pause(&mut tries, transient, moved, &self.budget)
                        .await?;
                }
            }
        }
    }

    async fn try_fill(&mut self) -> Result<(), Failure> {
        let registry = self.registry.clone();
        let http = registry.http();
        loop {
            let (asked, mut response) = match self.state.answer.take() {
                Some(open) => open,
                None if self.is_complete() => return self.check_digest(&self.call().asked()),
                None => self.open().await?,
            };
            let piece = within(
                &self.budget,
                &self.call(),
                http.piece(&mut response, &asked),
            )
            .await?;
            let Some(mut piece) = piece else {
                if self.is_complete() {
                    return self.check_digest(&asked);
                }
                return Err(Failure::transient(
                    asked,
                    format!(
                        "the answer ended after {} of {} bytes",
                        self.state.given, self.blob.size
                    ),
                ));
            };
            self.state.answer = Some((asked.clone(), response));
            let skipped = self.state.skip.min(piece.len() as u64);
            self.state.skip -= skipped;
            piece.drain(..skipped as usize);
            if piece.is_empty() {
                continue;
            }
            let found = self.state.given + piece.len() as u64;
            if found > self.blob.size {
                return Err(Failure::Final(RegistryError::WrongSize {
                    asked,
                    expected: self.blob.size,
                    found,
                }));
            }
            self.state.piece = piece;
            self.state.piece_read = 0;
            return Ok(());
        }
    }

    async fn open(&mut self) -> Result<(Asked, Response), Failure> {
        let given = self.state.given;
        let registry = self.registry.clone();
        let mut call = self.call();
        let ranged = given > 0 && self.state.ranges;
        if ranged && let Ok(range) = HeaderValue::from_str(&format!("bytes={given}-")) {
            call.headers.insert(RANGE, range);
        }
        let Opened {
            asked,
            url,
            mut response,
        } = within(&self.budget, &call, registry.http().open(&call)).await?;
        let status = response.status().as_u16();
        let announced = response.content_length();
        let size = self.blob.size;
        let (skip, expected) = match status {
            206 if ranged => {
                let total = fetch::checked_content_range(response.headers(), given);
                if total != Some(size) {
                    self.state.ranges = false;
                    let problem = "the server went on at another place than asked";
                    return Err(Failure::transient(asked, problem));
                }
                (0, size - given)
            }
            200 => (given, size),
            416 if ranged => {
                self.state.ranges = false;
                return Err(Failure::transient(
                    asked,
                    "the server does not have the rest",
                ));
            }
            206 | 416 => {
                return Err(Failure::transient(
                    asked,
                    "the server answers a range that was not asked for",
                ));
            }
            // A signed address of a storage server that ran out, say: the registry gives a new one.
            403 | 404 if !self.host.is_origin_of(&url) => {
                let cause = format!("the storage server answered {status}");
                return Err(Failure::transient(asked, cause));
            }
            _ => {
                let body = registry.http().some_body(&mut response).await;
                let reply = crate::request::Reply {
                    asked,
                    url,
                    status,
                    headers: response.headers().clone(),
                    body,
                };
                return Err(reply.refused("pull").into());
            }
        };
        if let Some(found) = announced.filter(|found| *found != expected) {
            let error = RegistryError::WrongSize {
                asked: asked.clone(),
                expected,
                found,
            };
            return Err(Failure::once_more(asked, error));
        }
        self.state.skip = skip;
        Ok((asked, response))
    }

    fn is_complete(&self) -> bool {
        self.state.given == self.blob.size
    }

    fn check_digest(&mut self, asked: &Asked) -> Result<(), Failure> {
        let expected = self.blob.digest.digest();
        match self.state.hash.take().map(Sha256::finish) {
            Some(found) if found != expected => Err(Failure::Final(RegistryError::WrongDigest {
                asked: asked.clone(),
                expected,
                found,
            })),
            _ => {
                failpoint::reach("pull-blob-received");
                Ok(())
            }
        }
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.state.failed {
            return Err(io::Error::other("the blob could not be read"));
        }
        let is_over = self.is_complete() && self.state.hash.is_none();
        if buffer.is_empty() || is_over {
            return Ok(0);
        }
        if self.state.piece_read == self.state.piece.len() {
            self.state.piece.clear();
            self.state.piece_read = 0;
            let registry = self.registry.clone();
            if let Err(error) = registry.block_on(self.fill()) {
                self.state.failed = true;
                return Err(io::Error::other(error));
            }
        }
        let State {
            piece,
            piece_read,
            given,
            hash,
            ..
        } = &mut self.state;
        let rest = &piece[*piece_read..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        if let Some(hash) = hash {
            hash.update(&rest[..count]);
        }
        *piece_read += count;
        *given += count as u64;
        if (self.blob.size / 2..self.blob.size).contains(given) {
            failpoint::reach("pull-blob-half-received");
        }
        Ok(count)
    }
}

impl fmt::Debug for BlobReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobReader({})", self.blob.digest)
    }
}

/// The digest of some bytes, held against what was expected.
pub(crate) fn checked(asked: Asked, expected: BlobRef, bytes: Vec<u8>) -> Result<Vec<u8>, Failure> {
    let found = Digest::of(&bytes);
    if found == expected.digest.digest() && bytes.len() as u64 == expected.size {
        return Ok(bytes);
    }
    let error = RegistryError::WrongDigest {
        asked: asked.clone(),
        expected: expected.digest.digest(),
        found,
    };
    Err(Failure::Transient(Transient {
        asked,
        cause: error.to_string(),
        wait: None,
        error: Some(Box::new(error)),
    }))
}
