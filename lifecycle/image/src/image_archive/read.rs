//! Reading an image from one tar, of either kind and from any program. Layers stay in the archive; only where they start is noted.

use crate::archive::{Kind, ReadLimits, Reader};
use crate::blobs::{BlobPlace, ReadImageError};
use crate::config::ImageConfig;
use crate::digest::{BlobDigest, Digest};
use crate::hashing::HashingReader;
use crate::image::{BlobSource, Image, Layer, LayerFormat};
use crate::layout::find;
use crate::manifest::Platform;
use crate::tree_path::TreePath;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// The longest JSON file that is read.
const LONGEST_DOCUMENT: u64 = 16 << 20;

/// Reads an image from an oci-archive or a docker-archive: the one of this tag or name, or the only one.
pub fn read_archive(
    path: &Path,
    name: Option<&str>,
    platform: Platform<'_>,
) -> Result<Image, ReadImageError> {
    let archive = Members::scan(path)?;
    if let Some(index) = archive.document("index.json")? {
        let index = parse(path, "index.json", &index)?;
        let digest = find(path, &index, name)?;
        return archive.blobs().image(&digest, platform);
    }
    let Some(manifest) = archive.document("manifest.json")? else {
        return Err(archive.not_an_image("it has neither `index.json` nor `manifest.json`"));
    };
    archive.docker_image(
        &parse::<Vec<DockerManifest>>(path, "manifest.json", &manifest)?,
        name,
    )
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// The files of an archive: where each starts and its size.
struct Members<'a> {
    path: &'a Path,
    files: BTreeMap<TreePath, (u64, u64)>,
}

impl<'a> Members<'a> {
    fn scan(path: &'a Path) -> Result<Self, ReadImageError> {
        let file = File::open(path).map_err(|source| ReadImageError::Read {
            path: path.to_owned(),
            source,
        })?;
        let limits = ReadLimits {
            entries: 100_000,
            bytes: u64::MAX,
            ..ReadLimits::default()
        };
        let mut reader = Reader::new(BufReader::new(file), limits);
        let mut members = Self {
            path,
            files: BTreeMap::new(),
        };
        let mut links = Vec::new();
        while let Some(entry) = reader
            .next_entry()
            .map_err(|source| ReadImageError::Archive {
                path: path.to_owned(),
                source,
            })?
        {
            let place = match &entry.kind {
                Kind::File { size } => Some((reader.position(), *size)),
                Kind::Hardlink { target } => members.files.get(target).copied(),
                Kind::Symlink { target } => {
                    links.extend(relative(&entry.path, target).map(|to| (entry.path.clone(), to)));
                    None
                }
                _ => None,
            };
            if let Some(place) = place {
                members.files.insert(entry.path, place);
            }
            reader
                .skip_by_seeking()
                .map_err(|source| ReadImageError::Read {
                    path: path.to_owned(),
                    source,
                })?;
        }
        // Docker before 25 writes a layer that it has twice as a link, which may stand before the file.
        for (link, target) in links {
            if let Some(place) = members.files.get(&target).copied() {
                members.files.entry(link).or_insert(place);
            }
        }
        Ok(members)
    }

    fn source(&self, offset: u64) -> BlobSource {
        BlobSource::Part {
            path: self.path.to_owned(),
            offset,
        }
    }

    fn read(&self, offset: u64, size: u64) -> Result<Vec<u8>, ReadImageError> {
        if size > LONGEST_DOCUMENT {
            return Err(self.not_an_image("one of its JSON files is too long"));
        }
        let mut bytes = Vec::new();
        let read = self
            .source(offset)
            .open(size)
            .and_then(|mut reader| reader.read_to_end(&mut bytes));
        read.map_err(|source| ReadImageError::Read {
            path: self.path.to_owned(),
            source,
        })?;
        Ok(bytes)
    }

    fn document(&self, name: &str) -> Result<Option<Vec<u8>>, ReadImageError> {
        let name: TreePath = name
            .parse()
            .map_err(|_| self.not_an_image("it names a file outside itself"))?;
        self.files
            .get(&name)
            .map(|(offset, size)| self.read(*offset, *size))
            .transpose()
    }

    /// The files named by their digest.
    fn blobs(&self) -> BlobPlace {
        let digest = |path: &TreePath| {
            let hex = path.as_bytes().strip_prefix(b"blobs/sha256/")?;
            Digest::from_hex(std::str::from_utf8(hex).ok()?)
                .ok()
                .map(BlobDigest::new)
        };
        let blobs = self
            .files
            .iter()
            .filter_map(|(path, place)| Some((digest(path)?, *place)))
            .collect();
        BlobPlace::Archive {
            path: self.path.to_owned(),
            blobs,
        }
    }

    fn docker_image(
        &self,
        manifests: &[DockerManifest],
        name: Option<&str>,
    ) -> Result<Image, ReadImageError> {
        let tags = |manifest: &DockerManifest| manifest.repo_tags.clone().unwrap_or_default();
        let fits = |manifest: &&DockerManifest| {
            name.is_none_or(|name| tags(manifest).iter().any(|tag| tag == name))
        };
        let found: Vec<&DockerManifest> = manifests.iter().filter(fits).collect();
        let [manifest] = found[..] else {
            let names: Vec<String> = manifests.iter().flat_map(tags).collect();
            let wanted = name.map_or("that is the only one".to_owned(), |name| {
                format!("`{name}`")
            });
            let found = if names.is_empty() {
                "no names".to_owned()
            } else {
                names.join(", ")
            };
            return Err(ReadImageError::NoSuchImage {
                path: self.path.to_owned(),
                wanted,
                found,
            });
        };
        let config = self
            .document(&manifest.config)?
            .ok_or_else(|| self.not_an_image("its configuration is missing"))?;
        let config: ImageConfig = parse(self.path, &manifest.config, &config)?;
        let layers = manifest
            .layers
            .iter()
            .zip(&config.rootfs.diff_ids)
            .map(|(name, diff_id)| self.docker_layer(name, BlobDigest::new(diff_id.digest())));
        let layers = layers.collect::<Result<Vec<Layer>, _>>()?;
        Ok(Image::from_parts(config, layers, BTreeMap::new())?)
    }

    /// A layer's digest does not stand in the archive: for plain tars it is the diffID, else it is computed.
    fn docker_layer(&self, name: &str, diff_id: BlobDigest) -> Result<Layer, ReadImageError> {
        let missing = || self.not_an_image(&format!("its layer `{name}` is missing"));
        let path: TreePath = name.parse().map_err(|_| missing())?;
        let (offset, size) = *self.files.get(&path).ok_or_else(missing)?;
        let source = self.source(offset);
        let failed = |source| ReadImageError::Read {
            path: self.path.to_owned(),
            source,
        };
        let mut start = Vec::new();
        source
            .open(size.min(4))
            .and_then(|mut reader| reader.read_to_end(&mut start))
            .map_err(failed)?;
        let format = LayerFormat::of_start(&start);
        let digest = if format == LayerFormat::Tar {
            diff_id
        } else {
            let (digest, _) = source
                .open(size)
                .and_then(|reader| HashingReader::new(reader).finish())
                .map_err(failed)?;
            BlobDigest::new(digest)
        };
        Ok(Layer {
            diff_id: crate::DiffId::new(diff_id.digest()),
            digest,
            size,
            format,
            source,
        })
    }

    fn not_an_image(&self, reason: &str) -> ReadImageError {
        ReadImageError::NotAnImage {
            path: self.path.to_owned(),
            reason: reason.to_owned(),
        }
    }
}

/// Where a symlink in the archive leads, if that is in the archive.
fn relative(link: &TreePath, target: &[u8]) -> Option<TreePath> {
    let mut folder = link.parent()?;
    let mut rest = target;
    while let Some(after) = rest.strip_prefix(b"../") {
        folder = folder.parent()?;
        rest = after;
    }
    folder.child(OsStr::from_bytes(rest)).ok()
}

fn parse<T: serde::de::DeserializeOwned>(
    path: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<T, ReadImageError> {
    serde_json::from_slice(bytes).map_err(|error| ReadImageError::Read {
        path: path.to_owned(),
        source: io::Error::new(
            io::ErrorKind::InvalidData,
            format!("`{name}` in it: {error}"),
        ),
    })
}
