//! Garbage collection: what no image, no recent build and no note of a stack leads to goes.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use oci_image::{BlobDigest, DiffId, LayerBlob};
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::{Store, disk};

/// What may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Caches of apps that were not built for longer go.
    pub app_age: Duration,
    /// Of cached layers and downloads together so many bytes may stay. The layers of the apps built last come first, then the
    /// downloads used last.
    pub bytes: u64,
}

/// What was removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pruned {
    /// How many blobs, trees, downloads and caches.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What the store holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Usage {
    /// Bytes of layers, configurations and manifests.
    pub blob_bytes: u64,
    /// Bytes of unpacked layers.
    pub tree_bytes: u64,
    /// How many layers are unpacked.
    pub trees: u64,
    /// Bytes of downloads.
    pub download_bytes: u64,
    /// How many downloads.
    pub downloads: u64,
    /// App folders with cached layers, and when they were built, in seconds since 1970.
    pub apps: Vec<(std::path::PathBuf, u64)>,
}

/// The little of a manifest that leads further.
#[derive(Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct Descriptor {
    digest: BlobDigest,
}

impl Store {
    /// Counts what is there.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        let mut usage = Usage::default();
        for blobs in self.blob_folders().filter(|folder| folder.is_dir()) {
            for name in disk::names(&blobs)? {
                usage.blob_bytes += weigh(&blobs.join(name));
            }
        }
        for trees in self.tree_folders().filter(|folder| folder.is_dir()) {
            let names = disk::names(&trees)?;
            for name in names.iter().filter(|name| !name.contains('.')) {
                usage.trees += 1;
                usage.tree_bytes += weigh(&trees.join(name));
            }
        }
        for name in disk::names(&self.downloads())? {
            usage.downloads += 1;
            usage.download_bytes += weigh(&self.downloads().join(name));
        }
        usage.apps = self
            .app_states()?
            .into_iter()
            .map(|(_, state)| (state.app, state.built))
            .collect();
        Ok(usage)
    }

    /// Removes what nothing leads to, waiting for builds under way to end. `pinned` layers stay too: the stacks'.
    pub fn prune(
        &self,
        limits: &Limits,
        pinned: &[DiffId],
        now: SystemTime,
    ) -> Result<Pruned, StoreError> {
        let _alone = self.hold_alone()?;
        self.settle_alone()?;
        let mut pruned = Pruned::default();
        let mut layers: BTreeSet<DiffId> = pinned.iter().copied().collect();
        let oldest = now
            .checked_sub(limits.app_age)
            .unwrap_or(SystemTime::UNIX_EPOCH);
        let mut apps = self.app_states()?;
        apps.sort_by_key(|(path, state)| (Reverse(state.built), path.clone()));
        let mut kept_bytes = 0;
        for (path, state) in apps {
            let more: u64 = state
                .layers
                .iter()
                .filter(|layer| !layers.contains(layer))
                .map(|layer| weigh(&self.cache.join("trees/sha256").join(layer.hex())))
                .sum();
            let is_old = SystemTime::UNIX_EPOCH + Duration::from_secs(state.built) < oldest;
            if is_old || kept_bytes + more > limits.bytes {
                pruned.take(&path)?;
            } else {
                kept_bytes += more;
                layers.extend(state.layers);
            }
        }
        let blobs = self.blobs_of_images()?;
        self.prune_layers(&blobs, &mut layers, &mut pruned)?;
        for name in disk::names(&self.data.join("blobs/sha256"))? {
            if !blobs.contains(&name) && !self.is_blob_of(&name, &layers)? {
                pruned.take(&self.data.join("blobs/sha256").join(name))?;
            }
        }
        let trees = self.cache.join("trees/sha256");
        let kept: BTreeSet<String> = layers.iter().map(DiffId::hex).collect();
        for name in disk::names(&trees)? {
            if !kept.contains(name.trim_end_matches(".json")) {
                pruned.take(&trees.join(name))?;
            }
        }
        self.prune_downloads(limits.bytes - kept_bytes, &mut pruned)?;
        Ok(pruned)
    }

    /// The blobs that named images lead to, by their hexadecimal names.
    fn blobs_of_images(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut blobs = BTreeSet::new();
        for image in self.images()? {
            blobs.insert(image.manifest.hex());
            let manifest = self.read_blob(&image.manifest)?;
            if let Some(manifest) =
                manifest.and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok())
            {
                blobs.insert(manifest.config.digest.hex());
                blobs.extend(manifest.layers.iter().map(|layer| layer.digest.hex()));
            }
        }
        Ok(blobs)
    }

    /// Memos lead from an image's blobs to their trees; those of blobs that nothing keeps go.
    fn prune_layers(
        &self,
        blobs: &BTreeSet<String>,
        layers: &mut BTreeSet<DiffId>,
        pruned: &mut Pruned,
    ) -> Result<(), StoreError> {
        let folder = self.data.join("layers");
        for name in disk::names(&folder)? {
            let path = folder.join(name);
            match disk::read_json::<LayerBlob>(&path)? {
                Some(layer) if blobs.contains(&layer.digest.hex()) => {
                    layers.insert(layer.diff_id);
                }
                Some(layer) if layers.contains(&layer.diff_id) => {}
                _ => pruned.take(&path)?,
            }
        }
        Ok(())
    }

    fn is_blob_of(&self, hex: &str, layers: &BTreeSet<DiffId>) -> Result<bool, StoreError> {
        for diff_id in layers {
            if self
                .layer(diff_id)?
                .is_some_and(|layer| layer.digest.hex() == hex)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn prune_downloads(&self, keep: u64, pruned: &mut Pruned) -> Result<(), StoreError> {
        let mut files = Vec::new();
        for name in disk::names(&self.downloads())? {
            let path = self.downloads().join(name);
            let metadata = fs::metadata(&path).map_err(StoreError::io("read", &path))?;
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            files.push((Reverse(used), metadata.len(), path));
        }
        files.sort();
        let mut kept = 0;
        for (_, bytes, path) in files {
            kept += bytes;
            if kept > keep {
                pruned.take(&path)?;
            }
        }
        Ok(())
    }
}

impl Pruned {
    fn take(&mut self, path: &Path) -> Result<(), StoreError> {
        let bytes = weigh(path);
        disk::remove(path)?;
        self.entries += 1;
        self.bytes += bytes;
        Ok(())
    }
}

/// The bytes of a file, or of all files below a folder; what vanishes meanwhile weighs nothing.
fn weigh(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return 0;
    };
    if !metadata.is_dir() {
        return metadata.len();
    }
    let entries = fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    entries.map(|entry| weigh(&entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::NamedImage;
    use crate::apps::AppState;

    const DAY: Duration = Duration::from_hours(24);

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data"), &folder.path().join("cache")).unwrap();
        (folder, store)
    }

    #[test]
    fn prune_keeps_what_an_image_leads_to() {
        let (_folder, store) = store();
        let config = store.write_blob(b"{}").unwrap();
        let layer = store.write_blob(b"layer").unwrap();
        let stray = store.write_blob(b"stray").unwrap();
        let manifest =
            serde_json::json!({"config": {"digest": config}, "layers": [{"digest": layer}]});
        let manifest = store.write_blob(manifest.to_string().as_bytes()).unwrap();
        store
            .name_image(&NamedImage {
                name: "app:latest".to_owned(),
                manifest,
            })
            .unwrap();

        let limits = Limits {
            app_age: DAY,
            bytes: 0,
        };
        let pruned = store
            .prune(&limits, &[], SystemTime::UNIX_EPOCH + DAY)
            .unwrap();
        assert_eq!(
            pruned,
            Pruned {
                entries: 1,
                bytes: 5
            }
        );
        assert!(store.read_blob(&stray).unwrap().is_none());
        for kept in [config, layer, manifest] {
            assert!(store.read_blob(&kept).unwrap().is_some());
        }
    }

    #[test]
    fn prune_forgets_apps_by_age() {
        let (_folder, store) = store();
        for (app, day) in [("/old", 1), ("/new", 40)] {
            let state = AppState {
                app: app.into(),
                built: day * DAY.as_secs(),
                ..AppState::default()
            };
            store.app(app).unwrap().save(state).unwrap();
        }
        let limits = Limits {
            app_age: 30 * DAY,
            bytes: 0,
        };
        store
            .prune(&limits, &[], SystemTime::UNIX_EPOCH + 45 * DAY)
            .unwrap();
        assert_eq!(
            store.usage().unwrap().apps,
            [("/new".into(), 40 * DAY.as_secs())]
        );
    }

    #[test]
    fn prune_apps_by_size_oldest_first() {
        let (_folder, store) = store();
        let diff_id = |byte: u8| -> DiffId {
            format!("sha256:{}", hex::encode([byte; 32]))
                .parse()
                .unwrap()
        };
        for (app, built, layers) in [
            ("/old", 1, vec![1, 3]),
            ("/new", 3, vec![2, 3]),
            ("/middle", 2, vec![3]),
        ] {
            let state = AppState {
                app: app.into(),
                built,
                layers: layers.iter().map(|&layer| diff_id(layer)).collect(),
                ..AppState::default()
            };
            store.app(app).unwrap().save(state).unwrap();
            for layer in layers {
                let tree = store.cache.join("trees/sha256").join(diff_id(layer).hex());
                fs::create_dir_all(&tree).unwrap();
                fs::write(tree.join("file"), "12345").unwrap();
            }
        }
        // Two layers of five bytes are the newest app's; the middle one's is among them.
        let limits = Limits {
            app_age: DAY,
            bytes: 12,
        };
        store.prune(&limits, &[], SystemTime::UNIX_EPOCH).unwrap();
        let apps: Vec<_> = store.usage().unwrap().apps;
        assert_eq!(apps, [("/middle".into(), 2), ("/new".into(), 3)]);
        assert_eq!(store.usage().unwrap().trees, 2);
    }

    #[test]
    fn prune_downloads_by_size_oldest_first() {
        let (_folder, store) = store();
        for (name, age) in [("a", 3), ("b", 1), ("c", 2)] {
            let path = store.downloads().join(name);
            fs::write(&path, "12345").unwrap();
            let time = SystemTime::UNIX_EPOCH + 100 * DAY - age * DAY;
            fs::File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(time)
                .unwrap();
        }
        let limits = Limits {
            app_age: DAY,
            bytes: 10,
        };
        store.prune(&limits, &[], SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(disk::names(&store.downloads()).unwrap(), ["b", "c"]);
    }
}
