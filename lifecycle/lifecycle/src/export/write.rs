//! Writes the planned layers, several at a time, and says what became of each.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use cnb_spec::id::ProcessType;
use oci_image::layer::{LayerContents, diff_id};
use oci_image::{DiffId, Layer, Owner};

use super::app;
use super::folders::{layers_folder, tree_path};
use super::parallel::in_parallel;
use super::plan::{PlannedLayer, Role, Source};
use super::{ExportError, ExportInputs, LauncherProgram};
use crate::files::read_bytes;
use crate::images::{ImageError, ImageStore, OpenedImage};
use crate::output::Output;

/// The largest launcher taken.
const LARGEST_LAUNCHER: u64 = 64 << 20;

/// A layer of the image.
#[derive(Debug, Clone)]
pub struct ExportedLayer {
    /// What it is for.
    pub role: Role,
    /// Its content and blob.
    pub blob: Layer,
    /// Is it in the previous image already, in the same role?
    pub reused: bool,
    /// Its files on this machine, if they had to be looked at because no digest was known for them.
    pub read_from: Option<PathBuf>,
    /// What the image's history says about it.
    pub history: String,
}

/// Writes what has to be written, and keeps the layers' order.
pub(super) fn write_layers(
    planned: &[PlannedLayer],
    inputs: &ExportInputs,
    images: &dyn ImageStore,
    previous: Option<&OpenedImage>,
    output: &Output,
) -> Result<Vec<ExportedLayer>, ExportError> {
    let write = |layer: &PlannedLayer| {
        Writer {
            inputs,
            images,
            previous,
        }
        .write(layer)
    };
    let reused_parts = AtomicUsize::new(0);
    let say = |_: &PlannedLayer, result: &Result<ExportedLayer, ExportError>| {
        if let Ok(layer) = result {
            say(layer, &reused_parts, output);
        }
    };
    in_parallel(planned, write, say).into_iter().collect()
}

/// Says what became of a layer, in the words that platforms match.
fn say(layer: &ExportedLayer, reused_parts: &AtomicUsize, output: &Output) {
    let name = layer.role.name();
    match &layer.role {
        // One line for all parts of the app, with the last one.
        Role::App { part, of } => {
            let reused = reused_parts.fetch_add(usize::from(layer.reused), Ordering::Relaxed);
            let reused = reused + usize::from(layer.reused);
            if part == of && reused > 0 {
                output.info(format_args!("Reused {reused}/{of} app layer(s)"));
            }
            if part == of && reused < *of {
                output.info(format_args!("Added {}/{of} app layer(s)", of - reused));
            }
        }
        _ if layer.reused => output.info(format_args!("Reusing layer '{name}'")),
        _ => output.info(format_args!("Adding layer '{name}'")),
    }
    let diff_id = &layer.blob.diff_id;
    output.debug(format_args!("Layer '{name}' SHA: {diff_id}"));
}

struct Writer<'a> {
    inputs: &'a ExportInputs,
    images: &'a dyn ImageStore,
    previous: Option<&'a OpenedImage>,
}

impl Writer<'_> {
    fn write(&self, layer: &PlannedLayer) -> Result<ExportedLayer, ExportError> {
        let mut read_from = None;
        let blob = match &layer.source {
            Source::Known {
                diff_id,
                disk,
                below,
            } => match (self.known(diff_id, layer)?, disk) {
                (Some(blob), _) => blob,
                (None, Some(disk)) => {
                    self.write_new(layer, &layers_folder(self.inputs, disk, below)?)?
                }
                (None, None) => {
                    return Err(ExportError::LayerGone {
                        layer: layer.role.name(),
                        diff_id: *diff_id,
                    });
                }
            },
            Source::Folder { disk, below } => {
                read_from = Some(disk.clone());
                self.write_contents(layer, &layers_folder(self.inputs, disk, below)?)?
            }
            Source::NewFolder { disk, below } => {
                read_from = Some(disk.clone());
                self.write_new(layer, &layers_folder(self.inputs, disk, below)?)?
            }
            Source::App { paths, known } => {
                let known = known
                    .map(|diff_id| self.known(&diff_id, layer))
                    .transpose()?;
                match (known.flatten(), layer.source_is_known()) {
                    (Some(blob), _) => blob,
                    (None, false) => {
                        read_from = Some(self.inputs.app.path.clone());
                        self.write_contents(layer, &app::contents(self.inputs, paths)?)?
                    }
                    (None, true) => {
                        let parts = app::divide(self.inputs, &[])?;
                        let paths = parts.first().map_or(&[][..], Vec::as_slice);
                        self.write_new(layer, &app::contents(self.inputs, paths)?)?
                    }
                }
            }
            Source::Launcher => {
                let program = match &self.inputs.launcher_program {
                    LauncherProgram::File(path) => read_bytes(path, LARGEST_LAUNCHER)?,
                    LauncherProgram::Carried(bytes) => bytes.to_vec(),
                };
                self.write_contents(layer, &launcher_contents(&program)?)?
            }
            Source::ProcessTypes(types) => {
                self.write_contents(layer, &process_types_contents(types)?)?
            }
        };
        Ok(ExportedLayer {
            role: layer.role.clone(),
            reused: layer.before.contains(&blob.diff_id),
            blob,
            read_from,
            history: layer.history.clone(),
        })
    }

    /// Writes contents, unless they are in the previous image: then hashing them is enough, which is much faster than compressing.
    fn write_contents(
        &self,
        layer: &PlannedLayer,
        contents: &LayerContents<'_>,
    ) -> Result<Layer, ExportError> {
        if self.previous.is_some() && !layer.before.is_empty() {
            let found = diff_id(contents).map_err(ImageError::new);
            let (found, _) = found.map_err(|source| failed(layer, source))?;
            if layer.before.contains(&found)
                && let Some(blob) = self.known(&found, layer)?
            {
                return Ok(blob);
            }
        }
        self.write_new(layer, contents)
    }

    fn write_new(
        &self,
        layer: &PlannedLayer,
        contents: &LayerContents<'_>,
    ) -> Result<Layer, ExportError> {
        let written = self.images.write_layer(contents);
        failpoint::reach("export-layer-written");
        written.map_err(|source| failed(layer, source))
    }

    /// The blob of a layer, if it is somewhere.
    fn known(&self, diff_id: &DiffId, layer: &PlannedLayer) -> Result<Option<Layer>, ExportError> {
        if let Some(blob) = self.previous.and_then(|image| image.layer(diff_id)) {
            return Ok(Some(blob));
        }
        let found = self.images.layer(diff_id);
        found.map_err(|source| failed(layer, source))
    }
}

impl PlannedLayer {
    fn source_is_known(&self) -> bool {
        matches!(&self.source, Source::App { known: Some(_), .. })
    }
}

fn failed(layer: &PlannedLayer, source: ImageError) -> ExportError {
    ExportError::Image {
        attempt: format!("creating layer '{}'", layer.role.name()),
        source,
    }
}

fn launcher_contents(program: &[u8]) -> Result<LayerContents<'_>, ExportError> {
    let path = tree_path(Path::new("/cnb/lifecycle/launcher"))?;
    let parents = LayerContents::new().parents_of(&path, Owner::ROOT);
    Ok(parents.file(&path, 0o755, Owner::ROOT, program))
}

fn process_types_contents(types: &[ProcessType]) -> Result<LayerContents<'static>, ExportError> {
    let folder = Path::new("/cnb/process");
    let path = tree_path(folder)?;
    let parents = LayerContents::new().parents_of(&path, Owner::ROOT);
    let mut contents = parents.folder(&path, 0o755, Owner::ROOT);
    for process_type in types {
        let path = tree_path(&folder.join(process_type.as_str()))?;
        contents = contents.symlink(&path, "/cnb/lifecycle/launcher", Owner::ROOT);
    }
    Ok(contents)
}
