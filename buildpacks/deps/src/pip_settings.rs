//! pip's own settings: `pip.conf` and `PIP_*`, read as pip reads them, because uv reads neither.
//!
//! Files are read from the most general to the most special, `[global]` before `[install]`, the environment last; a later value replaces an
//! earlier one, lists too. `PIP_CONFIG_FILE=/dev/null` switches all files off.
//! <https://pip.pypa.io/en/stable/topics/configuration/>

use buildpack_kit::Variables;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Every setting by its long option name, without dashes in front.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PipSettings(BTreeMap<String, String>);

/// Where pip looks for configuration files, most general first.
pub(crate) fn config_files(variables: &Variables) -> Vec<PathBuf> {
    let own = variables.get("PIP_CONFIG_FILE");
    if own == Some("/dev/null") {
        return Vec::new();
    }
    let system = variables.get("XDG_CONFIG_DIRS").unwrap_or("/etc/xdg");
    let mut files: Vec<PathBuf> = system
        .split(':')
        .map(|folder| Path::new(folder).join("pip/pip.conf"))
        .collect();
    files.push("/etc/pip.conf".into());
    if let Some(home) = variables.get("HOME") {
        files.push(Path::new(home).join(".pip/pip.conf"));
        let config = variables
            .get("XDG_CONFIG_HOME")
            .map_or_else(|| Path::new(home).join(".config"), PathBuf::from);
        files.push(config.join("pip/pip.conf"));
    }
    files.extend(own.map(PathBuf::from));
    files
}

impl PipSettings {
    /// Reads `files` in their order (those that cannot be read do not count, as in pip), then `PIP_*`.
    pub(crate) fn load(files: &[PathBuf], variables: &Variables) -> Self {
        let mut settings = Self::default();
        for text in files
            .iter()
            .filter_map(|file| std::fs::read_to_string(file).ok())
        {
            settings.add_file(&text);
        }
        for (name, value) in variables.iter() {
            if let Some(key) = name
                .strip_prefix("PIP_")
                .filter(|key| *key != "CONFIG_FILE")
            {
                settings.0.insert(normalise(key), value.to_owned());
            }
        }
        settings
    }

    fn add_file(&mut self, text: &str) {
        let sections = parse_ini(text);
        for wanted in ["global", "install"] {
            for (_, key, value) in sections.iter().filter(|(section, ..)| section == wanted) {
                self.0.insert(normalise(key), value.clone());
            }
        }
    }

    /// A setting that is one value.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.0
            .get(key)
            .map(|value| value.trim())
            .filter(|value| !value.is_empty())
    }

    /// A setting that is several values, separated by white space.
    pub(crate) fn list(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0
            .get(key)
            .into_iter()
            .flat_map(|value| value.split_whitespace())
    }

    /// A setting that is on or off; pip's words for on.
    pub(crate) fn is_on(&self, key: &str) -> bool {
        self.value(key).is_some_and(|value| {
            ["1", "y", "yes", "t", "true", "on"].contains(&value.to_ascii_lowercase().as_str())
        })
    }
}

fn normalise(key: &str) -> String {
    key.trim()
        .trim_start_matches("--")
        .to_ascii_lowercase()
        .replace('_', "-")
}

/// Python's `configparser` as far as pip.conf needs it: section, key, value; indented lines continue a value.
fn parse_ini(text: &str) -> Vec<(String, String, String)> {
    let mut entries: Vec<(String, String, String)> = Vec::new();
    let mut section = String::new();
    let mut continuing = false;
    for line in text.trim_start_matches('\u{feff}').lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if continuing && line.starts_with([' ', '\t']) {
            if let Some((.., value)) = entries.last_mut() {
                value.push('\n');
                value.push_str(trimmed);
            }
            continue;
        }
        continuing = false;
        if let Some(name) = trimmed
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            name.trim().clone_into(&mut section);
        } else if let Some((key, value)) = trimmed.split_once(['=', ':']) {
            entries.push((
                section.clone(),
                key.trim().to_owned(),
                value.trim().to_owned(),
            ));
            continuing = true;
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_later_and_more_special_wins() {
        let folder = tempfile::tempdir().unwrap();
        let (first, second) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::write(&first, "[install]\nindex-url = https://special\n[global]\nindex_url: https://general\ntimeout = 10\n").unwrap();
        std::fs::write(&second, "# c\n[global]\ntimeout = 20\nextra-index-url =\n    https://one\n    https://two\nno-index = false\n").unwrap();
        let variables = [("PIP_RETRIES", "7"), ("PIP_TIMEOUT", "30"), ("OTHER", "x")]
            .into_iter()
            .collect();
        let settings =
            PipSettings::load(&[first, folder.path().join("missing"), second], &variables);
        assert_eq!(settings.value("index-url"), Some("https://special"));
        assert_eq!(settings.value("timeout"), Some("30"));
        assert_eq!(settings.value("retries"), Some("7"));
        assert_eq!(
            settings.list("extra-index-url").collect::<Vec<_>>(),
            ["https://one", "https://two"]
        );
        assert!(!settings.is_on("no-index"));
    }

    #[test]
    fn config_files_of_home_and_variables() {
        let variables = [("HOME", "/home/cnb"), ("PIP_CONFIG_FILE", "/x/pip.conf")]
            .into_iter()
            .collect();
        let files: Vec<String> = config_files(&variables)
            .iter()
            .map(|file| file.display().to_string())
            .collect();
        assert_eq!(
            files,
            [
                "/etc/xdg/pip/pip.conf",
                "/etc/pip.conf",
                "/home/cnb/.pip/pip.conf",
                "/home/cnb/.config/pip/pip.conf",
                "/x/pip.conf"
            ]
        );
        let off = [("PIP_CONFIG_FILE", "/dev/null")].into_iter().collect();
        assert!(config_files(&off).is_empty());
    }
}
