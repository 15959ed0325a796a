//! SBOM files: three formats, told apart by the end of the file's name.

/// A format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SbomFormat {
    /// CycloneDX
    CycloneDx,
    /// SPDX
    Spdx,
    /// Syft
    Syft,
}

impl SbomFormat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::CycloneDx, Self::Spdx, Self::Syft];

    /// The name that the lifecycle gives such a file below `<layers>/sbom/`.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::CycloneDx => "sbom.cdx.json",
            Self::Spdx => "sbom.spdx.json",
            Self::Syft => "sbom.syft.json",
        }
    }

    /// The media type that a buildpack declares in `sbom-formats`.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::CycloneDx => "application/vnd.cyclonedx+json",
            Self::Spdx => "application/spdx+json",
            Self::Syft => "application/vnd.syft+json",
        }
    }

    /// The format of `<name>.sbom.<ext>.json`, and the name: a layer's, `launch` or `build`.
    pub fn of_file(file_name: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|format| {
            let name = file_name.strip_suffix(format.file_name())?;
            Some((format, name.strip_suffix('.')?))
        })
    }

    /// Is the format among a buildpack's `sbom-formats`? Parameters such as `;version=1.4` do not count.
    pub fn is_declared(self, sbom_formats: &[String]) -> bool {
        sbom_formats.iter().any(|declared| {
            let media_type = declared.split(';').next().unwrap_or_default().trim();
            media_type.eq_ignore_ascii_case(self.media_type())
        })
    }
}

/// Is it the name of an SBOM file, of whatever format (`*.sbom.*.json`)?
pub fn is_sbom_file(file_name: &str) -> bool {
    let Some(stem) = file_name.strip_suffix(".json") else {
        return false;
    };
    let format = stem.rsplit_once(".sbom.").map(|(_, format)| format);
    format.is_some_and(|format| !format.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sbom_format_of_file() {
        for (name, expected) in [
            (
                "launch.sbom.cdx.json",
                Some((SbomFormat::CycloneDx, "launch")),
            ),
            (
                "my.layer.sbom.spdx.json",
                Some((SbomFormat::Spdx, "my.layer")),
            ),
            ("x.sbom.syft.json", Some((SbomFormat::Syft, "x"))),
            ("x.sbom.other.json", None),
            ("sbom.cdx.json", None),
        ] {
            assert_eq!(SbomFormat::of_file(name), expected, "{name}");
        }
        assert!(is_sbom_file("x.sbom.other.json") && !is_sbom_file("x.sbom.json"));
    }

    #[test]
    fn sbom_format_is_declared() {
        let declared = ["Application/vnd.cyclonedx+json; version=1.4".to_owned()];
        assert!(SbomFormat::CycloneDx.is_declared(&declared));
        assert!(!SbomFormat::Spdx.is_declared(&declared));
    }
}
