//! What this process was given: its name, arguments and environment, read once.

use std::ffi::OsString;
use std::path::PathBuf;

/// Everything that the launcher takes from outside, except the layers themselves.
#[derive(Debug)]
pub(crate) struct Inputs {
    /// The name this process was started under; its last part may name a process type.
    pub(crate) argv0: OsString,
    /// What the user wrote after the name.
    pub(crate) arguments: Vec<OsString>,
    /// The environment as it came, control variables included.
    pub(crate) variables: Vec<(OsString, OsString)>,
    /// `CNB_LAYERS_DIR`.
    pub(crate) layers_dir: PathBuf,
    /// `CNB_APP_DIR`.
    pub(crate) app_dir: PathBuf,
    /// `CNB_PLATFORM_API`, unchecked; empty when unset.
    pub(crate) platform_api: OsString,
    /// `CNB_EXEC_ENV`.
    pub(crate) exec_env: OsString,
    /// `CNB_PROCESS_TYPE`, which chose the process up to Platform API 0.3.
    pub(crate) process_type_variable: Option<OsString>,
}

impl Inputs {
    /// Reads the arguments and environment of this process.
    pub(crate) fn of_this_process() -> Self {
        let mut arguments = std::env::args_os();
        let argv0 = arguments.next().unwrap_or_default();
        Self::new(argv0, arguments.collect(), std::env::vars_os().collect())
    }

    fn new(
        argv0: OsString,
        arguments: Vec<OsString>,
        variables: Vec<(OsString, OsString)>,
    ) -> Self {
        // An empty value means unset, as in the reference lifecycle: platforms pass every variable they know.
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(key, value)| key == name && !value.is_empty())
                .map(|(_, value)| value.clone())
        };
        // Absolute, because the working directory changes and the layers' paths end up in variables.
        let folder = |name: &str, default: &str| {
            let folder = variable(name).unwrap_or_else(|| default.into());
            std::path::absolute(&folder).unwrap_or_else(|_| folder.into())
        };
        Self {
            layers_dir: folder("CNB_LAYERS_DIR", "/layers"),
            app_dir: folder("CNB_APP_DIR", "/workspace"),
            platform_api: variable("CNB_PLATFORM_API").unwrap_or_default(),
            exec_env: variable("CNB_EXEC_ENV").unwrap_or_else(|| "production".into()),
            process_type_variable: variable("CNB_PROCESS_TYPE"),
            argv0,
            arguments,
            variables,
        }
    }

    /// The last part of the name this process was started under.
    pub(crate) fn own_name(&self) -> &str {
        std::path::Path::new(&self.argv0)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }

    /// Whether the program itself is asked for its version. Under a process type's name, `-version` belongs to the process.
    pub(crate) fn asks_for_version(&self) -> bool {
        self.own_name() == "launcher"
            && matches!(&self.arguments[..], [only] if only == "-version" || only == "--version")
    }
}
