//! The control part: the control file, maintainer scripts, conffiles, triggers and whatever else dpkg keeps in `info/`.

use std::{collections::BTreeMap, fmt, io::Read};

use oci_image::{
    TreePath,
    archive::{Kind, ReadArchiveError, ReadLimits, Reader},
};

use crate::{
    name::{Architecture, PackageName},
    package::RelationTexts,
    paragraph::paragraphs,
    version::Version,
};

/// Templates and symbol lists are the largest; none has a tenth of this.
const LIMITS: ReadLimits = ReadLimits {
    entries: 1000,
    bytes: 64 << 20,
    metadata_bytes: 1 << 16,
    depth: 2,
};

/// The control part of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// `Package`
    pub name: PackageName,
    /// `Version`
    pub version: Version,
    /// `Architecture`
    pub architecture: Architecture,
    /// `Multi-Arch: same`: several architectures may be installed, so dpkg names the package's files `name:architecture`.
    pub multi_arch_same: bool,
    /// `Essential: yes`
    pub essential: bool,
    /// The fields that relate it to others.
    pub relations: RelationTexts,
    /// The control file's text, as it is.
    pub text: String,
    /// Files that the administrator may change, without those that are only to be removed.
    pub conffiles: Vec<TreePath>,
    /// All files of the control part but the control file itself, by name.
    pub files: BTreeMap<String, ControlFile>,
}

/// A file of the control part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlFile {
    /// Its mode.
    pub mode: u32,
    /// Its content.
    pub content: Vec<u8>,
}

/// The scripts that a package brings for the moments of its installation (Debian policy 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Script {
    /// Before unpacking.
    Preinst,
    /// After unpacking, when its dependencies are there.
    Postinst,
    /// Before removal.
    Prerm,
    /// After removal.
    Postrm,
}

impl Script {
    /// All four.
    pub const ALL: [Self; 4] = [Self::Preinst, Self::Postinst, Self::Prerm, Self::Postrm];

    /// The file's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preinst => "preinst",
            Self::Postinst => "postinst",
            Self::Prerm => "prerm",
            Self::Postrm => "postrm",
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Control {
    /// Reads the unpacked `control.tar`.
    pub(super) fn read(tar: impl Read) -> Result<Self, ControlError> {
        let mut files = read_files(tar)?;
        let control = files.remove("control").ok_or(ControlError::NoControlFile)?;
        let text = String::from_utf8(control.content)
            .map_err(|_| ControlError::Malformed("it is not UTF-8 text".to_owned()))?;
        let conffiles = match files.get("conffiles") {
            Some(file) => read_conffiles(&file.content)?,
            None => Vec::new(),
        };
        Self::from_text(text, conffiles, files)
    }

    fn from_text(
        text: String,
        conffiles: Vec<TreePath>,
        files: BTreeMap<String, ControlFile>,
    ) -> Result<Self, ControlError> {
        let malformed = |problem: String| ControlError::Malformed(problem);
        let parsed = paragraphs(&text).map_err(|error| malformed(error.to_string()))?;
        let [paragraph] = &parsed[..] else {
            return Err(malformed(format!(
                "it has {} paragraphs instead of one",
                parsed.len()
            )));
        };
        let line = |field: &'static str| {
            let value = paragraph
                .get_single(field)
                .map(str::trim)
                .filter(|value| !value.is_empty());
            value.ok_or_else(|| malformed(format!("it has no field {field}")))
        };
        let name = line("Package")?
            .parse()
            .map_err(|error| malformed(format!("{error}")))?;
        let version = line("Version")?
            .parse()
            .map_err(|error| malformed(format!("{error}")))?;
        let architecture = line("Architecture")?
            .parse()
            .map_err(|error| malformed(format!("{error}")))?;
        let multi_arch_same = paragraph
            .get_single("Multi-Arch")
            .is_some_and(|value| value.trim() == "same");
        let essential = paragraph
            .get_single("Essential")
            .is_some_and(|value| value.trim() == "yes");
        let relations = RelationTexts::of(paragraph);
        Ok(Self {
            name,
            version,
            architecture,
            multi_arch_same,
            essential,
            relations,
            text,
            conffiles,
            files,
        })
    }

    /// A maintainer script, if the package has it.
    pub fn script(&self, script: Script) -> Option<&[u8]> {
        self.files
            .get(script.name())
            .map(|file| file.content.as_slice())
    }
}

fn read_files(tar: impl Read) -> Result<BTreeMap<String, ControlFile>, ControlError> {
    let mut reader = Reader::new(tar, LIMITS);
    let mut files = BTreeMap::new();
    while let Some(entry) = reader.next_entry()? {
        let name = String::from_utf8_lossy(entry.path.as_bytes()).into_owned();
        match entry.kind {
            Kind::Directory if entry.path.is_root() => {}
            Kind::File { .. } if is_plain_name(&name) => {
                let mut content = Vec::new();
                reader
                    .read_to_end(&mut content)
                    .map_err(|error| ControlError::Malformed(error.to_string()))?;
                if files
                    .insert(
                        name.clone(),
                        ControlFile {
                            mode: entry.mode & 0o777,
                            content,
                        },
                    )
                    .is_some()
                {
                    return Err(ControlError::Malformed(format!("'{name}' is there twice")));
                }
            }
            _ => {
                return Err(ControlError::Malformed(format!(
                    "'{name}' has no place in a control part"
                )));
            }
        }
    }
    Ok(files)
}

/// These names become parts of file names in dpkg's database.
fn is_plain_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.is_empty() && name.len() < 64 && !name.starts_with('.') && name.bytes().all(allowed)
}

fn read_conffiles(content: &[u8]) -> Result<Vec<TreePath>, ControlError> {
    let mut paths = Vec::new();
    for line in content
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
    {
        // `remove-on-upgrade /path` names a file that the package no longer has.
        if line.starts_with(b"/") {
            let path = TreePath::from_bytes(line)
                .map_err(|error| ControlError::Malformed(format!("its conffiles: {error}")))?;
            paths.push(path);
        }
    }
    Ok(paths)
}

/// Why a control part cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The tar.
    #[error("its control part: {0}")]
    Archive(#[from] ReadArchiveError),
    /// Not in it.
    #[error("its control part has no control file")]
    NoControlFile,
    /// In it, but not readable.
    #[error("its control part: {0}")]
    Malformed(String),
}
