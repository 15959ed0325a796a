//! From a manifest's digest to an image: the same way in an OCI layout, in the store and in an archive.

use crate::archive::ReadArchiveError;
use crate::config::ImageConfig;
use crate::digest::{BlobDigest, DiffId, ParseDigestError};
use crate::hashing::VerifyingReader;
use crate::image::{BlobSource, Image, ImagePartsError, Layer, LayerFormat};
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The longest manifest or index that is read; registries refuse longer ones (OCI distribution specification 1.1, pushing manifests).
const LONGEST_MANIFEST: u64 = 4 << 20;

/// The longest configuration that is read.
const LONGEST_CONFIG: u64 = 16 << 20;

/// How deep indexes may name indexes.
const DEEPEST_INDEX: usize = 4;

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

/// Which platform an image has to be for, in Go's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform<'a> {
    /// The operating system.
    pub os: &'a str,
    /// The CPU architecture.
    pub architecture: &'a str,
}

impl Platform<'static> {
    /// Linux on x86-64.
    pub const LINUX_AMD64: Self = Self {
        os: "linux",
        architecture: "amd64",
    };
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
            let failed = |source| ReadImageError::Document { digest, source };
            let value: Value = serde_json::from_slice(&bytes).map_err(failed)?;
            // One document that is both means different things to different programs (CVE-2021-41190).
            let is_index = value.get("manifests").is_some();
            if is_index && (value.get("layers").is_some() || value.get("config").is_some()) {
                return Err(ReadImageError::Ambiguous { digest });
            }
            if !is_index {
                return self.image_of_manifest(&serde_json::from_value(value).map_err(failed)?);
            }
            let index: ImageIndex = serde_json::from_value(value).map_err(failed)?;
            digest =
                for_platform(&index, platform).ok_or(ReadImageError::Platform { digest })??;
        }
        Err(ReadImageError::TooDeep { digest })
    }

    fn image_of_manifest(&self, manifest: &ImageManifest) -> Result<Image, ReadImageError> {
        let config = self.config(&parsed(manifest.config())?)?;
        let layers = manifest
            .layers()
            .iter()
            .map(|layer| self.layer(layer))
            .collect::<Result<_, _>>()?;
        let annotations = manifest
            .annotations()
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect();
        Ok(Image::from_parts(config, layers, annotations)?)
    }

    fn config(&self, digest: &BlobDigest) -> Result<ImageConfig, ReadImageError> {
        let bytes = self.document(digest, LONGEST_CONFIG)?;
        serde_json::from_slice(&bytes).map_err(|source| ReadImageError::Document {
            digest: *digest,
            source,
        })
    }

    fn layer(&self, descriptor: &Descriptor) -> Result<Layer, ReadImageError> {
        let digest = parsed(descriptor)?;
        let media_type = descriptor.media_type().to_string();
        let format = LayerFormat::of_media_type(&media_type)
            .ok_or(ReadImageError::MediaType { media_type })?;
        let (source, size) = self.blob(&digest)?;
        if size != descriptor.size() {
            return Err(ReadImageError::Size {
                digest,
                found: size,
                expected: descriptor.size(),
            });
        }
        // The diffID is the configuration's to say; it is filled in with it.
        Ok(Layer {
            diff_id: DiffId::new(digest.digest()),
            digest,
            size,
            format,
            source,
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

fn for_platform(
    index: &ImageIndex,
    wanted: Platform<'_>,
) -> Option<Result<BlobDigest, ReadImageError>> {
    let fits = |descriptor: &&Descriptor| {
        descriptor.platform().as_ref().is_some_and(|platform| {
            platform.os().to_string() == wanted.os
                && platform.architecture().to_string() == wanted.architecture
        })
    };
    let found = index
        .manifests()
        .iter()
        .find(fits)
        .or(match &index.manifests()[..] {
            [only] => Some(only),
            _ => None,
        });
    found.map(parsed)
}

pub(crate) fn parsed(descriptor: &Descriptor) -> Result<BlobDigest, ReadImageError> {
    Ok(descriptor.digest().as_ref().parse()?)
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
    #[error("the manifest {digest} is also an index; such documents are refused")]
    Ambiguous {
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
    #[error("the index {digest} has no image for this platform")]
    Platform {
        /// The index.
        digest: BlobDigest,
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
