//! The environment of buildpacks: a short list of the lifecycle's own variables, the layers of earlier buildpacks, the user's variables.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cnb_spec::env::{
    Action, BUILD_ROOT_DIRS, EnvFile, Vars, apply_env_files, apply_platform_env, prepend_path,
};
use cnb_spec::target::{ImageTarget, distro_of_os_release};

use crate::files::{FileError, names_in, read_bytes, read_text};
use crate::output::Output;

/// Variables of the lifecycle's own environment that buildpacks see, beside the search paths.
const PASSED_ON: [&str; 9] = [
    "CNB_STACK_ID",
    "HOSTNAME",
    "HOME",
    "HTTPS_PROXY",
    "https_proxy",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
];

/// The largest value of a variable. Linux takes 128 KiB in one string; what is larger fails when a program is started, with the variable's name.
const LARGEST_VALUE: u64 = 1 << 20;

/// What buildpacks have in their environment, as it grows from buildpack to buildpack.
#[derive(Clone, Debug)]
pub(crate) struct BuildEnvironment {
    vars: Vars,
}

/// Which variables a buildpack gets on top.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overrides<'a> {
    /// The user's: `<platform>/env`. None for a buildpack with `clear-env`.
    pub(crate) platform_dir: Option<&'a Path>,
    /// The builder's: `<build-config>/env`.
    pub(crate) build_config_dir: &'a Path,
}

impl BuildEnvironment {
    /// The start: what is passed on of the lifecycle's own environment.
    pub(crate) fn new(environment: &Vars) -> Self {
        let search_paths = BUILD_ROOT_DIRS.iter().flat_map(|(_, variables)| *variables);
        let passed_on: Vec<&str> = PASSED_ON.iter().chain(search_paths).copied().collect();
        let vars = environment.iter();
        let vars = vars.filter(|(name, _)| passed_on.iter().any(|passed| **name == **passed));
        Self {
            vars: vars.map(|(n, v)| (n.clone(), v.clone())).collect(),
        }
    }

    /// Adds what a build layer offers to later buildpacks: its folders to the search paths, then `env/`, then `env.build/`.
    pub(crate) fn add_layer(&mut self, layer_dir: &Path) -> Result<(), FileError> {
        for (folder, variables) in BUILD_ROOT_DIRS {
            let folder = layer_dir.join(folder);
            let there = folder.try_exists();
            if !there.map_err(|source| FileError::read(&folder, source))? {
                continue;
            }
            for variable in *variables {
                prepend_path(&mut self.vars, OsStr::new(variable), folder.as_os_str());
            }
        }
        for folder in ["env", "env.build"] {
            let files = env_files(&layer_dir.join(folder))?;
            apply_env_files(&mut self.vars, &files, Action::Override);
        }
        Ok(())
    }

    /// The environment for one buildpack.
    pub(crate) fn with(&self, overrides: Overrides<'_>) -> Result<Vars, FileError> {
        let mut vars = self.vars.clone();
        if let Some(platform_dir) = overrides.platform_dir {
            let files = env_files(&platform_dir.join("env"))?;
            apply_platform_env(&mut vars, &files, BUILD_ROOT_DIRS);
        }
        let files = env_files(&overrides.build_config_dir.join("env"))?;
        apply_env_files(&mut vars, &files, Action::Default);
        Ok(vars)
    }
}

/// The files of an environment folder, sorted. Links to files count, folders do not.
fn env_files(folder: &Path) -> Result<Vec<EnvFile>, FileError> {
    let mut files = Vec::new();
    for entry in names_in(folder)? {
        let path = entry.path();
        let metadata = path.metadata();
        if metadata.is_ok_and(|metadata| metadata.is_dir()) {
            continue;
        }
        let value = read_bytes(&path, LARGEST_VALUE)?;
        if value.contains(&0) {
            let source = std::io::Error::other("a variable's value cannot hold a NUL byte");
            return Err(FileError::Read { path, source });
        }
        let name = entry.file_name();
        files.push(EnvFile { name, value });
    }
    Ok(files)
}

/// The target that buildpacks build for: what the analyzer said of the run image, completed from the build image's own `/etc/os-release`.
pub(crate) fn complete_target(
    analyzed: Option<ImageTarget>,
    os_release: &Path,
    output: &Output,
) -> ImageTarget {
    let mut target = analyzed.unwrap_or_default();
    if target.distro.is_some() {
        return target;
    }
    if target.os.is_empty() {
        "linux".clone_into(&mut target.os);
    }
    if target.arch.is_empty() {
        go_architecture().clone_into(&mut target.arch);
    }
    output.info("target distro name/version labels not found, reading /etc/os-release file");
    target.distro = read_text(os_release)
        .ok()
        .and_then(|text| distro_of_os_release(&text));
    target
}

/// This machine's architecture, by the name that image configurations use.
fn go_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// A variable whose name and value are text.
pub(crate) fn set(vars: &mut Vars, name: &str, value: impl AsRef<OsStr>) {
    vars.insert(name.into(), value.as_ref().to_os_string());
}

/// A variable's value as text; empty where it is not set.
pub fn text_of<'a>(vars: &'a Vars, name: &str) -> std::borrow::Cow<'a, str> {
    let value = vars.get(OsStr::new(name)).map(|value| value.as_bytes());
    String::from_utf8_lossy(value.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn vars(list: &[(&str, &str)]) -> Vars {
        list.iter().map(|&(n, v)| (n.into(), v.into())).collect()
    }

    #[test]
    fn new_passes_only_the_list_on() {
        let environment = BuildEnvironment::new(&vars(&[
            ("PATH", "/bin"),
            ("HOME", "/h=x"),
            ("no_proxy", "n"),
            ("SECRET", "s"),
            ("CNB_REGISTRY_AUTH", "s"),
        ]));
        let expected = vars(&[("PATH", "/bin"), ("HOME", "/h=x"), ("no_proxy", "n")]);
        assert_eq!(environment.vars, expected);
    }

    #[test]
    fn add_layer_then_overrides() {
        let scratch = tempfile::tempdir().unwrap();
        let write = |name: &str, value: &str| {
            let path = scratch.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, value).unwrap();
        };
        write("layer/bin/x", "");
        write("layer/env/A", "layer");
        write("layer/env.build/A.append", "+build");
        write("layer/env.launch/A", "launch");
        write("platform/env/B", "user");
        write("platform/env/PATH", "/user/bin");
        write("platform/env/folder/C", "no");
        write("config/env/B", "builder");
        write("config/env/D", "builder");
        let mut environment = BuildEnvironment::new(&vars(&[("PATH", "/bin")]));
        let layer = scratch.path().join("layer");
        environment.add_layer(&layer).unwrap();
        let platform = scratch.path().join("platform");
        let config = scratch.path().join("config");
        let path = format!("{}/bin:/bin", layer.display());
        let found = environment.with(Overrides {
            platform_dir: Some(&platform),
            build_config_dir: &config,
        });
        let expected = vars(&[
            ("A", "layer+build"),
            ("B", "user"),
            ("D", "builder"),
            ("PATH", &format!("/user/bin:{path}")),
        ]);
        assert_eq!(found.unwrap(), expected);
        let found = environment.with(Overrides {
            platform_dir: None,
            build_config_dir: &config,
        });
        let expected = vars(&[
            ("A", "layer+build"),
            ("B", "builder"),
            ("D", "builder"),
            ("PATH", &path),
        ]);
        assert_eq!(found.unwrap(), expected, "clear-env keeps the user's out");
    }
}
