//! Targets: the operating systems, processors and distributions that a buildpack works for, and those that a run image is.
//!
//! Buildpack specification 0.10 (`[[targets]]` in `buildpack.toml`); Platform specification 0.12 (`[run-image.target]` in `analyzed.toml`). The specification says `variant`,
//! the reference implementation `arch-variant`; both are read, the latter is written.

use serde::{Deserialize, Serialize};

/// What a buildpack works for. An empty text means any.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BuildpackTarget {
    /// `linux`
    #[serde(default)]
    pub os: String,
    /// `amd64`
    #[serde(default)]
    pub arch: String,
    /// `v7`
    #[serde(default, alias = "variant", skip_serializing_if = "String::is_empty")]
    pub arch_variant: String,
    /// Distributions; an empty list means any.
    #[serde(
        default,
        alias = "distributions",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub distros: Vec<Distro>,
}

/// A Linux distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distro {
    /// `debian`
    #[serde(default)]
    pub name: String,
    /// `13`
    #[serde(default)]
    pub version: String,
}

/// What a run image is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ImageTarget {
    /// The label `io.buildpacks.base.id`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// `linux`
    #[serde(default)]
    pub os: String,
    /// `amd64`
    #[serde(default)]
    pub arch: String,
    /// `v7`
    #[serde(default, alias = "variant", skip_serializing_if = "String::is_empty")]
    pub arch_variant: String,
    /// From the labels `io.buildpacks.base.distro.*`, or from the build image's `/etc/os-release`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distro: Option<Distro>,
}

impl BuildpackTarget {
    /// Does a buildpack for this target work on `image`? What one of them does not say matches; a distribution that the buildpack asks for has to be known.
    pub fn includes(&self, image: &ImageTarget) -> bool {
        let Self {
            os,
            arch,
            arch_variant,
            distros,
        } = self;
        let platform_matches = same_or_unsaid(os, &image.os)
            && same_or_unsaid(arch, &image.arch)
            && same_or_unsaid(arch_variant, &image.arch_variant);
        let distro_matches = match &image.distro {
            _ if distros.is_empty() => true,
            None => false,
            Some(found) => distros.iter().any(|wanted| {
                same_or_unsaid(&wanted.name, &found.name)
                    && same_or_unsaid(&wanted.version, &found.version)
            }),
        };
        platform_matches && distro_matches
    }
}

fn same_or_unsaid(a: &str, b: &str) -> bool {
    a.is_empty() || b.is_empty() || a == b
}

impl ImageTarget {
    /// The variables that buildpacks get (Buildpack API 0.10 and later).
    pub fn variables(&self) -> Vec<(&'static str, &str)> {
        let distro = self.distro.as_ref();
        let all = [
            ("CNB_TARGET_OS", self.os.as_str()),
            ("CNB_TARGET_ARCH", &self.arch),
            ("CNB_TARGET_ARCH_VARIANT", &self.arch_variant),
            ("CNB_TARGET_DISTRO_NAME", distro.map_or("", |d| &d.name)),
            (
                "CNB_TARGET_DISTRO_VERSION",
                distro.map_or("", |d| &d.version),
            ),
        ];
        let required = |name: &str| matches!(name, "CNB_TARGET_OS" | "CNB_TARGET_ARCH");
        all.into_iter()
            .filter(|(name, value)| required(name) || !value.is_empty())
            .collect()
    }
}

/// The distribution that the text of an `/etc/os-release` names.
pub fn distro_of_os_release(text: &str) -> Option<Distro> {
    let value_of = |wanted: &str| {
        let line = text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            (key.trim() == wanted).then_some(value)
        });
        line.unwrap_or_default()
            .trim_matches(['"', '\'', ' '])
            .to_owned()
    };
    let distro = Distro {
        name: value_of("ID"),
        version: value_of("VERSION_ID"),
    };
    (distro != Distro::default()).then_some(distro)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(text: &str) -> ImageTarget {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn includes_cases() {
        let debian = "os = 'linux'\narch = 'amd64'\n[distro]\nname = 'debian'\nversion = '13'";
        for (target, target_image, expected, why) in [
            ("", debian, true, "anything"),
            ("os = 'linux'", debian, true, "the same system"),
            ("os = 'windows'", debian, false, "another system"),
            ("arch = 'arm64'", debian, false, "another processor"),
            ("variant = 'v8'", debian, true, "the image does not say"),
            ("[[distros]]\nname = 'debian'", debian, true, "any version"),
            ("[[distros]]\nname = 'ubuntu'", debian, false, "another one"),
            (
                "[[distros]]\nname = 'ubuntu'\n[[distros]]\nname = 'debian'\nversion = '13'",
                debian,
                true,
                "one of them",
            ),
            (
                "[[distros]]\nname = 'debian'",
                "os = 'linux'",
                false,
                "the image's is not known",
            ),
        ] {
            let target: BuildpackTarget = toml::from_str(target).unwrap();
            assert_eq!(target.includes(&image(target_image)), expected, "{why}");
        }
    }

    #[test]
    fn variables_leave_out_what_is_not_known() {
        let found = image("os = 'linux'\narch = 'arm64'\nvariant = 'v8'");
        assert_eq!(
            found.variables(),
            [
                ("CNB_TARGET_OS", "linux"),
                ("CNB_TARGET_ARCH", "arm64"),
                ("CNB_TARGET_ARCH_VARIANT", "v8"),
            ]
        );
    }

    #[test]
    fn distro_of_os_release_debian() {
        let text =
            "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nVERSION_ID=\"13\"\nID=debian\nX=a=b\n";
        let expected = Distro {
            name: "debian".into(),
            version: "13".into(),
        };
        assert_eq!(distro_of_os_release(text), Some(expected));
        assert_eq!(distro_of_os_release(""), None);
    }
}
