//! Decides which layers the image gets above the run image, in which order, and where each one's content is.

use std::path::PathBuf;

use cnb_spec::id::{BuildpackId, LayerName, ProcessType};
use cnb_spec::metadata::BuildMetadata;
use oci_image::DiffId;

use super::{BuiltBuildpack, ExportError, ExportInputs, app};
use crate::contents::{LayerSource, LayersView};
use crate::files::FileError;
use crate::layers_dir::FoundLayer;

/// What a layer is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// A buildpack's launch layer.
    Buildpack {
        /// Whose.
        buildpack: BuildpackId,
        /// Its name.
        layer: LayerName,
    },
    /// The SBOM files.
    Sbom,
    /// The app, or a part of it.
    App {
        /// Which part, from 1 on.
        part: usize,
        /// Of how many. The last one is what no slice took.
        of: usize,
    },
    /// The launcher.
    Launcher,
    /// The launcher's configuration.
    Config,
    /// The entrypoints.
    ProcessTypes,
}

impl Role {
    /// The layer's name in the log.
    pub fn name(&self) -> String {
        match self {
            Self::Buildpack { buildpack, layer } => format!("{buildpack}:{layer}"),
            Self::Sbom => "buildpacksio/lifecycle:launch.sbom".to_owned(),
            Self::App { part, .. } => format!("slice-{part}"),
            Self::Launcher => "buildpacksio/lifecycle:launcher".to_owned(),
            Self::Config => "buildpacksio/lifecycle:config".to_owned(),
            Self::ProcessTypes => "buildpacksio/lifecycle:process-types".to_owned(),
        }
    }
}

/// A layer that is to be.
#[derive(Debug)]
pub(super) struct PlannedLayer {
    pub(super) role: Role,
    pub(super) source: Source,
    /// What the image's history says about it.
    pub(super) history: String,
    /// Its contents in the previous image: if they are the same, nothing has to be compressed.
    pub(super) before: Vec<DiffId>,
}

/// Where a layer's content is.
#[derive(Debug)]
pub(super) enum Source {
    /// It is known what it is; it is read only where no blob with it is there.
    Known {
        diff_id: DiffId,
        disk: Option<PathBuf>,
        below: PathBuf,
    },
    /// A folder that belongs at `below` in the layers folder, and that may be what it was.
    Folder { disk: PathBuf, below: PathBuf },
    /// One that is not what it was.
    NewFolder { disk: PathBuf, below: PathBuf },
    /// Files of the app, and what they are, if that is known.
    App {
        paths: Vec<Vec<u8>>,
        known: Option<DiffId>,
    },
    /// The launcher's program.
    Launcher,
    /// A link for each process type.
    ProcessTypes(Vec<ProcessType>),
}

pub(super) fn plan_layers(
    inputs: &ExportInputs,
    metadata: &BuildMetadata,
    buildpacks: &[BuiltBuildpack],
    view: &dyn LayersView,
) -> Result<Vec<PlannedLayer>, ExportError> {
    let before = &inputs.analyzed.metadata;
    let parsed = |sha: &str| sha.parse::<DiffId>().ok();
    let mut layers = Vec::new();
    for BuiltBuildpack { element, found } in buildpacks {
        for layer in found.layers.iter().filter(|layer| layer.toml.types.launch) {
            let id = &element.id;
            let name = &layer.name;
            let before = before.of_buildpack(id.as_str());
            let before = before.and_then(|layers| layers.layers.get(name.as_str()));
            let before = before.and_then(|before| parsed(&before.sha));
            layers.push(PlannedLayer {
                role: Role::Buildpack {
                    buildpack: id.clone(),
                    layer: name.clone(),
                },
                source: buildpack_source(id, layer, before, view)?,
                history: format!("Layer: '{name}', Created by buildpack: {element}"),
                before: before.into_iter().collect(),
            });
        }
    }

    let own = |role: Role, source: Source, history: &str, before: Option<&str>| PlannedLayer {
        role,
        source,
        history: history.to_owned(),
        before: before.and_then(parsed).into_iter().collect(),
    };
    let folder = |below: &str| Source::Folder {
        disk: inputs.layers_dir.join(below),
        below: below.into(),
    };
    if inputs.platform_api.at_least(8) && inputs.layers_dir.join("sbom/launch").is_dir() {
        let before = before.sbom.as_ref().map(|sbom| sbom.sha.as_str());
        let history = "Software Bill-of-Materials";
        layers.push(own(Role::Sbom, folder("sbom/launch"), history, before));
    }

    layers.extend(app_layers(inputs, metadata)?);

    let history = "Buildpacks Application Launcher";
    let launcher = before.launcher.sha.as_str();
    layers.push(own(
        Role::Launcher,
        Source::Launcher,
        history,
        Some(launcher),
    ));
    let history = "Buildpacks Launcher Config";
    let config = before.config.sha.as_str();
    layers.push(own(Role::Config, folder("config"), history, Some(config)));
    if !metadata.processes.is_empty() {
        let types = metadata.processes.iter();
        let types = types.map(|process| process.process_type.clone());
        let source = Source::ProcessTypes(types.collect());
        let before = before.process_types.sha.as_str();
        let history = "Buildpacks Process Types";
        layers.push(own(Role::ProcessTypes, source, history, Some(before)));
    }
    Ok(layers)
}

fn app_layers(
    inputs: &ExportInputs,
    metadata: &BuildMetadata,
) -> Result<Vec<PlannedLayer>, ExportError> {
    let known = inputs.app.unchanged.filter(|_| metadata.slices.is_empty());
    // An app that is known to be unchanged is not walked, unless its layer turns out to be lost.
    let parts = match known {
        Some(_) => vec![Vec::new()],
        None => app::divide(inputs, &metadata.slices)?,
    };
    let before = &inputs.analyzed.metadata.app;
    let before: Vec<DiffId> = before
        .iter()
        .filter_map(|layer| layer.sha.parse().ok())
        .collect();
    let of = parts.len();
    let layer = |(index, paths): (usize, Vec<Vec<u8>>)| PlannedLayer {
        role: Role::App {
            part: index + 1,
            of,
        },
        source: Source::App { paths, known },
        history: match of {
            1 => "Application Layer".to_owned(),
            _ => format!("Application Slice: {}", index + 1),
        },
        before: before.clone(),
    };
    Ok(parts.into_iter().enumerate().map(layer).collect())
}

/// Where a launch layer's content is. One without files is taken from the previous image, if that has it.
fn buildpack_source(
    id: &BuildpackId,
    layer: &FoundLayer,
    before: Option<DiffId>,
    view: &dyn LayersView,
) -> Result<Source, ExportError> {
    let name = &layer.name;
    let full_name = || format!("{id}:{name}");
    let below = PathBuf::from(id.escaped()).join(name.as_str());
    let source = view.layer(id, name).map_err(|source| FileError::Read {
        path: below.clone(),
        source,
    })?;
    match source {
        LayerSource::Unchanged { diff_id, path } => Ok(Source::Known {
            diff_id,
            disk: Some(path),
            below,
        }),
        LayerSource::LeftBehind { diff_id } => Ok(Source::Known {
            diff_id,
            disk: None,
            below,
        }),
        LayerSource::Found(disk) => Ok(Source::Folder { disk, below }),
        LayerSource::Changed(disk) => Ok(Source::NewFolder { disk, below }),
        LayerSource::Absent if layer.toml.types.cache => {
            Err(ExportError::CachedWithoutContents { layer: full_name() })
        }
        LayerSource::Absent => match before {
            Some(diff_id) => Ok(Source::Known {
                diff_id,
                disk: None,
                below,
            }),
            None => Err(ExportError::NothingToReuse { layer: full_name() }),
        },
    }
}
