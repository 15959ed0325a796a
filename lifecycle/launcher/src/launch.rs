//! One start, step by step.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use cnb_spec::api::{BuildpackApi, PlatformApi};
use cnb_spec::env::Vars;

use crate::environment;
use crate::errors;
use crate::exec_d::{self, ExecDError};
use crate::inputs::Inputs;
use crate::layers::{Layers, LayersError};
use crate::metadata::{Buildpack, Metadata, MetadataError};
use crate::process::{self, ChooseProcessError, StartCommand};
use crate::program::{self, FindProgramError};
use crate::shell::{self, Shell};

/// Starts the process in the place of this one. It returns only when it fails.
pub(crate) fn launch(inputs: Inputs) -> LaunchError {
    let Err(error) = try_launch(inputs);
    error
}

fn try_launch(inputs: Inputs) -> Result<Infallible, LaunchError> {
    let platform_api = platform_api(&inputs.platform_api)?;
    let metadata = Metadata::read(&inputs.layers_dir)?;
    check_buildpack_apis(&metadata)?;
    if let Some(kind) = &inputs.process_type_variable {
        errors::warn_process_type_variable(platform_api_text(&inputs), kind);
    }
    let start = process::start_command(
        &metadata,
        platform_api,
        &inputs.exec_env,
        inputs.own_name(),
        &inputs.arguments,
    )?;

    change_folder(&inputs.app_dir)?;
    let layers = Layers::list(&inputs.layers_dir, &metadata.buildpacks)?;
    let mut environment = environment::of_container(inputs.variables);
    layers.set_environment(&start.process_type, &mut environment)?;
    for program in layers.files("exec.d", &start.process_type)? {
        exec_d::run(&program, &mut environment)?;
    }

    let working_dir = if start.working_dir.is_empty() {
        inputs.app_dir.clone()
    } else {
        PathBuf::from(&start.working_dir)
    };
    if start.direct {
        change_folder(&working_dir)?;
        let path = environment
            .get(OsStr::new("PATH"))
            .map_or(OsStr::new(""), |path| path);
        let program = program::find(&start.command, path)?;
        return Err(become_program(
            &program,
            &start.command,
            &start.args,
            &environment,
        ));
    }
    let profiles = profiles(&layers, &start, &inputs.app_dir)?;
    if profiles.is_empty() {
        change_folder(&working_dir)?;
    }
    let shell = shell_of_image()?;
    let arguments = shell::arguments(shell, &start, &profiles, &working_dir, &inputs.argv0);
    Err(become_program(
        Path::new(shell.path()),
        OsStr::new(shell.name()),
        &arguments,
        &environment,
    ))
}

fn platform_api(text: &OsStr) -> Result<PlatformApi, LaunchError> {
    let text = text.to_string_lossy();
    if text.trim().is_empty() {
        return Err(LaunchError::PlatformApiUnset);
    }
    text.parse()
        .map_err(|_| LaunchError::PlatformApiUnsupported(text.into_owned()))
}

fn platform_api_text(inputs: &Inputs) -> &str {
    inputs.platform_api.to_str().unwrap_or_default()
}

fn check_buildpack_apis(metadata: &Metadata) -> Result<(), LaunchError> {
    let unsupported = |buildpack: &&Buildpack| buildpack.api.parse::<BuildpackApi>().is_err();
    match metadata.buildpacks.iter().find(unsupported) {
        Some(buildpack) => Err(LaunchError::BuildpackApiUnsupported {
            id: buildpack.id.clone(),
            api: buildpack.api.clone(),
        }),
        None => Ok(()),
    }
}

fn change_folder(folder: &Path) -> Result<(), LaunchError> {
    std::env::set_current_dir(folder).map_err(|source| LaunchError::ChangeFolder {
        folder: folder.to_owned(),
        source,
    })
}

/// The layers' `profile.d` scripts and the app's own `.profile`.
fn profiles(
    layers: &Layers,
    start: &StartCommand,
    app_dir: &Path,
) -> Result<Vec<PathBuf>, LaunchError> {
    let mut profiles = layers.files("profile.d", &start.process_type)?;
    // Absolute, because POSIX's `.` looks for a bare name on PATH.
    let own = app_dir.join(".profile");
    if own.is_file() {
        profiles.push(own);
    }
    Ok(profiles)
}

fn shell_of_image() -> Result<Shell, LaunchError> {
    match [Shell::Bash, Shell::Sh]
        .into_iter()
        .find(|shell| Path::new(shell.path()).is_file())
    {
        Some(Shell::Sh) => {
            errors::warn_no_bash();
            Ok(Shell::Sh)
        }
        Some(Shell::Bash) => Ok(Shell::Bash),
        None => Err(LaunchError::NoShell),
    }
}

/// Replaces this process, so that signals reach the app and its exit code is the container's.
fn become_program(
    program: &Path,
    name: &OsStr,
    arguments: &[OsString],
    environment: &Vars,
) -> LaunchError {
    let source = Command::new(program)
        .arg0(name)
        .args(arguments)
        .env_clear()
        .envs(environment)
        .exec();
    LaunchError::Exec {
        program: program.to_owned(),
        source,
    }
}

/// Why nothing was started.
#[derive(Debug)]
pub(crate) enum LaunchError {
    PlatformApiUnset,
    PlatformApiUnsupported(String),
    BuildpackApiUnsupported { id: String, api: String },
    Metadata(MetadataError),
    ChooseProcess(ChooseProcessError),
    ChangeFolder { folder: PathBuf, source: io::Error },
    Layers(LayersError),
    ExecD(ExecDError),
    NoShell,
    FindProgram(FindProgramError),
    Exec { program: PathBuf, source: io::Error },
}

impl From<MetadataError> for LaunchError {
    fn from(error: MetadataError) -> Self {
        Self::Metadata(error)
    }
}

impl From<ChooseProcessError> for LaunchError {
    fn from(error: ChooseProcessError) -> Self {
        Self::ChooseProcess(error)
    }
}

impl From<LayersError> for LaunchError {
    fn from(error: LayersError) -> Self {
        Self::Layers(error)
    }
}

impl From<ExecDError> for LaunchError {
    fn from(error: ExecDError) -> Self {
        Self::ExecD(error)
    }
}

impl From<FindProgramError> for LaunchError {
    fn from(error: FindProgramError) -> Self {
        Self::FindProgram(error)
    }
}
