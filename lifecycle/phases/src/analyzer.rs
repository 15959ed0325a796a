//! `analyzer`

use cnb_spec::api::PlatformApi;

use crate::failure::{Failure, INVALID_ARGS, OTHER};
use crate::flags::Kind;
use crate::images::{open_images, refuse_cache_image, same_registry};
use crate::privileges::become_user;
use crate::settings::Settings;
use lifecycle::analyze::{AnalyzeInputs, analyze, choose_run_image};
use lifecycle::files::write_toml;
use lifecycle::image_name::ImageName;

/// The exit code when the analysis fails.
const FAILED: u8 = 32;

pub(crate) fn flags(api: PlatformApi) -> Vec<(&'static str, Kind)> {
    let mut flags = vec![
        ("analyzed", Kind::Text),
        ("cache-image", Kind::Text),
        ("daemon", Kind::Bool),
        ("gid", Kind::Number),
        ("layers", Kind::Text),
        ("previous-image", Kind::Text),
        ("run-image", Kind::Text),
        ("tag", Kind::List),
        ("uid", Kind::Number),
    ];
    if api.at_least(9) {
        flags.extend([("launch-cache", Kind::Text), ("skip-layers", Kind::Bool)]);
    }
    if api.at_least(12) {
        flags.extend([
            ("layout", Kind::Bool),
            ("layout-dir", Kind::Text),
            ("run", Kind::Text),
        ]);
    } else {
        flags.push(("stack", Kind::Text));
    }
    if api.at_least(13) {
        flags.push(("insecure-registry", Kind::List));
    }
    flags
}

pub(crate) fn run(settings: &Settings<'_>) -> Result<(), Failure> {
    let [image] = settings.positionals() else {
        let count = settings.positionals().len();
        let reason = format!("received {count} arguments, but expected 1");
        return Err(Failure::new(INVALID_ARGS, "parse arguments", reason));
    };
    if image.is_empty() {
        let reason = "image argument is required";
        return Err(Failure::new(INVALID_ARGS, "resolve inputs", reason));
    }
    let mut names = vec![image.clone()];
    names.extend(settings.list("tag"));
    let names = same_registry(&names)?;
    let name = &names[0];
    settings.warn_of_launch_cache();
    refuse_cache_image(settings, FAILED)?;
    let images = open_images(settings, name, FAILED)?;
    let inputs = inputs(settings, image, name)?;
    become_user(settings.user(), &settings.volumes())?;
    let analyzed = analyze(&inputs, &images, &settings.output);
    let analyzed = analyzed.map_err(|error| Failure::new(FAILED, "analyze", error))?;
    let path = settings.analyzed_path();
    write_toml(&path, &analyzed)
        .map_err(|error| Failure::new(OTHER, "write analyzed metadata", error))
}

fn inputs(
    settings: &Settings<'_>,
    image: &str,
    name: &ImageName,
) -> Result<AnalyzeInputs, Failure> {
    let wrong = |reason: String| Failure::new(INVALID_ARGS, "resolve inputs", reason);
    let previous_image = settings.text("previous-image", "CNB_PREVIOUS_IMAGE", image);
    let run_image = if let Some(run_image) = settings.optional("run-image", "CNB_RUN_IMAGE") {
        run_image
    } else {
        let file = settings.run_image_file();
        // Layouts and daemons are not asked: a missing image is noticed when it is read.
        let chosen = choose_run_image(&file, name, |_| true, &settings.output);
        chosen.map_err(|error| wrong(error.to_string()))?
    };
    for name in [&previous_image, &run_image] {
        name.parse::<ImageName>()
            .map_err(|error| wrong(error.to_string()))?;
    }
    Ok(AnalyzeInputs {
        previous_image,
        run_image,
        layers_dir: settings.layers_dir(),
        restores_sbom: settings.api.at_least(8) && !settings.skips_layers(),
        records_target: settings.api.at_least(12),
    })
}
