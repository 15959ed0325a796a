//! The build phase: read, compare, and where something changed, install.

use crate::environment::Environment;
use crate::errors::DepsError;
use crate::install::{
    Extra, Freshness, InstallError, Installation, Installer, LinkMode, only_pip_can, pins,
};
use crate::installed::{Distribution, installed};
use crate::installer::{Choice, choose_installer};
use crate::metadata::{Changes, EnvironmentMetadata, Inputs, RECIPE, WheelsMetadata};
use crate::pip_settings::{PipSettings, config_files};
use crate::pkg_resources;
use crate::requirements::RequirementSet;
use crate::sources::PackageSources;
use crate::wishes::REFRESH_VARIABLE;
use crate::{DepsBuildpack, read_requirements, tidy, wishes};
use buildpack_kit::bytecode::{self, Salvage};
use buildpack_kit::command;
use buildpack_kit::interpreter::Interpreter;
use buildpack_kit::layers::{Restored, Use, keep_layer, new_layer, tell_reuse};
use buildpack_kit::message::Message;
use buildpack_kit::sbom::{self, Component};
use buildpack_kit::tool_environment::tool_environment;
use buildpack_kit::uv::{UvRelease, find_pip, keep_uv_layer, uv_layer};
use buildpack_kit::{Output, ProjectToml, Variables, civil_time};
use libcnb::build::{BuildContext, BuildResult, BuildResultBuilder};
use libcnb::data::launch::{Label, LaunchBuilder};
use libcnb::data::layer_name;
use libcnb::data::sbom::SbomFormat;
use libcnb::data::store::Store;
use libcnb::layer_env::{LayerEnv, ModificationBehavior, Scope};
use libcnb::sbom::Sbom;
use libcnb::{Platform as _, Target};
use serde::Serialize;
use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// The label that says which packages an image holds.
const PACKAGES_LABEL: &str = "io.longshore.packages";

type BuildError = libcnb::Error<DepsError>;

/// All that is read before anything is decided.
struct Given {
    set: RequirementSet,
    settings: PipSettings,
    sources: PackageSources,
    interpreter: Interpreter,
    choice: Choice,
    tools: command::Environment,
    refresh: bool,
}

pub(crate) fn build(
    context: &BuildContext<DepsBuildpack>,
) -> libcnb::Result<BuildResult, DepsError> {
    let mut output = Output::stdout();
    output.heading("Python packages");
    let given = read(context, &mut output)?;
    let inputs = given.inputs(&context.target);

    let restored =
        Restored::<EnvironmentMetadata>::read(&context.layers_dir, &layer_name!("environment"));
    let remembered = remembered(&restored, context.store.as_ref());
    let changes = remembered
        .as_ref()
        .map(|last| last.inputs.changes_to(&inputs))
        .unwrap_or_default();
    let mut reasons = restored.reasons(|_| changes.reasons.clone());
    if given.refresh {
        reasons.push("a refresh was asked for".to_owned());
    }
    tell_reuse(&mut output, "Environment", &reasons);

    let metadata = match (restored, &reasons[..]) {
        (Restored::Present(metadata), []) => {
            reuse(context, &metadata, &mut output)?;
            metadata
        }
        (restored, _) => {
            let pins = pins_to_keep(remembered.as_ref(), &changes, given.refresh);
            install(context, &given, &restored, &pins, &mut output)?
        }
    };
    finish(&metadata)
}

fn read(context: &BuildContext<DepsBuildpack>, output: &mut Output) -> Result<Given, DepsError> {
    let lifecycle = Variables::from(&libcnb::Env::from_current());
    let platform = Variables::from(context.platform.env());
    let (tools, ignored) = tool_environment(&lifecycle, &platform);
    for name in ignored {
        output.notice(format!(
            "the variable {name} is ignored: it would install packages elsewhere"
        ));
    }
    let variables: Variables = lifecycle.iter().chain(platform.iter()).collect();
    let set = read_requirements(&context.app_dir, &variables)?;
    for oddity in &set.oddities {
        output.line(oddity);
    }
    let settings = PipSettings::load(&config_files(&variables), &platform);
    let sources = PackageSources::merge(&settings, &set);
    for notice in &sources.notices {
        output.notice(notice);
    }
    let project = ProjectToml::read(&context.app_dir)?;
    let choice = choose_installer(&platform, project.as_ref(), &only_pip_can(&set, &sources))?;
    let path = tools.get(OsStr::new("PATH")).cloned().unwrap_or_default();
    Ok(Given {
        interpreter: Interpreter::find(&path, &tools)?,
        refresh: platform.is_on(REFRESH_VARIABLE),
        set,
        settings,
        sources,
        choice,
        tools,
    })
}

impl Given {
    fn inputs(&self, target: &Target) -> Inputs {
        let tools: Variables = self
            .tools
            .iter()
            .filter_map(|(name, value)| Some((name.to_str()?, value.to_str()?)))
            .collect();
        Inputs {
            recipe: RECIPE,
            python: self.interpreter.facts.version.clone(),
            python_source: self.interpreter.facts.source.clone(),
            installer: match self.choice {
                Choice::Uv => format!("uv {}", UvRelease::pinned().version),
                Choice::Pip { .. } => "pip".to_owned(),
            },
            target: format!(
                "{} {}, {} {}",
                target.os, target.arch, target.distro_name, target.distro_version
            ),
            sources: self.sources.digest(&tools),
            files: self.set.files.clone(),
            locals: self.set.locals.clone(),
            variables: self.set.variables.clone(),
        }
    }
}

/// What the last build installed: from the layer, or, where the cache is lost, from the image's store.
fn remembered(
    restored: &Restored<EnvironmentMetadata>,
    store: Option<&Store>,
) -> Option<EnvironmentMetadata> {
    match restored {
        Restored::Present(metadata) => Some(metadata.clone()),
        Restored::Absent | Restored::Foreign => {
            let value = store?.metadata.get("environment")?.clone();
            value.try_into().ok()
        }
    }
}

/// Versions stay as the last build chose them until the user's wishes change.
fn pins_to_keep(
    remembered: Option<&EnvironmentMetadata>,
    changes: &Changes,
    refresh: bool,
) -> Vec<String> {
    match remembered {
        Some(last) if !refresh && !changes.wishes_changed => pins(&last.packages),
        _ => Vec::new(),
    }
}

fn reuse(
    context: &BuildContext<DepsBuildpack>,
    metadata: &EnvironmentMetadata,
    output: &mut Output,
) -> Result<(), BuildError> {
    keep_layer::<_, EnvironmentMetadata>(context, layer_name!("environment"), Use::BuildAndLaunch)?;
    let wheels = Restored::<WheelsMetadata>::read(&context.layers_dir, &layer_name!("wheels"));
    let count = metadata.packages.len();
    match &wheels {
        Restored::Present(WheelsMetadata { resolved, .. }) => {
            output.line(format!(
                "{count} packages, in the versions chosen on {resolved}; --refresh (LONGSHORE_REFRESH=1) chooses anew what is not pinned"
            ));
            keep_layer::<_, WheelsMetadata>(context, layer_name!("wheels"), Use::CacheOnly)?;
            tell_reuse(output, "Wheel cache", &[]);
        }
        Restored::Absent | Restored::Foreign => output.line(format!(
            "{count} packages, in the versions of the last build"
        )),
    }
    keep_uv_layer(context, output)
}

fn install(
    context: &BuildContext<DepsBuildpack>,
    given: &Given,
    restored: &Restored<EnvironmentMetadata>,
    pins: &[String],
    output: &mut Output,
) -> Result<EnvironmentMetadata, BuildError> {
    let wheels_restored =
        Restored::<WheelsMetadata>::read(&context.layers_dir, &layer_name!("wheels"));
    let overgrown =
        overgrown(&context.layers_dir.join("wheels")).map_err(files("look at the wheel cache"))?;
    let reasons = wheels_restored.reasons(|_| overgrown.into_iter().collect());
    tell_reuse(output, "Wheel cache", &reasons);
    let wheels = if reasons.is_empty() {
        keep_layer::<_, WheelsMetadata>(context, layer_name!("wheels"), Use::CacheOnly)?
    } else {
        new_layer(context, layer_name!("wheels"), Use::CacheOnly)?
    };
    let installer = installer(context, given, output)?;

    let environment_layer = context.layers_dir.join("environment");
    let salvage = match restored {
        Restored::Present(last) if last.inputs.python == given.interpreter.facts.version => {
            let old = Environment::in_layer(&environment_layer, &given.interpreter).site_packages();
            // The lifecycle may have left it in the cache (`wishes.rs`).
            let salvage = old
                .is_dir()
                .then(|| Salvage::collect(&old, &given.interpreter, &wheels.path()));
            salvage
                .transpose()
                .map_err(files("keep the last build's bytecode"))?
        }
        _ => None,
    };
    let layer = new_layer(context, layer_name!("environment"), Use::BuildAndLaunch)?;
    let environment = Environment::in_layer(&layer.path(), &given.interpreter);
    environment
        .create(&given.interpreter)
        .map_err(files("make the environment"))?;

    let installation = Installation {
        set: &given.set,
        sources: &given.sources,
        settings: &given.settings,
        environment: &environment,
        app_dir: &context.app_dir,
        cache_dir: &wheels.path(),
        tool_environment: &given.tools,
        link_mode: link_mode(&wheels.path(), &wheels_restored),
        freshness: if given.refresh || !given.set.locals.is_empty() {
            Freshness::Revalidated
        } else {
            Freshness::Cached
        },
    };
    let leftovers = crate::leftovers::Leftovers::before(&given.set);
    let packages = install_packages(&installation, &installer, pins, output)?;
    leftovers
        .remove_new()
        .map_err(files("remove what building local packages left"))?;
    tidy::tidy(environment.root(), &environment.site_packages())
        .map_err(files("tidy the environment"))?;
    compile(&environment, given, salvage, output).map_err(files("compile bytecode"))?;

    layer.write_env(layer_env(&environment))?;
    let restore = Some(wishes::restore(&given.set));
    let metadata = EnvironmentMetadata {
        inputs: given.inputs(&context.target),
        packages,
        restore: restore.clone(),
    };
    layer.write_metadata(&metadata)?;
    let resolved = match (&wheels_restored, pins) {
        (Restored::Present(last), [_, ..]) => last.resolved.clone(),
        _ => civil_time::minute(SystemTime::now()),
    };
    output.line(format!(
        "{} packages, in the versions chosen on {resolved}",
        metadata.packages.len()
    ));
    wheels.write_metadata(WheelsMetadata { resolved, restore })?;
    Ok(metadata)
}

/// Installs with the last build's versions, else without; adds setuptools where `pkg_resources` is needed.
fn install_packages(
    installation: &Installation<'_>,
    installer: &Installer,
    pins: &[String],
    output: &mut Output,
) -> Result<Vec<Distribution>, DepsError> {
    let mut extra = Extra {
        requirement: None,
        pins: pins.to_vec(),
    };
    match installation.run(installer, &extra, output) {
        Ok(()) => {}
        Err(InstallError::Failed(_)) if !pins.is_empty() => {
            output.warning(&Message::new(
                "The last build's versions are gone",
                "Nothing changed that should change versions, but those of the last build cannot be installed any more. New ones are chosen.",
            ));
            extra.pins.clear();
            installation.run(installer, &extra, output)?;
        }
        Err(error) => return Err(error.into()),
    }
    let site_packages = installation.environment.site_packages();
    let list = || installed(&site_packages).map_err(files_error("read what was installed"));
    let packages = list()?;
    if !pkg_resources::lacks_pkg_resources(&packages) {
        return Ok(packages);
    }
    let importers =
        pkg_resources::importers(&site_packages).map_err(files_error("read what was installed"))?;
    if importers.is_empty() {
        return Ok(packages);
    }
    let limit = if installation.sources.require_hashes {
        pkg_resources::LAST_WITH
    } else {
        pkg_resources::LIMIT
    };
    let shown = importers
        .iter()
        .take(3)
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    extra.requirement = Some(limit.to_owned());
    extra.pins.retain(|pin| !pin.starts_with("setuptools=="));
    match installation.run(installer, &extra, output) {
        Ok(()) => {
            output.notice(format!(
                "setuptools<82 is installed too: setuptools 82 removed pkg_resources, which is imported by {shown}"
            ));
            list()
        }
        Err(InstallError::Failed(_)) => {
            output.warning(&Message::new(
                "pkg_resources is missing",
                format!("{shown} needs pkg_resources, which setuptools 82 removed, but the requirements do not allow setuptools<82. The app may fail to start.\n\nAllow setuptools<82, or ask for newer versions of these packages."),
            ));
            Ok(packages)
        }
        Err(error) => Err(error.into()),
    }
}

fn installer(
    context: &BuildContext<DepsBuildpack>,
    given: &Given,
    output: &mut Output,
) -> Result<Installer, BuildError> {
    if let Choice::Pip { because } = &given.choice {
        output.notice(format!("pip installs the packages, because {because}"));
        return Ok(Installer::Pip(
            find_pip(&given.tools).map_err(DepsError::from)?,
        ));
    }
    let restore = Some(wishes::restore(&given.set));
    let uv = uv_layer(context, &given.tools, restore, output)?;
    Ok(Installer::Uv(uv))
}

fn compile(
    environment: &Environment,
    given: &Given,
    salvage: Option<Salvage>,
    output: &mut Output,
) -> io::Result<()> {
    let site_packages = environment.site_packages();
    let kept = match salvage {
        Some(salvage) => salvage.restore(&site_packages)?,
        None => 0,
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let compiled = bytecode::compile(&site_packages, &given.interpreter, &given.tools, workers)?;
    output.line(match kept {
        0 => format!("Bytecode: compiled {compiled} modules"),
        _ => format!("Bytecode: compiled {compiled} modules, kept that of {kept}"),
    });
    Ok(())
}

fn layer_env(environment: &Environment) -> LayerEnv {
    LayerEnv::new()
        .chainable_insert(
            Scope::All,
            ModificationBehavior::Prepend,
            "PATH",
            environment.bin(),
        )
        .chainable_insert(Scope::All, ModificationBehavior::Delimiter, "PATH", ":")
        .chainable_insert(
            Scope::All,
            ModificationBehavior::Override,
            "VIRTUAL_ENV",
            environment.root(),
        )
        // A container's log shall show a line when it is printed, not when 8 KB are full.
        .chainable_insert(
            Scope::All,
            ModificationBehavior::Default,
            "PYTHONUNBUFFERED",
            "1",
        )
}

/// Versions that nothing needs any more stay in the cache; beyond this, fetching anew costs less than carrying them.
const LARGEST_WHEEL_CACHE: u64 = 4 << 30;

fn overgrown(wheels: &Path) -> io::Result<Option<String>> {
    let mut size = 0;
    for entry in walkdir::WalkDir::new(wheels) {
        match entry {
            Ok(entry) => size += entry.metadata().map_or(0, |metadata| metadata.len()),
            Err(error) if error.depth() == 0 => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
    Ok((size > LARGEST_WHEEL_CACHE).then(|| format!("it has grown to {} GB", size >> 30)))
}

/// `OVERLAYFS_SUPER_MAGIC` of linux/magic.h.
const OVERLAY: i64 = 0x794c_7630;

fn link_mode(wheels: &Path, restored: &Restored<WheelsMetadata>) -> LinkMode {
    let on_overlay =
        rustix::fs::statfs(wheels).is_ok_and(|statistics| statistics.f_type == OVERLAY);
    match restored {
        Restored::Present(_) if on_overlay => LinkMode::Copy,
        _ => LinkMode::Hardlink,
    }
}

#[derive(Serialize)]
struct StoreMetadata<'a> {
    environment: &'a EnvironmentMetadata,
}

fn finish(metadata: &EnvironmentMetadata) -> libcnb::Result<BuildResult, DepsError> {
    let packages: serde_json::Map<String, serde_json::Value> = metadata
        .packages
        .iter()
        .map(|package| (package.name.clone(), package.version.clone().into()))
        .collect();
    let label = Label {
        key: PACKAGES_LABEL.to_owned(),
        value: serde_json::Value::Object(packages).to_string(),
    };
    let components: Vec<Component> = metadata
        .packages
        .iter()
        .map(|package| Component {
            name: package.name.clone(),
            version: package.version.clone(),
            kind: format!("pypi/{}", package.name),
            url: package.url.clone(),
        })
        .collect();
    let store = toml::Table::try_from(StoreMetadata {
        environment: metadata,
    })
    .map_err(|error| DepsError::Files {
        attempt: "remember the installed packages",
        source: io::Error::other(error),
    })?;
    BuildResultBuilder::new()
        .launch(LaunchBuilder::new().label(label).build())
        .store(Store { metadata: store })
        .launch_sbom(Sbom::from_bytes(
            SbomFormat::CycloneDxJson,
            sbom::cyclonedx(&components),
        ))
        .build()
}

fn files_error(attempt: &'static str) -> impl FnOnce(io::Error) -> DepsError {
    move |source| DepsError::Files { attempt, source }
}

fn files(attempt: &'static str) -> impl FnOnce(io::Error) -> BuildError {
    move |source| files_error(attempt)(source).into()
}
