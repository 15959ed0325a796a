//! Runs one buildpack's `bin/detect`.
//!
//! Its exit code is its answer: 0 passes, 100 does not, everything else is an error. What it prints is shown only when someone wants to know.

use std::fs;
use std::io::{self, Read};
use std::process::Stdio;

use cnb_spec::build_plan::BuildPlan;
use cnb_spec::env::Vars;
use cnb_spec::target::ImageTarget;

use super::DetectInputs;
use crate::buildpacks::Buildpack;
use crate::environment::set;
use crate::files::read_toml;
use crate::programs::{Ended, command, start_error};

/// The exit code of a buildpack that does not apply.
const CODE_FAIL: i32 = 100;

/// How much of what `bin/detect` prints is kept.
const LONGEST_OUTPUT: u64 = 1 << 20;

/// What came of one `bin/detect`.
pub(super) struct Run {
    /// Its answer.
    pub(super) outcome: Outcome,
    /// What it printed.
    pub(super) output: Vec<u8>,
    /// What went wrong, beside its exit code.
    pub(super) error: Option<String>,
}

/// The answer of `bin/detect`.
pub(super) enum Outcome {
    /// It applies, and this is its plan.
    Pass(BuildPlan),
    /// It does not apply.
    Fail,
    /// It failed: with this exit code, or without one.
    Error(Option<i32>),
}

impl Run {
    /// One that could not run.
    pub(super) fn error(reason: String) -> Self {
        Self {
            outcome: Outcome::Error(None),
            output: Vec::new(),
            error: Some(reason),
        }
    }
}

/// Runs `bin/detect <platform> <plan>`. Only a scratch file that cannot be made is an error of ours.
pub(super) fn run_detect(
    buildpack: &Buildpack,
    mut vars: Vars,
    target: &ImageTarget,
    inputs: &DetectInputs,
) -> io::Result<Run> {
    let scratch = tempfile::Builder::new()
        .prefix("plan.")
        .tempdir_in(&inputs.temp_dir)?;
    let plan_path = scratch.path().join("plan.toml");
    fs::write(&plan_path, "")?;
    set(&mut vars, "CNB_BUILDPACK_DIR", &buildpack.dir);
    if buildpack.api.at_least(8) {
        set(&mut vars, "CNB_PLATFORM_DIR", &inputs.platform_dir);
        set(&mut vars, "CNB_BUILD_PLAN_PATH", &plan_path);
    }
    if buildpack.api.at_least(10) {
        for (name, value) in target.variables() {
            set(&mut vars, name, value);
        }
    }
    if buildpack.api.at_least(12) {
        set(&mut vars, "CNB_EXEC_ENV", &inputs.exec_env);
    }

    let program = buildpack.dir.join("bin/detect");
    let mut command = command(&program, &inputs.app_dir, &vars);
    command.arg(&inputs.platform_dir).arg(&plan_path);
    let (mut reader, writer) = io::pipe()?;
    command.stdout(Stdio::from(writer.try_clone()?));
    command.stderr(Stdio::from(writer));
    let child = command.spawn();
    // The command holds the writing ends of the pipe; reading would not end.
    drop(command);
    let mut child = match child {
        Ok(child) => child,
        Err(source) => {
            let error = start_error(&program, &inputs.app_dir, source);
            return Ok(Run::error(error.to_string()));
        }
    };
    let mut output = Vec::new();
    (&mut reader)
        .take(LONGEST_OUTPUT)
        .read_to_end(&mut output)?;
    io::copy(&mut reader, &mut io::sink())?;
    let ended = Ended::from(child.wait()?);

    let (outcome, error) = match ended {
        Ended::Code(0) => match read_plan(buildpack, &plan_path) {
            Ok(plan) => (Outcome::Pass(plan), None),
            Err(reason) => (Outcome::Error(None), Some(reason)),
        },
        Ended::Code(CODE_FAIL) => (Outcome::Fail, None),
        Ended::Code(code) => (Outcome::Error(Some(code)), None),
        Ended::Signal(_) => (Outcome::Error(None), Some(ended.to_string())),
    };
    Ok(Run {
        outcome,
        output,
        error,
    })
}

fn read_plan(buildpack: &Buildpack, path: &std::path::Path) -> Result<BuildPlan, String> {
    let plan: BuildPlan = read_toml(path).map_err(|error| error.to_string())?;
    let id = &buildpack.toml.buildpack.id;
    plan.check()
        .map_err(|error| format!("buildpack {id} {error}"))?;
    Ok(plan)
}
