//! What stands at the exporter's layers and app folders: plain folders, or views of them that know what did not change.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use cnb_spec::id::{BuildpackId, LayerName};
use oci_image::layer::Modes;
use oci_image::{DiffId, TreePath};

use crate::files::{is_empty_dir, is_missing};

/// The content of a buildpack's layer after the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerSource {
    /// Nothing: the buildpack relies on the previous image.
    Absent,
    /// It stayed in the cache, since the build did not look into it ([`crate::restore::left_behind`]), and is what it was.
    LeftBehind {
        /// Its content's digest.
        diff_id: DiffId,
    },
    /// What was restored, untouched. It is read only if no blob with this content is there.
    Unchanged {
        /// Its content's digest.
        diff_id: DiffId,
        /// Where the files are.
        path: PathBuf,
    },
    /// Files that may be what they were: they are hashed before they are compressed, which is much more work.
    Found(PathBuf),
    /// Files that are not what they were, as far as that can be known without reading them.
    Changed(PathBuf),
}

/// Finds the contents of layers.
pub trait LayersView: Sync {
    /// The content of `<layers>/<buildpack>/<layer>`.
    fn layer(&self, buildpack: &BuildpackId, layer: &LayerName) -> io::Result<LayerSource>;
}

/// The layers folder as it is: anything in it may have changed.
#[derive(Debug, Clone)]
pub struct LayersFolder<'a> {
    /// Where it is.
    pub path: &'a Path,
    /// Layers in whose place the restorer put empty folders.
    pub left_behind: BTreeMap<(BuildpackId, LayerName), DiffId>,
}

impl LayersView for LayersFolder<'_> {
    fn layer(&self, buildpack: &BuildpackId, layer: &LayerName) -> io::Result<LayerSource> {
        let path = self.path.join(buildpack.escaped()).join(layer.as_str());
        let left = self.left_behind.get(&(buildpack.clone(), layer.clone()));
        match (std::fs::symlink_metadata(&path), left) {
            (Err(error), _) if is_missing(&error) => Ok(LayerSource::Absent),
            (Err(error), _) => Err(error),
            (Ok(_), Some(diff_id)) if is_empty_dir(&path)? => {
                Ok(LayerSource::LeftBehind { diff_id: *diff_id })
            }
            (Ok(_), _) => Ok(LayerSource::Found(path)),
        }
    }
}

/// The app after the build.
#[derive(Debug, Clone)]
pub struct AppSource {
    /// Where its files are.
    pub path: PathBuf,
    /// What of them stays out, as paths below it.
    pub hidden: BTreeSet<TreePath>,
    /// Which modes they get in the image.
    pub modes: Modes,
    /// The mode of the folder itself, where the one on disk is not the app's: a mount's, which only its owner could change.
    pub own_mode: Option<u32>,
    /// The layer's digest, where it is known that no file changed since it was computed. Not used for apps with slices.
    pub unchanged: Option<DiffId>,
}

impl AppSource {
    /// A folder with all that is in it, as it is.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            hidden: BTreeSet::new(),
            modes: Modes::AsFound,
            own_mode: None,
            unchanged: None,
        }
    }
}
