//! `detector`

use std::path::PathBuf;

use cnb_spec::api::PlatformApi;
use cnb_spec::env::Vars;

use crate::failure::{BUILDPACK_API, Failure, OTHER};
use crate::flags::Kind;
use crate::settings::{Settings, refuse_root};
use lifecycle::buildpacks::BuildpackError;
use lifecycle::detect::{DetectError, DetectInputs, Detected, detect};
use lifecycle::files::write_toml;

pub(crate) fn flags(api: PlatformApi) -> Vec<(&'static str, Kind)> {
    let since: &[(u16, &[&'static str])] = &[
        (
            0,
            &[
                "app",
                "buildpacks",
                "group",
                "layers",
                "order",
                "plan",
                "platform",
            ],
        ),
        (10, &["analyzed", "extensions", "generated"]),
        (11, &["build-config"]),
        (12, &["run"]),
        (15, &["system"]),
    ];
    let known = since.iter().filter(|(minor, _)| api.at_least(*minor));
    let names = known.flat_map(|(_, names)| names.iter());
    names.map(|name| (*name, Kind::Text)).collect()
}

pub(crate) fn run(settings: &Settings<'_>) -> Result<(), Failure> {
    settings.no_positionals()?;
    refuse_root("detect")?;
    detect_and_note(settings, settings.environment().clone()).map(drop)
}

/// Detects, and writes `group.toml` and `plan.toml`.
pub(crate) fn detect_and_note(
    settings: &Settings<'_>,
    environment: Vars,
) -> Result<Detected, Failure> {
    let inputs = inputs(settings, environment);
    let detected = detect(&inputs, &settings.output).map_err(|error| failure(&error, settings))?;
    let write = |error| Failure::new(OTHER, "write the group and the plan", error);
    write_toml(&settings.group_path(), &detected.group).map_err(write)?;
    write_toml(&settings.plan_path(), &detected.plan).map_err(write)?;
    Ok(detected)
}

fn inputs(settings: &Settings<'_>, environment: Vars) -> DetectInputs {
    let system_path = || settings.path("system", "CNB_SYSTEM_PATH", "/cnb/system.toml");
    DetectInputs {
        app_dir: settings.app_dir(),
        buildpacks_dir: settings.buildpacks_dir(),
        platform_dir: settings.platform_dir(),
        build_config_dir: settings.build_config_dir(),
        order_path: settings.order_path(),
        system_path: settings.api.at_least(15).then(system_path),
        analyzed_path: settings.analyzed_path(),
        os_release_path: PathBuf::from("/etc/os-release"),
        temp_dir: settings.temp_dir(),
        environment,
        exec_env: settings.exec_env(),
        checks_targets: settings.api.at_least(12),
        checks_exec_env: settings.api.at_least(15),
    }
}

fn failure(error: &DetectError, settings: &Settings<'_>) -> Failure {
    let output = &settings.output;
    match error {
        DetectError::OrderedBuildpack(BuildpackError::Api { .. })
        | DetectError::Buildpack(BuildpackError::Api { .. }) => Failure {
            code: BUILDPACK_API,
            message: format!("failed to {error}"),
        },
        DetectError::Start(_)
        | DetectError::OrderedBuildpack(BuildpackError::File(_))
        | DetectError::Extensions { .. } => Failure::new(OTHER, "initialize detector", error),
        DetectError::NoGroupPassed => {
            output.error("No buildpack groups passed detection.");
            output.error("Please check that you are running against the correct path.");
            Failure::new(20, "detect", error)
        }
        DetectError::NoGroupPassedWithErrors => {
            output.error("No buildpack groups passed detection.");
            Failure::new(21, "detect", error)
        }
        DetectError::Buildpack(BuildpackError::File(_))
        | DetectError::Cycle { .. }
        | DetectError::Scratch { .. }
        | DetectError::Environment(_) => Failure::new(22, "detect", error),
    }
}
