//! The environment that the container was started with, as the process may see it.
//!
//! What a layer's env files do to it is `cnb_spec::env`'s.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use cnb_spec::env::Vars;

/// What the platform tells the launcher; the app does not see it.
const CONTROL_VARIABLES: [&str; 5] = [
    "CNB_LAYERS_DIR",
    "CNB_APP_DIR",
    "CNB_PROCESS_TYPE",
    "CNB_PLATFORM_API",
    "CNB_DEPRECATION_MODE",
];

/// Folders that the exporter puts on the image's PATH so that `docker run IMAGE web` finds the process types. A process
/// that finds itself there by accident would start over.
const LAUNCHER_FOLDERS: [&[u8]; 2] = [b"/cnb/process", b"/cnb/lifecycle"];

/// The variables without what is meant for the launcher.
pub(crate) fn of_container(variables: Vec<(OsString, OsString)>) -> Vars {
    let mut variables: Vars = variables.into_iter().collect();
    variables.retain(|name, _| !CONTROL_VARIABLES.iter().any(|control| name == control));
    if let Some(path) = variables.get_mut(OsStr::new("PATH")) {
        let folders = path.as_bytes().split(|&byte| byte == b':');
        let kept: Vec<&[u8]> = folders
            .filter(|folder| !LAUNCHER_FOLDERS.contains(folder))
            .collect();
        *path = OsString::from_vec(kept.join(&b':'));
    }
    variables
}

#[cfg(test)]
mod tests {
    use super::of_container;
    use std::ffi::OsString;

    fn variables(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        list.iter()
            .map(|&(name, value)| (name.into(), value.into()))
            .collect()
    }

    #[test]
    fn of_container_removes_what_is_for_the_launcher() {
        let left = of_container(variables(&[
            ("CNB_LAYERS_DIR", "/layers"),
            ("CNB_APP_DIR", "/workspace"),
            ("CNB_PLATFORM_API", "0.12"),
            ("CNB_PROCESS_TYPE", "web"),
            ("CNB_DEPRECATION_MODE", "quiet"),
            ("CNB_EXEC_ENV", "test"),
            ("PATH", "/cnb/process:/cnb/lifecycle:/usr/bin::/bin"),
        ]));
        let expected = variables(&[("CNB_EXEC_ENV", "test"), ("PATH", "/usr/bin::/bin")]);
        assert_eq!(left.into_iter().collect::<Vec<_>>(), expected);
    }
}
