//! Layers that were just made, in files that go with the program.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use oci_image::layer::{Compression, LayerContents, write_layer};
use oci_image::{BlobSource, Layer};
use tempfile::{NamedTempFile, TempDir};

/// A folder for them, made for the first one.
#[derive(Debug)]
pub(crate) struct Scratch {
    temp_dir: PathBuf,
    folder: Mutex<Option<TempDir>>,
}

impl Scratch {
    pub(crate) fn new(temp_dir: PathBuf) -> Self {
        Self {
            temp_dir,
            folder: Mutex::default(),
        }
    }

    pub(crate) fn write_layer(
        &self,
        contents: &LayerContents<'_>,
        compression: Compression,
    ) -> io::Result<Layer> {
        let (mut file, path) = self.new_file()?.keep().map_err(|error| error.error)?;
        // Nothing is synced: the file is of no use to anybody else.
        let blob = write_layer(contents, &mut file, compression).map_err(io::Error::other)?;
        Ok(Layer::new(blob, BlobSource::File(path)))
    }

    fn new_file(&self) -> io::Result<NamedTempFile> {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = match &mut *folder {
            Some(folder) => folder,
            none => none.insert(TempDir::with_prefix_in(
                "longshore-layers-",
                &self.temp_dir,
            )?),
        };
        NamedTempFile::new_in(folder.path())
    }
}
