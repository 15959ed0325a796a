//! The phases as programs: `analyzer`, `detector`, `restorer`, `builder`, `exporter`, `creator` (all of them), `rebaser`, or
//! `lifecycle <analyze|detect|restore|build|export|create|rebase>`.
//!
//! One executable is all of them; the name that it is started under decides. This crate is the edge of the lifecycle: it alone reads the process's user and working folder, prints, and turns errors into
//! exit codes. Everything is printed to standard output, a line at a time, but for the usage text.
//!
//! | code | meaning |
//! |---|---|
//! | 1 | anything not named below |
//! | 2 | an unknown flag, or a value that a flag cannot have |
//! | 3 | missing or superfluous arguments, or inputs that contradict each other |
//! | 11, 12 | a Platform API, or a buildpack's API, that is not supported |
//! | 20, 21, 22 | detect: no group passed; and a buildpack failed with an error; other |
//! | 32, 42, 62, 72 | analyze, restore, export, rebase failed |
//! | 51, 52 | build: a buildpack failed; other |

mod analyzer;
mod builder;
mod cache_image;
mod creator;
mod daemon_images;
mod detector;
mod docker_socket;
mod exporter;
mod failure;
mod flags;
mod images;
mod passwd;
mod privileges;
mod reach;
mod rebaser;
mod registry_images;
mod restorer;
mod scratch;
mod settings;
mod stdout;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use cnb_spec::api::PlatformApi;
use cnb_spec::env::Vars;

use failure::Failure;
use flags::{FlagError, Kind};
use lifecycle::output::Level;
use settings::Settings;

/// The version that the programs print and that images get as their launcher's version. Platforms switch features by it (pack asks for 0.19 to use
/// everything), so it names the reference implementation's release that we are to be measured by; ours follows the plus sign.
pub const VERSION: &str = concat!("0.21.17+longshore.", env!("CARGO_PKG_VERSION"));

/// A phase, as a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Analyze,
    Detect,
    Restore,
    Build,
    Export,
    Create,
    Rebase,
}

/// Is `name` the name of one of the programs?
pub fn is_program_name(name: &str) -> bool {
    name == "lifecycle" || Phase::of_program(name).is_some()
}

/// Runs the program that was started as `argv0` with `args` (without the program's name) in `environment`. `own_launcher` is for the exporter,
/// where none is named and none stands where a builder has it.
pub fn main(
    argv0: &OsStr,
    args: &[OsString],
    environment: Vars,
    own_launcher: Option<&'static [u8]>,
) -> ExitCode {
    // What buildpacks make has the same modes, whatever the user's umask is: layers would get other digests otherwise.
    rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o022));
    arm_failpoint(&environment);
    let program = Path::new(argv0).file_name().unwrap_or_default();
    let mut args: Vec<String> = args
        .iter()
        .map(|arg| arg.to_string_lossy().into_owned())
        .collect();
    let phase = match Phase::of_program(&program.to_string_lossy()) {
        Some(phase) => phase,
        None => match take_subcommand(&mut args) {
            Ok(phase) => phase,
            Err(code) => return code,
        },
    };
    run(phase, &args, &environment, own_launcher)
}

/// Tests let the program die at one of these moments.
fn arm_failpoint(environment: &Vars) {
    let moments = [
        &lifecycle::FAILPOINTS[..],
        &registry::FAILPOINTS,
        &daemon::FAILPOINTS,
    ]
    .concat();
    let Some(moment) = environment.get(OsStr::new("LONGSHORE_FAILPOINT")) else {
        return;
    };
    let moment = moment.to_string_lossy();
    if !failpoint::arm(&moment, moments.iter().copied()) {
        let plain = stdout::output(Level::Info, stdout::Colors::Never);
        plain.warn(format_args!(
            "LONGSHORE_FAILPOINT names {moment:?}; there are: {}",
            moments.join(", ")
        ));
    }
}

/// `lifecycle <phase>`
fn take_subcommand(args: &mut Vec<String>) -> Result<Phase, ExitCode> {
    let output = stdout::output(Level::Info, stdout::Colors::Never);
    if args.is_empty() {
        output.error("failed to parse arguments");
        return Err(ExitCode::from(failure::INVALID_ARGS));
    }
    let name = args.remove(0);
    if matches!(name.as_str(), "-version" | "--version") {
        output.info(VERSION);
        return Err(ExitCode::SUCCESS);
    }
    Phase::of_subcommand(&name).ok_or_else(|| {
        output.error(format_args!(
            "failed to recognize phase: {name}\nValid phases: {}",
            Phase::ALL.map(Phase::subcommand).join(", ")
        ));
        ExitCode::from(failure::INVALID_ARGS)
    })
}

fn run(
    phase: Phase,
    args: &[String],
    environment: &Vars,
    own_launcher: Option<&'static [u8]>,
) -> ExitCode {
    let plain = stdout::output(Level::Info, stdout::Colors::Never);
    let api = Settings::platform_api(environment);
    let known = phase.flags(*api.as_ref().unwrap_or(&PlatformApi::NEWEST));
    let flags = match flags::parse(&known, args) {
        Ok(flags) if flags.is_set("version") => {
            plain.info(VERSION);
            return ExitCode::SUCCESS;
        }
        flags => flags,
    };
    let result = match (api, flags) {
        (Err(failure), _) => Err(failure),
        (Ok(_), Err(FlagError::Help)) => {
            stdout::usage("", &known);
            return ExitCode::SUCCESS;
        }
        (Ok(_), Err(error)) => {
            stdout::usage(&error.to_string(), &known);
            return ExitCode::from(failure::BAD_FLAG);
        }
        (Ok(api), Ok(flags)) => Settings::new(api, flags, environment).and_then(|mut settings| {
            settings.own_launcher = own_launcher;
            phase.run(&settings)
        }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, message }) => {
            plain.error(message);
            ExitCode::from(code)
        }
    }
}

impl Phase {
    const ALL: [Self; 7] = [
        Self::Analyze,
        Self::Detect,
        Self::Restore,
        Self::Build,
        Self::Export,
        Self::Create,
        Self::Rebase,
    ];

    fn of_program(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.program() == name)
    }

    fn of_subcommand(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|phase| phase.subcommand() == name)
    }

    fn program(self) -> &'static str {
        match self {
            Self::Analyze => "analyzer",
            Self::Detect => "detector",
            Self::Restore => "restorer",
            Self::Build => "builder",
            Self::Export => "exporter",
            Self::Create => "creator",
            Self::Rebase => "rebaser",
        }
    }

    fn subcommand(self) -> &'static str {
        match self {
            Self::Analyze => "analyze",
            Self::Detect => "detect",
            Self::Restore => "restore",
            Self::Build => "build",
            Self::Export => "export",
            Self::Create => "create",
            Self::Rebase => "rebase",
        }
    }

    /// The flags that the phase has at a Platform API.
    fn flags(self, api: PlatformApi) -> Vec<(&'static str, Kind)> {
        let mut flags = match self {
            Self::Analyze => analyzer::flags(api),
            Self::Detect => detector::flags(api),
            Self::Restore => restorer::flags(api),
            Self::Build => builder::flags(api),
            Self::Export => exporter::flags(api),
            Self::Create => creator::flags(api),
            Self::Rebase => rebaser::flags(api),
        };
        flags.extend([
            ("log-level", Kind::Text),
            ("no-color", Kind::Bool),
            ("version", Kind::Bool),
        ]);
        flags
    }

    fn run(self, settings: &Settings<'_>) -> Result<(), Failure> {
        match self {
            Self::Analyze => analyzer::run(settings),
            Self::Detect => detector::run(settings),
            Self::Restore => restorer::run(settings),
            Self::Build => builder::run(settings),
            Self::Export => exporter::run(settings),
            Self::Create => creator::run(settings),
            Self::Rebase => rebaser::run(settings),
        }
    }
}
