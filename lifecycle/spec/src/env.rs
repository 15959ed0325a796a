//! The environment that buildpacks and processes get: how files in `env/`, `env.build/` and `env.launch/` change it.
//!
//! A layer's environment folder holds one file a variable; the name's suffix says what happens (Buildpack specification,
//! "Environment Variable Modification Rules"):
//!
//! | file | effect |
//! |---|---|
//! | `NAME`, `NAME.override` | the value is set |
//! | `NAME.append` | the value is added at the end |
//! | `NAME.prepend` | the value is added at the front |
//! | `NAME.default` | the value is set where there is none, or an empty one |
//! | `NAME.delim` | what stands between old and added value; without it nothing does |
//!
//! A delimiter is left out where the old value is empty. Values are bytes: a file's newline at its end belongs to the value.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Environment variables, in the order of their names.
pub type Vars = BTreeMap<OsString, OsString>;

/// The folders of a layer that are put in front of a search path, and the variables that they serve.
pub type RootDirs = [(&'static str, &'static [&'static str])];

/// While building (Buildpack specification, "Layer paths").
pub const BUILD_ROOT_DIRS: &RootDirs = &[
    ("bin", &["PATH"]),
    ("lib", &["LD_LIBRARY_PATH", "LIBRARY_PATH"]),
    ("include", &["CPATH"]),
    ("pkgconfig", &["PKG_CONFIG_PATH"]),
];

/// In the app image.
pub const LAUNCH_ROOT_DIRS: &RootDirs = &[("bin", &["PATH"]), ("lib", &["LD_LIBRARY_PATH"])];

/// What a file in an environment folder does to its variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Set it.
    Override,
    /// Add at the end.
    Append,
    /// Add at the front.
    Prepend,
    /// Set it where it has no value.
    Default,
}

/// A file of an environment folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvFile {
    /// Its name, suffix included.
    pub name: OsString,
    /// What it holds.
    pub value: Vec<u8>,
}

/// Applies the files of one environment folder. `plain` is what a file without a suffix does: [`Action::Override`] in a layer,
/// [`Action::Default`] in the builder's own `/cnb/build-config/env`. Files of unknown suffixes are ignored, as the reference does.
pub fn apply_env_files(vars: &mut Vars, files: &[EnvFile], plain: Action) {
    let mut sorted: Vec<&EnvFile> = files.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    for file in sorted {
        let Some((variable, action)) = action_of(&file.name, plain) else {
            continue;
        };
        let mut delim_name = variable.to_os_string();
        delim_name.push(".delim");
        let delim = files.iter().find(|other| other.name == delim_name);
        let delim = delim.map_or(&[][..], |file| &file.value);
        apply(vars, variable, action, &file.value, delim);
    }
}

/// Applies `<platform>/env`: plain names, no suffixes. A variable is set, but to a search path (one of `root_dirs`) the value is added at the front.
pub fn apply_platform_env(vars: &mut Vars, files: &[EnvFile], root_dirs: &RootDirs) {
    for EnvFile { name, value } in files {
        let value = OsStr::from_bytes(value);
        if is_search_path(name, root_dirs) {
            prepend_path(vars, name, value);
        } else {
            vars.insert(name.clone(), value.to_os_string());
        }
    }
}

/// Puts a folder in front of a search path.
pub fn prepend_path(vars: &mut Vars, variable: &OsStr, folder: &OsStr) {
    apply(vars, variable, Action::Prepend, folder.as_bytes(), b":");
}

fn is_search_path(name: &OsStr, root_dirs: &RootDirs) -> bool {
    let mut variables = root_dirs.iter().flat_map(|(_, variables)| variables.iter());
    variables.any(|variable| name == OsStr::new(variable))
}

/// The variable and the action that a file name stands for. The first dot counts.
fn action_of(name: &OsStr, plain: Action) -> Option<(&OsStr, Action)> {
    let bytes = name.as_bytes();
    let (variable, action) = match bytes.iter().position(|&byte| byte == b'.') {
        None => (bytes, plain),
        Some(dot) => {
            let action = match &bytes[dot + 1..] {
                b"append" => Action::Append,
                b"prepend" => Action::Prepend,
                b"override" => Action::Override,
                b"default" => Action::Default,
                _ => return None,
            };
            (&bytes[..dot], action)
        }
    };
    // Neither the kernel nor a shell has a variable with an empty name or `=` in it.
    (!variable.is_empty() && !variable.contains(&b'='))
        .then_some((OsStr::from_bytes(variable), action))
}

fn apply(vars: &mut Vars, variable: &OsStr, action: Action, value: &[u8], delim: &[u8]) {
    let old = vars.get(variable).filter(|old| !old.is_empty());
    let old = old.map(|old| old.as_bytes());
    let new = match (action, old) {
        (Action::Default, Some(_)) => return,
        (Action::Append, Some(old)) => [old, delim, value].concat(),
        (Action::Prepend, Some(old)) => [value, delim, old].concat(),
        _ => value.to_vec(),
    };
    vars.insert(variable.to_os_string(), OsString::from_vec(new));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(list: &[(&str, &str)]) -> Vec<EnvFile> {
        let file = |&(name, value): &(&str, &str)| EnvFile {
            name: name.into(),
            value: value.into(),
        };
        list.iter().map(file).collect()
    }

    fn after(old: &[(&str, &str)], list: &[(&str, &str)], plain: Action) -> Vec<(String, String)> {
        let mut vars: Vars = old
            .iter()
            .map(|&(name, value)| (name.into(), value.into()))
            .collect();
        apply_env_files(&mut vars, &files(list), plain);
        let text = |s: OsString| s.into_string().unwrap();
        vars.into_iter().map(|(n, v)| (text(n), text(v))).collect()
    }

    #[test]
    fn apply_env_files_every_action() {
        for (old, file, expected, why) in [
            (Some("a"), ("V", "b"), "b", "no suffix sets"),
            (Some("a"), ("V.override", "b"), "b", "override sets"),
            (Some("a"), ("V.default", "b"), "a", "default keeps"),
            (Some(""), ("V.default", "b"), "b", "empty counts as unset"),
            (None, ("V.default", "b"), "b", "default sets"),
            (
                Some("a"),
                ("V.append", "b"),
                "ab",
                "no delimiter, none added",
            ),
            (
                Some("a"),
                ("V.prepend", "b"),
                "ba",
                "no delimiter, none added",
            ),
            (None, ("V.append", "b"), "b", "nothing to add to"),
            (Some("a"), ("V.append.txt", "b"), "a", "unknown suffix"),
            (Some("a"), ("V.", "b"), "a", "unknown suffix"),
            (
                Some("a"),
                ("V", "b\n"),
                "b\n",
                "newlines belong to the value",
            ),
        ] {
            let old: Vec<_> = old.map(|old| ("V", old)).into_iter().collect();
            let found = after(&old, &[file], Action::Override);
            assert_eq!(found, [("V".to_owned(), expected.to_owned())], "{why}");
        }
    }

    #[test]
    fn apply_env_files_delimiter() {
        let list = [("V.delim", ";"), ("V.append", "b"), ("V.prepend", "c")];
        let found = after(&[("V", "a")], &list, Action::Override);
        assert_eq!(found, [("V".to_owned(), "c;a;b".to_owned())]);
        let found = after(&[], &list[..2], Action::Override);
        assert_eq!(found, [("V".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn apply_env_files_build_config() {
        let found = after(&[("V", "a")], &[("V", "b"), ("W", "c")], Action::Default);
        assert_eq!(found, [("V".into(), "a".into()), ("W".into(), "c".into())]);
    }

    #[test]
    fn apply_platform_env_search_paths() {
        let mut vars = Vars::from([("PATH".into(), "/bin".into()), ("A".into(), "1".into())]);
        let list = files(&[
            ("PATH", "/x"),
            ("CPATH", "/i"),
            ("A", "2"),
            ("B.append", "3"),
        ]);
        apply_platform_env(&mut vars, &list, BUILD_ROOT_DIRS);
        let expected = [
            ("A", "2"),
            ("B.append", "3"),
            ("CPATH", "/i"),
            ("PATH", "/x:/bin"),
        ];
        assert_eq!(
            vars,
            expected
                .map(|(name, value)| (OsString::from(name), OsString::from(value)))
                .into()
        );
    }
}
