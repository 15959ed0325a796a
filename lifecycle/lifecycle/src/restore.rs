//! Restore: gives buildpacks back what they left behind in the last build.
//!
//! | the layer was | what comes back |
//! |---|---|
//! | launch | `<layer>.toml` with its metadata, so that the buildpack can say whether it still wants it |
//! | cache (and build, or launch, or both) | metadata and contents; an empty folder where this build will not look into it (`restore/needed.rs`) |
//! | build, not cache | nothing: its buildpack makes it anew every time |
//!
//! Types are never restored: a buildpack that does not declare a layer again does not want it.

mod decide;
mod needed;
mod sbom;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;

use cnb_spec::build_toml::StoreToml;
use cnb_spec::group::{Group, GroupElement};
use cnb_spec::id::{BuildpackId, LayerName};
use cnb_spec::labels::{BuildpackLayers, CacheMetadata, LayerMetadata, LayersMetadata};
use cnb_spec::layer_toml::LayerToml;
use cnb_spec::plan::Plan;
use cnb_spec::values::toml_of;
use oci_image::DiffId;

use crate::cache::{CachedLayer, LayerCache};
use crate::files::{FileError, create_dir, remove_dir, write_file, write_toml};
use crate::images::ImageError;
use crate::output::{Level, Output};
use decide::{Contents, LayerPlan, plan_layers};
use sbom::restore_sbom_files;

/// What restoring needs. Differences between Platform APIs are settled when it is made.
#[derive(Clone, Debug)]
pub struct RestoreInputs {
    /// The buildpacks of this build.
    pub group: Group,
    /// The layers of the previous image, from `analyzed.toml`.
    pub metadata: LayersMetadata,
    /// Where the layers go.
    pub layers_dir: PathBuf,
    /// Is the last build to be ignored?
    pub skip_layers: bool,
    /// Are SBOM files restored? Since Platform API 0.8.
    pub restores_sbom: bool,
    /// Is the metadata of cached launch layers restored although the previous image does not know them? Since Platform API 0.14.
    pub restores_from_cache_alone: bool,
    /// What the buildpacks ask of each other, which says what they will look into.
    pub plan: Plan,
}

/// The layers of which [`restore`] left the contents in the cache: in place of each stands an empty folder. Launch layers are in the
/// previous image, whatever has become of the cache since, which another build may have changed, or which is only read.
pub fn left_behind(
    inputs: &RestoreInputs,
    cached: &CacheMetadata,
) -> BTreeMap<(BuildpackId, LayerName), DiffId> {
    if inputs.skip_layers {
        return BTreeMap::new();
    }
    let known = CacheMetadata {
        buildpacks: inputs
            .group
            .group
            .iter()
            .map(|element| known_layers(element, inputs, cached))
            .collect(),
        ..CacheMetadata::default()
    };
    let silent = Output::new(Level::Error, |_, _| {});
    let elements = inputs.group.group.iter();
    let plans = elements.flat_map(|element| plan_layers(element, inputs, &known, &silent));
    let left = plans.filter_map(|plan| match plan.contents {
        Contents::LeftBehind(diff_id) => Some(((plan.element.id.clone(), plan.name), diff_id)),
        Contents::None | Contents::Cached(_) => None,
    });
    left.collect()
}

/// The launch layers of the previous image, and the others of the cache.
fn known_layers(
    element: &GroupElement,
    inputs: &RestoreInputs,
    cached: &CacheMetadata,
) -> BuildpackLayers {
    let id = element.id.as_str();
    let layers = |of: Option<&BuildpackLayers>| of.map(|of| of.layers.clone()).unwrap_or_default();
    let mut known = layers(cached.of_buildpack(id));
    known.retain(|_, layer| !layer.launch);
    known.extend(layers(inputs.metadata.of_buildpack(id)));
    BuildpackLayers {
        key: id.to_owned(),
        layers: known,
        ..BuildpackLayers::default()
    }
}

/// Writes the layers' metadata and makes the contents of cached layers available.
pub fn restore(
    inputs: &RestoreInputs,
    cache: Option<&dyn LayerCache>,
    output: &Output,
) -> Result<(), RestoreError> {
    let cached = cache.map(LayerCache::metadata).transpose();
    let cached = cached.map_err(RestoreError::CacheMetadata)?;
    let cached = cached.unwrap_or_default();
    for element in &inputs.group.group {
        restore_store(element, inputs)?;
    }
    let mut plans = Vec::new();
    if inputs.skip_layers {
        output.info("Skipping buildpack layer analysis");
    } else {
        for element in &inputs.group.group {
            plans.extend(plan_layers(element, inputs, &cached, output));
        }
    }
    for plan in &plans {
        write_layer_toml(plan, inputs)?;
    }
    failpoint::reach("restore-metadata-written");
    if let Some(cache) = cache {
        restore_contents(&plans, inputs, cache, output)?;
    }
    failpoint::reach("restore-before-sbom");
    if inputs.restores_sbom && !inputs.skip_layers {
        if let Some(cache) = cache
            && !cached.sbom.sha.is_empty()
        {
            output.info("Restoring data for SBOM from cache");
            restore_cached_sbom(&cached, inputs, cache, output);
        }
        restore_sbom_files(inputs)?;
    }
    Ok(())
}

fn restore_store(element: &GroupElement, inputs: &RestoreInputs) -> Result<(), RestoreError> {
    let layers = inputs.metadata.of_buildpack(element.id.as_str());
    let Some(store) = layers.and_then(|layers| layers.store.as_ref()) else {
        return Ok(());
    };
    let metadata = toml_of(&store.metadata);
    let metadata = metadata.and_then(|value| value.try_into().ok());
    let store = StoreToml {
        metadata: metadata.unwrap_or_default(),
    };
    let dir = inputs.layers_dir.join(element.id.escaped());
    Ok(write_toml(&dir.join("store.toml"), &store)?)
}

fn layer_path(plan: &LayerPlan<'_>, inputs: &RestoreInputs) -> PathBuf {
    let dir = inputs.layers_dir.join(plan.element.id.escaped());
    dir.join(plan.name.as_str())
}

fn toml_path(layer: &Path) -> PathBuf {
    let mut path = layer.as_os_str().to_os_string();
    path.push(".toml");
    path.into()
}

fn write_layer_toml(plan: &LayerPlan<'_>, inputs: &RestoreInputs) -> Result<(), RestoreError> {
    let path = toml_path(&layer_path(plan, inputs));
    let LayerMetadata { data, .. } = plan.metadata;
    let text =
        LayerToml::restored_text(toml_of(data).as_ref()).map_err(|error| FileError::Encode {
            path: path.clone(),
            reason: error.to_string(),
        })?;
    Ok(write_file(&path, text.as_bytes())?)
}

/// Restores the layers, as many at once as there are processors. A layer that cannot be used is taken away as a whole, so that its buildpack
/// does not rely on what is not there.
fn restore_contents(
    plans: &[LayerPlan<'_>],
    inputs: &RestoreInputs,
    cache: &dyn LayerCache,
    output: &Output,
) -> Result<(), RestoreError> {
    let cached: Vec<_> = plans
        .iter()
        .filter(|plan| plan.contents != Contents::None)
        .collect();
    for plan in &cached {
        let dir = inputs.layers_dir.join(plan.element.id.escaped());
        create_dir(&dir).map_err(|source| FileError::write(&dir, source))?;
    }
    let left = Mutex::new(cached.iter());
    let next = || left.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || -> Result<(), RestoreError> {
        while let Some(plan) = next() {
            restore_layer(plan, inputs, cache, output)?;
        }
        Ok(())
    };
    let workers = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let count = workers.min(cached.len());
        let running: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
        running.into_iter().try_for_each(|thread| {
            let result = thread.join();
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    })
}

fn restore_layer(
    plan: &LayerPlan<'_>,
    inputs: &RestoreInputs,
    cache: &dyn LayerCache,
    output: &Output,
) -> Result<(), RestoreError> {
    let (id, name) = (&plan.element.id, &plan.name);
    let layer = |diff_id| CachedLayer {
        layer: Some((id, name)),
        diff_id,
    };
    let restored = match plan.contents {
        Contents::None => return Ok(()),
        Contents::Cached(diff_id) => {
            output.info(format_args!(
                "Restoring data for \"{id}:{name}\" from cache"
            ));
            cache.restore(&layer(diff_id), &inputs.layers_dir)
        }
        Contents::LeftBehind(diff_id) => {
            output.info(format_args!(
                "Leaving data for \"{id}:{name}\" in the cache: this build does not need it"
            ));
            cache.leave(&layer(diff_id), &inputs.layers_dir)
        }
    };
    if let Err(reason) = restored {
        output.warn(format_args!(
            "Skipping restore for layer {id}:{name}: {reason}"
        ));
        let folder = layer_path(plan, inputs);
        let path = toml_path(&folder);
        remove_dir(&folder)?;
        fs::remove_file(&path).map_err(|source| FileError::write(&path, source))?;
    }
    Ok(())
}

fn restore_cached_sbom(
    cached: &CacheMetadata,
    inputs: &RestoreInputs,
    cache: &dyn LayerCache,
    output: &Output,
) {
    let restored = cached.sbom.sha.parse().map_err(ImageError::new);
    let restored = restored.and_then(|diff_id| {
        let layer = CachedLayer {
            layer: None,
            diff_id,
        };
        cache.restore(&layer, &inputs.layers_dir)
    });
    if let Err(reason) = restored {
        output.warn(format_args!("Skipping restore for SBOM layer: {reason}"));
    }
}

/// Why restoring failed. The program exits with 42.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// What is in the cache.
    #[error("retrieving cache metadata: {0}")]
    CacheMetadata(ImageError),
    /// A file in the layers folder.
    #[error(transparent)]
    File(#[from] FileError),
}
