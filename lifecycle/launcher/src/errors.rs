//! The words for people, and the exit codes. Everything goes to standard error: standard output belongs to the app.

use std::ffi::OsStr;
use std::fmt::Arguments;
use std::io::{self, Write};

use crate::exec_d::ExecDError;
use crate::launch::LaunchError;
use crate::metadata::MetadataError;
use crate::process::ChooseProcessError;
use crate::program::FindProgramError;

/// Platform API, "launcher", exit codes.
const INCOMPATIBLE_PLATFORM_API: u8 = 11;
const INCOMPATIBLE_BUILDPACK_API: u8 = 12;
/// As in the reference lifecycle, for an image that is none of buildpacks'.
const NO_METADATA: u8 = 1;
const LAUNCH_FAILED: u8 = 82;

/// Says why nothing was started, and gives the exit code.
pub(crate) fn report(error: &LaunchError) -> u8 {
    say(format_args!("ERROR: failed to {}\n", message(error)));
    exit_code(error)
}

/// The reference lifecycle's words: tests of platforms look for them.
pub(crate) fn warn_process_type_variable(platform_api: &str, kind: &OsStr) {
    let kind = kind.display();
    say(format_args!(
        "Warning: CNB_PROCESS_TYPE is not supported in Platform API {platform_api}\n\
         Warning: Run with ENTRYPOINT '{kind}' to invoke the '{kind}' process type\n"
    ));
}

pub(crate) fn warn_no_bash() {
    say(format_args!(
        "Warning: this image has no /bin/bash; the command is run by /bin/sh, which does not know bash's own syntax\n"
    ));
}

fn say(text: Arguments<'_>) {
    // Where standard error is closed there is nobody left to tell.
    drop(io::stderr().write_fmt(text));
}

fn exit_code(error: &LaunchError) -> u8 {
    match error {
        LaunchError::PlatformApiUnset | LaunchError::PlatformApiUnsupported(_) => {
            INCOMPATIBLE_PLATFORM_API
        }
        LaunchError::BuildpackApiUnsupported { .. } => INCOMPATIBLE_BUILDPACK_API,
        LaunchError::Metadata(_) => NO_METADATA,
        LaunchError::ChooseProcess(_)
        | LaunchError::ChangeFolder { .. }
        | LaunchError::Layers(_)
        | LaunchError::ExecD(_)
        | LaunchError::NoShell
        | LaunchError::FindProgram(_)
        | LaunchError::Exec { .. } => LAUNCH_FAILED,
    }
}

fn message(error: &LaunchError) -> String {
    match error {
        LaunchError::PlatformApiUnset => {
            "get platform API version; please set 'CNB_PLATFORM_API' to specify the desired platform API version".to_owned()
        }
        LaunchError::PlatformApiUnsupported(text) => {
            format!("set platform API: platform API version '{text}' is incompatible with the lifecycle (CNB_PLATFORM_API may be 0.7 to 0.15)")
        }
        LaunchError::BuildpackApiUnsupported { id, api } => format!(
            "set API for buildpack '{id}': buildpack API version '{api}' is incompatible with the lifecycle (0.7 to 0.12 are supported)"
        ),
        LaunchError::Metadata(error) => metadata(error),
        LaunchError::ChooseProcess(error) => format!("launch: determine start command: {}", choose_process(error)),
        LaunchError::ChangeFolder { folder, source } => format!("launch: change to folder '{}': {source}", folder.display()),
        LaunchError::Layers(error) => format!("launch: modify env: read '{}': {}", error.path.display(), error.source),
        LaunchError::ExecD(error) => format!("launch: exec.d: {}", exec_d(error)),
        LaunchError::NoShell => {
            "launch: this process needs a shell, and the image has neither /bin/bash nor /bin/sh; \
             define it with its words as a list, or start it with 'launcher -- COMMAND'"
                .to_owned()
        }
        LaunchError::FindProgram(error) => format!("launch: path lookup: {}", find_program(error)),
        LaunchError::Exec { program, source } => exec(&program.display().to_string(), source),
    }
}

fn metadata(error: &MetadataError) -> String {
    match error {
        MetadataError::Read { path, source } => {
            format!(
                "read metadata: '{}': {source}; is CNB_LAYERS_DIR the layers folder of an image made by buildpacks?",
                path.display()
            )
        }
        MetadataError::Parse { path, reason } => {
            format!("read metadata: '{}': {reason}", path.display())
        }
    }
}

fn choose_process(error: &ChooseProcessError) -> String {
    match error {
        ChooseProcessError::NothingAsked { kinds } if kinds.is_empty() => {
            "when there is no default process a command is required; this image defines no process types".to_owned()
        }
        ChooseProcessError::NothingAsked { kinds } => format!(
            "when there is no default process a command is required; this image defines the process types {}: start one with \
             '/cnb/process/{}' as entrypoint",
            kinds.join(", "),
            kinds[0]
        ),
        ChooseProcessError::NotInThisExecEnv { kind, exec_env } => {
            format!("process type {kind} was not found for the execution environment '{}' (CNB_EXEC_ENV)", exec_env.display())
        }
        ChooseProcessError::NoCommand { kind } => format!("no command provided for process type '{kind}'"),
        ChooseProcessError::UnknownBuildpack { kind, id } => {
            format!("failed to find buildpack for process {kind} with buildpack ID {id}, so what to do with your arguments is unknown")
        }
    }
}

fn exec_d(error: &ExecDError) -> String {
    match error {
        ExecDError::Run { program, source } => format!(
            "failed to execute exec.d file at path '{}': {source}",
            program.display()
        ),
        ExecDError::Failed { program, status } => format!(
            "failed to execute exec.d file at path '{}': {status}",
            program.display()
        ),
        ExecDError::Output { program, reason } => {
            format!(
                "failed to decode output from exec.d file at path '{}': {reason}",
                program.display()
            )
        }
    }
}

fn find_program(error: &FindProgramError) -> String {
    match error {
        FindProgramError::NowhereOnPath { name, path } => {
            format!("there is no program '{name}' in any folder of PATH ({path})")
        }
        FindProgramError::Missing(path) => format!("there is no program '{}'", path.display()),
        FindProgramError::NotExecutable(path) => {
            format!(
                "'{}' is not executable; set its executable bit (chmod +x) before the build",
                path.display()
            )
        }
    }
}

fn exec(program: &str, source: &io::Error) -> String {
    let hint = match source.raw_os_error() {
        Some(libc::ENOENT) => {
            "; the file is there, so the interpreter or loader that its first line names is not in this image"
        }
        Some(libc::ENOEXEC) => {
            "; it is neither a program for this machine nor a script that begins with '#!'"
        }
        Some(libc::E2BIG) => "; arguments and environment together are too long",
        _ => "",
    };
    format!("launch: exec '{program}': {source}{hint}")
}

#[cfg(test)]
mod tests {
    use super::{exit_code, message};
    use crate::launch::LaunchError;
    use crate::metadata::MetadataError;
    use crate::process::ChooseProcessError;
    use crate::program::FindProgramError;
    use std::io;

    #[test]
    fn message_and_exit_code_table() {
        for (error, code, text) in [
            (
                LaunchError::PlatformApiUnset,
                11,
                "get platform API version; please set 'CNB_PLATFORM_API' to specify the desired platform API version",
            ),
            (
                LaunchError::PlatformApiUnsupported("9.9".into()),
                11,
                "set platform API: platform API version '9.9' is incompatible with the lifecycle (CNB_PLATFORM_API may be 0.7 to 0.15)",
            ),
            (
                LaunchError::BuildpackApiUnsupported {
                    id: "a/b".into(),
                    api: "0.2".into(),
                },
                12,
                "set API for buildpack 'a/b': buildpack API version '0.2' is incompatible with the lifecycle (0.7 to 0.12 are supported)",
            ),
            (
                LaunchError::Metadata(MetadataError::Read {
                    path: "/l/config/metadata.toml".into(),
                    source: io::ErrorKind::NotFound.into(),
                }),
                1,
                "read metadata: '/l/config/metadata.toml': entity not found; is CNB_LAYERS_DIR the layers folder of an image made by buildpacks?",
            ),
            (
                LaunchError::ChooseProcess(ChooseProcessError::NothingAsked {
                    kinds: vec!["web".into(), "worker".into()],
                }),
                82,
                "launch: determine start command: when there is no default process a command is required; this image defines the process \
                 types web, worker: start one with '/cnb/process/web' as entrypoint",
            ),
            (
                LaunchError::FindProgram(FindProgramError::NotExecutable("/w/run.sh".into())),
                82,
                "launch: path lookup: '/w/run.sh' is not executable; set its executable bit (chmod +x) before the build",
            ),
            (
                LaunchError::Exec {
                    program: "/w/run.sh".into(),
                    source: io::Error::from_raw_os_error(libc::ENOEXEC),
                },
                82,
                "launch: exec '/w/run.sh': Exec format error (os error 8); it is neither a program for this machine nor a script that begins \
                 with '#!'",
            ),
        ] {
            assert_eq!(message(&error), text);
            assert_eq!(exit_code(&error), code, "{text}");
        }
    }
}
