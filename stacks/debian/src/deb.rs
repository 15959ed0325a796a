//! `.deb` files: what is in them, and unpacking them below an open folder.
//!
//! A .deb is an `ar` archive of three members (deb(5)): `debian-binary` (the text `2.0`), `control.tar.*` (the control file,
//! maintainer scripts, lists) and `data.tar.*` (the files).

mod ar;
mod compression;
mod control;

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    os::fd::BorrowedFd,
    path::{Path, PathBuf},
};

use fetch::Sha256;
use oci_image::{
    Owners, TreePath,
    archive::{Entry, ReadArchiveError, ReadLimits, Reader},
    unpack::{Placement, UnpackError, UnpackOptions, Unpacked},
};

use crate::package::{DebFile, Package};

pub use control::{Control, ControlError, Script};

/// A .deb whose control part has been read.
#[derive(Debug)]
pub struct Deb {
    path: PathBuf,
    control: Control,
    data: ar::Member,
}

/// Where files go that the administrator may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conffiles {
    /// Beside their place, as `name.dpkg-new`: so `dpkg --configure` expects them after `dpkg --unpack`.
    BesideTheirPlace,
    /// In their place: for packages that dpkg will not configure.
    InPlace,
}

/// What unpacking brought.
#[derive(Debug)]
pub struct UnpackedDeb {
    /// Sizes, counts.
    pub summary: Unpacked,
    /// The paths the package brought, under their final names and in its order: what dpkg keeps as `info/<package>.list`.
    pub paths: Vec<TreePath>,
}

impl Deb {
    /// Opens a .deb and reads its control part.
    pub fn open(path: &Path) -> Result<Self, DebError> {
        let wrong = |problem| DebError {
            path: path.to_owned(),
            problem,
        };
        let mut file = File::open(path).map_err(|error| wrong(DebProblem::Read(error)))?;
        Self::read(path, &mut file).map_err(wrong)
    }

    /// Opens a .deb after checking that it is the one an index promised: its size, its digest, its name, version and architecture.
    pub fn open_checked(path: &Path, expected: &Package) -> Result<Self, DebError> {
        let wrong = |problem| DebError {
            path: path.to_owned(),
            problem,
        };
        check_file(path, &expected.file).map_err(wrong)?;
        let deb = Self::open(path)?;
        let control = &deb.control;
        let found = format!(
            "{} {} {}",
            control.name, control.version, control.architecture
        );
        let promised = format!(
            "{} {} {}",
            expected.name, expected.version, expected.architecture
        );
        if found != promised {
            return Err(wrong(DebProblem::OtherPackage { promised, found }));
        }
        Ok(deb)
    }

    fn read(path: &Path, file: &mut File) -> Result<Self, DebProblem> {
        let members = ar::members(file)?;
        let mut version = Vec::new();
        members.binary.reader(file)?.read_to_end(&mut version)?;
        // A later 2.x may add things that old readers may ignore.
        if !version.starts_with(b"2.") {
            return Err(DebProblem::Format(
                "its format version is not 2.x".to_owned(),
            ));
        }
        let control = Control::read(compression::reader(
            &members.control.name,
            members.control.reader(file)?,
        )?)?;
        Ok(Self {
            path: path.to_owned(),
            control,
            data: members.data,
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The control part.
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// The tar of the files, unpacked.
    pub fn data(&self) -> Result<impl Read + use<>, DebError> {
        let open = || -> Result<_, DebProblem> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.data.offset))?;
            compression::reader(&self.data.name, file.take(self.data.size))
        };
        open().map_err(|problem| self.error(problem))
    }

    /// What the package brings, without unpacking it.
    pub fn entries(&self) -> Result<Vec<Entry>, DebError> {
        let mut reader = Reader::new(self.data()?, ReadLimits::default());
        let mut entries = Vec::new();
        while let Some(entry) = reader
            .next_entry()
            .map_err(|error| self.error(DebProblem::Archive(error)))?
        {
            entries.push(entry);
        }
        Ok(entries)
    }

    /// Unpacks the files below `root`. `options` is [`UnpackOptions::debian_package`], or something made from it; its placement
    /// sees conffiles under their own names and wins over `conffiles`.
    pub fn unpack(
        &self,
        root: BorrowedFd<'_>,
        owners: &mut Owners,
        conffiles: Conffiles,
        options: UnpackOptions<'_>,
    ) -> Result<UnpackedDeb, DebError> {
        let mut paths = Vec::new();
        let UnpackOptions {
            limits,
            parents,
            existing_folders,
            whiteouts,
            devices,
            mut placement,
        } = options;
        let place = |entry: &Entry| {
            let place = placement(entry);
            if place != Placement::Skip {
                paths.push(entry.path.clone());
            }
            let beside = conffiles == Conffiles::BesideTheirPlace && place == Placement::AsIs;
            if beside && self.control.conffiles.contains(&entry.path) {
                dpkg_new(&entry.path).map_or(Placement::AsIs, Placement::At)
            } else {
                place
            }
        };
        let options = UnpackOptions {
            limits,
            parents,
            existing_folders,
            whiteouts,
            devices,
            placement: Box::new(place),
        };
        let summary = oci_image::unpack(self.data()?, root, owners, options)
            .map_err(|error| self.error(DebProblem::Unpack(Box::new(error))))?;
        Ok(UnpackedDeb { summary, paths })
    }

    fn error(&self, problem: DebProblem) -> DebError {
        DebError {
            path: self.path.clone(),
            problem,
        }
    }
}

fn dpkg_new(path: &TreePath) -> Option<TreePath> {
    TreePath::from_bytes(&[path.as_bytes(), b".dpkg-new"].concat()).ok()
}

fn check_file(path: &Path, expected: &DebFile) -> Result<(), DebProblem> {
    let mut file = File::open(path)?;
    let found = file.metadata()?.len();
    if found != expected.size {
        return Err(DebProblem::WrongSize {
            expected: expected.size,
            found,
        });
    }
    let found = crate::cache::digest_of(&mut file)?;
    if found != expected.sha256 {
        return Err(DebProblem::WrongDigest {
            expected: expected.sha256,
            found,
        });
    }
    Ok(())
}

/// A .deb that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("{} is not a usable Debian package: {problem}", path.display())]
pub struct DebError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: DebProblem,
}

/// What is wrong with a .deb.
#[derive(Debug, thiserror::Error)]
pub enum DebProblem {
    /// The file cannot be read, or its compressed parts cannot be unpacked.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// It ends too early.
    #[error("it is cut off: {0}")]
    Truncated(&'static str),
    /// It is not built as a .deb is.
    #[error("{0}")]
    Format(String),
    /// Not the size the index says.
    #[error("it has {found} bytes instead of {expected}")]
    WrongSize {
        /// As the index says.
        expected: u64,
        /// As it is.
        found: u64,
    },
    /// Not the content the index says.
    #[error("its SHA-256 is {found} instead of {expected}")]
    WrongDigest {
        /// As the index says.
        expected: Sha256,
        /// As it is.
        found: Sha256,
    },
    /// The right file by its digest, but the index calls it something else.
    #[error("it is '{found}', but the index promised '{promised}'")]
    OtherPackage {
        /// Name, version and architecture in the index.
        promised: String,
        /// Those in the file.
        found: String,
    },
    /// Its control part.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// One of its tars.
    #[error(transparent)]
    Archive(#[from] ReadArchiveError),
    /// Its files could not be put in their places.
    #[error(transparent)]
    Unpack(Box<UnpackError>),
}
