//! Runs the installer: uv with pip's meaning of everything, or pip itself.

use crate::environment::Environment;
use crate::failure::InstallFailure;
use crate::flat::FlatFile;
use crate::installed::Distribution;
use crate::pip_settings::PipSettings;
use crate::requirements::{FileOption, Requirement, RequirementSet, requirement_name};
use crate::sources::PackageSources;
use buildpack_kit::command::{self, RunToolError, Show, ToolCommand};
use buildpack_kit::output::Output;
use buildpack_kit::tool_environment::trust;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The program that installs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Installer {
    /// The pinned uv.
    Uv(PathBuf),
    /// An interpreter that has pip.
    Pip(PathBuf),
}

/// Everything that an installation needs.
#[derive(Debug)]
pub(crate) struct Installation<'a> {
    pub(crate) set: &'a RequirementSet,
    pub(crate) sources: &'a PackageSources,
    pub(crate) settings: &'a PipSettings,
    pub(crate) environment: &'a Environment,
    pub(crate) app_dir: &'a Path,
    pub(crate) cache_dir: &'a Path,
    pub(crate) tool_environment: &'a command::Environment,
    pub(crate) link_mode: LinkMode,
    pub(crate) freshness: Freshness,
}

/// How files get from the cache into the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkMode {
    /// Hard links: nothing is written twice.
    Hardlink,
    /// Copies: where a link would first copy the cached file up from a lower layer of an overlay, and so write it twice.
    Copy,
}

/// Whether the installer may believe what it remembers of the indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// For as long as the index's own headers say.
    Cached,
    /// Not at all: a refresh was asked for, or a local package changed, which uv recognises by times only.
    Revalidated,
}

/// What is asked for besides the requirements files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extra {
    /// One more requirement.
    pub(crate) requirement: Option<String>,
    /// Versions of the last build, to stay with.
    pub(crate) pins: Vec<String>,
}

impl Installation<'_> {
    /// Installs everything into the environment.
    pub(crate) fn run(
        &self,
        installer: &Installer,
        extra: &Extra,
        output: &mut Output,
    ) -> Result<(), InstallError> {
        let scratch = tempfile::tempdir().map_err(|source| InstallError::Write {
            path: std::env::temp_dir(),
            source,
        })?;
        let requirements = FlatFile::new(&self.set.requirements);
        let constraints = FlatFile::new(&self.set.constraints);
        let write = |name: &str, text: &str| {
            let path = scratch.path().join(name);
            match fs::write(&path, text) {
                Ok(()) => Ok(path),
                Err(source) => Err(InstallError::Write { path, source }),
            }
        };
        let header = match installer {
            Installer::Uv(_) => String::new(),
            Installer::Pip(_) => pip_header(
                &self
                    .set
                    .options
                    .iter()
                    .map(|option| &option.value)
                    .collect::<Vec<_>>(),
            ),
        };
        let requirement_file = write(
            "requirements.txt",
            &format!("{header}{}", requirements.text),
        )?;
        let mut requirement_files = vec![requirement_file.clone()];
        if let Some(requirement) = &extra.requirement {
            requirement_files.push(write("extra.txt", requirement)?);
        }
        let mut constraint_files = Vec::new();
        if !constraints.origins.is_empty() {
            constraint_files.push(write("constraints.txt", &constraints.text)?);
        }
        if !extra.pins.is_empty() {
            constraint_files.push(write("pins.txt", &extra.pins.join("\n"))?);
        }
        let command = match installer {
            Installer::Uv(program) => self.uv(program),
            Installer::Pip(python) => self.pip(python),
        };
        let file_arguments = |option: &str, files: &[PathBuf]| -> Vec<OsString> {
            files
                .iter()
                .flat_map(|file| [option.into(), file.clone().into_os_string()])
                .collect()
        };
        let ran = command
            .args(file_arguments("-r", &requirement_files))
            .args(file_arguments("-c", &constraint_files))
            .run(Show::UntilError, output)?;
        if ran.status.success() {
            return Ok(());
        }
        let generated = [
            (requirement_files[0].as_path(), &requirements),
            (&scratch.path().join("constraints.txt"), &constraints),
        ];
        Err(InstallFailure::new(&ran.text, self.set, &generated, header.len()).into())
    }

    fn uv(&self, program: &Path) -> ToolCommand {
        let command = ToolCommand::new(program, self.app_dir, &self.uv_environment())
            .args([
                "pip",
                "install",
                "--no-progress",
                "--color",
                "never",
                "--python",
            ])
            .arg(self.environment.python());
        let mut arguments: Vec<String> = Vec::new();
        // pip takes the best version of all indexes; uv's default, the first index that knows the name, finds dash-design-kit's
        // placeholder instead of the real one (uv issue 14844).
        if !self.is_set("UV_INDEX_STRATEGY") {
            arguments.extend(["--index-strategy", "unsafe-best-match"].map(str::to_owned));
        }
        let flags = [
            (self.sources.require_hashes, "--require-hashes"),
            (self.sources.no_index, "--no-index"),
            (self.freshness == Freshness::Revalidated, "--refresh"),
            (
                self.settings.is_on("no-build-isolation"),
                "--no-build-isolation",
            ),
            (self.settings.is_on("no-deps"), "--no-deps"),
        ];
        arguments.extend(
            flags
                .iter()
                .filter(|(on, _)| *on)
                .map(|(_, flag)| (*flag).to_owned()),
        );
        if self.sources.pre && !self.is_set("UV_PRERELEASE") {
            arguments.extend(["--prerelease", "allow"].map(str::to_owned));
        }
        let mut repeated = |option: &str, values: Vec<String>| {
            arguments.extend(
                values
                    .into_iter()
                    .flat_map(|value| [option.to_owned(), value]),
            );
        };
        repeated("--find-links", self.sources.find_links.clone());
        repeated("--no-binary", self.sources.no_binary.clone());
        repeated("--only-binary", self.sources.only_binary.clone());
        repeated(
            "--config-setting",
            self.settings
                .list("config-settings")
                .map(str::to_owned)
                .collect(),
        );
        repeated(
            "--config-settings-package",
            self.config_settings_of_packages(),
        );
        repeated(
            "-c",
            self.settings
                .list("constraint")
                .map(str::to_owned)
                .collect(),
        );
        repeated(
            "-b",
            self.settings
                .list("build-constraint")
                .map(str::to_owned)
                .collect(),
        );
        command.args(arguments)
    }

    fn config_settings_of_packages(&self) -> Vec<String> {
        let entries = self
            .set
            .requirements
            .iter()
            .filter_map(|located| match &located.value {
                Requirement::Text(entry) => {
                    Some((requirement_name(&entry.text)?, &entry.config_settings))
                }
                _ => None,
            });
        entries
            .flat_map(|(name, settings)| {
                settings
                    .iter()
                    .map(move |setting| format!("{name}:{setting}"))
            })
            .collect()
    }

    /// pip's settings under uv's names. What the user set for uv itself stays, except where a requirements file says otherwise.
    fn uv_environment(&self) -> command::Environment {
        let mut environment = self.tool_environment.clone();
        let default =
            |environment: &mut command::Environment, name: &str, value: Option<String>| {
                if let Some(value) = value.filter(|value| !value.is_empty()) {
                    environment
                        .entry(name.into())
                        .or_insert_with(|| value.into());
                }
            };
        let setting = |key: &str| self.settings.value(key).map(str::to_owned);
        if let Some(certificates) = setting("cert") {
            trust(&mut environment, &certificates);
        }
        let in_files = |matches: fn(&FileOption) -> bool| {
            self.set.options.iter().any(|option| matches(&option.value))
        };
        if in_files(|option| matches!(option, FileOption::IndexUrl(_))) {
            environment.remove(OsString::from("UV_DEFAULT_INDEX").as_os_str());
            environment.remove(OsString::from("UV_INDEX_URL").as_os_str());
        }
        if !self.is_set("UV_INDEX_URL")
            || in_files(|option| matches!(option, FileOption::IndexUrl(_)))
        {
            default(
                &mut environment,
                "UV_DEFAULT_INDEX",
                self.sources.index_url.clone(),
            );
        }
        if !self.is_set("UV_INDEX") {
            default(
                &mut environment,
                "UV_EXTRA_INDEX_URL",
                Some(self.sources.extra_index_urls.join(" ")),
            );
        }
        default(
            &mut environment,
            "UV_INSECURE_HOST",
            Some(self.sources.trusted_hosts.join(" ")),
        );
        default(
            &mut environment,
            "UV_HTTP_TIMEOUT",
            setting("timeout").or(setting("default-timeout")),
        );
        default(&mut environment, "UV_HTTP_RETRIES", setting("retries"));
        default(&mut environment, "SSL_CLIENT_CERT", setting("client-cert"));
        default(
            &mut environment,
            "UV_EXCLUDE_NEWER",
            setting("uploaded-prior-to"),
        );
        default(
            &mut environment,
            "UV_KEYRING_PROVIDER",
            setting("keyring-provider").filter(|provider| provider == "subprocess"),
        );
        for name in ["HTTPS_PROXY", "HTTP_PROXY"] {
            default(&mut environment, name, setting("proxy"));
        }
        // The app's own [tool.uv] is for `uv sync`; pip, whose file this is, does not know it.
        if !self.is_set("UV_CONFIG_FILE") {
            environment.insert("UV_NO_CONFIG".into(), "1".into());
        }
        environment.insert("UV_CACHE_DIR".into(), self.cache_dir.join("uv").into());
        environment.insert("UV_PYTHON_DOWNLOADS".into(), "never".into());
        let link_mode = match self.link_mode {
            LinkMode::Hardlink => "hardlink",
            LinkMode::Copy => "copy",
        };
        environment.insert("UV_LINK_MODE".into(), link_mode.into());
        environment
    }

    fn is_set(&self, name: &str) -> bool {
        self.tool_environment
            .get(OsString::from(name).as_os_str())
            .is_some_and(|value| !value.is_empty())
    }

    fn pip(&self, python: &Path) -> ToolCommand {
        ToolCommand::new(python, self.app_dir, self.tool_environment)
            .args(["-m", "pip", "--python"])
            .arg(self.environment.python())
            .args([
                "install",
                "--no-input",
                "--progress-bar",
                "off",
                "--no-compile",
                "--disable-pip-version-check",
            ])
            .args([
                "--no-warn-script-location",
                "--exists-action",
                "w",
                "--root-user-action",
                "ignore",
                "--src",
            ])
            .arg(self.environment.root().join("src"))
            .arg("--cache-dir")
            .arg(self.cache_dir.join("pip"))
    }
}

/// The files' options for pip, which reads them from a file only (a command line can be seen by every process, and URLs hold passwords).
fn pip_header(options: &[&FileOption]) -> String {
    let mut header = String::new();
    for option in options {
        let line = match option {
            FileOption::IndexUrl(url) => format!("--index-url {url}"),
            FileOption::ExtraIndexUrl(url) => format!("--extra-index-url {url}"),
            FileOption::FindLinks(place) => format!("--find-links {place}"),
            FileOption::NoIndex => "--no-index".to_owned(),
            FileOption::TrustedHost(host) => format!("--trusted-host {host}"),
            FileOption::NoBinary(names) => format!("--no-binary {names}"),
            FileOption::OnlyBinary(names) => format!("--only-binary {names}"),
            FileOption::PreferBinary => "--prefer-binary".to_owned(),
            FileOption::RequireHashes => "--require-hashes".to_owned(),
            FileOption::Pre => "--pre".to_owned(),
            FileOption::UseFeature(feature) => format!("--use-feature {feature}"),
        };
        writeln!(header, "{line}").expect("writing to a string cannot fail");
    }
    header
}

/// What uv cannot do of what the requirements ask for, in words; pip installs then.
pub(crate) fn only_pip_can(set: &RequirementSet, sources: &PackageSources) -> Vec<String> {
    let mut reasons = sources.only_pip_can.clone();
    for located in &set.requirements {
        let location = &located.location;
        match &located.value {
            Requirement::Text(entry) if !entry.legacy_options.is_empty() => {
                reasons.push(format!("{} ({location})", entry.legacy_options.join(" ")));
            }
            Requirement::Text(entry) => {
                let url = entry
                    .text
                    .split_once('@')
                    .map_or(entry.text.as_str(), |(_, url)| url.trim());
                if let Some(system) = ["hg+", "svn+", "bzr+"]
                    .iter()
                    .find(|prefix| url.starts_with(**prefix))
                {
                    reasons.push(format!("{system}… ({location})"));
                }
            }
            Requirement::EditableRepository(_) => {
                reasons.push(format!("-e with a repository ({location})"));
            }
            Requirement::Local(_) | Requirement::Editable(_) | Requirement::RemoteFile(_) => {}
        }
    }
    reasons
}

/// `name==version` for everything that came from an index.
pub(crate) fn pins(packages: &[Distribution]) -> Vec<String> {
    packages
        .iter()
        .filter(|package| package.url.is_none())
        .map(|package| format!("{}=={}", package.name, package.version))
        .collect()
}

/// Why nothing could be installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The installer failed.
    #[error(transparent)]
    Failed(#[from] Box<InstallFailure>),
    /// The installer cannot be started.
    #[error(transparent)]
    Run(#[from] RunToolError),
    /// A file for the installer cannot be written.
    #[error("cannot write '{}': {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl From<InstallFailure> for InstallError {
    fn from(failure: InstallFailure) -> Self {
        Self::Failed(Box::new(failure))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use buildpack_kit::Variables;

    fn set(requirements: &str) -> RequirementSet {
        let app = tempfile::tempdir().unwrap();
        fs::write(app.path().join("requirements.txt"), requirements).unwrap();
        RequirementSet::read(app.path(), &Variables::default())
            .unwrap()
            .unwrap()
    }

    #[test]
    fn only_pip_can_cases() {
        let set = set(
            "a --global-option=-q\nb @ hg+https://h/b\nhg+ssh://h/c#egg=c\n-e git+https://h/d#egg=d\ne @ git+https://h/e\n",
        );
        assert_eq!(
            only_pip_can(&set, &PackageSources::default()),
            [
                "--global-option=-q (requirements.txt line 1)",
                "hg+… (requirements.txt line 2)",
                "hg+… (requirements.txt line 3)",
                "-e with a repository (requirements.txt line 4)"
            ]
        );
    }

    #[test]
    fn pins_only_what_an_index_gave() {
        let package = |name: &str, url: Option<&str>| Distribution {
            name: name.into(),
            version: "1".into(),
            url: url.map(str::to_owned),
        };
        assert_eq!(
            pins(&[
                package("a", None),
                package("b", Some("file:///workspace/b"))
            ]),
            ["a==1"]
        );
    }

    #[test]
    fn pip_header_repeats_the_files_options() {
        let set = set("-i https://h\n--pre\n--no-binary x,y\n");
        let options: Vec<_> = set.options.iter().map(|option| &option.value).collect();
        assert_eq!(
            pip_header(&options),
            "--index-url https://h\n--pre\n--no-binary x,y\n"
        );
    }
}
