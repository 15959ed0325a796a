//! A layer's tar, whatever its blob is compressed with, and how long it is: an archive names the size before the content comes.

use std::{
    io::{self, BufReader, Read},
    sync::Arc,
};

use oci_image::{
    BlobDigest, BlobSource, ExpansionLimits, Layer, LayerBlob, LayerFormat, LayerReader, OpenBlob,
    RatioGuard, RemoteBlob,
};
use zstd::stream::read::Decoder;

/// The layer as a daemon with a graph driver keeps it best: not compressed.
///
/// The size is known if the caller noted it; else the layer is unpacked once only to count. A layer that would have to be
/// fetched twice for that goes as it is: every daemon unpacks gzip.
pub(crate) fn unpacked(layer: &Layer, known: &[LayerBlob]) -> io::Result<Layer> {
    let noted = known.iter().find(|blob| blob.diff_id == layer.diff_id);
    let size = match (layer.format, noted, &layer.source) {
        (LayerFormat::Tar, ..) => return layer.clone().measured(),
        (LayerFormat::Gzip, None, BlobSource::Remote(_)) => return Ok(layer.clone()),
        (_, Some(blob), _) => blob.uncompressed_size,
        (_, None, _) => io::copy(&mut tar_of(layer)?, &mut io::sink())?,
    };
    Ok(Layer {
        diff_id: layer.diff_id,
        digest: BlobDigest::new(layer.diff_id.digest()),
        size,
        format: LayerFormat::Tar,
        source: BlobSource::Remote(RemoteBlob::new(Arc::new(Unpacked(layer.clone())))),
    })
}

/// The layer's tar. Reading fails at its end if the stored bytes are not what their digest says.
pub(crate) fn tar_of(layer: &Layer) -> io::Result<Box<dyn Read + Send>> {
    let stored = layer.open()?;
    let limits = ExpansionLimits::default();
    Ok(match layer.format {
        LayerFormat::Tar => Box::new(stored),
        LayerFormat::Gzip => Box::new(LayerReader::new(stored, limits)?),
        LayerFormat::Zstd => Box::new(RatioGuard::new(stored, limits, |counted| {
            Unzstd(Decoder::new(counted).map_err(Some))
        })),
    })
}

#[derive(Debug)]
struct Unpacked(Layer);

impl OpenBlob for Unpacked {
    fn open(&self, _size: u64) -> io::Result<Box<dyn Read + Send>> {
        tar_of(&self.0)
    }
}

/// A decoder, or why there is none: that is said when somebody reads.
struct Unzstd<R: Read>(Result<Decoder<'static, BufReader<R>>, Option<io::Error>>);

impl<R: Read> Read for Unzstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Ok(decoder) => decoder.read(buffer),
            Err(error) => Err(error.take().unwrap_or(io::ErrorKind::InvalidData.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libdeflater::{CompressionLvl, Compressor};
    use oci_image::{DiffId, Digest};

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::default());
        let mut blob = vec![0; compressor.gzip_compress_bound(bytes.len())];
        let size = compressor.gzip_compress(bytes, &mut blob).unwrap();
        blob.truncate(size);
        blob
    }

    fn layer(tar: &[u8], blob: &[u8], format: LayerFormat) -> Layer {
        Layer {
            diff_id: DiffId::new(Digest::of(tar)),
            digest: BlobDigest::new(Digest::of(blob)),
            size: blob.len() as u64,
            format,
            source: BlobSource::Bytes(blob.into()),
        }
    }

    fn read(layer: &Layer) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        layer.open()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    #[derive(Debug)]
    struct Elsewhere(Vec<u8>);

    impl OpenBlob for Elsewhere {
        fn open(&self, _size: u64) -> io::Result<Box<dyn Read + Send>> {
            Ok(Box::new(io::Cursor::new(self.0.clone())))
        }
    }

    fn elsewhere(layer: &Layer) -> Layer {
        let bytes = Elsewhere(read(layer).unwrap());
        Layer {
            source: BlobSource::Remote(RemoteBlob::new(Arc::new(bytes))),
            ..layer.clone()
        }
    }

    #[test]
    fn unpacked_every_format() {
        let tar = b"the tar ".repeat(1000);
        let zstd = zstd::encode_all(&tar[..], 3).unwrap();
        let gzip = [gzip(&tar[..4000]), gzip(&tar[4000..])].concat();
        for (blob, format) in [
            (&tar, LayerFormat::Tar),
            (&gzip, LayerFormat::Gzip),
            (&zstd, LayerFormat::Zstd),
        ] {
            let layer = layer(&tar, blob, format);
            let found = unpacked(&layer, &[]).unwrap();
            assert_eq!((found.size, found.format), (8000, LayerFormat::Tar));
            assert_eq!(found.digest.digest(), layer.diff_id.digest());
            assert_eq!(read(&found).unwrap(), tar);
        }
    }

    #[test]
    fn unpacked_elsewhere_is_not_fetched_to_count() {
        let tar = b"the tar ".repeat(1000);
        let layer = elsewhere(&layer(&tar, &gzip(&tar), LayerFormat::Gzip));
        assert_eq!(unpacked(&layer, &[]).unwrap(), layer);
        let noted = LayerBlob {
            diff_id: layer.diff_id,
            digest: layer.digest,
            size: layer.size,
            uncompressed_size: 8000,
        };
        let found = unpacked(&layer, &[noted]).unwrap();
        assert_eq!((found.size, read(&found).unwrap()), (8000, tar));
    }

    #[test]
    fn unpacked_wrong_note_or_content_fails_when_read() {
        let tar = b"the tar ".repeat(1000);
        let layer = layer(&tar, &gzip(&tar), LayerFormat::Gzip);
        let noted = LayerBlob {
            diff_id: layer.diff_id,
            digest: layer.digest,
            size: layer.size,
            uncompressed_size: 7999,
        };
        assert!(read(&unpacked(&layer, &[noted]).unwrap()).is_err());
        let other = Layer {
            diff_id: DiffId::new(Digest::of(b"another tar")),
            ..layer.clone()
        };
        assert!(read(&unpacked(&other, &[]).unwrap()).is_err());
        let cut = Layer {
            source: BlobSource::Bytes(read(&layer).unwrap()[..20].into()),
            ..layer
        };
        assert!(unpacked(&cut, &[]).is_err());
    }
}
