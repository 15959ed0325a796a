//! `builder`

use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use cnb_spec::api::PlatformApi;
use cnb_spec::env::Vars;

use crate::failure::{BUILDPACK_API, Failure, OTHER};
use crate::flags::Kind;
use crate::settings::{Settings, refuse_root};
use lifecycle::build::{BuildError, BuildInputs, build};
use lifecycle::buildpacks::BuildpackError;

pub(crate) fn flags(api: PlatformApi) -> Vec<(&'static str, Kind)> {
    let since: &[(u16, &[&'static str])] = &[
        (
            0,
            &["app", "buildpacks", "group", "layers", "plan", "platform"],
        ),
        (11, &["build-config"]),
        (12, &["analyzed"]),
    ];
    let known = since.iter().filter(|(minor, _)| api.at_least(*minor));
    let names = known.flat_map(|(_, names)| names.iter());
    names.map(|name| (*name, Kind::Text)).collect()
}

pub(crate) fn run(settings: &Settings<'_>) -> Result<(), Failure> {
    settings.no_positionals()?;
    refuse_root("build")?;
    build_all(settings, settings.environment().clone())
}

/// Runs the buildpacks of the group.
pub(crate) fn build_all(settings: &Settings<'_>, environment: Vars) -> Result<(), Failure> {
    let inputs = inputs(settings, environment)?;
    build(&inputs, &settings.output).map_err(|error| failure(&error))
}

fn inputs(settings: &Settings<'_>, environment: Vars) -> Result<BuildInputs, Failure> {
    let buildpack_output = io::stdout().as_fd().try_clone_to_owned();
    Ok(BuildInputs {
        platform_api: settings.api,
        app_dir: settings.app_dir(),
        layers_dir: settings.layers_dir(),
        platform_dir: settings.platform_dir(),
        buildpacks_dir: settings.buildpacks_dir(),
        build_config_dir: settings.build_config_dir(),
        group_path: settings.group_path(),
        plan_path: settings.plan_path(),
        analyzed_path: settings.analyzed_path(),
        os_release_path: PathBuf::from("/etc/os-release"),
        temp_dir: settings.temp_dir(),
        environment,
        exec_env: settings.exec_env(),
        buildpack_output: buildpack_output
            .map_err(|error| Failure::new(OTHER, "open standard output", error))?,
    })
}

fn failure(error: &BuildError) -> Failure {
    match error {
        BuildError::Api(BuildpackError::Api { .. })
        | BuildError::Buildpack(BuildpackError::Api { .. }) => Failure {
            code: BUILDPACK_API,
            message: format!("failed to {error}"),
        },
        BuildError::Start(_) | BuildError::Api(BuildpackError::File(_)) => Failure::new(
            OTHER,
            "read the group, the plan and analyzed metadata",
            error,
        ),
        BuildError::Failed { .. } | BuildError::NotStarted { .. } => {
            Failure::new(51, "build", error)
        }
        BuildError::Buildpack(BuildpackError::File(_))
        | BuildError::File(_)
        | BuildError::Written { .. } => Failure::new(52, "build", error),
    }
}
