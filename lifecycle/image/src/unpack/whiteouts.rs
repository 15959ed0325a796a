//! Whiteouts: names in a layer that stand for something removed (OCI image specification, layer.md#whiteouts).

use super::Unpacker;
use super::error::UnpackError;
use super::folders::{Folder, Missing, enter, stat};
use super::options::Whiteouts;
use super::remove::names;
use crate::tree_path::TreePath;
use rustix::fs::{FileType, Mode, OFlags, XattrFlags};
use std::ffi::OsStr;
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::rc::Rc;

const OPAQUE: &[u8] = b".wh..wh..opq";

impl Unpacker<'_> {
    /// Does what the whiteout named `path` says.
    pub(super) fn whiteout(&mut self, path: &TreePath) -> Result<(), UnpackError> {
        let name = path.file_name().as_bytes();
        if name == OPAQUE {
            return self.opaque(path);
        }
        let hidden = name.strip_prefix(b".wh.").unwrap_or_default();
        // `.wh..wh.` names are aufs's own bookkeeping; a name of nothing, `.` or `..` would remove the folder or its parent.
        if matches!(hidden, b"" | b"." | b"..") || hidden.starts_with(b".wh.") {
            return Err(UnpackError::Whiteout { path: path.clone() });
        }
        let missing = if self.whiteouts == Whiteouts::Apply {
            Missing::Leave
        } else {
            Missing::Make
        };
        let Some(folder) = self.folders.parent_of(path, missing)? else {
            return Ok(());
        };
        let target = folder
            .path
            .child(OsStr::from_bytes(hidden))
            .map_err(|_| UnpackError::Whiteout { path: path.clone() })?;
        self.clear(&folder, &target)?;
        if self.whiteouts == Whiteouts::Overlay {
            // Since Linux 5.8 any user may make this one device.
            rustix::fs::mknodat(
                &*folder,
                target.file_name(),
                FileType::CharacterDevice,
                Mode::empty(),
                0,
            )
            .map_err(|error| UnpackError::io("make the whiteout", &target, error))?;
        }
        Ok(())
    }

    fn opaque(&mut self, path: &TreePath) -> Result<(), UnpackError> {
        match self.whiteouts {
            Whiteouts::AsFiles => Ok(()),
            Whiteouts::Apply => match self.folders.parent_of(path, Missing::Leave)? {
                Some(folder) => self.remove_older(&folder),
                None => Ok(()),
            },
            Whiteouts::Overlay => {
                let folder = self
                    .folders
                    .parent_of(path, Missing::Make)?
                    .expect("a missing folder is made");
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
                rustix::fs::openat(&*folder, ".", flags, Mode::empty())
                    .and_then(|fd| {
                        rustix::fs::fsetxattr(fd, "user.overlay.opaque", b"y", XattrFlags::empty())
                    })
                    .map_err(|error| UnpackError::io("make opaque", &folder.path, error))
            }
        }
    }

    /// Removes from a folder what this archive did not bring.
    fn remove_older(&mut self, folder: &Rc<Folder<'_>>) -> Result<(), UnpackError> {
        let at = |error| UnpackError::io("list the folder", &folder.path, error);
        let readable = rustix::fs::openat(
            &**folder,
            ".",
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(at)?;
        for name in names(readable.as_fd()).map_err(at)? {
            let name = OsStr::from_bytes(&name);
            let path = folder.path.child(name).map_err(|_| UnpackError::Whiteout {
                path: folder.path.clone(),
            })?;
            if !self
                .made
                .range(path.clone()..)
                .next()
                .is_some_and(|made| made.starts_with(&path))
            {
                self.clear(folder, &path)?;
                continue;
            }
            let found = stat(folder.as_fd(), name).map_err(at)?;
            if found
                .is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
            {
                let fd = enter(folder.as_fd(), name).map_err(at)?;
                self.remove_older(&Rc::new(Folder::below(fd, path)))?;
            }
        }
        Ok(())
    }
}
