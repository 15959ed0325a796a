//! What the next build finds in the cache: every layer with `cache = true`, with what its buildpack remembers about it.
//!
//! The image is there, or will be, whatever happens here: a layer that cannot be kept is a warning, and the next build makes it anew.

use std::io;
use std::path::{Path, PathBuf};

use cnb_spec::id::{BuildpackId, LayerName};
use cnb_spec::labels::{BuildpackLayers, CacheMetadata, LayerSha};
use oci_image::DiffId;

use super::folders::layers_folder;
use super::label::layer_metadata;
use super::parallel::in_parallel;
use super::plan::Role;
use super::write::ExportedLayer;
use super::{BuiltBuildpack, ExportInputs};
use crate::cache::{CachedLayer, LayerCache};
use crate::contents::{LayerSource, LayersView};
use crate::files::is_empty_dir;
use crate::images::ImageError;
use crate::layers_dir::FoundLayer;
use crate::output::Output;

/// A layer that is to be kept.
struct Wanted<'a> {
    id: &'a BuildpackId,
    layer: &'a FoundLayer,
}

/// What became of it.
struct Kept {
    diff_id: DiffId,
    /// Was it in the cache?
    reused: bool,
}

struct Keeper<'a> {
    inputs: &'a ExportInputs,
    exported: &'a [ExportedLayer],
    cache: &'a dyn LayerCache,
    view: &'a dyn LayersView,
    before: CacheMetadata,
}

/// Keeps the layers and gives what the cache is to be, for [`commit`]. Nothing of the old state is lost until then.
pub(super) fn keep_layers(
    inputs: &ExportInputs,
    buildpacks: &[BuiltBuildpack],
    exported: &[ExportedLayer],
    cache: &dyn LayerCache,
    view: &dyn LayersView,
    output: &Output,
) -> Result<CacheMetadata, ImageError> {
    let keeper = Keeper {
        inputs,
        exported,
        cache,
        view,
        before: cache.metadata()?,
    };
    keeper.keep_all(buildpacks, output)
}

/// Commits the cache.
pub(super) fn commit(
    kept: Result<CacheMetadata, ImageError>,
    cache: &dyn LayerCache,
    output: &Output,
) {
    if let Err(error) = kept.and_then(|metadata| cache.commit(&metadata)) {
        output.warn(format_args!("Failed to export cache: {error}"));
    }
}

impl Keeper<'_> {
    fn keep_all(
        &self,
        buildpacks: &[BuiltBuildpack],
        output: &Output,
    ) -> Result<CacheMetadata, ImageError> {
        let wanted: Vec<Wanted<'_>> = buildpacks
            .iter()
            .flat_map(|buildpack| {
                let layers = buildpack.found.layers.iter();
                let cached = layers.filter(|layer| layer.toml.types.cache);
                cached.map(|layer| Wanted {
                    id: &buildpack.element.id,
                    layer,
                })
            })
            .collect();
        let work = |wanted: &Wanted<'_>| self.keep(wanted);
        let say = |wanted: &Wanted<'_>, kept: &Result<Kept, ImageError>| {
            let name = format!("{}:{}", wanted.id, wanted.layer.name);
            match kept {
                Ok(Kept { reused: true, .. }) => {
                    output.info(format_args!("Reusing cache layer '{name}'"));
                }
                Ok(_) => output.info(format_args!("Adding cache layer '{name}'")),
                Err(error) => output.warn(format_args!("Failed to cache layer '{name}': {error}")),
            }
        };
        let kept = in_parallel(&wanted, work, say);
        let mut metadata = CacheMetadata {
            sbom: self.keep_sbom(output)?,
            buildpacks: buildpacks.iter().map(empty_entry).collect(),
        };
        for (Wanted { id, layer }, kept) in wanted.iter().zip(kept) {
            let entry = metadata.buildpacks.iter_mut();
            let entry = entry.filter(|entry| entry.key == id.as_str()).last();
            if let (Some(entry), Ok(kept)) = (entry, kept) {
                let layer_entry = layer_metadata(&layer.toml, kept.diff_id.to_string());
                entry.layers.insert(layer.name.to_string(), layer_entry);
            }
        }
        Ok(metadata)
    }

    fn keep(&self, wanted: &Wanted<'_>) -> Result<Kept, ImageError> {
        let Wanted { id, layer } = wanted;
        let name = &layer.name;
        let below = PathBuf::from(id.escaped()).join(name.as_str());
        let source = self.view.layer(id, name).map_err(ImageError::new)?;
        let (known, disk) = match source {
            LayerSource::Absent => return Err(ImageError::new("it has no contents")),
            LayerSource::LeftBehind { diff_id } => {
                return self.keep_left_behind((id, name), diff_id);
            }
            // It was left in the cache, which another build has changed since.
            LayerSource::Found(path) if stands_in(layer, &path).map_err(ImageError::new)? => {
                return Err(ImageError::new(
                    "its contents are not in the cache any more",
                ));
            }
            LayerSource::Unchanged { diff_id, path } => (Some(diff_id), path),
            LayerSource::Found(path) | LayerSource::Changed(path) => {
                (self.exported_as(id, name), path)
            }
        };
        let before = self.before.of_buildpack(id.as_str());
        let before = before.and_then(|layers| layers.layers.get(name.as_str()));
        let before = before.map(|layer| layer.sha.as_str());
        self.keep_folder(Some((id, name)), &disk, &below, known, before)
    }

    fn keep_left_behind(
        &self,
        owner: (&BuildpackId, &LayerName),
        diff_id: DiffId,
    ) -> Result<Kept, ImageError> {
        if !self.cache.still_has(&diff_id)? {
            return Err(ImageError::new(
                "its contents are not in the cache any more",
            ));
        }
        self.cache.reuse(&CachedLayer {
            layer: Some(owner),
            diff_id,
        })?;
        Ok(Kept {
            diff_id,
            reused: true,
        })
    }

    /// A launch layer's digest is known from the image.
    fn exported_as(&self, id: &BuildpackId, name: &LayerName) -> Option<DiffId> {
        let role = Role::Buildpack {
            buildpack: id.clone(),
            layer: name.clone(),
        };
        let layer = self.exported.iter().find(|layer| layer.role == role);
        layer.map(|layer| layer.blob.diff_id)
    }

    fn keep_folder(
        &self,
        owner: Option<(&BuildpackId, &LayerName)>,
        disk: &Path,
        below: &Path,
        known: Option<DiffId>,
        before: Option<&str>,
    ) -> Result<Kept, ImageError> {
        let contents = || layers_folder(self.inputs, disk, below).map_err(ImageError::new);
        let diff_id = match known {
            Some(known) => known,
            None => self.cache.measure(owner, &contents()?)?,
        };
        let layer = CachedLayer {
            layer: owner,
            diff_id,
        };
        // What the last build did not keep is not looked for.
        let same = before == Some(diff_id.to_string().as_str());
        let reused = same && self.cache.has(&diff_id)?;
        if reused {
            self.cache.reuse(&layer)?;
        } else {
            self.cache.keep(&layer, &contents()?)?;
        }
        Ok(Kept { diff_id, reused })
    }

    /// The SBOM files of cached layers are a cache layer of their own.
    fn keep_sbom(&self, output: &Output) -> Result<LayerSha, ImageError> {
        let below = Path::new("sbom/cache");
        let disk = self.inputs.layers_dir.join(below);
        if !self.inputs.platform_api.at_least(8) || !disk.is_dir() {
            return Ok(LayerSha::default());
        }
        let before = Some(self.before.sbom.sha.as_str());
        let Kept { diff_id, reused } = self.keep_folder(None, &disk, below, None, before)?;
        let verb = if reused { "Reusing" } else { "Adding" };
        output.info(format_args!(
            "{verb} cache layer 'buildpacksio/lifecycle:cache.sbom'"
        ));
        Ok(LayerSha {
            sha: diff_id.to_string(),
        })
    }
}

/// Is it an empty folder of a layer that may be left in the cache, so that nobody knows what it stands for?
fn stands_in(layer: &FoundLayer, path: &Path) -> io::Result<bool> {
    let metadata = layer.toml.metadata.as_ref();
    let may_be_left = metadata.is_some_and(|metadata| metadata.get("restore").is_some());
    Ok(!layer.toml.types.launch && may_be_left && is_empty_dir(path)?)
}

fn empty_entry(buildpack: &BuiltBuildpack) -> BuildpackLayers {
    BuildpackLayers {
        key: buildpack.element.id.to_string(),
        version: buildpack.element.version.to_string(),
        ..BuildpackLayers::default()
    }
}
