//! The store as the lifecycle's cache, and what the overlay over its trees says about the layers after a build.
//!
//! A cached layer is not unpacked again: its tree becomes a lower folder of `/layers`. Afterwards, a layer of which the upper folder has
//! nothing is unchanged, and nothing of it was read. One that is in the cache image alone is fetched, if this build needs it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use cnb_spec::id::{BuildpackId, LayerName};
use cnb_spec::labels::CacheMetadata;
use lifecycle::cache::{CachedLayer, LayerCache};
use lifecycle::contents::{LayerSource, LayersFolder, LayersView};
use lifecycle::export::{Exported, Role};
use lifecycle::images::ImageError;
use oci_image::layer::{Compression, LayerContents, TreeRules, write_layer};
use oci_image::{BlobSource, DiffId, Layer, LayerFormat, Owner, Owners, TreePath};
use store::apps::{AppCache, AppState};
use store::overlay::{self, Change, LowerFiles};
use store::{Durability, StagedTree, Store};

use super::cache_image::CacheImage;
use super::seconds;
use super::workspace::{Overlays, Workspace};
use crate::commands::Context;

/// The user of our own stack.
pub(crate) const CNB_OWNER: Owner = Owner {
    uid: 1000,
    gid: 1000,
};

type Key = (BuildpackId, LayerName);

/// One build's layers.
#[derive(Debug)]
pub(crate) struct StoreLayers<'a> {
    context: &'a Context,
    store: &'a Store,
    workspace: &'a Workspace,
    app: &'a Path,
    /// Whose the files of layers are in the image.
    owner: Owner,
    /// In seconds since 1970.
    now: u64,
    cache_image: Option<CacheImage>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    cache: AppCache,
    restored: BTreeMap<Key, DiffId>,
    /// Layers of which an empty folder came back: their contents stay in the cache image.
    left_there: BTreeMap<Key, DiffId>,
    /// What a layer was found to be, once it was looked at.
    seen: BTreeMap<Key, LayerSource>,
    kept: Vec<KeptLayer>,
    /// Layers that were packed for the cache image, by content.
    packed: BTreeMap<DiffId, Layer>,
}

/// A layer for the next build, and whose it is.
#[derive(Debug)]
struct KeptLayer {
    key: Key,
    diff_id: DiffId,
}

impl<'a> StoreLayers<'a> {
    pub(crate) fn new(
        context: &'a Context,
        workspace: &'a Workspace,
        app: &'a Path,
        owner: Owner,
        cache: AppCache,
        cache_image: Option<CacheImage>,
    ) -> Self {
        let state = State {
            cache,
            restored: BTreeMap::new(),
            left_there: BTreeMap::new(),
            seen: BTreeMap::new(),
            kept: Vec::new(),
            packed: BTreeMap::new(),
        };
        Self {
            context,
            store: &context.store,
            workspace,
            app,
            owner,
            now: seconds(context.now),
            cache_image,
            state: Mutex::new(state),
        }
    }

    /// The `layers` folders of the restored trees, for the overlay.
    pub(crate) fn lowers(&self) -> Result<Vec<PathBuf>, store::StoreError> {
        let restored: Vec<DiffId> = self.state().restored.values().copied().collect();
        let mut lowers = Vec::new();
        for diff_id in restored {
            let folder = self
                .store
                .tree(&diff_id)?
                .map(|tree| tree.path.join("layers"));
            // Two layers may have the same content and so the same tree; the kernel refuses one folder twice.
            lowers.extend(folder.filter(|folder| !lowers.contains(folder)));
        }
        Ok(lowers)
    }

    /// Keeps the trees of layers that are in the image but not in the cache, so that running the image need not unpack them.
    pub(crate) fn keep_trees(&self, exported: &Exported) -> Result<(), ImageError> {
        for layer in &exported.layers {
            let Role::Buildpack {
                buildpack,
                layer: name,
            } = &layer.role
            else {
                continue;
            };
            let key = (buildpack.clone(), name.clone());
            let seen = self.state().seen.get(&key).cloned();
            if let Some(LayerSource::Changed(path) | LayerSource::Found(path)) = seen
                && path.try_exists().map_err(ImageError::new)?
            {
                self.adopt(&key, &path, &layer.blob.diff_id)?;
            }
        }
        Ok(())
    }

    /// Renames a changed layer's folder into the store, at the path it has in the image.
    fn adopt(
        &self,
        (buildpack, layer): &Key,
        path: &Path,
        diff_id: &DiffId,
    ) -> Result<(), ImageError> {
        if self.store.tree(diff_id).map_err(ImageError::new)?.is_some() {
            return Ok(());
        }
        let name = format!("{}.{layer}", buildpack.escaped());
        let staged = self
            .workspace
            .staging(&format!("tree-{name}"))
            .map_err(ImageError::new)?;
        let parent = staged.join("layers").join(buildpack.escaped());
        std::fs::create_dir_all(&parent).map_err(ImageError::new)?;
        take(path, &parent.join(layer.as_str())).map_err(ImageError::new)?;
        let tree = StagedTree {
            path: &staged,
            diff_id: *diff_id,
            owners: &Owners::new(self.owner),
            durability: self.durability(),
        };
        self.store.adopt_tree(&tree).map_err(ImageError::new)?;
        Ok(())
    }

    /// What goes into the cache image can be had again from there.
    fn durability(&self) -> Durability {
        match self.cache_image {
            Some(_) => Durability::ThisBoot,
            None => Durability::Lasting,
        }
    }

    fn look(&self, key: &Key, restored: Option<&DiffId>) -> io::Result<LayerSource> {
        let (buildpack, layer) = key;
        let below = Path::new(&buildpack.escaped()).join(layer.as_str());
        let upper = self.workspace.layers().join(&below);
        let (Some(diff_id), Overlays::Mounted) = (restored, self.workspace.overlays()) else {
            return Ok(match (upper.try_exists()?, restored) {
                (false, _) => LayerSource::Absent,
                (true, None) => LayerSource::Changed(upper),
                // A copy of what was restored: only its content tells whether the build changed it.
                (true, Some(_)) => LayerSource::Found(upper),
            });
        };
        let tree = self.store.tree(diff_id).map_err(io::Error::other)?;
        let Some(tree) = tree else {
            return Ok(LayerSource::Absent);
        };
        let lower = tree.path.join("layers").join(&below);
        Ok(match self.change(key, &lower, &upper)? {
            Change::Unchanged => LayerSource::Unchanged {
                diff_id: *diff_id,
                path: lower,
            },
            Change::Removed => LayerSource::Absent,
            Change::Replaced => LayerSource::Changed(upper),
            Change::Modified => {
                let name = format!("{}.{layer}", buildpack.escaped());
                let merged = self.workspace.staging("merged")?.join(name);
                overlay::merge(&lower, &upper, &merged, LowerFiles::Link)?;
                LayerSource::Changed(merged)
            }
        })
    }

    /// An empty folder stood in for the layer: where it still does, the layer is what it was.
    fn look_at_stand_in(&self, (buildpack, layer): &Key, left: &DiffId) -> io::Result<LayerSource> {
        let folder = LayersFolder {
            path: &self.workspace.layers(),
            left_behind: [((buildpack.clone(), layer.clone()), *left)].into(),
        };
        Ok(match folder.layer(buildpack, layer)? {
            LayerSource::Found(path) => LayerSource::Changed(path),
            source => source,
        })
    }

    /// A buildpack that removes its whole folder leaves its mark there, above the layer.
    fn change(&self, (buildpack, _): &Key, lower: &Path, upper: &Path) -> io::Result<Change> {
        let lower_folder = lower.parent().unwrap_or(lower);
        match overlay::change(
            lower_folder,
            &self.workspace.layers().join(buildpack.escaped()),
        )? {
            Change::Replaced if upper.try_exists()? => Ok(Change::Replaced),
            Change::Removed | Change::Replaced => Ok(Change::Removed),
            Change::Unchanged | Change::Modified => overlay::change(lower, upper),
        }
    }

    fn shared_layer(&self, diff_id: &DiffId) -> Option<Layer> {
        self.cache_image.as_ref()?.layer(diff_id)
    }

    /// Makes the cache image what the cache is now.
    fn share(
        &self,
        cache_image: &CacheImage,
        kept: &[KeptLayer],
        packed: &BTreeMap<DiffId, Layer>,
        metadata: &CacheMetadata,
    ) -> Result<(), ImageError> {
        let mut layers: Vec<Layer> = Vec::new();
        for layer in kept {
            if layers.iter().all(|other| other.diff_id != layer.diff_id) {
                let shared = cache_image.layer(&layer.diff_id);
                let packed = || packed.get(&layer.diff_id).cloned();
                layers.push(match shared.or_else(packed) {
                    Some(blob) => blob,
                    None => self.blob_of(layer)?,
                });
            }
        }
        // The files of cached layers' SBOMs are written anew by every build of ours; nobody will look for them.
        let metadata = CacheMetadata {
            sbom: cnb_spec::labels::LayerSha::default(),
            ..metadata.clone()
        };
        cache_image
            .replace(layers, &metadata)
            .map_err(ImageError::new)
    }

    /// Packs a layer that is in the cache image alone, for this build: once it is sent, nobody here needs it but unpacked.
    fn pack(&self, (buildpack, name): &Key, contents: &LayerContents<'_>) -> io::Result<Layer> {
        let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let path = self.workspace.staging("packed")?;
        let path = path.join(format!("{}.{name}", buildpack.escaped()));
        let file = File::create(&path)?;
        let blob = write_layer(contents, file, Compression::Zstd { threads });
        Ok(Layer {
            format: LayerFormat::Zstd,
            ..Layer::new(blob.map_err(io::Error::other)?, BlobSource::File(path))
        })
    }

    /// A kept layer as a blob: it may be in the store already, else its tree becomes one.
    fn blob_of(&self, kept: &KeptLayer) -> Result<Layer, ImageError> {
        let KeptLayer { key, diff_id } = kept;
        if let Some(layer) = self
            .context
            .stored_layer(diff_id)
            .map_err(ImageError::new)?
        {
            return Ok(layer);
        }
        let (buildpack, name) = key;
        let tree = self.store.tree(diff_id).map_err(ImageError::new)?;
        let tree =
            tree.ok_or_else(|| ImageError::new(format!("the layer {buildpack}:{name} is gone")))?;
        let at = Path::new("layers")
            .join(buildpack.escaped())
            .join(name.as_str());
        let path = TreePath::from_path(&at).map_err(ImageError::new)?;
        let contents = LayerContents::new().parents_of(&path, self.owner).tree(
            tree.path.join(&at),
            &path,
            TreeRules::buildpack(self.owner),
        );
        self.pack(key, &contents).map_err(ImageError::new)
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Renames a layer's folder; copies it where it is in another file system, as `/layers` of a container may be.
fn take(path: &Path, target: &Path) -> io::Result<()> {
    let found = std::fs::symlink_metadata(path)?;
    match overlay::move_whole(path, target) {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            // On its way it was made writable.
            std::fs::set_permissions(path, found.permissions())?;
            std::fs::create_dir(target)?;
            sandbox::flatten(&[path.to_owned()], target).map_err(io::Error::other)
        }
        moved => moved,
    }
}

impl LayersView for StoreLayers<'_> {
    fn layer(&self, buildpack: &BuildpackId, layer: &LayerName) -> io::Result<LayerSource> {
        let key = (buildpack.clone(), layer.clone());
        let mut state = self.state();
        if let Some(source) = state.seen.get(&key) {
            return Ok(source.clone());
        }
        let source = match state.left_there.get(&key) {
            Some(diff_id) => self.look_at_stand_in(&key, diff_id)?,
            None => self.look(&key, state.restored.get(&key))?,
        };
        state.seen.insert(key, source.clone());
        Ok(source)
    }
}

impl LayerCache for StoreLayers<'_> {
    fn metadata(&self) -> Result<CacheMetadata, ImageError> {
        // The cache image is what all machines share; what this one has of its own is a copy of some of it, or older.
        if let Some(shared) = self.cache_image.as_ref().and_then(CacheImage::metadata) {
            return Ok(shared);
        }
        let state = self.state();
        let metadata = state
            .cache
            .state
            .as_ref()
            .map(|state| state.metadata.clone());
        // One that another version wrote, and that does not read, is an empty cache.
        Ok(metadata
            .and_then(|metadata| serde_json::from_value(metadata).ok())
            .unwrap_or_default())
    }

    fn has(&self, diff_id: &DiffId) -> Result<bool, ImageError> {
        let here = self.store.tree(diff_id).map_err(ImageError::new)?;
        Ok(here.is_some() || self.shared_layer(diff_id).is_some())
    }

    fn restore(&self, layer: &CachedLayer<'_>, _layers_dir: &Path) -> Result<(), ImageError> {
        let Some((buildpack, name)) = layer.layer else {
            return Ok(());
        };
        let key = (buildpack.clone(), name.clone());
        let diff_id = layer.diff_id;
        if self
            .store
            .tree(&diff_id)
            .map_err(ImageError::new)?
            .is_none()
        {
            let shared = self.shared_layer(&diff_id);
            let shared =
                shared.ok_or_else(|| ImageError::new("its contents are not on this machine"))?;
            self.context.tree(&shared).map_err(ImageError::new)?;
        }
        self.state().restored.insert(key, diff_id);
        Ok(())
    }

    fn leave(&self, layer: &CachedLayer<'_>, layers_dir: &Path) -> Result<(), ImageError> {
        let diff_id = layer.diff_id;
        let here = self.store.tree(&diff_id).map_err(ImageError::new)?;
        match layer.layer {
            Some((buildpack, name)) if here.is_none() && self.shared_layer(&diff_id).is_some() => {
                std::fs::create_dir_all(layer.folder(layers_dir)).map_err(ImageError::new)?;
                let key = (buildpack.clone(), name.clone());
                self.state().left_there.insert(key, diff_id);
                Ok(())
            }
            _ => self.restore(layer, layers_dir),
        }
    }

    fn measure(
        &self,
        layer: Option<(&BuildpackId, &LayerName)>,
        contents: &LayerContents<'_>,
    ) -> Result<DiffId, ImageError> {
        let key = layer.map(|(buildpack, name)| (buildpack.clone(), name.clone()));
        let changed = |key: &Key| {
            let state = self.state();
            matches!(state.seen.get(key), Some(LayerSource::Changed(_)))
        };
        match (&self.cache_image, key.filter(changed)) {
            (Some(cache_image), Some(key)) => {
                let layer = self.pack(&key, contents).map_err(ImageError::new)?;
                cache_image.send(&layer);
                let diff_id = layer.diff_id;
                self.state().packed.insert(diff_id, layer);
                Ok(diff_id)
            }
            _ => {
                let measured = oci_image::layer::diff_id(contents);
                Ok(measured.map_err(ImageError::new)?.0)
            }
        }
    }

    fn keep(
        &self,
        layer: &CachedLayer<'_>,
        _contents: &LayerContents<'_>,
    ) -> Result<(), ImageError> {
        if let Some((buildpack, name)) = layer.layer {
            let key = (buildpack.clone(), name.clone());
            let seen = self.state().seen.get(&key).cloned();
            if let Some(LayerSource::Changed(path) | LayerSource::Found(path)) = seen {
                self.adopt(&key, &path, &layer.diff_id)?;
            }
        }
        self.reuse(layer)
    }

    fn reuse(&self, layer: &CachedLayer<'_>) -> Result<(), ImageError> {
        // The SBOM files of cached layers are written anew by every build of ours; they need no tree.
        if let Some((buildpack, name)) = layer.layer {
            let key = (buildpack.clone(), name.clone());
            let diff_id = layer.diff_id;
            self.state().kept.push(KeptLayer { key, diff_id });
        }
        Ok(())
    }

    fn commit(&self, metadata: &CacheMetadata) -> Result<(), ImageError> {
        let mut state = self.state();
        let mut kept = std::mem::take(&mut state.kept);
        kept.sort_by(|a, b| a.key.cmp(&b.key));
        if let Some(cache_image) = &self.cache_image {
            self.share(cache_image, &kept, &state.packed, metadata)?;
        }
        let metadata = serde_json::to_value(metadata).map_err(ImageError::new)?;
        let layers = kept.iter().map(|layer| layer.diff_id).collect();
        let new = AppState {
            app: self.app.to_owned(),
            built: self.now,
            layers,
            metadata,
        };
        state.cache.save(new).map_err(ImageError::new)
    }
}
