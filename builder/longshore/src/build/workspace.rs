//! The folders of one build: scratch space in the store, removed at the end, also after `kill -9` (the next program sweeps it).

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use oci_image::TreePath;
use rustix::fs::{FileType, Mode};
use sandbox::{Access, OverlayDirs, Root};
use store::{Temporary, overlay};

use super::in_place::{self, InPlace, Place};
use super::phases::{AppMount, LayersMount};
use crate::app::selection::Selection;
use crate::errors;
use crate::failure::Failure;

/// The folders of one build.
#[derive(Debug)]
pub(crate) struct Workspace {
    scratch: Temporary,
    app_folder: PathBuf,
    /// The build image's files, the lowest layer's first.
    base: Vec<PathBuf>,
    /// Paths below the app folder that the build does not see.
    hidden: BTreeSet<PathBuf>,
    place: Place,
    copied: bool,
    layers: PathBuf,
    app: PathBuf,
    platform: PathBuf,
    /// The app folder's mode, where the one on disk is not the app's.
    app_mode: Option<u32>,
}

/// Whether the kernel mounts overlays with their upper folder in the store's file system; where not, everything is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlays {
    Mounted,
    Refused,
}

impl Workspace {
    /// Makes the folders. The app is mounted over, or copied where its files are not all readable for the sandbox's user.
    pub(crate) fn new(
        scratch: Temporary,
        app_folder: &Path,
        selection: &Selection,
        base: &[PathBuf],
        place: Place,
    ) -> Result<Self, Failure> {
        let overlays = match place {
            Place::Sandbox(overlays) => overlays,
            Place::Here(here) => return Self::in_place(scratch, app_folder, selection, here),
        };
        let copied = selection.needs_copy || overlays == Overlays::Refused;
        let folder = |name: &str| scratch.path().join(name);
        let workspace = Self {
            layers: folder("layers"),
            app: folder("app"),
            platform: folder("platform"),
            app_mode: None,
            scratch,
            app_folder: app_folder.to_owned(),
            base: base.to_owned(),
            hidden: selection.hidden(),
            place,
            copied,
        };
        workspace
            .prepare()
            .map_err(|error| errors::storage("the build's folders could not be made", &error))?;
        Ok(workspace)
    }

    /// The folders of a build in place: `/layers` and `/workspace` themselves, which are empty. The app is copied.
    fn in_place(
        scratch: Temporary,
        app_folder: &Path,
        selection: &Selection,
        here: InPlace,
    ) -> Result<Self, Failure> {
        let workspace = Self {
            scratch,
            app_folder: app_folder.to_owned(),
            base: vec![PathBuf::from("/")],
            hidden: selection.hidden(),
            copied: true,
            layers: PathBuf::from(in_place::LAYERS),
            app: PathBuf::from(in_place::WORKSPACE),
            platform: here.platform(),
            app_mode: here.app_mode(),
            place: Place::Here(here),
        };
        let made = fs::create_dir_all(workspace.platform.join("env")).and_then(|()| {
            overlay::copy_sources_into(&workspace.app_folder, &workspace.app, &|path| {
                workspace.is_hidden(path)
            })
        });
        made.map_err(|error| errors::storage("the app could not be copied", &error))?;
        Ok(workspace)
    }

    fn prepare(&self) -> io::Result<()> {
        for name in ["root", "root-work", "layers-work", "app-work"] {
            fs::create_dir_all(self.folder(name))?;
        }
        for path in [&self.layers, &self.app, &self.platform.join("env")] {
            fs::create_dir_all(path)?;
        }
        if self.overlays() == Overlays::Refused {
            sandbox::flatten(&self.base_uppermost_first(), &self.folder("root"))
                .map_err(io::Error::other)?;
        }
        if self.copied {
            self.copy_app()
        } else {
            // The folder's own mode is of no more meaning than the modes in it; but where it differs, something changed it.
            let permissions = fs::metadata(&self.app_folder)?.permissions();
            fs::set_permissions(&self.app, permissions)?;
            self.hide()
        }
    }

    /// Puts an overlay's whiteout over everything that stays out: a character device 0:0, which any user may make since Linux 5.8.
    fn hide(&self) -> io::Result<()> {
        for path in &self.hidden {
            let whiteout = self.app.join(path);
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
            let upper = self.app.join(&path);
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

    fn copy_app(&self) -> io::Result<()> {
        overlay::copy_sources(&self.app_folder, &self.app, &|path| self.is_hidden(path))
    }

    fn is_hidden(&self, path: &Path) -> bool {
        path.strip_prefix(&self.app_folder)
            .is_ok_and(|path| self.hidden.contains(path))
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn base_uppermost_first(&self) -> Vec<PathBuf> {
        self.base.iter().rev().cloned().collect()
    }

    /// `/`: thrown away.
    pub(crate) fn root(&self) -> Root {
        match self.overlays() {
            Overlays::Mounted => Root::Overlay(OverlayDirs {
                lowers: self.base_uppermost_first(),
                upper: self.folder("root"),
                work: self.folder("root-work"),
            }),
            Overlays::Refused => Root::Folder {
                path: self.folder("root"),
                access: Access::ReadWrite,
            },
        }
    }

    /// `/workspace`.
    pub(crate) fn app_mount(&self) -> AppMount {
        if self.copied {
            return AppMount::Copy(self.app.clone());
        }
        let lowers = vec![self.app_folder.clone()];
        AppMount::Overlay(OverlayDirs {
            lowers,
            upper: self.app.clone(),
            work: self.folder("app-work"),
        })
    }

    /// `/layers`, over the `layers` folders of these trees.
    pub(crate) fn layers_mount(&self, restored: &[PathBuf]) -> Result<LayersMount, Failure> {
        if restored.is_empty() {
            return Ok(LayersMount::Plain(self.layers()));
        }
        if self.overlays() == Overlays::Refused {
            sandbox::flatten(restored, &self.layers())
                .map_err(|error| errors::storage_of(&error))?;
            return Ok(LayersMount::Plain(self.layers()));
        }
        Ok(LayersMount::Overlay(OverlayDirs {
            lowers: restored.to_vec(),
            upper: self.layers(),
            work: self.folder("layers-work"),
        }))
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn overlays(&self) -> Overlays {
        match self.place {
            Place::Sandbox(overlays) => overlays,
            // Nothing can be mounted.
            Place::Here(_) => Overlays::Refused,
        }
    }

    /// What the build wrote below `/layers`; files written here before it are there in the sandbox.
    pub(crate) fn layers(&self) -> PathBuf {
        self.layers.clone()
    }

    /// What the build wrote below `/workspace`, or the whole app where it was copied.
    pub(crate) fn app_upper(&self) -> PathBuf {
        self.app.clone()
    }

    pub(crate) fn app_mode(&self) -> Option<u32> {
        self.app_mode
    }

    pub(crate) fn is_copy(&self) -> bool {
        self.copied
    }

    pub(crate) fn platform(&self) -> PathBuf {
        self.platform.clone()
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
        let path = self.platform.join("env").join(name);
        fs::write(&path, value).map_err(|error| {
            errors::storage(&format!("{} could not be written", path.display()), &error)
        })
    }
}
