//! A program's settings: a flag beats the environment variable, which beats the default.
//!
//! The files that phases hand to each other are in the layers folder unless someone says otherwise.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use cnb_spec::api::PlatformApi;
use cnb_spec::env::Vars;
use cnb_spec::exec_env::DEFAULT_EXEC_ENV;
use cnb_spec::group::Group;
use rustix::fs::Access;

use crate::failure::{BUILDPACK_API, Failure, INVALID_ARGS, OTHER, PLATFORM_API};
use crate::flags::{Flags, bool_of};
use crate::privileges::User;
use crate::stdout::{self, Colors};
use lifecycle::analyze::RunImageFile;
use lifecycle::buildpacks::supported_api;
use lifecycle::environment::text_of;
use lifecycle::files::read_toml;
use lifecycle::output::{Level, Output};

/// The settings of one program.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    pub(crate) api: PlatformApi,
    flags: Flags,
    environment: &'a Vars,
    /// The log.
    pub(crate) output: Output,
    /// The launcher that the program itself carries.
    pub(crate) own_launcher: Option<&'static [u8]>,
    /// Paths of folders are made absolute: buildpacks run elsewhere.
    current_dir: PathBuf,
}

impl<'a> Settings<'a> {
    /// The Platform API that the environment asks for.
    pub(crate) fn platform_api(environment: &Vars) -> Result<PlatformApi, Failure> {
        let text = text_of(environment, "CNB_PLATFORM_API");
        if text.trim().is_empty() {
            return Err(Failure {
                code: PLATFORM_API,
                message: format!(
                    "failed to get platform API version; please set 'CNB_PLATFORM_API' to specify the desired platform API version ({} to {} are supported)",
                    PlatformApi::OLDEST,
                    PlatformApi::NEWEST
                ),
            });
        }
        text.parse().map_err(|error| {
            let reason = format!(
                "platform API version '{text}' is incompatible with the lifecycle: {error}"
            );
            Failure::new(PLATFORM_API, "set platform API", reason)
        })
    }

    pub(crate) fn new(
        api: PlatformApi,
        flags: Flags,
        environment: &'a Vars,
    ) -> Result<Self, Failure> {
        let current_dir = std::env::current_dir()
            .map_err(|error| Failure::new(OTHER, "find the current folder", error))?;
        let quiet = stdout::output(Level::Error, Colors::Never);
        let mut settings = Self {
            api,
            flags,
            environment,
            output: quiet,
            own_launcher: None,
            current_dir,
        };
        let level = settings.text("log-level", "CNB_LOG_LEVEL", "info");
        let level = match level.to_ascii_lowercase().as_str() {
            "debug" => Level::Debug,
            "info" => Level::Info,
            "warn" | "warning" => Level::Warn,
            "error" | "fatal" => Level::Error,
            _ => {
                let reason =
                    format!("invalid level '{level}'; debug, info, warn and error are levels");
                return Err(Failure::new(OTHER, "parse log level", reason));
            }
        };
        let colors = if settings.yes("no-color", "CNB_NO_COLOR") {
            Colors::Never
        } else {
            Colors::Auto
        };
        settings.output = stdout::output(level, colors);
        for word in &settings.flags.positionals {
            if word.starts_with('-') {
                settings.output.warn(format_args!("unconsumed flag-like positional arg: \n\t{word}\n\t This will not be interpreted as a flag.\n\t Did you mean to put this before the first positional argument?"));
            }
        }
        Ok(settings)
    }

    /// The words after the flags.
    pub(crate) fn positionals(&self) -> &[String] {
        &self.flags.positionals
    }

    /// Makes sure that there are no words after the flags.
    pub(crate) fn no_positionals(&self) -> Result<(), Failure> {
        if self.positionals().is_empty() {
            return Ok(());
        }
        let reason = format!(
            "received unexpected arguments: {}",
            self.positionals().join(" ")
        );
        Err(Failure::new(INVALID_ARGS, "parse arguments", reason))
    }

    /// The whole environment.
    pub(crate) fn environment(&self) -> &Vars {
        self.environment
    }

    /// A text. A flag that is given without a value hides the variable.
    pub(crate) fn text(&self, flag: &str, variable: &str, default: &str) -> String {
        let value = match self.flags.value(flag) {
            Some(value) => value.to_owned(),
            None => text_of(self.environment, variable).into_owned(),
        };
        if value.is_empty() {
            return default.to_owned();
        }
        value
    }

    /// A text that may be missing.
    pub(crate) fn optional(&self, flag: &str, variable: &str) -> Option<String> {
        Some(self.text(flag, variable, "")).filter(|value| !value.is_empty())
    }

    /// A yes or no. What is neither, in a variable, is a no.
    pub(crate) fn yes(&self, flag: &str, variable: &str) -> bool {
        let text = self.text(flag, variable, "");
        bool_of(&text).unwrap_or_default()
    }

    /// A path.
    pub(crate) fn path(&self, flag: &str, variable: &str, default: &str) -> PathBuf {
        self.absolute(&self.text(flag, variable, default))
    }

    /// A path that may be missing.
    pub(crate) fn optional_path(&self, flag: &str, variable: &str) -> Option<PathBuf> {
        self.optional(flag, variable)
            .map(|path| self.absolute(&path))
    }

    /// Every value of a flag that may be given several times.
    pub(crate) fn list(&self, flag: &str) -> Vec<String> {
        self.flags.values(flag)
    }

    /// A number; 0 where there is none, or none that can be read in a variable.
    fn number(&self, flag: &str, variable: &str) -> u32 {
        self.text(flag, variable, "").parse().unwrap_or_default()
    }

    /// The user whose the app's files are, and who the phases run as.
    pub(crate) fn user(&self) -> User {
        User {
            uid: self.number("uid", "CNB_USER_ID"),
            gid: self.number("gid", "CNB_GROUP_ID"),
        }
    }

    /// The folders that the user has to be able to write to, the layers folder first.
    pub(crate) fn volumes(&self) -> Vec<PathBuf> {
        let caches = [
            self.optional_path("cache-dir", "CNB_CACHE_DIR"),
            self.optional_path("launch-cache", "CNB_LAUNCH_CACHE_DIR"),
        ];
        std::iter::once(self.layers_dir())
            .chain(caches.into_iter().flatten())
            .collect()
    }

    /// Is the last build to be ignored? The creator's flag has a name of its own; either variable is for all.
    pub(crate) fn skips_layers(&self) -> bool {
        let flags = ["skip-layers", "skip-restore"];
        if let Some(given) = flags.iter().find_map(|flag| self.flags.value(flag)) {
            return bool_of(given).unwrap_or_default();
        }
        self.yes("", "CNB_SKIP_LAYERS") || self.yes("", "CNB_SKIP_RESTORE")
    }

    /// The file that lists the run images.
    pub(crate) fn run_image_file(&self) -> RunImageFile {
        if self.api.at_least(12) {
            RunImageFile::Run(self.path("run", "CNB_RUN_PATH", "/cnb/run.toml"))
        } else {
            RunImageFile::Stack(self.path("stack", "CNB_STACK_PATH", "/cnb/stack.toml"))
        }
    }

    /// A launch cache saves reading layers back from a daemon.
    pub(crate) fn warn_of_launch_cache(&self) {
        let given = self
            .optional("launch-cache", "CNB_LAUNCH_CACHE_DIR")
            .is_some();
        if given && !self.yes("daemon", "CNB_USE_DAEMON") {
            let text = "Ignoring -launch-cache, only intended for use with -daemon";
            self.output.warn(text);
        }
    }

    /// A launch cache is not needed ([`crate::daemon_images`]), but one that could not be used is a mistake of the platform's.
    pub(crate) fn check_launch_cache(&self) -> Result<(), Failure> {
        let dir = self.optional_path("launch-cache", "CNB_LAUNCH_CACHE_DIR");
        let Some(dir) = dir.filter(|_| self.yes("daemon", "CNB_USE_DAEMON")) else {
            return Ok(());
        };
        let writable = rustix::fs::access(&dir, Access::WRITE_OK | Access::EXEC_OK);
        writable.map_err(|error| {
            let reason = format!("'{}': {error}", dir.display());
            Failure::new(OTHER, "create launch cache", reason)
        })
    }

    /// The path of a file that is in the layers folder by default.
    pub(crate) fn layers_file(&self, flag: &str, variable: &str, name: &str) -> PathBuf {
        match self.optional(flag, variable) {
            Some(path) => self.absolute(&path),
            None => self.layers_dir().join(name),
        }
    }

    fn absolute(&self, path: &str) -> PathBuf {
        // Not canonical: a link in a path that the platform gave stays, since it ends up in the image. What `..` undoes is only taken out of the text.
        let mut clean = PathBuf::new();
        for component in self.current_dir.join(path).components() {
            if component == Component::ParentDir {
                clean.pop();
            } else {
                clean.push(component);
            }
        }
        clean
    }

    pub(crate) fn app_dir(&self) -> PathBuf {
        self.path("app", "CNB_APP_DIR", "/workspace")
    }

    pub(crate) fn layers_dir(&self) -> PathBuf {
        self.path("layers", "CNB_LAYERS_DIR", "/layers")
    }

    pub(crate) fn platform_dir(&self) -> PathBuf {
        self.path("platform", "CNB_PLATFORM_DIR", "/platform")
    }

    pub(crate) fn buildpacks_dir(&self) -> PathBuf {
        self.path("buildpacks", "CNB_BUILDPACKS_DIR", "/cnb/buildpacks")
    }

    pub(crate) fn build_config_dir(&self) -> PathBuf {
        let variable = "CNB_BUILD_CONFIG_DIR";
        self.path("build-config", variable, "/cnb/build-config")
    }

    pub(crate) fn analyzed_path(&self) -> PathBuf {
        self.layers_file("analyzed", "CNB_ANALYZED_PATH", "analyzed.toml")
    }

    pub(crate) fn group_path(&self) -> PathBuf {
        self.layers_file("group", "CNB_GROUP_PATH", "group.toml")
    }

    pub(crate) fn plan_path(&self) -> PathBuf {
        self.layers_file("plan", "CNB_PLAN_PATH", "plan.toml")
    }

    /// `<layers>/order.toml` if it is there, else the builder's own.
    pub(crate) fn order_path(&self) -> PathBuf {
        if let Some(path) = self.optional("order", "CNB_ORDER_PATH") {
            return self.absolute(&path);
        }
        let in_layers = self.layers_dir().join("order.toml");
        match in_layers.try_exists() {
            Ok(true) => in_layers,
            _ => PathBuf::from("/cnb/order.toml"),
        }
    }

    pub(crate) fn exec_env(&self) -> String {
        self.text("", "CNB_EXEC_ENV", DEFAULT_EXEC_ENV)
    }

    /// Where scratch files go.
    pub(crate) fn temp_dir(&self) -> PathBuf {
        let dir = self.environment.get(OsStr::new("TMPDIR"));
        let dir = dir.filter(|dir| !dir.is_empty()).map(Path::new);
        dir.unwrap_or(Path::new("/tmp")).to_owned()
    }
}

/// Makes sure that the program does not run as root: buildpacks are other people's code.
pub(crate) fn refuse_root(action: &str) -> Result<(), Failure> {
    if nix::unistd::getuid().is_root() {
        let reason = "refusing to run as root";
        return Err(Failure::new(OTHER, action, reason));
    }
    Ok(())
}

/// Reads `group.toml`, and makes sure that this lifecycle can work with its buildpacks.
pub(crate) fn read_group(settings: &Settings<'_>) -> Result<Group, Failure> {
    let group: Group = read_toml(&settings.group_path())
        .map_err(|error| Failure::new(OTHER, "read buildpack group", error))?;
    for element in &group.group {
        supported_api(&element.id, &element.version, &element.api).map_err(|error| Failure {
            code: BUILDPACK_API,
            message: format!("failed to {error}"),
        })?;
    }
    Ok(group)
}
