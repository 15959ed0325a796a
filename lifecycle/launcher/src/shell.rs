//! Start commands that want a shell: which words it is given.
//!
//! A command without arguments is a script. A command with arguments is a list of words; each is expanded by the shell (`$PORT`) but stays one
//! word. Profile scripts are sourced first, in the same shell, in the app's folder. (Platform API, "launcher"; Buildpack API up to 0.8.)

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::process::StartCommand;

/// The shell of the run image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shell {
    Bash,
    /// Small run images have no bash. POSIX's shell runs everything but bash's own syntax.
    Sh,
}

impl Shell {
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Bash => "/bin/bash",
            Self::Sh => "/bin/sh",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Sh => "sh",
        }
    }
}

/// The shell's arguments, without its own name.
///
/// Where there is nothing to source, the command is given to the shell at once instead of through a second one.
pub(crate) fn arguments(
    shell: Shell,
    start: &StartCommand,
    profiles: &[PathBuf],
    working_dir: &Path,
    own_name: &OsStr,
) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["-c".into()];
    let words = (!start.args.is_empty()).then(|| expanded_words(start.args.len() + 1));
    if profiles.is_empty() {
        arguments.extend(words.map(OsString::from));
    } else {
        arguments.push(sourcing_script(
            shell,
            profiles,
            working_dir,
            words.as_deref(),
        ));
        arguments.push(own_name.to_owned());
    }
    arguments.push(start.command.clone());
    arguments.extend_from_slice(&start.args);
    arguments
}

/// Sources the profiles, changes to the working directory and becomes a second shell with the command, so that what profiles define but
/// do not export stays behind.
fn sourcing_script(
    shell: Shell,
    profiles: &[PathBuf],
    working_dir: &Path,
    words: Option<&str>,
) -> OsString {
    let mut script = Vec::new();
    for profile in profiles {
        script.extend_from_slice(b". ");
        push_quoted(&mut script, profile.as_os_str().as_bytes());
        script.push(b'\n');
    }
    script.extend_from_slice(b"cd ");
    push_quoted(&mut script, working_dir.as_os_str().as_bytes());
    script.extend_from_slice(b" || exit\nexec ");
    script.extend_from_slice(shell.name().as_bytes());
    script.extend_from_slice(b" -c ");
    if let Some(words) = words {
        push_quoted(&mut script, words.as_bytes());
        script.push(b' ');
    }
    script.extend_from_slice(b"\"$@\"");
    OsString::from_vec(script)
}

/// `"$(eval printf %s \"$0\")" "$(eval printf %s \"${1}\")" …`: each word expanded, none split.
///
/// The reference launcher says `echo`, which swallows a word such as `-n`.
fn expanded_words(count: usize) -> String {
    let word = |index| format!("\"$(eval printf %s \\\"${{{index}}}\\\")\"");
    (0..count).map(word).collect::<Vec<_>>().join(" ")
}

fn push_quoted(script: &mut Vec<u8>, word: &[u8]) {
    script.push(b'\'');
    for &byte in word {
        if byte == b'\'' {
            script.extend_from_slice(b"'\\''");
        } else {
            script.push(byte);
        }
    }
    script.push(b'\'');
}

#[cfg(test)]
mod tests {
    use super::{Shell, arguments};
    use crate::process::StartCommand;
    use std::ffi::OsStr;
    use std::path::{Path, PathBuf};

    fn words(args: &[&str], profiles: &[&str]) -> Vec<String> {
        let start = StartCommand {
            command: "run $A".into(),
            args: args.iter().map(Into::into).collect(),
            ..StartCommand::default()
        };
        let profiles: Vec<PathBuf> = profiles.iter().map(PathBuf::from).collect();
        let words = arguments(
            Shell::Bash,
            &start,
            &profiles,
            Path::new("/app/it's"),
            OsStr::new("web"),
        );
        words
            .into_iter()
            .map(|word| word.into_string().expect("text"))
            .collect()
    }

    #[test]
    fn arguments_script() {
        assert_eq!(words(&[], &[]), ["-c", "run $A"]);
    }

    #[test]
    fn arguments_words() {
        let script = r#""$(eval printf %s \"${0}\")" "$(eval printf %s \"${1}\")""#;
        assert_eq!(words(&["x y"], &[]), ["-c", script, "run $A", "x y"]);
    }

    #[test]
    fn arguments_with_profiles() {
        let script =
            ". '/l/p.d/1.sh'\n. '/app/.profile'\ncd '/app/it'\\''s' || exit\nexec bash -c \"$@\"";
        assert_eq!(
            words(&[], &["/l/p.d/1.sh", "/app/.profile"]),
            ["-c", script, "web", "run $A"]
        );
        let script = ". '/p'\ncd '/app/it'\\''s' || exit\nexec bash -c '\"$(eval printf %s \\\"${0}\\\")\" \"$(eval printf %s \\\"${1}\\\")\"' \"$@\"";
        assert_eq!(
            words(&["-n"], &["/p"]),
            ["-c", script, "web", "run $A", "-n"]
        );
    }
}
