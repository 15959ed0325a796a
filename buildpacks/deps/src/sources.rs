//! Where packages come from: pip's settings and the requirements files' options, merged as pip merges them.

use crate::pip_settings::PipSettings;
use crate::requirements::{FileOption, RequirementSet};
use buildpack_kit::redact::redact;
use buildpack_kit::{Variables, digest};
use std::path::Path;

/// Indexes, folders of wheels, and what may be taken from them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PackageSources {
    pub(crate) index_url: Option<String>,
    pub(crate) extra_index_urls: Vec<String>,
    pub(crate) no_index: bool,
    pub(crate) find_links: Vec<String>,
    pub(crate) trusted_hosts: Vec<String>,
    pub(crate) no_binary: Vec<String>,
    pub(crate) only_binary: Vec<String>,
    pub(crate) pre: bool,
    pub(crate) require_hashes: bool,
    /// What uv has no counterpart for, in words.
    pub(crate) only_pip_can: Vec<String>,
    /// What is ignored, in words.
    pub(crate) notices: Vec<String>,
}

impl PackageSources {
    /// The files' `--index-url` replaces pip's; everything else adds to it.
    pub(crate) fn merge(settings: &PipSettings, set: &RequirementSet) -> Self {
        let mut sources = Self::from_settings(settings);
        for option in &set.options {
            sources.add(&option.value, &option.location.to_string());
        }
        sources.require_hashes |= set.wants_hashes();
        sources
    }

    fn from_settings(settings: &PipSettings) -> Self {
        let list = |key| settings.list(key).map(str::to_owned).collect::<Vec<_>>();
        let mut sources = Self {
            index_url: settings.value("index-url").map(str::to_owned),
            extra_index_urls: list("extra-index-url"),
            no_index: settings.is_on("no-index"),
            trusted_hosts: list("trusted-host"),
            no_binary: split_names(&list("no-binary")),
            only_binary: split_names(&list("only-binary")),
            pre: settings.is_on("pre"),
            require_hashes: settings.is_on("require-hashes"),
            ..Self::default()
        };
        for place in list("find-links") {
            if place.contains("://") || Path::new(&place).try_exists().unwrap_or(false) {
                sources.find_links.push(place);
            } else {
                sources.notices.push(format!("pip's setting find-links names '{place}', which does not exist here; it is ignored"));
            }
        }
        if settings.is_on("prefer-binary") {
            sources
                .only_pip_can
                .push("pip's setting prefer-binary".to_owned());
        }
        sources
    }

    fn add(&mut self, option: &FileOption, location: &str) {
        match option {
            FileOption::IndexUrl(url) => self.index_url = Some(url.clone()),
            FileOption::ExtraIndexUrl(url) => self.extra_index_urls.push(url.clone()),
            FileOption::FindLinks(place) => self.find_links.push(place.clone()),
            FileOption::NoIndex => self.no_index = true,
            FileOption::TrustedHost(host) => self.trusted_hosts.push(host.clone()),
            FileOption::NoBinary(names) => self
                .no_binary
                .extend(split_names(std::slice::from_ref(names))),
            FileOption::OnlyBinary(names) => self
                .only_binary
                .extend(split_names(std::slice::from_ref(names))),
            FileOption::Pre => self.pre = true,
            FileOption::RequireHashes => self.require_hashes = true,
            FileOption::PreferBinary => self
                .only_pip_can
                .push(format!("--prefer-binary ({location})")),
            FileOption::UseFeature(feature) => self.notices.push(format!(
                "{location}: --use-feature={feature} is for pip only; it is ignored"
            )),
        }
    }

    /// Changes exactly where other packages could be found; without passwords, which only open doors.
    pub(crate) fn digest(&self, variables: &Variables) -> String {
        let Self {
            index_url,
            extra_index_urls,
            no_index,
            find_links,
            trusted_hosts,
            no_binary,
            only_binary,
            pre,
            require_hashes,
            only_pip_can,
            notices: _,
        } = self;
        let uv: Vec<(&str, &str)> = variables
            .iter()
            .filter(|(name, _)| decides_for_uv(name))
            .collect();
        let all = format!(
            "{index_url:?} {extra_index_urls:?} {no_index} {find_links:?} {trusted_hosts:?} {no_binary:?} {only_binary:?} {pre} {require_hashes} {only_pip_can:?} {uv:?}"
        );
        digest::of_bytes(redact(&all))
    }
}

/// `UV_*` variables that choose packages. Those that say how to reach servers, and secrets, decide nothing.
fn decides_for_uv(name: &str) -> bool {
    const DECIDING: [&str; 16] = [
        "UV_BUILD_CONSTRAINT",
        "UV_CONSTRAINT",
        "UV_DEFAULT_INDEX",
        "UV_EXCLUDE",
        "UV_EXCLUDE_NEWER",
        "UV_EXTRA_INDEX_URL",
        "UV_FIND_LINKS",
        "UV_INDEX",
        "UV_INDEX_STRATEGY",
        "UV_INDEX_URL",
        "UV_NO_BINARY",
        "UV_NO_BUILD",
        "UV_OVERRIDE",
        "UV_PRERELEASE",
        "UV_RESOLUTION",
        "UV_TORCH_BACKEND",
    ];
    DECIDING.contains(&name)
}

/// `a,b` and `a b` both occur.
fn split_names(values: &[String]) -> Vec<String> {
    values
        .iter()
        .flat_map(|value| value.split([',', ' ']))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(pip: &[(&str, &str)], requirements: &str) -> PackageSources {
        let app = tempfile::tempdir().unwrap();
        std::fs::write(app.path().join("requirements.txt"), requirements).unwrap();
        let variables: Variables = pip.iter().copied().collect();
        let set = RequirementSet::read(app.path(), &variables)
            .unwrap()
            .unwrap();
        PackageSources::merge(&PipSettings::load(&[], &variables), &set)
    }

    #[test]
    fn merge_files_over_settings() {
        let merged = sources(
            &[
                ("PIP_INDEX_URL", "https://a"),
                ("PIP_EXTRA_INDEX_URL", "https://b https://c"),
                ("PIP_NO_BINARY", "x,y"),
            ],
            "-i https://own\n--extra-index-url https://d\n--pre\n--use-feature=fast-deps\n--prefer-binary\n",
        );
        let expected = PackageSources {
            index_url: Some("https://own".into()),
            extra_index_urls: ["https://b", "https://c", "https://d"]
                .map(String::from)
                .into(),
            no_binary: ["x", "y"].map(String::from).into(),
            pre: true,
            only_pip_can: vec!["--prefer-binary (requirements.txt line 5)".into()],
            notices: vec![
                "requirements.txt line 4: --use-feature=fast-deps is for pip only; it is ignored"
                    .into(),
            ],
            ..PackageSources::default()
        };
        assert_eq!(merged, expected);
    }

    #[test]
    fn digest_ignores_passwords_only() {
        let digest =
            |url: &str| sources(&[("PIP_INDEX_URL", url)], "").digest(&Variables::default());
        assert_eq!(
            digest("https://u:one@host/simple"),
            digest("https://u:two@host/simple")
        );
        assert_ne!(
            digest("https://host/simple"),
            digest("https://other/simple")
        );
    }
}
