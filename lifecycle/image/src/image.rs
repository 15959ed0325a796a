//! An image as a value: a configuration and layers, and where the layers' bytes are.

use crate::config::{History, ImageConfig};
use crate::digest::{BlobDigest, DiffId, Digest};
use crate::hashing::{HashingReader, VerifyingReader};
use crate::json::canonical;
use crate::layer_blob::LayerBlob;
use crate::remote::RemoteBlob;
use oci_spec::image::{Descriptor, ImageManifestBuilder, MediaType};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;

/// An image. Its parts only change together, so that the configuration always names the layers there are.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    config: ImageConfig,
    layers: Vec<Layer>,
    annotations: BTreeMap<String, String>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// What it unpacks to.
    pub diff_id: DiffId,
    /// The stored bytes' digest.
    pub digest: BlobDigest,
    /// The stored bytes' number.
    pub size: u64,
    /// How it is compressed.
    pub format: LayerFormat,
    /// Where the stored bytes are.
    pub source: BlobSource,
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerFormat {
    /// Not at all.
    Tar,
    /// With gzip.
    Gzip,
    /// With Zstandard.
    Zstd,
}

/// Where a blob's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlobSource {
    /// A whole file.
    File(PathBuf),
    /// A part of a file (an archive), from this offset on.
    Part {
        /// The file.
        path: PathBuf,
        /// Where the blob starts.
        offset: u64,
    },
    /// In memory.
    Bytes(Arc<[u8]>),
    /// Not on this machine: in a registry.
    Remote(RemoteBlob),
}

impl Layer {
    /// A layer that was just written.
    pub fn new(blob: LayerBlob, source: BlobSource) -> Self {
        let format = if blob.is_uncompressed() {
            LayerFormat::Tar
        } else {
            LayerFormat::Gzip
        };
        Self {
            diff_id: blob.diff_id,
            digest: blob.digest,
            size: blob.size,
            format,
            source,
        }
    }

    /// The layer with the size it has. One without (0: no tar is that short) is read once to count; a Docker daemon does not say it.
    pub fn measured(self) -> io::Result<Self> {
        if self.size > 0 {
            return Ok(self);
        }
        let mut bytes = HashingReader::new(self.source.open(0)?);
        let size = io::copy(&mut bytes, &mut io::sink())?;
        let (digest, _) = bytes.finish()?;
        if digest != self.digest.digest() {
            let text = format!("the content of {} has the digest {digest}", self.digest);
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        Ok(Self { size, ..self })
    }

    /// The stored bytes. They are held against digest and size while they are read: reading fails at their end if they differ.
    pub fn open(&self) -> io::Result<VerifyingReader<Box<dyn Read + Send>>> {
        Ok(VerifyingReader::new(
            self.source.open(self.size)?,
            self.digest.digest(),
            self.size,
        ))
    }
}

impl BlobSource {
    /// The bytes of a blob of this size. A whole file or memory is not cut to it, so that a wrong size is noticed.
    pub(crate) fn open(&self, size: u64) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Part { path, offset } => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(*offset))?;
                Box::new(file.take(size))
            }
            Self::Bytes(bytes) => Box::new(io::Cursor::new(Arc::clone(bytes))),
            Self::Remote(blob) => blob.open(size)?,
        })
    }
}

impl Image {
    /// An image without layers. Layers that the configuration names are dropped from it.
    pub fn new(mut config: ImageConfig) -> Self {
        config.rootfs.diff_ids.clear();
        Self {
            config,
            layers: Vec::new(),
            annotations: BTreeMap::new(),
        }
    }

    /// An image of parts that were stored together.
    pub fn from_parts(
        config: ImageConfig,
        layers: Vec<Layer>,
        annotations: BTreeMap<String, String>,
    ) -> Result<Self, ImagePartsError> {
        if config.rootfs.diff_ids.len() != layers.len() {
            return Err(ImagePartsError {
                config: config.rootfs.diff_ids.len(),
                manifest: layers.len(),
            });
        }
        let mut image = Self {
            config,
            layers,
            annotations,
        };
        for (layer, diff_id) in image.layers.iter_mut().zip(&image.config.rootfs.diff_ids) {
            layer.diff_id = *diff_id;
        }
        Ok(image)
    }

    /// The configuration.
    pub fn config(&self) -> &ImageConfig {
        &self.config
    }

    /// The layers, the lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The manifest's annotations.
    pub fn annotations(&self) -> &BTreeMap<String, String> {
        &self.annotations
    }

    /// The image with one more layer on top.
    #[must_use]
    pub fn with_layer(mut self, layer: Layer, history: History) -> Self {
        self.config.rootfs.diff_ids.push(layer.diff_id);
        self.config.history.push(History {
            empty_layer: false,
            ..history
        });
        self.layers.push(layer);
        self
    }

    /// The image with another configuration; the layers stay what they are.
    #[must_use]
    pub fn with_config(mut self, change: impl FnOnce(&mut ImageConfig)) -> Self {
        let diff_ids = self.config.rootfs.diff_ids.clone();
        change(&mut self.config);
        self.config.rootfs.diff_ids = diff_ids;
        self
    }

    /// The image on another base: instead of the layers up to the one with the content `top`, those of `base`. What it says of itself stays, but for
    /// operating system and processor, which are the base's. `None` where no layer has that content.
    #[must_use]
    pub fn on_base(self, top: &DiffId, base: &Self) -> Option<Self> {
        // The last one: a base may hold the same (empty) layer more than once.
        let kept_from = 1 + self
            .layers
            .iter()
            .rposition(|layer| layer.diff_id == *top)?;
        let above = self.layers[kept_from..].iter().cloned();
        let history = self.config.history_of_layers().into_iter().skip(kept_from);
        let of_base = base.config.clone();
        let mut config = ImageConfig {
            os: of_base.os,
            architecture: of_base.architecture,
            variant: of_base.variant,
            history: base.config.history_of_layers(),
            rootfs: of_base.rootfs,
            ..self.config
        };
        for key in ["os.version", "os.features"] {
            config.extra.remove(key);
            let value = of_base.extra.get(key).cloned();
            config
                .extra
                .extend(value.map(|value| (key.to_owned(), value)));
        }
        let rebased = Self {
            config,
            layers: base.layers.clone(),
            annotations: self.annotations,
        };
        Some(above.zip(history).fold(rebased, |image, (layer, history)| {
            image.with_layer(layer, history)
        }))
    }

    /// The image with an annotation.
    #[must_use]
    pub fn with_annotation(mut self, name: &str, value: &str) -> Self {
        self.annotations.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The image with its layers' bytes elsewhere: in the store, say.
    #[must_use]
    pub fn with_sources(mut self, source: impl Fn(&Layer) -> BlobSource) -> Self {
        for layer in &mut self.layers {
            layer.source = source(layer);
        }
        self
    }

    /// The configuration and the manifest as they are stored. Their digests are those of these bytes.
    pub fn documents(&self) -> Documents {
        let config = Document::new(canonical(&self.config));
        let descriptor = |media_type, digest: BlobDigest, size| {
            let digest = oci_spec::image::Digest::from_str(&digest.to_string())
                .expect("our digests are valid ones");
            Descriptor::new(media_type, size, digest)
        };
        let layers: Vec<Descriptor> = self
            .layers
            .iter()
            .map(|layer| descriptor(layer.format.media_type(), layer.digest, layer.size))
            .collect();
        let mut manifest = ImageManifestBuilder::default()
            .schema_version(2_u32)
            .media_type(MediaType::ImageManifest)
            .config(descriptor(
                MediaType::ImageConfig,
                config.digest,
                config.bytes.len() as u64,
            ))
            .layers(layers)
            .build()
            .expect("every required field is set");
        if !self.annotations.is_empty() {
            manifest.set_annotations(Some(self.annotations.clone().into_iter().collect()));
        }
        Documents {
            config,
            manifest: Document::new(canonical(&manifest)),
        }
    }
}

impl LayerFormat {
    fn media_type(self) -> MediaType {
        match self {
            Self::Tar => MediaType::ImageLayer,
            Self::Gzip => MediaType::ImageLayerGzip,
            Self::Zstd => MediaType::ImageLayerZstd,
        }
    }

    /// By media type, OCI's or Docker's.
    pub(crate) fn of_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            "application/vnd.oci.image.layer.v1.tar"
            | "application/vnd.docker.image.rootfs.diff.tar" => Some(Self::Tar),
            "application/vnd.oci.image.layer.v1.tar+gzip"
            | "application/vnd.docker.image.rootfs.diff.tar.gzip" => Some(Self::Gzip),
            "application/vnd.oci.image.layer.v1.tar+zstd"
            | "application/vnd.docker.image.rootfs.diff.tar.zstd" => Some(Self::Zstd),
            _ => None,
        }
    }

    /// By the first bytes.
    pub(crate) fn of_start(start: &[u8]) -> Self {
        match start {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            _ => Self::Tar,
        }
    }
}

/// What is stored of an image beside its layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Documents {
    /// The configuration. Its digest is Docker's image id.
    pub config: Document,
    /// The manifest. Its digest is the image's.
    pub manifest: Document,
}

/// A small blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The digest of the bytes.
    pub digest: BlobDigest,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Document {
    /// A document of these bytes.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self {
            digest: BlobDigest::new(Digest::of(&bytes)),
            bytes,
        }
    }
}

/// The configuration and the manifest do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the image's configuration names {config} layers, its manifest {manifest}")]
pub struct ImagePartsError {
    config: usize,
    manifest: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(bytes: &[u8]) -> Layer {
        let digest = Digest::of(bytes);
        let blob = LayerBlob {
            diff_id: DiffId::new(digest),
            digest: BlobDigest::new(digest),
            size: bytes.len() as u64,
            uncompressed_size: bytes.len() as u64,
        };
        Layer::new(blob, BlobSource::Bytes(bytes.into()))
    }

    #[test]
    fn on_base_keeps_what_stands_above() {
        let entry = |text: &str| History {
            created_by: Some(text.to_owned()),
            ..History::default()
        };
        let stack = |config: ImageConfig, layers: &[&str]| {
            layers.iter().fold(Image::new(config), |image, name| {
                image.with_layer(layer(name.as_bytes()), entry(name))
            })
        };
        // The old base has an empty layer twice.
        let mut app = ImageConfig::new("linux", "amd64");
        app.config.set_env("A", "1");
        let app = stack(app, &["old", "empty", "more", "empty", "app"]);
        let mut base = ImageConfig::new("linux", "arm64");
        base.extra.insert("os.version".into(), "13".into());
        base.config.set_env("B", "2");
        let base = stack(base, &["new"]);

        let top = DiffId::new(Digest::of(b"empty"));
        let rebased = app.clone().on_base(&top, &base).unwrap();
        let config = rebased.config();
        let said: Vec<_> = config
            .history
            .iter()
            .map(|it| it.created_by.as_deref())
            .collect();
        assert_eq!(said, [Some("new"), Some("app")]);
        assert_eq!(rebased.layers(), [layer(b"new"), layer(b"app")]);
        assert_eq!(config.rootfs.diff_ids.len(), 2);
        assert_eq!(config.config.env, ["A=1"]);
        assert_eq!(config.architecture, "arm64");
        assert_eq!(config.extra["os.version"], "13");

        let unknown = DiffId::new(Digest::of(b"unknown"));
        assert_eq!(app.on_base(&unknown, &base), None);
    }

    #[test]
    fn documents_in_full() {
        let image = Image::new(ImageConfig::new("linux", "amd64"))
            .with_layer(
                layer(b"one"),
                History {
                    created_by: Some("Layer: 'one'".into()),
                    ..History::default()
                },
            )
            .with_config(|config| config.config.set_env("CNB_APP_DIR", "/workspace"))
            .with_annotation("a", "b");
        let Documents { config, manifest } = image.documents();
        assert_eq!(
            String::from_utf8(config.bytes).unwrap(),
            concat!(
                r#"{"architecture":"amd64","config":{"Env":["CNB_APP_DIR=/workspace"]},"history":[{"created_by":"Layer: 'one'"}],"os":"linux","#,
                r#""rootfs":{"diff_ids":["sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"],"type":"layers"}}"#
            )
        );
        assert_eq!(
            String::from_utf8(manifest.bytes).unwrap(),
            format!(
                concat!(
                    r#"{{"annotations":{{"a":"b"}},"config":{{"digest":"{config}","mediaType":"application/vnd.oci.image.config.v1+json","size":237}},"#,
                    r#""layers":[{{"digest":"sha256:7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed","#,
                    r#""mediaType":"application/vnd.oci.image.layer.v1.tar","size":3}}],"mediaType":"application/vnd.oci.image.manifest.v1+json","schemaVersion":2}}"#
                ),
                config = config.digest
            )
        );
    }

    #[test]
    fn with_config_cannot_change_the_layers() {
        let image = Image::new(ImageConfig::new("linux", "amd64"))
            .with_layer(layer(b"one"), History::default());
        let changed = image
            .clone()
            .with_config(|config| config.rootfs.diff_ids.clear());
        assert_eq!(changed, image);
    }

    #[test]
    fn measured_counts_and_verifies() {
        let unmeasured = |bytes: &[u8], content: &[u8]| Layer {
            size: 0,
            source: BlobSource::Bytes(content.into()),
            ..layer(bytes)
        };
        assert_eq!(
            unmeasured(b"one", b"one").measured().unwrap(),
            layer(b"one")
        );
        assert!(unmeasured(b"one", b"two").measured().is_err());
    }

    #[test]
    fn open_verifies() {
        let wrong = Layer {
            source: BlobSource::Bytes(b"two"[..].into()),
            ..layer(b"one")
        };
        assert!(wrong.open().unwrap().read_to_end(&mut Vec::new()).is_err());
        layer(b"one")
            .open()
            .unwrap()
            .read_to_end(&mut Vec::new())
            .unwrap();
    }
}
