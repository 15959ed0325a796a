//! `restorer`

use std::fmt::Display;

use cnb_spec::analyzed::{Analyzed, ImageIdentifier};
use cnb_spec::api::PlatformApi;
use cnb_spec::group::Group;
use cnb_spec::labels::LayersMetadata;
use cnb_spec::run_image::RunImage;
use oci_image::Platform;

use crate::failure::{Failure, OTHER};
use crate::flags::Kind;
use crate::images::{Opener, cache_reference, image_name};
use crate::privileges::become_user;
use crate::reach::{Asked, Place, Reach, Rights};
use crate::settings::{Settings, read_group};
use lifecycle::cache::LayerCache;
use lifecycle::files::{read_toml, write_toml};
use lifecycle::image_name::ImageName;
use lifecycle::images::ImageError;
use lifecycle::restore::{RestoreInputs, restore};

/// The exit code when restoring fails.
const FAILED: u8 = 42;

pub(crate) fn flags(api: PlatformApi) -> Vec<(&'static str, Kind)> {
    let mut flags = vec![
        ("analyzed", Kind::Text),
        ("cache-dir", Kind::Text),
        ("cache-image", Kind::Text),
        ("gid", Kind::Number),
        ("group", Kind::Text),
        ("layers", Kind::Text),
        ("skip-layers", Kind::Bool),
        ("uid", Kind::Number),
    ];
    if api.at_least(10) {
        flags.push(("build-image", Kind::Text));
    }
    if api.at_least(12) {
        flags.extend([
            ("daemon", Kind::Bool),
            ("generated", Kind::Text),
            ("layout", Kind::Bool),
            ("layout-dir", Kind::Text),
        ]);
    }
    if api.at_least(13) {
        flags.push(("insecure-registry", Kind::List));
    }
    if api.at_least(14) {
        flags.push(("run", Kind::Text));
    }
    flags
}

pub(crate) fn run(settings: &Settings<'_>) -> Result<(), Failure> {
    settings.no_positionals()?;
    let cache = cache_reference(settings)?.map(|cache| cache.to_string());
    let build_image = settings.optional("build-image", "CNB_BUILD_IMAGE");
    let build_image = build_image.filter(|_| settings.api.at_least(10));
    // What is wrong with the file is said when it is read again, as the user.
    let analyzed: Option<Analyzed> = read_toml(&settings.analyzed_path()).ok();
    let run_image = analyzed.and_then(|analyzed| analyzed.run_image);
    let run_image = run_image.filter(|_| checks_run_image(settings));
    let asked = Asked {
        in_place: run_image
            .into_iter()
            .map(|run_image| run_image.image)
            .collect(),
        in_registries: cache.into_iter().chain(build_image.clone()).collect(),
    };
    let rights = Rights::take(settings, asked)?;
    become_user(settings.user(), &settings.volumes())?;
    let reach = rights.connect(settings)?;
    let group = read_group(settings)?;
    let mut analyzed = read_analyzed(settings);
    if let Some(analyzed) = &mut analyzed {
        refuse_extensions(analyzed, &group)?;
        check_run_image(analyzed, settings, &reach)?;
        if let Some(name) = &build_image {
            note_build_image(name, analyzed, settings, &reach)?;
        }
    }
    let cache = Opener::new(settings, &reach).cache(None)?;
    let metadata = analyzed.unwrap_or_default().metadata;
    restore_layers(settings, group, metadata, cache.as_deref())
}

/// Restores the layers of these buildpacks. `metadata` is what the previous image says of them.
pub(crate) fn restore_layers(
    settings: &Settings<'_>,
    group: Group,
    metadata: LayersMetadata,
    cache: Option<&dyn LayerCache>,
) -> Result<(), Failure> {
    let inputs = restore_inputs(settings, group, metadata);
    restore(&inputs, cache, &settings.output)
        .map_err(|error| Failure::new(FAILED, "restore", error))
}

/// The same for the exporter, which has to know what was left in the cache.
pub(crate) fn restore_inputs(
    settings: &Settings<'_>,
    group: Group,
    metadata: LayersMetadata,
) -> RestoreInputs {
    RestoreInputs {
        group,
        metadata,
        layers_dir: settings.layers_dir(),
        skip_layers: settings.skips_layers(),
        restores_sbom: settings.api.at_least(8),
        restores_from_cache_alone: settings.api.at_least(14),
        // Without a plan everything is restored.
        plan: read_toml(&settings.plan_path()).unwrap_or_default(),
    }
}

/// Since Platform API 0.14.
fn checks_run_image(settings: &Settings<'_>) -> bool {
    settings.api.at_least(14)
}

/// Is the run image that the analyzer chose among mirrors still there? One that is not in `run.toml` was chosen by somebody else.
fn check_run_image(
    analyzed: &Analyzed,
    settings: &Settings<'_>,
    reach: &Reach,
) -> Result<(), Failure> {
    let name = analyzed.run_image.as_ref().map_or("", |image| &image.image);
    if !checks_run_image(settings) || reach.place != Place::Registry || name.is_empty() {
        return Ok(());
    }
    let listed = settings.run_image_file().images(&settings.output);
    let listed = listed.map_err(|error| Failure::new(OTHER, "read run metadata", error))?;
    let mut names = listed.iter().flat_map(RunImage::names);
    if !names.any(|listed| ImageName::same(listed, name)) {
        return Ok(());
    }
    let reference = image_name(name)?;
    let found = reach
        .registry
        .image(reference.reference(), Platform::LINUX_AMD64);
    let reason = match found {
        Ok(Some(_)) => return Ok(()),
        Ok(None) => String::new(),
        Err(error) => format!(": {}", ImageError::new(error)),
    };
    Err(Failure {
        code: OTHER,
        message: format!("selected run image '{name}' is not accessible{reason}"),
    })
}

/// Notes exactly which image the build runs in, for extending it.
fn note_build_image(
    name: &str,
    analyzed: &mut Analyzed,
    settings: &Settings<'_>,
    reach: &Reach,
) -> Result<(), Failure> {
    let failed =
        |error: &dyn Display| Failure::new(OTHER, &format!("pull builder image {name}"), error);
    let reference = image_name(name)?;
    let found = reach
        .registry
        .image(reference.reference(), Platform::LINUX_AMD64);
    let found = found.map_err(|error| failed(&ImageError::new(error)))?;
    let found = found.ok_or_else(|| failed(&"failed to get remote image"))?;
    analyzed.build_image = Some(ImageIdentifier {
        reference: reference
            .reference()
            .with_digest(found.manifest)
            .to_string(),
    });
    write_toml(&settings.analyzed_path(), analyzed)
        .map_err(|error| Failure::new(OTHER, "write analyzed metadata", error))
}

/// What the analyzer found out. Restoring goes on without it: then every buildpack starts afresh.
fn read_analyzed(settings: &Settings<'_>) -> Option<Analyzed> {
    let analyzed = read_toml(&settings.analyzed_path());
    if let Err(error) = &analyzed {
        settings.output.warn(format_args!(
            "Not using analyzed data, usable file not found: {error}"
        ));
    }
    analyzed.ok()
}

/// Extending images needs the images here; this lifecycle does not extend any.
fn refuse_extensions(analyzed: &Analyzed, group: &Group) -> Result<(), Failure> {
    let extends_run_image = analyzed
        .run_image
        .as_ref()
        .is_some_and(|image| image.extend);
    if extends_run_image || !group.group_extensions.is_empty() {
        let reason = "image extensions are asked for, which this lifecycle does not run; use a builder without them";
        return Err(Failure::new(OTHER, "restore", reason));
    }
    Ok(())
}
