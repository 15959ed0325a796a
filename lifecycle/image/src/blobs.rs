//! From a manifest's digest to an image: the same way in an OCI layout, in the store and in an archive.

use crate::archive::ReadArchiveError;
use crate::digest::{BlobDigest, ParseDigestError};
use crate::hashing::VerifyingReader;
use crate::image::{BlobSource, Image, ImagePartsError};
use crate::manifest::{
    DEEPEST_INDEX, ImageDocument, LONGEST_CONFIG, LONGEST_MANIFEST, Manifest, Platform,
};
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Where blobs are found by their digest.
#[derive(Debug, Clone)]
pub(crate) enum BlobPlace {
    /// `<folder>/<hex>`
    Folder(PathBuf),
    /// In an archive: where each starts, and its size.
    Archive {
        path: PathBuf,
        blobs: BTreeMap<BlobDigest, (u64, u64)>,
    },
}

/// Reads the image whose manifest has this digest from a folder that holds blobs as `<hex>`: `blobs/sha256` of a layout
/// or of the store. Manifest and configuration are verified now, layers when they are read.
pub fn read_image(blobs: &Path, manifest: &BlobDigest) -> Result<Image, ReadImageError> {
    BlobPlace::Folder(blobs.to_owned()).image(manifest, Platform::LINUX_AMD64)
}

impl BlobPlace {
    /// The image of a manifest, or of the manifest for `platform` in an index.
    pub(crate) fn image(
        &self,
        digest: &BlobDigest,
        platform: Platform<'_>,
    ) -> Result<Image, ReadImageError> {
        let mut digest = *digest;
        for _ in 0..DEEPEST_INDEX {
            let bytes = self.document(&digest, LONGEST_MANIFEST)?;
            match Manifest::parse(digest, &bytes)? {
                Manifest::Index(index) => digest = index.for_platform(platform)?.digest,
                Manifest::Image(manifest) => return self.image_of_manifest(&manifest),
            }
        }
        Err(ReadImageError::TooDeep { digest })
    }

    fn image_of_manifest(&self, manifest: &ImageDocument) -> Result<Image, ReadImageError> {
        let config = self.document(&manifest.config().digest, LONGEST_CONFIG)?;
        manifest.with_config(&config, |layer| {
            let (source, size) = self.blob(&layer.digest)?;
            if size != layer.size {
                return Err(ReadImageError::Size {
                    digest: layer.digest,
                    found: size,
                    expected: layer.size,
                });
            }
            Ok(source)
        })
    }

    /// Where a blob is, and its size.
    pub(crate) fn blob(&self, digest: &BlobDigest) -> Result<(BlobSource, u64), ReadImageError> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(digest.hex());
                match fs::metadata(&path) {
                    Ok(found) => Ok((BlobSource::File(path), found.len())),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        Err(ReadImageError::Missing { digest: *digest })
                    }
                    Err(source) => Err(ReadImageError::Read { path, source }),
                }
            }
            Self::Archive { path, blobs } => {
                let (offset, size) = blobs
                    .get(digest)
                    .ok_or(ReadImageError::Missing { digest: *digest })?;
                Ok((
                    BlobSource::Part {
                        path: path.clone(),
                        offset: *offset,
                    },
                    *size,
                ))
            }
        }
    }

    fn document(&self, digest: &BlobDigest, longest: u64) -> Result<Vec<u8>, ReadImageError> {
        let (source, size) = self.blob(digest)?;
        if size > longest {
            return Err(ReadImageError::TooLong {
                digest: *digest,
                limit: longest,
            });
        }
        let mut bytes = Vec::new();
        let failed = |source| ReadImageError::Blob {
            digest: *digest,
            source,
        };
        let reader = source.open(size).map_err(failed)?;
        VerifyingReader::new(reader, digest.digest(), size)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        Ok(bytes)
    }
}

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadImageError {
    /// A file could not be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A blob could not be read, or is not what its digest says.
    #[error("cannot read the blob {digest}")]
    Blob {
        /// The blob.
        digest: BlobDigest,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A blob is not there.
    #[error("the blob {digest} is missing")]
    Missing {
        /// The blob.
        digest: BlobDigest,
    },
    /// A blob has another size than its descriptor says.
    #[error("the blob {digest} has {found} bytes, its manifest says {expected}")]
    Size {
        /// The blob.
        digest: BlobDigest,
        /// Its size.
        found: u64,
        /// The size in the manifest.
        expected: u64,
    },
    /// A manifest or configuration does not parse.
    #[error("the document {digest} is not what it should be")]
    Document {
        /// The blob.
        digest: BlobDigest,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A document says it is an image and a list of images.
    #[error("the document {digest} is a manifest and an index at once; such documents are refused")]
    Ambiguous {
        /// The blob.
        digest: BlobDigest,
    },
    /// An image in Docker's format of 2014, which has no configuration and no digests of its layers' contents.
    #[error(
        "the manifest {digest} has the outdated schema 1; build or push the image again with a current tool"
    )]
    Schema1 {
        /// The blob.
        digest: BlobDigest,
    },
    /// A manifest or configuration is too long.
    #[error("the document {digest} has more than {limit} bytes")]
    TooLong {
        /// The blob.
        digest: BlobDigest,
        /// The most bytes that are read.
        limit: u64,
    },
    /// No manifest of an index is for the platform.
    #[error("the index {digest} has no image for {wanted}, but for {}", found.join(", "))]
    Platform {
        /// The index.
        digest: BlobDigest,
        /// `os/architecture`.
        wanted: String,
        /// What there are images for.
        found: Vec<String>,
    },
    /// Indexes name indexes without end.
    #[error("the index {digest} lies too deep in others")]
    TooDeep {
        /// The index.
        digest: BlobDigest,
    },
    /// A layer is of a kind that cannot be read.
    #[error("a layer is of the type `{media_type}`, which is not supported")]
    MediaType {
        /// The type.
        media_type: String,
    },
    /// A digest is not one that can be used.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
    /// Configuration and manifest do not fit.
    #[error(transparent)]
    Parts(#[from] ImagePartsError),
    /// It is not an OCI layout, or an archive of neither kind.
    #[error("{path} is not an image: {reason}", path = path.display())]
    NotAnImage {
        /// The folder or file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no image of that name, or no single one.
    #[error("{path} has no image {wanted}; it has {found}", path = path.display())]
    NoSuchImage {
        /// The folder or file.
        path: PathBuf,
        /// What was asked for.
        wanted: String,
        /// The names there are.
        found: String,
    },
    /// The archive is malformed.
    #[error("cannot read {path}", path = path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ReadArchiveError,
    },
}
