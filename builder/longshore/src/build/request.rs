//! What is to be built: the command line and the app's own files, read and checked before anything is downloaded.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci_image::{ImageName, Reference};

use crate::app::control;
use crate::app::requested_buildpacks::RequestedBuildpack;
use crate::app::selection::{SelectError, Selection, select};
use crate::arguments::{self, Place, Volume};
use crate::cli::{BaseOptions, BuildArgs, MirrorOptions, NetworkKind, RegistryOptions};
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::host::Inside;
use crate::registries;
use crate::stack_images;

/// One build, understood.
#[derive(Debug)]
pub(crate) struct Request {
    /// The app folder, without symlinks.
    pub(crate) app: PathBuf,
    /// Names the app's caches too.
    pub(crate) name: ImageName,
    /// The names that the image gets here.
    pub(crate) names: Vec<ImageName>,
    /// The names that it gets in registries.
    pub(crate) publish: Vec<Reference>,
    pub(crate) cache_image: Option<Reference>,
    pub(crate) previous_image: Option<String>,
    pub(crate) insecure: Vec<String>,
    pub(crate) bases: BaseOptions,
    pub(crate) labels: BTreeMap<String, String>,
    /// In seconds since 1970.
    pub(crate) created: Option<u64>,
    pub(crate) outputs: Vec<Place>,
    pub(crate) metadata_file: Option<PathBuf>,
    pub(crate) selection: Selection,
    pub(crate) clear_cache: bool,
    pub(crate) mirrors: MirrorOptions,
    refresh: bool,
    /// `--builder`, else project.toml's.
    pub(crate) builder: Option<String>,
    /// `--buildpack`, else project.toml's.
    pub(crate) buildpacks: Vec<RequestedBuildpack>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) default_process: Option<String>,
    pub(crate) network: NetworkKind,
    /// `--env` over project.toml's variables.
    variables: BTreeMap<String, String>,
}

pub(crate) fn read(arguments: &BuildArgs, context: &Context) -> Result<Request, Failure> {
    let BuildArgs { app, options } = arguments;
    let folder = app.canonicalize().and_then(|path| path.read_dir().map(|_| path)).map_err(|error| {
        let body = format!("{} cannot be read: {error}.\nGive the folder that holds the app's requirements.txt and Procfile.", app.display());
        Failure::new(Exit::App, "Cannot read the app folder", body)
    })?;
    let RegistryOptions {
        publish,
        cache_image,
        previous_image,
        insecure,
    } = &options.registry;
    let publish: Vec<Reference> = publish
        .iter()
        .map(|text| arguments::tagged(registries::reference("--publish", text)?))
        .collect::<Result<_, _>>()?;
    let cache_image = cache_image
        .as_ref()
        .map(|text| arguments::tagged(registries::reference("--cache-image", text)?))
        .transpose()?;
    let mut names: Vec<ImageName> = options
        .tag
        .iter()
        .map(|tag| arguments::image_name(tag))
        .collect::<Result<_, _>>()?;
    let name = match names.first() {
        Some(name) => name.clone(),
        None => arguments::name_of_folder(&folder)?,
    };
    if names.is_empty() && publish.is_empty() {
        names.push(name.clone());
    }
    let labels = arguments::labels(&options.label)?;
    let created =
        arguments::creation_time(options.creation_time.as_deref(), &context.env, context.now)?;
    let outputs: Vec<Place> = options
        .output
        .iter()
        .map(|text| Place::parse_output(text))
        .collect::<Result<_, _>>()?;
    let given = arguments::variables(&options.env, &context.env)?;
    let platform = &options.platform;
    let volumes = platform.volume.iter().map(|text| Volume::parse(text));
    let volumes = volumes.collect::<Result<_, _>>()?;
    let from_files = arguments::variable_files(&platform.env_file, &context.env)?;
    let project = match &platform.descriptor {
        Some(path) => control::project_at(path)?,
        None => control::project(&folder)?,
    };
    let written: Vec<PathBuf> = outputs
        .iter()
        .filter_map(Place::path)
        .chain(options.metadata_file.as_deref())
        .filter_map(real_path)
        .collect();
    let euid = rustix::process::geteuid().as_raw();
    let selection = select(&folder, &project.patterns, &written, euid)
        .map_err(|error| cannot_select(&error))?;
    let mut variables: BTreeMap<String, String> = project.build_env.into_iter().collect();
    variables.extend(from_files);
    variables.extend(given);
    // What the command line asks for counts, and --build-image is asking for our builder.
    let of_project = project.builder;
    let of_project = of_project.filter(|_| options.bases.build_image.is_none());
    let builder = platform.builder.clone().or(of_project);
    let named = platform.buildpack.iter();
    let named: Vec<_> = named
        .map(|text| RequestedBuildpack::of_option(text))
        .collect();
    let buildpacks = if named.is_empty() {
        project.buildpacks
    } else {
        named
    };
    // What is wrong for our buildpacks may be right for others'.
    if builder.is_none() && buildpacks.is_empty() {
        control::check(&folder, &variables, &context.output)?;
    }
    Ok(Request {
        app: folder,
        name,
        names,
        publish,
        cache_image,
        previous_image: previous_image.clone(),
        insecure: insecure.clone(),
        bases: options.bases.clone(),
        labels,
        created,
        outputs,
        metadata_file: options.metadata_file.clone(),
        selection,
        clear_cache: options.clear_cache,
        mirrors: options.mirrors.clone(),
        refresh: options.refresh,
        builder,
        buildpacks,
        volumes,
        default_process: platform.default_process.clone(),
        network: platform.network,
        variables,
    })
}

/// The path without symlinks of something that may not be there yet.
fn real_path(path: &Path) -> Option<PathBuf> {
    let parent = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    Some(parent.canonicalize().ok()?.join(path.file_name()?))
}

fn cannot_select(error: &SelectError) -> Failure {
    let advice = match error {
        SelectError::Read { .. } => {
            "Make it readable for the user who builds, or leave it out with `exclude` in project.toml's [io.buildpacks] table."
        }
        SelectError::Pattern { .. } => "The patterns are those of .gitignore files.",
    };
    Failure::new(
        Exit::App,
        "Cannot read the app folder",
        format!("{error}.\n{advice}"),
    )
}

impl Request {
    /// The image whose layers are reused: the one that was named, else what stands where the new one goes.
    pub(crate) fn previous_name(&self) -> String {
        let published = self.publish.first().map(ToString::to_string);
        self.previous_image
            .clone()
            .or(published)
            .unwrap_or_else(|| self.name.to_string())
    }

    /// Which app's cache it is: the same folder built again.
    pub(crate) fn identity(&self) -> String {
        let app = format!("{}\0{}", self.app.display(), self.name.repository());
        // Layers of one builder's buildpacks are of no use to another's.
        match &self.builder {
            Some(builder) => format!("{app}\0{builder}"),
            None => app,
        }
    }

    /// `/platform/env`: the app's and the user's variables, and under them what the host's network asks for.
    pub(crate) fn platform_variables(
        &self,
        inside: &Inside,
        context: &Context,
    ) -> BTreeMap<String, String> {
        let mut variables = context.network.variables(inside);
        variables.extend(context.network.index.clone());
        variables.extend(stack_images::mirror_variables(&self.mirrors, context));
        if self.refresh {
            variables.insert("LONGSHORE_REFRESH".to_owned(), "1".to_owned());
        }
        variables.extend(self.variables.clone());
        variables
    }
}
