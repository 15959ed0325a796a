//! detect and build, for libcnb.

use std::path::Path;
use std::time::SystemTime;

use buildpack_kit::layers::{Restored, tell_reuse};
use buildpack_kit::{Output, Variables};
use debian::cache::DownloadCache;
use libcnb::build::{BuildContext, BuildResult, BuildResultBuilder};
use libcnb::data::launch::{Label, LaunchBuilder};
use libcnb::data::layer::LayerName;
use libcnb::data::layer_name;
use libcnb::detect::{DetectContext, DetectResult, DetectResultBuilder};
use libcnb::generic::{GenericMetadata, GenericPlatform};
use libcnb::layer::{CachedLayerDefinition, InvalidMetadataAction, LayerRef, RestoredLayerAction};
use libcnb::{Env, Platform as _};

use crate::archive::Archive;
use crate::errors::AptError;
use crate::install;
use crate::list::PackageList;
use crate::metadata::{Inputs, Metadata};
use crate::other_files;
use crate::report;
use crate::settings::Settings;
use buildpack_kit::stack::Stack;

#[derive(Debug)]
pub(crate) struct AptBuildpack;

impl libcnb::Buildpack for AptBuildpack {
    type Platform = GenericPlatform;
    type Metadata = GenericMetadata;
    type Error = AptError;

    fn detect(&self, context: DetectContext<Self>) -> libcnb::Result<DetectResult, AptError> {
        let is_listed = match PackageList::read(&context.app_dir) {
            Ok(list) => !list.entries().is_empty(),
            // This buildpack is optional in our order, and an optional one that fails is left out silently. The build says what is wrong.
            Err(_) => true,
        };
        if is_listed || other_files::warning(&context.app_dir).is_some() {
            DetectResultBuilder::pass().build()
        } else {
            DetectResultBuilder::fail().build()
        }
    }

    fn build(&self, context: BuildContext<Self>) -> libcnb::Result<BuildResult, AptError> {
        let mut output = Output::stdout();
        let list = PackageList::read(&context.app_dir).map_err(AptError::from)?;
        if let Some(warning) = other_files::warning(&context.app_dir) {
            output.warning(&warning);
        }
        if list.entries().is_empty() {
            return BuildResultBuilder::new().build();
        }
        output.heading("OS packages");
        for notice in list.notices() {
            output.notice(notice);
        }
        let metadata = provide(&context, &list, &mut output)?;
        report::table(&metadata.packages, &mut output);
        report::left_undone(&metadata.left_undone, &mut output);
        let label = Label {
            key: report::LABEL.to_owned(),
            value: report::label(&metadata),
        };
        BuildResultBuilder::new()
            .launch(LaunchBuilder::new().label(label).build())
            .build()
    }

    fn on_error(&self, error: libcnb::Error<AptError>) {
        buildpack_kit::program::report(&error);
    }
}

impl From<AptError> for libcnb::Error<AptError> {
    fn from(error: AptError) -> Self {
        Self::BuildpackError(error)
    }
}

/// The layer with the packages: the last build's where nothing changed, else a new one.
fn provide(
    context: &BuildContext<AptBuildpack>,
    list: &PackageList,
    output: &mut Output,
) -> libcnb::Result<Metadata, AptError> {
    let stack = Stack::read(Path::new("/")).map_err(AptError::from)?;
    let settings = Settings::new(
        &Variables::from(&Env::from_current()),
        &Variables::from(context.platform.env()),
    )
    .map_err(AptError::from)?;
    for notice in &stack.notices {
        output.notice(notice);
    }
    let name = layer_name!("packages");
    let inputs = Inputs::new(
        &stack,
        list.entries()
            .iter()
            .map(|entry| entry.request.to_string())
            .collect(),
    );
    let last = Restored::<Metadata>::read(&context.layers_dir, &name);
    let mut reasons = last.reasons(|last| inputs.changes_since(&last.inputs));
    if settings.refresh && matches!(last, Restored::Present(_)) {
        reasons.push("--refresh asks for it".to_owned());
    }
    tell_reuse(output, "OS packages", &reasons);
    let layer = layer(
        context,
        name,
        if reasons.is_empty() {
            RestoredLayerAction::KeepLayer
        } else {
            RestoredLayerAction::DeleteLayer
        },
    )?;
    if let (Restored::Present(metadata), true) = (last, reasons.is_empty()) {
        return Ok(metadata);
    }
    let job = Job {
        list,
        stack: &stack,
        settings: &settings,
        inputs,
    };
    let metadata = job.make(&context.layers_dir, &layer, output)?;
    layer.write_metadata(&metadata)?;
    Ok(metadata)
}

type Layer = LayerRef<AptBuildpack, (), ()>;

fn layer(
    context: &BuildContext<AptBuildpack>,
    name: LayerName,
    action: RestoredLayerAction,
) -> libcnb::Result<Layer, AptError> {
    context.cached_layer(
        name,
        CachedLayerDefinition {
            build: true,
            launch: true,
            invalid_metadata_action: &|_: &GenericMetadata| {
                InvalidMetadataAction::DeleteLayer::<GenericMetadata>
            },
            restored_layer_action: &|_: &GenericMetadata, _: &Path| action,
        },
    )
}

/// From what a layer is made.
struct Job<'a> {
    list: &'a PackageList,
    stack: &'a Stack,
    settings: &'a Settings,
    inputs: Inputs,
}

impl Job<'_> {
    /// Resolves, downloads, unpacks.
    fn make(
        self,
        layers_dir: &Path,
        layer: &Layer,
        output: &mut Output,
    ) -> libcnb::Result<Metadata, AptError> {
        let Self {
            list,
            stack,
            settings,
            inputs,
        } = self;
        // Not in /tmp, which is memory in many sandboxes: indexes and packages may be hundreds of megabytes.
        let scratch = tempfile::tempdir_in(layers_dir)
            .map_err(AptError::layer("make a folder for downloads"))?;
        let (client, notices) = settings.network.client().map_err(AptError::from)?;
        for notice in notices {
            output.notice(notice);
        }
        let archive = Archive {
            stack,
            settings,
            client: &client,
            cache: &DownloadCache::new(scratch.path()),
            now: SystemTime::now(),
        };
        let needed = archive.resolve(list, output)?;
        report::remarks(&needed.resolution, list, output);
        let debs = archive.download(&needed, output)?;
        let installed = install::install(&debs, &layer.path())?;
        layer.write_env(installed.env)?;
        Ok(Metadata {
            inputs,
            packages: report::in_layer(&needed.resolution, list),
            left_undone: installed.left_undone,
        })
    }
}
