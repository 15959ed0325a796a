//! Which process to start, and with which arguments.

use std::ffi::{OsStr, OsString};

use cnb_spec::api::{BuildpackApi, PlatformApi};

use crate::metadata::{Metadata, Process};

/// A start command with its arguments, decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct StartCommand {
    /// The process type; empty for a command of the user's.
    pub(crate) process_type: String,
    pub(crate) command: OsString,
    pub(crate) args: Vec<OsString>,
    /// Whether the command is executed as it stands, or given to a shell.
    pub(crate) direct: bool,
    /// Where it starts; empty means the app's folder.
    pub(crate) working_dir: String,
}

/// Chooses by the name the launcher was started under; any other name leaves the choice to the arguments.
///
/// Platform API, "launcher": the final path element of `$0` names the process type.
pub(crate) fn start_command(
    metadata: &Metadata,
    platform_api: PlatformApi,
    exec_env: &OsStr,
    own_name: &str,
    user_args: &[OsString],
) -> Result<StartCommand, ChooseProcessError> {
    if !metadata
        .processes
        .iter()
        .any(|process| process.kind == own_name)
    {
        return user_command(metadata, user_args);
    }
    let eligible = |process: &&Process| {
        process.kind == own_name && is_eligible(process, platform_api, exec_env)
    };
    let process = metadata.processes.iter().find(eligible).ok_or_else(|| {
        ChooseProcessError::NotInThisExecEnv {
            kind: own_name.to_owned(),
            exec_env: exec_env.to_owned(),
        }
    })?;
    defined_command(metadata, platform_api, process, user_args)
}

/// Platform API 0.15: a process may be meant for some execution environments only.
fn is_eligible(process: &Process, platform_api: PlatformApi, exec_env: &OsStr) -> bool {
    !platform_api.at_least(15)
        || process.exec_env.is_empty()
        || process
            .exec_env
            .iter()
            .any(|name| name == "*" || exec_env == name.as_str())
}

/// A command of a buildpack's, with the user's arguments added or put in the place of the default ones.
fn defined_command(
    metadata: &Metadata,
    platform_api: PlatformApi,
    process: &Process,
    user_args: &[OsString],
) -> Result<StartCommand, ChooseProcessError> {
    let kind = || process.kind.clone();
    let (command, always) = process
        .command
        .split_first()
        .ok_or_else(|| ChooseProcessError::NoCommand { kind: kind() })?;
    let mut args: Vec<OsString> = always.iter().map(OsString::from).collect();
    let defaults = process.args.iter().map(OsString::from);
    if user_args.is_empty() {
        args.extend(defaults);
    } else if replaces_default_args(metadata, platform_api, process)? {
        args.extend_from_slice(user_args);
    } else {
        args.extend(defaults);
        args.extend_from_slice(user_args);
    }
    Ok(StartCommand {
        process_type: kind(),
        command: command.into(),
        args,
        direct: process.direct,
        working_dir: process.working_dir.clone(),
    })
}

/// From Buildpack API 0.9 on, what the user writes takes the place of `args`; before, it follows them. A platform below 0.10 cannot tell the
/// command's own arguments from the default ones, so nothing is replaced there.
fn replaces_default_args(
    metadata: &Metadata,
    platform_api: PlatformApi,
    process: &Process,
) -> Result<bool, ChooseProcessError> {
    if !platform_api.at_least(10) {
        return Ok(false);
    }
    // More than one entry is the form of 0.9 and later, whatever the buildpack's own entry says.
    if process.command.len() > 1 {
        return Ok(true);
    }
    let unknown = || ChooseProcessError::UnknownBuildpack {
        kind: process.kind.clone(),
        id: process.buildpack_id.clone(),
    };
    let buildpack = metadata
        .buildpack(&process.buildpack_id)
        .ok_or_else(unknown)?;
    let api: BuildpackApi = buildpack.api.parse().map_err(|_| unknown())?;
    Ok(api.at_least(9))
}

/// `launcher [--] COMMAND [ARGUMENT…]`; `--` means without a shell.
fn user_command(
    metadata: &Metadata,
    user_args: &[OsString],
) -> Result<StartCommand, ChooseProcessError> {
    let (command, args, direct) = match user_args {
        [dashes, command, args @ ..] if dashes == "--" => (command, args, true),
        [command, args @ ..] => (command, args, false),
        [] => {
            return Err(ChooseProcessError::NothingAsked {
                kinds: metadata
                    .processes
                    .iter()
                    .map(|process| process.kind.clone())
                    .collect(),
            });
        }
    };
    Ok(StartCommand {
        command: command.clone(),
        args: args.to_vec(),
        direct,
        ..StartCommand::default()
    })
}

/// Why no process could be chosen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ChooseProcessError {
    NothingAsked { kinds: Vec<String> },
    NotInThisExecEnv { kind: String, exec_env: OsString },
    NoCommand { kind: String },
    UnknownBuildpack { kind: String, id: String },
}

#[cfg(test)]
mod tests {
    use super::{ChooseProcessError, StartCommand, start_command};
    use crate::metadata::{Buildpack, Metadata, Process};
    use std::ffi::{OsStr, OsString};

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn image(api: &str, command: &[&str], args: &[&str]) -> Metadata {
        let process = Process {
            kind: "web".into(),
            command: strings(command),
            args: strings(args),
            direct: true,
            buildpack_id: "b".into(),
            ..Process::default()
        };
        Metadata {
            processes: vec![process],
            buildpacks: vec![Buildpack {
                id: "b".into(),
                api: api.into(),
            }],
        }
    }

    fn choose(
        metadata: &Metadata,
        platform_minor: u32,
        own_name: &str,
        user_args: &[&str],
    ) -> Result<StartCommand, ChooseProcessError> {
        let user_args: Vec<OsString> = user_args.iter().map(OsString::from).collect();
        start_command(
            metadata,
            format!("0.{platform_minor}").parse().expect("a version"),
            OsStr::new("production"),
            own_name,
            &user_args,
        )
    }

    #[test]
    fn start_command_user_args_by_api() {
        for (platform, buildpack, command, args, user, expected) in [
            (
                12,
                "0.8",
                &["c"][..],
                &["a"][..],
                &["u"][..],
                &["a", "u"][..],
            ), // Appended.
            (12, "0.9", &["c"], &["a"], &["u"], &["u"]), // Replaced.
            (12, "0.10", &["c"], &["a"], &[], &["a"]),
            (
                12,
                "0.10",
                &["c", "always"],
                &["a"],
                &["u"],
                &["always", "u"],
            ),
            (12, "0.10", &["c", "always"], &["a"], &[], &["always", "a"]),
            (
                12,
                "0.8",
                &["c", "always"],
                &["a"],
                &["u"],
                &["always", "u"],
            ), // The list form decides.
            (9, "0.10", &["c"], &["a"], &["u"], &["a", "u"]), // Platforms below 0.10 only append.
            (7, "0.7", &["c"], &["a"], &[], &["a"]),
        ] {
            let chosen =
                choose(&image(buildpack, command, args), platform, "web", user).expect("a process");
            assert_eq!(chosen.command, "c");
            assert_eq!(
                chosen.args, expected,
                "platform {platform}, buildpack {buildpack}, {command:?} {args:?} {user:?}"
            );
        }
    }

    #[test]
    fn start_command_user_command() {
        let metadata = image("0.10", &["c"], &[]);
        let expected = StartCommand {
            command: "ls".into(),
            args: vec!["-l".into()],
            ..StartCommand::default()
        };
        assert_eq!(
            choose(&metadata, 12, "launcher", &["ls", "-l"]),
            Ok(expected.clone())
        );
        assert_eq!(
            choose(&metadata, 12, "launcher", &["--", "ls", "-l"]),
            Ok(StartCommand {
                direct: true,
                ..expected
            })
        );
        assert_eq!(
            choose(&metadata, 12, "launcher", &[]),
            Err(ChooseProcessError::NothingAsked {
                kinds: vec!["web".into()]
            })
        );
    }

    #[test]
    fn start_command_lone_dashes_are_a_command() {
        let chosen =
            choose(&image("0.10", &["c"], &[]), 12, "launcher", &["--"]).expect("a command");
        assert_eq!((chosen.command, chosen.direct), ("--".into(), false));
    }

    #[test]
    fn start_command_exec_env() {
        let mut metadata = image("0.12", &["production"], &[]);
        metadata.processes[0].exec_env = strings(&["test"]);
        let refused = ChooseProcessError::NotInThisExecEnv {
            kind: "web".into(),
            exec_env: "production".into(),
        };
        assert_eq!(choose(&metadata, 15, "web", &[]), Err(refused));
        assert!(
            choose(&metadata, 14, "web", &[]).is_ok(),
            "older platforms do not know execution environments"
        );
        metadata.processes.push(Process {
            kind: "web".into(),
            command: strings(&["second"]),
            exec_env: strings(&["*"]),
            ..Process::default()
        });
        assert_eq!(
            choose(&metadata, 15, "web", &[])
                .expect("the second")
                .command,
            "second"
        );
    }

    #[test]
    fn start_command_unknown_buildpack_matters_with_user_args_only() {
        let mut metadata = image("0.10", &["c"], &["a"]);
        metadata.buildpacks.clear();
        assert!(choose(&metadata, 12, "web", &[]).is_ok());
        assert_eq!(
            choose(&metadata, 12, "web", &["u"]),
            Err(ChooseProcessError::UnknownBuildpack {
                kind: "web".into(),
                id: "b".into()
            })
        );
    }

    #[test]
    fn start_command_empty_command() {
        assert_eq!(
            choose(&image("0.10", &[], &[]), 12, "web", &[]),
            Err(ChooseProcessError::NoCommand { kind: "web".into() })
        );
    }
}
