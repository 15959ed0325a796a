//! The cache in a folder, in the reference implementation's form, so that either lifecycle goes on from the other's:
//!
//! ```text
//! committed/<diffID>.tar                              one a layer
//! committed/io.buildpacks.lifecycle.cache.metadata    what they are, in JSON
//! staging/                                            the same of the build that is going on
//! ```
//!
//! A build changes nothing in `committed`. At its end the two folders change places in one system call and the old one is removed, so that there is the old cache or the new one
//! whenever the machine is switched off. Tars are checked while they are unpacked, and before they are reused.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cnb_spec::labels::{CACHE_METADATA, CacheMetadata};
use oci_image::layer::{Compression, LayerContents, write_layer};
use oci_image::{DiffId, HashingReader};
use rustix::fs::{CWD, FlockOperation, RenameFlags};

use crate::cache::{CachedLayer, LayerCache};
use crate::files::{create_dir, is_missing, read_text_if_there, remove_dir};
use crate::images::ImageError;
use crate::restored_layer::restore_layer;

/// A cache folder, locked for this build.
#[derive(Debug)]
pub struct VolumeCache {
    committed: PathBuf,
    staging: PathBuf,
    /// Where the reference implementation puts the old cache for a moment.
    backup: PathBuf,
    /// The open folder is the lock.
    lock: File,
}

impl VolumeCache {
    /// Opens a cache folder, which has to be there. Waits for another build that uses it.
    pub fn open(dir: &Path) -> Result<Self, VolumeCacheError> {
        let open = || -> io::Result<Self> {
            let lock = File::open(dir)?;
            rustix::fs::flock(&lock, FlockOperation::LockExclusive)?;
            let cache = Self {
                committed: dir.join("committed"),
                staging: dir.join("staging"),
                backup: dir.join("committed-backup"),
                lock,
            };
            cache.tidy()?;
            Ok(cache)
        };
        open().map_err(|source| VolumeCacheError::Open {
            dir: dir.to_owned(),
            source,
        })
    }

    /// Takes away what a build that died left behind.
    fn tidy(&self) -> io::Result<()> {
        let remove = |path: &Path| remove_dir(path).map_err(io::Error::other);
        // The reference implementation renames in two steps. If it died between them, the cache is in the backup.
        if !self.committed.try_exists()? && self.backup.try_exists()? {
            fs::rename(&self.backup, &self.committed)?;
        }
        remove(&self.backup)?;
        remove(&self.staging)?;
        create_dir(&self.committed)?;
        create_dir(&self.staging)
    }

    fn open_tar(&self, diff_id: DiffId) -> Result<File, VolumeCacheError> {
        match File::open(tar_path(&self.committed, diff_id)) {
            Err(error) if is_missing(&error) => Err(VolumeCacheError::Missing { diff_id }),
            tar => tar.map_err(|source| VolumeCacheError::Read { diff_id, source }),
        }
    }
}

fn tar_path(folder: &Path, diff_id: DiffId) -> PathBuf {
    folder.join(format!("{diff_id}.tar"))
}

impl LayerCache for VolumeCache {
    fn metadata(&self) -> Result<CacheMetadata, ImageError> {
        let path = self.committed.join(CACHE_METADATA);
        let text = read_text_if_there(&path).map_err(ImageError::new)?;
        // A cache that cannot be understood is an empty one; the build goes on without.
        let metadata = text.and_then(|text| serde_json::from_str(&text).ok());
        Ok(metadata.unwrap_or_default())
    }

    fn has(&self, diff_id: &DiffId) -> Result<bool, ImageError> {
        let whole = || -> io::Result<bool> {
            let tar = File::open(tar_path(&self.committed, *diff_id))?;
            let (digest, _) = HashingReader::new(tar).finish()?;
            Ok(DiffId::new(digest) == *diff_id)
        };
        match whole() {
            Err(error) if is_missing(&error) => Ok(false),
            whole => whole.map_err(ImageError::new),
        }
    }

    fn restore(&self, layer: &CachedLayer<'_>, layers_dir: &Path) -> Result<(), ImageError> {
        let tar = self.open_tar(layer.diff_id).map_err(ImageError::new)?;
        let restored = restore_layer(tar, layer.diff_id, &layer.folder(layers_dir));
        restored.map_err(ImageError::new)
    }

    fn leave(&self, layer: &CachedLayer<'_>, layers_dir: &Path) -> Result<(), ImageError> {
        self.open_tar(layer.diff_id).map_err(ImageError::new)?;
        create_dir(&layer.folder(layers_dir)).map_err(ImageError::new)
    }

    fn still_has(&self, diff_id: &DiffId) -> Result<bool, ImageError> {
        let tar = tar_path(&self.committed, *diff_id);
        tar.try_exists().map_err(ImageError::new)
    }

    fn keep(
        &self,
        layer: &CachedLayer<'_>,
        contents: &LayerContents<'_>,
    ) -> Result<(), ImageError> {
        let diff_id = layer.diff_id;
        let keep = || -> Result<(), VolumeCacheError> {
            let failed = |source| VolumeCacheError::Write { diff_id, source };
            // Whoever builds next with this cache may be another user.
            let mut file = tempfile::Builder::new()
                .permissions(fs::Permissions::from_mode(0o644))
                .tempfile_in(&self.staging)
                .map_err(failed)?;
            let written = write_layer(contents, &mut file, Compression::None);
            let written = written.map_err(|error| failed(io::Error::other(error)))?;
            if written.diff_id != diff_id {
                let found = written.diff_id;
                return Err(VolumeCacheError::Changed { diff_id, found });
            }
            file.as_file().sync_data().map_err(failed)?;
            failpoint::reach("cache-layer-written");
            let path = tar_path(&self.staging, diff_id);
            file.persist(path).map_err(|error| failed(error.error))?;
            failpoint::reach("cache-layer-staged");
            Ok(())
        };
        keep().map_err(ImageError::new)
    }

    fn reuse(&self, layer: &CachedLayer<'_>) -> Result<(), ImageError> {
        let diff_id = layer.diff_id;
        let committed = tar_path(&self.committed, diff_id);
        let staging = tar_path(&self.staging, diff_id);
        let linked = match fs::hard_link(&committed, &staging) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // Some volumes have no hard links.
            Err(_) => fs::copy(&committed, &staging).map(drop),
            Ok(()) => Ok(()),
        };
        linked.map_err(|source| ImageError::new(VolumeCacheError::Write { diff_id, source }))
    }

    fn commit(&self, metadata: &CacheMetadata) -> Result<(), ImageError> {
        let commit = || -> io::Result<()> {
            let mut file = File::create(self.staging.join(CACHE_METADATA))?;
            serde_json::to_writer(&mut file, metadata)?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            File::open(&self.staging)?.sync_all()?;
            failpoint::reach("cache-metadata-staged");
            exchange(&self.staging, &self.committed, &self.backup)?;
            failpoint::reach("cache-exchanged");
            self.lock.sync_all()?;
            // The old state, under the name of the unfinished one.
            fs::remove_dir_all(&self.staging)
        };
        commit().map_err(|source| ImageError::new(VolumeCacheError::Commit { source }))
    }
}

/// Lets two folders change places.
fn exchange(new: &Path, old: &Path, backup: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        Ok(()) => Ok(()),
        // Not every file system can. `tidy` mends what a crash between the two leaves.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
            fs::rename(old, backup)?;
            fs::rename(new, old)?;
            fs::rename(backup, new)
        }
        Err(error) => Err(error.into()),
    }
}

/// What the cache folder could not do.
#[derive(Debug, thiserror::Error)]
pub enum VolumeCacheError {
    /// The folder cannot be used.
    #[error("cannot use the cache folder '{}': {source}", dir.display())]
    Open {
        /// The folder.
        dir: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A layer is not there.
    #[error("failed to find cache layer with SHA '{diff_id}'")]
    Missing {
        /// The layer.
        diff_id: DiffId,
    },
    /// A layer cannot be read.
    #[error("failed to read cache layer with SHA '{diff_id}': {source}")]
    Read {
        /// The layer.
        diff_id: DiffId,
        /// Why.
        source: io::Error,
    },
    /// A layer cannot be kept.
    #[error("caching layer ({diff_id}): {source}")]
    Write {
        /// The layer.
        diff_id: DiffId,
        /// Why.
        source: io::Error,
    },
    /// A layer was written to while it was read.
    #[error("the layer {diff_id} changed while it was cached: now it is {found}")]
    Changed {
        /// What it was.
        diff_id: DiffId,
        /// What it is.
        found: DiffId,
    },
    /// The new state could not take the old one's place.
    #[error("committing cache: {source}")]
    Commit {
        /// Why.
        source: io::Error,
    },
}
