//! Where images come from and go to: what a phase asks of a store, OCI layouts ([`crate::layouts::OciLayouts`]), a registry or a daemon.

use std::error::Error;
use std::fmt;

use cnb_spec::labels::{BASE_DISTRO_NAME, BASE_DISTRO_VERSION, BASE_ID};
use cnb_spec::target::{Distro, ImageTarget};
use oci_image::layer::LayerContents;
use oci_image::{BlobDigest, DiffId, Image, Layer};

/// An image that is there.
#[derive(Debug, Clone)]
pub struct OpenedImage {
    /// Exactly which: `name@sha256:…`, so that nothing put under the same name later is meant.
    pub reference: String,
    /// The image.
    pub image: Image,
}

impl OpenedImage {
    /// The layer with this content.
    pub fn layer(&self, diff_id: &DiffId) -> Option<Layer> {
        let mut layers = self.image.layers().iter();
        layers.find(|layer| layer.diff_id == *diff_id).cloned()
    }

    /// One of its labels.
    pub fn label(&self, name: &str) -> Option<&str> {
        let labels = &self.image.config().config.labels;
        labels.get(name).map(String::as_str)
    }

    /// What it is for: operating system, processor, distribution (Platform specification 0.12, "Target data").
    pub fn target(&self) -> ImageTarget {
        let config = self.image.config();
        let label = |name: &str| self.label(name).unwrap_or_default().to_owned();
        let distro = Distro {
            name: label(BASE_DISTRO_NAME),
            version: label(BASE_DISTRO_VERSION),
        };
        ImageTarget {
            id: label(BASE_ID),
            os: config.os.clone(),
            arch: config.architecture.clone(),
            arch_variant: config.variant.clone().unwrap_or_default(),
            distro: (distro != Distro::default()).then_some(distro),
        }
    }
}

/// An image that was made, as the place where it is names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommittedImage {
    /// In a registry, an OCI layout or the store: by its manifest.
    Manifest {
        /// The manifest's digest.
        digest: BlobDigest,
        /// The manifest's size in bytes.
        size: u64,
    },
    /// In a Docker daemon: by the daemon's id of it.
    InDaemon {
        /// The id.
        id: BlobDigest,
    },
}

impl CommittedImage {
    /// An image that is kept with its manifest.
    pub fn with_manifest(image: &Image) -> Self {
        let manifest = image.documents().manifest;
        Self::Manifest {
            digest: manifest.digest,
            size: manifest.bytes.len() as u64,
        }
    }
}

impl fmt::Display for CommittedImage {
    /// As the log says it: the digest, or the id as short as `docker images` has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest { digest, .. } => write!(f, "{digest}"),
            Self::InDaemon { id } => f.write_str(&id.hex()[..12]),
        }
    }
}

/// Somewhere with images. Layers go in first; an image is there when [`ImageStore::commit`] has returned, and not before.
pub trait ImageStore: Sync {
    /// The image of this name, or of what [`OpenedImage::reference`] was; `None` where there is none.
    fn open(&self, name: &str) -> Result<Option<OpenedImage>, ImageError>;

    /// The layer with this content, where a new image can have it without its being written again.
    fn layer(&self, diff_id: &DiffId) -> Result<Option<Layer>, ImageError>;

    /// Writes a layer. Called from several threads.
    fn write_layer(&self, contents: &LayerContents<'_>) -> Result<Layer, ImageError>;

    /// Keeps an image whose layers this store gave, and gives it these names.
    fn commit(&self, names: &[String], image: &Image) -> Result<CommittedImage, ImageError>;
}

/// Why an image or a cached layer could not be read or written: the store's own reason.
#[derive(Debug)]
pub struct ImageError(Box<dyn Error + Send + Sync>);

impl ImageError {
    /// Takes any error.
    pub fn new(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(source.into())
    }

    /// The store's own error, for callers that know the store.
    pub fn into_inner(self) -> Box<dyn Error + Send + Sync> {
        self.0
    }
}

impl fmt::Display for ImageError {
    /// With all its causes: the words of the innermost are often those that help.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

impl Error for ImageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}
