//! Writing an image into one tar.

use crate::archive::encode::{END, Encoded, encode, padding};
use crate::digest::BlobDigest;
use crate::image::{Document, Documents, Image, Layer};
use crate::image_name::ImageName;
use crate::json::canonical;
use crate::layer::LAYER_TIME;
use crate::layout::{LAYOUT, WriteLayoutError, index_entry, index_of};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

/// Which kind of archive to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveKind {
    /// An OCI layout in a tar.
    Oci,
    /// The same with Docker's `manifest.json`.
    Docker,
}

/// Writes an image as an archive to `path`, which holds the old file or the new one whole, and gives the manifest's digest.
pub fn write_archive_file(
    path: &Path,
    kind: ArchiveKind,
    image: &Image,
    name: Option<&ImageName>,
) -> Result<BlobDigest, WriteLayoutError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let failed = || WriteLayoutError::at(path);
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    let file = tempfile::Builder::new()
        .prefix(".longshore-")
        .permissions(permissions)
        .tempfile_in(folder)
        .map_err(failed())?;
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    let digest = write_archive(&mut writer, kind, image, name).map_err(|error| error.at(path))?;
    let file = writer
        .into_inner()
        .map_err(io::IntoInnerError::into_error)
        .map_err(failed())?;
    file.as_file().sync_all().map_err(failed())?;
    file.persist(path)
        .map_err(|error| error.error)
        .map_err(failed())?;
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed())?;
    Ok(digest)
}

/// Writes an image as an archive to `sink`.
pub fn write_archive(
    sink: &mut impl Write,
    kind: ArchiveKind,
    image: &Image,
    name: Option<&ImageName>,
) -> Result<BlobDigest, WriteArchiveError> {
    write_archive_without(sink, kind, image, name, &BTreeSet::new())
}

/// Writes an image as an archive to `sink`, without the layers whose blobs whoever reads it has.
pub fn write_archive_without(
    sink: &mut impl Write,
    kind: ArchiveKind,
    image: &Image,
    name: Option<&ImageName>,
    left_out: &BTreeSet<BlobDigest>,
) -> Result<BlobDigest, WriteArchiveError> {
    let Documents { config, manifest } = image.documents();
    let mut archive = Archive { sink };
    let mut blobs: BTreeMap<BlobDigest, Content<'_>> = image
        .layers()
        .iter()
        .filter(|layer| !left_out.contains(&layer.digest))
        .map(|layer| (layer.digest, Content::Layer(layer)))
        .collect();
    blobs.insert(config.digest, Content::Document(&config));
    blobs.insert(manifest.digest, Content::Document(&manifest));
    archive.folder("blobs/")?;
    archive.folder("blobs/sha256/")?;
    for (digest, content) in blobs {
        archive.blob(&digest, content)?;
    }
    archive.file("index.json", &index_of(&[index_entry(&manifest, name)]))?;
    if kind == ArchiveKind::Docker {
        archive.file("manifest.json", &docker_manifest(image, &config, name))?;
    }
    archive.file("oci-layout", LAYOUT.as_bytes())?;
    archive
        .sink
        .write_all(&END)
        .map_err(WriteArchiveError::Sink)?;
    archive.sink.flush().map_err(WriteArchiveError::Sink)?;
    Ok(manifest.digest)
}

/// Writes what a daemon whose layers are in a graph driver goes by: the configuration, the layers that are not left out and
/// `manifest.json`. Such a daemon looks at a layer's file only where it does not have the layer, so the file may be missing. There is no
/// OCI index: it would promise what is not there.
pub fn write_docker_archive(
    sink: &mut impl Write,
    image: &Image,
    left_out: &BTreeSet<BlobDigest>,
) -> Result<(), WriteArchiveError> {
    let config = image.documents().config;
    let mut archive = Archive { sink };
    let blobs: BTreeMap<BlobDigest, &Layer> = image
        .layers()
        .iter()
        .filter(|layer| !left_out.contains(&layer.digest))
        .map(|layer| (layer.digest, layer))
        .collect();
    archive.folder("blobs/")?;
    archive.folder("blobs/sha256/")?;
    archive.blob(&config.digest, Content::Document(&config))?;
    for (digest, layer) in blobs {
        archive.blob(&digest, Content::Layer(layer))?;
    }
    archive.file("manifest.json", &docker_manifest(image, &config, None))?;
    archive
        .sink
        .write_all(&END)
        .map_err(WriteArchiveError::Sink)?;
    archive.sink.flush().map_err(WriteArchiveError::Sink)
}

/// `manifest.json` (Docker image specification 1.3, "Combined Image JSON + Filesystem Changeset Format").
fn docker_manifest(image: &Image, config: &Document, name: Option<&ImageName>) -> Vec<u8> {
    let layers: Vec<String> = image
        .layers()
        .iter()
        .map(|layer| blob_name(&layer.digest))
        .collect();
    let tags: Value = name.map_or(Value::Null, |name| json!([name]));
    canonical(&json!([{ "Config": blob_name(&config.digest), "RepoTags": tags, "Layers": layers }]))
}

fn blob_name(digest: &BlobDigest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

enum Content<'a> {
    Layer(&'a Layer),
    Document(&'a Document),
}

struct Archive<'a, W> {
    sink: &'a mut W,
}

impl<W: Write> Archive<'_, W> {
    fn folder(&mut self, name: &str) -> Result<(), WriteArchiveError> {
        self.header(&Encoded {
            name: name.as_bytes(),
            flag: b'5',
            mode: 0o755,
            ..Encoded::default()
        })
    }

    fn file(&mut self, name: &str, mut content: &[u8]) -> Result<(), WriteArchiveError> {
        let size = content.len() as u64;
        self.content(name, size, &mut content, None)
    }

    fn blob(&mut self, digest: &BlobDigest, content: Content<'_>) -> Result<(), WriteArchiveError> {
        match content {
            Content::Document(document) => self.file(&blob_name(digest), &document.bytes),
            Content::Layer(layer) => {
                let mut reader = layer.open().map_err(|source| WriteArchiveError::Layer {
                    layer: layer.digest,
                    source,
                })?;
                self.content(
                    &blob_name(digest),
                    layer.size,
                    &mut reader,
                    Some(layer.digest),
                )
            }
        }
    }

    fn content(
        &mut self,
        name: &str,
        size: u64,
        content: &mut impl Read,
        layer: Option<BlobDigest>,
    ) -> Result<(), WriteArchiveError> {
        self.header(&Encoded {
            name: name.as_bytes(),
            flag: b'0',
            mode: 0o644,
            size,
            ..Encoded::default()
        })?;
        let mut buffer = vec![0; 128 << 10];
        loop {
            let read = content.read(&mut buffer).map_err(|source| match layer {
                Some(layer) => WriteArchiveError::Layer { layer, source },
                None => WriteArchiveError::Sink(source),
            })?;
            if read == 0 {
                break;
            }
            self.sink
                .write_all(&buffer[..read])
                .map_err(WriteArchiveError::Sink)?;
        }
        self.sink
            .write_all(&[0; 512][..padding(size)])
            .map_err(WriteArchiveError::Sink)
    }

    fn header(&mut self, entry: &Encoded<'_>) -> Result<(), WriteArchiveError> {
        self.sink
            .write_all(&encode(&Encoded {
                mtime: LAYER_TIME,
                ..entry.clone()
            }))
            .map_err(WriteArchiveError::Sink)
    }
}

/// Why an archive could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteArchiveError {
    /// Its target.
    #[error("cannot write the archive")]
    Sink(#[source] io::Error),
    /// A layer could not be read where it comes from.
    #[error("cannot read the layer {layer}")]
    Layer {
        /// The layer.
        layer: BlobDigest,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl WriteArchiveError {
    fn at(self, path: &Path) -> WriteLayoutError {
        match self {
            Self::Sink(source) => WriteLayoutError::at(path)(source),
            Self::Layer { layer, source } => WriteLayoutError::Layer { layer, source },
        }
    }
}
