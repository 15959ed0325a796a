//! Decompression that cannot be made to explode: what comes out is held against what went in.

use crate::image::LayerFormat;
use flate2::bufread::MultiGzDecoder;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far a compressed stream may expand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpansionLimits {
    /// The most bytes that may come out.
    pub bytes: u64,
    /// The most bytes that may come out for each byte that went in, once `free_bytes` have come out.
    pub ratio: u64,
    /// As much may come out at any ratio: small files of zeros are ordinary.
    pub free_bytes: u64,
}

impl Default for ExpansionLimits {
    /// 64 GiB in all; beyond 256 MiB at most 200 to 1 (real layers stay under 20 to 1; deflate can reach 1032 to 1, xz far more).
    fn default() -> Self {
        Self {
            bytes: 64 << 30,
            ratio: 200,
            free_bytes: 256 << 20,
        }
    }
}

/// Counts what a decoder takes from its source.
#[derive(Debug)]
pub struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Counted<R> {
    fn new(inner: R) -> (Self, Arc<AtomicU64>) {
        let count = Arc::new(AtomicU64::new(0));
        let counted = Self {
            inner,
            count: Arc::clone(&count),
        };
        (counted, count)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// A decoder (gzip, xz, zstd) that fails when its output grows out of proportion.
#[derive(Debug)]
pub struct RatioGuard<D> {
    decoder: D,
    consumed: Arc<AtomicU64>,
    produced: u64,
    limits: ExpansionLimits,
}

impl<D: Read> RatioGuard<D> {
    /// Wraps the decoder that `make_decoder` builds over `compressed`.
    pub fn new<R: Read>(
        compressed: R,
        limits: ExpansionLimits,
        make_decoder: impl FnOnce(Counted<R>) -> D,
    ) -> Self {
        let (counted, consumed) = Counted::new(compressed);
        Self::over(make_decoder(counted), consumed, limits)
    }

    /// The same for a decoder that may refuse to be built.
    pub fn try_new<R: Read>(
        compressed: R,
        limits: ExpansionLimits,
        make_decoder: impl FnOnce(Counted<R>) -> io::Result<D>,
    ) -> io::Result<Self> {
        let (counted, consumed) = Counted::new(compressed);
        Ok(Self::over(make_decoder(counted)?, consumed, limits))
    }

    fn over(decoder: D, consumed: Arc<AtomicU64>, limits: ExpansionLimits) -> Self {
        Self {
            decoder,
            consumed,
            produced: 0,
            limits,
        }
    }
}

impl<D: Read> Read for RatioGuard<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.decoder.read(buffer)?;
        self.produced += count as u64;
        let consumed = self.consumed.load(Ordering::Relaxed);
        let ExpansionLimits {
            bytes,
            ratio,
            free_bytes,
        } = self.limits;
        if self.produced > bytes || (self.produced > free_bytes && self.produced / ratio > consumed)
        {
            let message = format!(
                "the compressed data expands to more than is allowed ({} bytes from {consumed})",
                self.produced
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(count)
    }
}

/// A layer blob's tar: unpacked if the blob starts like gzip or Zstandard, else as it is.
pub struct LayerReader<R: Read>(Inner<R>);

enum Inner<R: Read> {
    Tar(BufReader<R>),
    Gzip(Box<RatioGuard<Gunzip<R>>>),
    Zstd(Box<RatioGuard<Unzstd<R>>>),
}

type Gunzip<R> = MultiGzDecoder<BufReader<Counted<BufReader<R>>>>;
type Unzstd<R> = zstd::stream::read::Decoder<'static, BufReader<Counted<BufReader<R>>>>;

const BUFFER_SIZE: usize = 128 << 10;

impl<R: Read> LayerReader<R> {
    /// Looks at the first bytes of `blob`.
    pub fn new(blob: R, limits: ExpansionLimits) -> io::Result<Self> {
        let mut blob = BufReader::with_capacity(BUFFER_SIZE, blob);
        let format = LayerFormat::of_start(blob.fill_buf()?);
        let buffered = |source| BufReader::with_capacity(BUFFER_SIZE, source);
        Ok(Self(match format {
            LayerFormat::Tar => Inner::Tar(blob),
            LayerFormat::Gzip => {
                let decoder = |source| MultiGzDecoder::new(buffered(source));
                Inner::Gzip(Box::new(RatioGuard::new(blob, limits, decoder)))
            }
            LayerFormat::Zstd => {
                let decoder = |source| zstd::stream::read::Decoder::with_buffer(buffered(source));
                Inner::Zstd(Box::new(RatioGuard::try_new(blob, limits, decoder)?))
            }
        }))
    }
}

impl<R: Read> Read for LayerReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Inner::Tar(reader) => reader.read(buffer),
            Inner::Gzip(reader) => reader.read(buffer),
            Inner::Zstd(reader) => reader.read(buffer),
        }
    }
}

impl<R: Read> fmt::Debug for LayerReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LayerReader")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libdeflater::{CompressionLvl, Compressor};

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::best());
        let mut blob = vec![0; compressor.gzip_compress_bound(bytes.len())];
        let size = compressor.gzip_compress(bytes, &mut blob).unwrap();
        blob.truncate(size);
        blob
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(bytes, 19).unwrap()
    }

    #[test]
    fn layer_reader_members_frames_and_plain() {
        for blob in [
            [gzip(b"first "), gzip(b"second")].concat(),
            [zstd(b"first "), zstd(b"second")].concat(),
            b"first second".to_vec(),
        ] {
            let mut text = String::new();
            LayerReader::new(&blob[..], ExpansionLimits::default())
                .unwrap()
                .read_to_string(&mut text)
                .unwrap();
            assert_eq!(text, "first second");
        }
    }

    #[test]
    fn layer_reader_bomb() {
        for pack in [gzip, zstd] {
            assert_bomb_is_refused(&pack(&vec![0; 1 << 20]));
        }
    }

    fn assert_bomb_is_refused(blob: &[u8]) {
        let limits = ExpansionLimits {
            ratio: 200,
            free_bytes: 1 << 16,
            ..ExpansionLimits::default()
        };
        let error = io::copy(
            &mut LayerReader::new(blob, limits).unwrap(),
            &mut io::sink(),
        )
        .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        let limits = ExpansionLimits {
            bytes: 1000,
            ..ExpansionLimits::default()
        };
        assert!(
            io::copy(
                &mut LayerReader::new(blob, limits).unwrap(),
                &mut io::sink()
            )
            .is_err()
        );
    }

    #[test]
    fn layer_reader_truncated_and_trailing() {
        let blobs = [gzip(b"some content"), zstd(b"some content")];
        for broken in blobs.iter().flat_map(|blob| {
            [
                blob[..blob.len() - 3].to_vec(),
                [&blob[..], b"garbage that is no member"].concat(),
            ]
        }) {
            assert!(
                io::copy(
                    &mut LayerReader::new(&broken[..], ExpansionLimits::default()).unwrap(),
                    &mut io::sink()
                )
                .is_err()
            );
        }
    }
}
