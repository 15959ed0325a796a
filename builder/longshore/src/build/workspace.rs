//! The folders of one build: scratch space in the store, removed at the end, also after `kill -9` (the next program sweeps it).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oci_image::TreePath;
use rustix::fs::{FileType, Mode};
use sandbox::OverlayDirs;
use store::Temporary;

use super::phases::{AppMount, LayersMount};
use crate::app::selection::Selection;
use crate::errors;
use crate::failure::Failure;

/// The folders of one build.
#[derive(Debug)]
pub(crate) struct Workspace {
    scratch: Temporary,
    app_folder: PathBuf,
    /// Paths below the app folder that the build does not see.
    hidden: BTreeSet<PathBuf>,
    copied: bool,
}

impl Workspace {
    /// Makes the folders. The app is mounted over, or copied where its files are not all readable for the sandbox's user.
    pub(crate) fn new(
        scratch: Temporary,
        app_folder: &Path,
        selection: &Selection,
        can_overlay: bool,
    ) -> Result<Self, Failure> {
        let copied = selection.needs_copy || !can_overlay;
        let workspace = Self {
            scratch,
            app_folder: app_folder.to_owned(),
            hidden: selection.hidden(),
            copied,
        };
        workspace
            .prepare()
            .map_err(|error| errors::storage("the build's folders could not be made", &error))?;
        Ok(workspace)
    }

    fn prepare(&self) -> io::Result<()> {
        for name in [
            "root",
            "root-work",
            "layers",
            "layers-work",
            "app",
            "app-work",
            "platform/env",
        ] {
            fs::create_dir_all(self.folder(name))?;
        }
        if self.copied {
            self.copy_app(Path::new(""))
        } else {
            self.hide()
        }
    }

    /// Puts an overlay's whiteout over everything that stays out: a character device 0:0, which any user may make since Linux 5.8.
    fn hide(&self) -> io::Result<()> {
        for path in &self.hidden {
            let whiteout = self.folder("app").join(path);
            if let Some(parent) = path.parent() {
                self.make_folders_like(parent)?;
            }
            rustix::fs::mknodat(
                rustix::fs::CWD,
                &whiteout,
                FileType::CharacterDevice,
                Mode::empty(),
                0,
            )?;
        }
        Ok(())
    }

    /// A folder in the upper layer hides the modes of the one below it, so it gets the same.
    fn make_folders_like(&self, relative: &Path) -> io::Result<()> {
        let mut path = PathBuf::new();
        for part in relative.components() {
            path.push(part);
            let upper = self.folder("app").join(&path);
            if !upper.try_exists()? {
                fs::create_dir(&upper)?;
                fs::set_permissions(
                    &upper,
                    fs::metadata(self.app_folder.join(&path))?.permissions(),
                )?;
            }
        }
        Ok(())
    }

    fn copy_app(&self, relative: &Path) -> io::Result<()> {
        for entry in fs::read_dir(self.app_folder.join(relative))? {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            if self.hidden.contains(&path) {
                continue;
            }
            let target = self.folder("app").join(&path);
            let kind = entry.file_type()?;
            if kind.is_dir() {
                fs::create_dir(&target)?;
                self.copy_app(&path)?;
                fs::set_permissions(&target, entry.metadata()?.permissions())?;
            } else if kind.is_symlink() {
                std::os::unix::fs::symlink(fs::read_link(entry.path())?, &target)?;
            } else {
                fs::copy(entry.path(), &target)?;
            }
        }
        Ok(())
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// `/`: thrown away.
    pub(crate) fn root(&self, base: &Path) -> OverlayDirs {
        OverlayDirs {
            lowers: vec![base.to_owned()],
            upper: self.folder("root"),
            work: self.folder("root-work"),
        }
    }

    /// `/workspace`.
    pub(crate) fn app_mount(&self) -> AppMount {
        if self.copied {
            return AppMount::Copy(self.folder("app"));
        }
        let lowers = vec![self.app_folder.clone()];
        AppMount::Overlay(OverlayDirs {
            lowers,
            upper: self.folder("app"),
            work: self.folder("app-work"),
        })
    }

    /// `/layers`, over the `layers` folders of these trees.
    pub(crate) fn layers_mount(&self, restored: &[PathBuf]) -> LayersMount {
        if restored.is_empty() {
            return LayersMount::Plain(self.layers());
        }
        LayersMount::Overlay(OverlayDirs {
            lowers: restored.to_vec(),
            upper: self.layers(),
            work: self.folder("layers-work"),
        })
    }

    /// What the build wrote below `/layers`; files written here before it are there in the sandbox.
    pub(crate) fn layers(&self) -> PathBuf {
        self.folder("layers")
    }

    /// What the build wrote below `/workspace`, or the whole app where it was copied.
    pub(crate) fn app_upper(&self) -> PathBuf {
        self.folder("app")
    }

    pub(crate) fn is_copy(&self) -> bool {
        self.copied
    }

    pub(crate) fn platform(&self) -> PathBuf {
        self.folder("platform")
    }

    /// A new empty folder for a layer on its way into the store.
    pub(crate) fn staging(&self, name: &str) -> io::Result<PathBuf> {
        let path = self.folder("staging").join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    pub(crate) fn hidden(&self) -> &BTreeSet<PathBuf> {
        &self.hidden
    }

    /// The hidden paths as the exporter wants them.
    pub(crate) fn hidden_paths(&self) -> BTreeSet<TreePath> {
        self.hidden
            .iter()
            .filter_map(|path| TreePath::from_path(path).ok())
            .collect()
    }

    /// Writes a variable for the buildpacks: a file below `/platform/env`.
    pub(crate) fn set_variable(&self, name: &str, value: &str) -> Result<(), Failure> {
        let path = self.folder("platform/env").join(name);
        fs::write(&path, value).map_err(|error| {
            errors::storage(&format!("{} could not be written", path.display()), &error)
        })
    }
}
