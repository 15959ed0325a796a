//! Images in a Docker daemon. What a daemon has stays where it is: images are described rather than exported, and only layers that the daemon lacks are sent.
//! So nothing has to be kept in a launch cache, which the reference implementation needs to have reused layers at hand.

use std::sync::{Arc, Mutex, PoisonError};

use daemon::{Daemon, DaemonImage, Load};
use lifecycle::images::{CommittedImage, ImageError, ImageStore, OpenedImage};
use oci_image::layer::{Compression, LayerContents};
use oci_image::{DiffId, Image, ImageName, Layer};

use crate::scratch::Scratch;

/// Images in a daemon.
#[derive(Debug)]
pub(crate) struct DaemonImages {
    daemon: Daemon,
    scratch: Arc<Scratch>,
    /// The run image and the previous image, whose layers the daemon has.
    opened: Mutex<Vec<Image>>,
}

impl DaemonImages {
    pub(crate) fn new(daemon: &Daemon, scratch: Arc<Scratch>) -> Self {
        Self {
            daemon: daemon.clone(),
            scratch,
            opened: Mutex::default(),
        }
    }

    fn opened(&self) -> Vec<Image> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.clone()
    }
}

impl ImageStore for DaemonImages {
    fn open(&self, name: &str) -> Result<Option<OpenedImage>, ImageError> {
        let found = self.daemon.described(name).map_err(ImageError::new)?;
        Ok(found.map(|DaemonImage { id, image, .. }| {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            opened.push(image.clone());
            // Without the algorithm, as the reference implementation has it.
            let reference = id.hex();
            OpenedImage { reference, image }
        }))
    }

    fn layer(&self, diff_id: &DiffId) -> Result<Option<Layer>, ImageError> {
        let mut layers = self
            .opened()
            .into_iter()
            .flat_map(|image| image.layers().to_vec());
        Ok(layers.find(|layer| layer.diff_id == *diff_id))
    }

    fn write_layer(&self, contents: &LayerContents<'_>) -> Result<Layer, ImageError> {
        // Daemons keep layers unpacked, and their archives may hold plain tars.
        let written = self.scratch.write_layer(contents, Compression::None);
        written.map_err(ImageError::new)
    }

    fn commit(&self, names: &[String], image: &Image) -> Result<CommittedImage, ImageError> {
        let names: Result<Vec<ImageName>, _> = names.iter().map(|name| name.parse()).collect();
        let names = names.map_err(ImageError::new)?;
        let opened = self.opened();
        let previous: Vec<&Image> = opened.iter().collect();
        let load = Load {
            names: &names,
            known: &[],
            previous: &previous,
        };
        let loaded = self.daemon.load(image, &load, &mut |_| {});
        let id = loaded.map_err(ImageError::new)?.id;
        Ok(CommittedImage::InDaemon { id })
    }
}
