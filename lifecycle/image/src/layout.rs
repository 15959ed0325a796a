//! OCI image layouts: a folder of blobs by digest and an `index.json` that names images (OCI image specification 1.1, image-layout.md).
//!
//! ```text
//! oci-layout              {"imageLayoutVersion":"1.0.0"}
//! index.json              the manifests, each with its name as an annotation
//! blobs/sha256/<hex>      manifests, configurations, layers
//! ```
//!
//! A layout may hold other images; they stay. Everything is written beside its place, synced and renamed, the index last, so a
//! reader never meets a name whose blobs are not there.

use crate::blobs::{BlobPlace, ReadImageError};
use crate::digest::BlobDigest;
use crate::image::{BlobSource, Document, Image, Layer};
use crate::image_name::ImageName;
use crate::json::canonical;
use crate::manifest::Platform;
use rustix::fs::FlockOperation;
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

/// What stands in `oci-layout`.
pub(crate) const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// The tag (OCI image specification, annotations.md).
pub(crate) const REF_NAME: &str = "org.opencontainers.image.ref.name";

/// The whole name, for containerd and Docker.
pub(crate) const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Unfinished files start like this.
const UNFINISHED: &str = ".longshore-";

/// The longest index that is read.
const LONGEST_INDEX: u64 = 16 << 20;

/// Writes an image into the layout in `folder`, which is made if it is not there, and gives the manifest's digest. An image
/// of the same name is replaced in the index; without a name, the one without a name.
pub fn write_layout(
    folder: &Path,
    image: &Image,
    name: Option<&ImageName>,
) -> Result<BlobDigest, WriteLayoutError> {
    let blobs = folder.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(WriteLayoutError::at(&blobs))?;
    let lock = File::open(folder).map_err(WriteLayoutError::at(folder))?;
    rustix::fs::flock(&lock, FlockOperation::LockExclusive)
        .map_err(|error| WriteLayoutError::at(folder)(error.into()))?;
    remove_unfinished(folder)?;
    // Read first: a folder that is something else stays as it is.
    let index = index_with(folder, image, name)?;
    let documents = image.documents();
    for layer in image.layers() {
        write_blob(folder, &blobs.join(layer.digest.hex()), layer.size, || {
            layer.open().map_err(|source| WriteLayoutError::Layer {
                layer: layer.digest,
                source,
            })
        })?;
    }
    for Document { digest, bytes } in [&documents.config, &documents.manifest] {
        write_blob(
            folder,
            &blobs.join(digest.hex()),
            bytes.len() as u64,
            || Ok(&bytes[..]),
        )?;
    }
    sync(&blobs)?;
    write_file(folder, &folder.join("oci-layout"), &mut LAYOUT.as_bytes())?;
    write_file(folder, &folder.join("index.json"), &mut &index[..])?;
    sync(folder)?;
    Ok(documents.manifest.digest)
}

/// Reads an image from the layout in `folder`: the one of this tag or name, or the only one.
pub fn read_layout(
    folder: &Path,
    name: Option<&str>,
    platform: Platform<'_>,
) -> Result<Image, ReadImageError> {
    let index_path = folder.join("index.json");
    let not_a_layout = |reason: &str| ReadImageError::NotAnImage {
        path: folder.to_owned(),
        reason: reason.to_owned(),
    };
    if !folder.join("oci-layout").is_file() {
        return Err(not_a_layout("it has no file `oci-layout`"));
    }
    let index = read_index(&index_path).map_err(|source| ReadImageError::Read {
        path: index_path,
        source,
    })?;
    let digest = find(
        folder,
        &index.ok_or_else(|| not_a_layout("it has no file `index.json`"))?,
        name,
    )?;
    BlobPlace::Folder(folder.join("blobs/sha256")).image(&digest, platform)
}

/// The manifest of that name in an index.
pub(crate) fn find(
    path: &Path,
    index: &Value,
    name: Option<&str>,
) -> Result<BlobDigest, ReadImageError> {
    let manifests = manifests(index);
    let fits = |entry: &&&Value| {
        name.is_none_or(|name| {
            annotation(entry, REF_NAME) == Some(name)
                || annotation(entry, CONTAINERD_NAME) == Some(name)
        })
    };
    let found: Vec<&&Value> = manifests.iter().filter(fits).collect();
    if let [entry] = found[..] {
        return Ok(entry
            .get("digest")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .parse()?);
    }
    let wanted = name.map_or("that is the only one".to_owned(), |name| {
        format!("`{name}`")
    });
    let names: Vec<&str> = manifests
        .iter()
        .map(|entry| annotation(entry, REF_NAME).unwrap_or("one without a name"))
        .collect();
    let found = if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    };
    Err(ReadImageError::NoSuchImage {
        path: path.to_owned(),
        wanted,
        found,
    })
}

fn manifests(index: &Value) -> Vec<&Value> {
    index
        .get("manifests")
        .and_then(Value::as_array)
        .map(|manifests| manifests.iter().collect())
        .unwrap_or_default()
}

fn annotation<'v>(entry: &'v Value, key: &str) -> Option<&'v str> {
    entry.get("annotations")?.get(key)?.as_str()
}

/// A manifest's entry in an index.
pub(crate) fn index_entry(manifest: &Document, name: Option<&ImageName>) -> Value {
    let mut entry = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": manifest.digest,
        "size": manifest.bytes.len(),
    });
    if let Some(name) = name {
        entry["annotations"] = json!({ REF_NAME: name.tag(), CONTAINERD_NAME: name.in_full() });
    }
    entry
}

/// An index of these entries.
pub(crate) fn index_of(entries: &[Value]) -> Vec<u8> {
    canonical(
        &json!({ "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries }),
    )
}

/// The layout's index with the image in it; entries of other images are kept as they are.
fn index_with(
    folder: &Path,
    image: &Image,
    name: Option<&ImageName>,
) -> Result<Vec<u8>, WriteLayoutError> {
    let path = folder.join("index.json");
    let new = index_entry(&image.documents().manifest, name);
    let Some(mut index) = read_index(&path).map_err(WriteLayoutError::at(&path))? else {
        return Ok(index_of(&[new]));
    };
    let Some(entries) = index.get_mut("manifests").and_then(Value::as_array_mut) else {
        return Err(WriteLayoutError::NotALayout { path });
    };
    // Other tools name by tag alone: theirs is replaced if the tag is the same and it has no whole name.
    let same = |entry: &Value| {
        annotation(entry, REF_NAME) == annotation(&new, REF_NAME)
            && annotation(entry, CONTAINERD_NAME)
                .is_none_or(|found| Some(found) == annotation(&new, CONTAINERD_NAME))
    };
    entries.retain(|entry| !same(entry));
    entries.push(new.clone());
    Ok(canonical(&index))
}

fn read_index(path: &Path) -> io::Result<Option<Value>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let mut bytes = Vec::new();
    file.take(LONGEST_INDEX).read_to_end(&mut bytes)?;
    Ok(Some(serde_json::from_slice(&bytes)?))
}

/// Writes a blob unless it is there with its size: it got its name only when it was whole.
fn write_blob<R: Read>(
    folder: &Path,
    path: &Path,
    size: u64,
    open: impl FnOnce() -> Result<R, WriteLayoutError>,
) -> Result<(), WriteLayoutError> {
    if fs::metadata(path).is_ok_and(|found| found.len() == size) {
        return Ok(());
    }
    write_file(folder, path, &mut open()?)
}

fn write_file(folder: &Path, path: &Path, content: &mut impl Read) -> Result<(), WriteLayoutError> {
    let failed = WriteLayoutError::at(path);
    let mut write = || {
        let mut file = tempfile::Builder::new()
            .prefix(UNFINISHED)
            .permissions(readable())
            .tempfile_in(folder)?;
        io::copy(content, &mut file)?;
        file.flush()?;
        file.as_file().sync_all()?;
        file.persist(path).map(drop).map_err(|error| error.error)
    };
    write().map_err(failed)
}

/// Like any file that a program makes for its user; temporary ones are closed to others.
fn readable() -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

/// What a program that was killed left behind. Nobody else writes here: we hold the folder's lock.
fn remove_unfinished(folder: &Path) -> Result<(), WriteLayoutError> {
    let failed = || WriteLayoutError::at(folder);
    for entry in fs::read_dir(folder).map_err(failed())? {
        let entry = entry.map_err(failed())?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_file(entry.path()).map_err(failed())?;
        }
    }
    Ok(())
}

fn sync(folder: &Path) -> Result<(), WriteLayoutError> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(WriteLayoutError::at(folder))
}

/// Where a layer of the layout is, once it is written there.
pub fn layout_source(folder: &Path, layer: &Layer) -> BlobSource {
    BlobSource::File(folder.join("blobs/sha256").join(layer.digest.hex()))
}

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteLayoutError {
    /// A file or folder of the target.
    #[error("cannot write {path}", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A layer could not be read where it comes from.
    #[error("cannot read the layer {layer}")]
    Layer {
        /// The layer.
        layer: BlobDigest,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is an index, but not one of images.
    #[error("{path} is not the index of an OCI layout; give another folder, or remove it", path = path.display())]
    NotALayout {
        /// The index.
        path: PathBuf,
    },
}

impl WriteLayoutError {
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Write { path, source }
    }
}
