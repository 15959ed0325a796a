//! How to unpack: what layers and Debian packages mean by the same tar format differs.

use crate::archive::{Entry, ReadLimits};
use crate::tree_path::TreePath;
use std::fmt;

/// How to unpack an archive.
pub struct UnpackOptions<'a> {
    /// How much it may hold.
    pub limits: ReadLimits,
    /// Whether symlinks may stand in for the folders that entries are in.
    pub parents: Parents,
    /// What becomes of a folder that is there already.
    pub existing_folders: ExistingFolders,
    /// What `.wh.` names mean.
    pub whiteouts: Whiteouts,
    /// What becomes of device nodes.
    pub devices: Devices,
    /// Says for each entry where it goes.
    pub placement: Box<dyn FnMut(&Entry) -> Placement + 'a>,
}

impl UnpackOptions<'_> {
    /// A layer, over what the layers below it unpacked to (OCI image specification, layer.md).
    pub fn layer() -> Self {
        Self {
            limits: ReadLimits::default(),
            parents: Parents::InRoot,
            existing_folders: ExistingFolders::Change,
            whiteouts: Whiteouts::Apply,
            devices: Devices::Refuse,
            placement: Box::new(|_| Placement::AsIs),
        }
    }

    /// A layer into a folder of its own, which becomes a lower folder of an overlay.
    pub fn layer_tree() -> Self {
        Self {
            whiteouts: Whiteouts::Overlay,
            ..Self::layer()
        }
    }

    /// A Debian package: folders that are there stay as they are, also where they are symlinks to folders (Debian policy 6.6).
    pub fn debian_package() -> Self {
        Self {
            existing_folders: ExistingFolders::Keep,
            whiteouts: Whiteouts::AsFiles,
            ..Self::layer()
        }
    }
}

impl<'a> UnpackOptions<'a> {
    /// Asks `placement` where each entry goes.
    #[must_use]
    pub fn placed_by<'b>(self, placement: impl FnMut(&Entry) -> Placement + 'b) -> UnpackOptions<'b>
    where
        'a: 'b,
    {
        UnpackOptions {
            placement: Box::new(placement),
            ..self
        }
    }
}

impl fmt::Debug for UnpackOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            limits,
            parents,
            existing_folders,
            whiteouts,
            devices,
            placement: _,
        } = self;
        f.debug_struct("UnpackOptions")
            .field("limits", limits)
            .field("parents", parents)
            .field("existing_folders", existing_folders)
            .field("whiteouts", whiteouts)
            .field("devices", devices)
            .finish_non_exhaustive()
    }
}

/// Where an entry goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// Where it says.
    AsIs,
    /// Nowhere.
    Skip,
    /// Somewhere else (a conffile beside the one in use). Hard links to it follow.
    At(TreePath),
}

/// Whether symlinks may stand in for the folders that entries are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parents {
    /// No: such an entry is an error.
    NoSymlinks,
    /// Yes, and they are followed as if the root were `/`: neither `..` nor an absolute target leads out.
    InRoot,
}

/// What becomes of a folder that is there already when an entry says it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExistingFolders {
    /// It gets the entry's owner, mode and time. Files give way to folders and full folders to files.
    Change,
    /// It stays as it is, and so does a symlink that leads to a folder. A full folder does not give way to a file.
    Keep,
}

/// What entries named `.wh.<name>` and `.wh..wh..opq` mean (OCI image specification, layer.md#whiteouts).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whiteouts {
    /// Nothing: they are ordinary files.
    AsFiles,
    /// What stands below the root is removed.
    Apply,
    /// They become overlayfs's own: a character device 0:0, the attribute `user.overlay.opaque`. Any user may make these.
    Overlay,
}

/// What becomes of device nodes, which only root can make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Devices {
    /// They are an error.
    Refuse,
    /// They are left out and listed.
    Record,
}
