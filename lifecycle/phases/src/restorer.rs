//! `restorer`

use cnb_spec::analyzed::Analyzed;
use cnb_spec::api::PlatformApi;
use cnb_spec::group::Group;

use crate::failure::{Failure, OTHER};
use crate::flags::Kind;
use crate::images::open_cache;
use crate::privileges::become_user;
use crate::settings::{Settings, read_group};
use lifecycle::cache::LayerCache;
use lifecycle::files::read_toml;
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
    become_user(settings.user(), &settings.volumes())?;
    let group = read_group(settings)?;
    let analyzed = read_analyzed(settings);
    refuse_extensions(&analyzed, &group)?;
    let cache = open_cache(settings, FAILED)?;
    let inputs = RestoreInputs {
        group,
        metadata: analyzed.metadata,
        layers_dir: settings.layers_dir(),
        skip_layers: settings.skips_layers(),
        restores_sbom: settings.api.at_least(8),
        restores_from_cache_alone: settings.api.at_least(14),
    };
    let cache = cache.as_ref().map(|cache| cache as &dyn LayerCache);
    restore(&inputs, cache, &settings.output)
        .map_err(|error| Failure::new(FAILED, "restore", error))
}

/// What the analyzer found out. Restoring goes on without it: then every buildpack starts afresh.
fn read_analyzed(settings: &Settings<'_>) -> Analyzed {
    let analyzed = read_toml(&settings.analyzed_path());
    if let Err(error) = &analyzed {
        settings.output.warn(format_args!(
            "Not using analyzed data, usable file not found: {error}"
        ));
    }
    analyzed.unwrap_or_default()
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
