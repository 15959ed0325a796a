//! Blobs: layers, configurations and manifests by the digest of their bytes.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use oci_image::{BlobDigest, Digest};
use tempfile::NamedTempFile;

use crate::durability::Durability;
use crate::error::StoreError;
use crate::{Store, disk};

impl Store {
    /// Where the blob is, if it is there with this size.
    pub fn blob(&self, digest: &BlobDigest, size: u64) -> Result<Option<PathBuf>, StoreError> {
        if let Some(lasting) = self.lasting_blob(digest, size)? {
            return Ok(Some(lasting));
        }
        match self.passing_blobs() {
            Some(folder) => sized(folder.join(digest.hex()), size),
            None => Ok(None),
        }
    }

    /// The same for what a name may lead to: it is there when the machine starts anew.
    pub fn lasting_blob(
        &self,
        digest: &BlobDigest,
        size: u64,
    ) -> Result<Option<PathBuf>, StoreError> {
        sized(self.blob_path(digest), size)
    }

    /// Reads a small blob (a configuration or manifest) whole and holds it against its digest; damaged is absent.
    pub fn read_blob(&self, digest: &BlobDigest) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.blob_path(digest);
        match std::fs::read(&path) {
            Ok(bytes) => Ok((Digest::of(&bytes) == digest.digest()).then_some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::io("read", &path)(error)),
        }
    }

    /// Stores a small blob.
    pub fn write_blob(&self, bytes: &[u8]) -> Result<BlobDigest, StoreError> {
        let digest = BlobDigest::new(Digest::of(bytes));
        if self.read_blob(&digest)?.is_none() {
            let mut writer = self.blob_writer(Durability::Lasting)?;
            writer
                .write_all(bytes)
                .map_err(StoreError::io("written", &self.blob_path(&digest)))?;
            writer.commit(&digest)?;
        }
        Ok(digest)
    }

    /// A blob whose digest is known when it is complete.
    pub fn blob_writer(&self, durability: Durability) -> Result<BlobWriter, StoreError> {
        let beside = self.blobs();
        // Beside the blobs: the rename stays on one file system.
        let file = disk::new_file(&beside);
        let file = file.map_err(StoreError::io("written", &beside))?;
        let passing = self.passing_blobs();
        match passing.filter(|_| durability == Durability::ThisBoot) {
            Some(folder) => {
                disk::make_folders(&folder)?;
                Ok(BlobWriter {
                    file,
                    folder,
                    durability,
                })
            }
            None => Ok(BlobWriter {
                file,
                folder: beside,
                durability: Durability::Lasting,
            }),
        }
    }

    /// The folder that holds blobs as `<hex>`, those that last.
    pub fn blobs(&self) -> PathBuf {
        self.data.join("blobs/sha256")
    }

    /// Where blobs of this boot alone are; nowhere, if the machine does not say which boot it is.
    pub(crate) fn passing_blobs(&self) -> Option<PathBuf> {
        let boot = self.boot.as_ref()?;
        Some(self.data.join("blobs").join(boot))
    }

    /// Every folder that has blobs.
    pub(crate) fn blob_folders(&self) -> impl Iterator<Item = PathBuf> {
        std::iter::once(self.blobs()).chain(self.passing_blobs())
    }

    /// Removes a blob that turned out to be damaged, so that it counts as absent.
    pub(crate) fn forget_blob(&self, digest: &BlobDigest) -> Result<(), StoreError> {
        self.blob_folders()
            .try_for_each(|folder| disk::remove(&folder.join(digest.hex())))
    }

    pub(crate) fn blob_path(&self, digest: &BlobDigest) -> PathBuf {
        self.blobs().join(digest.hex())
    }
}

/// A blob on its way. Dropped without [`BlobWriter::commit`], it was never there.
#[derive(Debug)]
pub struct BlobWriter {
    file: NamedTempFile,
    folder: PathBuf,
    durability: Durability,
}

impl BlobWriter {
    /// Gives the blob its name, once its bytes are on disk if it is to last. The digest is the writer's word: it hashed what it wrote.
    pub fn commit(self, digest: &BlobDigest) -> Result<PathBuf, StoreError> {
        let path = self.folder.join(digest.hex());
        let failed = || StoreError::io("written", &path);
        let is_lasting = self.durability == Durability::Lasting;
        if is_lasting {
            self.file.as_file().sync_all().map_err(failed())?;
        }
        make_readable(self.file.as_file(), &path)?;
        failpoint::reach("blob-written");
        self.file
            .persist(&path)
            .map_err(|error| error.error)
            .map_err(failed())?;
        failpoint::reach("blob-renamed");
        if is_lasting {
            disk::sync_folder(&self.folder)?;
        }
        Ok(path)
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A blob's path, if it has the right size. One of another is damaged, and so absent: the next writer puts a whole one over it.
fn sized(path: PathBuf, size: u64) -> Result<Option<PathBuf>, StoreError> {
    match std::fs::metadata(&path) {
        Ok(metadata) => Ok((metadata.len() == size).then_some(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read", &path)(error)),
    }
}

/// Temporary files are private to their owner; an image may be read by all, and written by none.
fn make_readable(file: &File, path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt as _;
    file.set_permissions(std::fs::Permissions::from_mode(0o444))
        .map_err(StoreError::io("written", path))
}
