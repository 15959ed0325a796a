//! Runs one buildpack's `bin/build <layers> <platform> <plan>`.

use std::process::Stdio;

use cnb_spec::plan::BuildpackPlan;
use cnb_spec::target::ImageTarget;

use super::{BuildError, BuildInputs, Current};
use crate::environment::{BuildEnvironment, Overrides, set};
use crate::files::{FileError, create_dir, write_toml};
use crate::programs::{Ended, command, start_error};

pub(super) fn run_build(
    current: &Current<'_>,
    plan: &BuildpackPlan,
    environment: &BuildEnvironment,
    target: &ImageTarget,
    inputs: &BuildInputs,
) -> Result<(), BuildError> {
    let Current {
        element,
        buildpack,
        layers_dir,
    } = current;
    create_dir(layers_dir).map_err(|source| FileError::write(layers_dir, source))?;
    let scratch = tempfile::Builder::new()
        .prefix(&format!("{}-", element.id.escaped()))
        .tempdir_in(&inputs.temp_dir)
        .map_err(|source| FileError::write(&inputs.temp_dir, source))?;
    let plan_path = scratch.path().join("plan.toml");
    write_toml(&plan_path, plan)?;

    let platform_dir = (!buildpack.toml.buildpack.clear_env).then_some(&*inputs.platform_dir);
    let mut vars = environment.with(Overrides {
        platform_dir,
        build_config_dir: &inputs.build_config_dir,
    })?;
    set(&mut vars, "CNB_BUILDPACK_DIR", &buildpack.dir);
    if buildpack.api.at_least(8) {
        set(&mut vars, "CNB_PLATFORM_DIR", &inputs.platform_dir);
        set(&mut vars, "CNB_BP_PLAN_PATH", &plan_path);
        set(&mut vars, "CNB_LAYERS_DIR", layers_dir);
    }
    if buildpack.api.at_least(10) {
        for (name, value) in target.variables() {
            set(&mut vars, name, value);
        }
    }
    if buildpack.api.at_least(12) {
        set(&mut vars, "CNB_EXEC_ENV", &inputs.exec_env);
    }

    let program = buildpack.dir.join("bin/build");
    let not_started = |source| BuildError::NotStarted {
        buildpack: element.to_string(),
        source: start_error(&program, &inputs.app_dir, source),
    };
    let stdio = || inputs.buildpack_output.try_clone().map(Stdio::from);
    let mut command = command(&program, &inputs.app_dir, &vars);
    command
        .args([layers_dir, &inputs.platform_dir, &plan_path])
        .stdout(stdio().map_err(not_started)?)
        .stderr(stdio().map_err(not_started)?);
    let ended = Ended::from(command.status().map_err(not_started)?);
    if ended == Ended::Code(0) {
        return Ok(());
    }
    Err(BuildError::Failed {
        buildpack: element.to_string(),
        ended: ended.to_string(),
    })
}
