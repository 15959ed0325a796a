//! From contents to the tar stream: folders are walked sorted by name, each before what is in it.

use super::contents::{LayerContents, Part, Single, SingleKind};
use super::rules::{FileKind, Hardlinks, OwnerRule, Selection, TreeRules, TreeWhiteouts};
use super::tar_out::{FillError, Pieces, Stopped, TarOut};
use super::write::WriteLayerError;
use crate::archive::encode::{END, Encoded};
use crate::owners::Owner;
use crate::tree_path::TreePath;
use crate::unpack::names;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// Writes the contents and the archive's end. `None` when the stream's taker has stopped.
pub(super) fn write_tar<P: Pieces>(
    contents: &LayerContents<'_>,
    out: &mut TarOut<P>,
) -> Result<(), WalkError> {
    let mut folders = BTreeSet::new();
    for part in &contents.parts {
        match part {
            Part::Single(single) => {
                if !matches!(single.what, SingleKind::Folder)
                    || (!single.path.is_root() && folders.insert(&single.path))
                {
                    write_single(single, out)?;
                }
            }
            Part::Tree { disk, at, rules } => TreeWalk {
                out,
                rules,
                disk,
                at,
                linked: BTreeMap::new(),
            }
            .start()?,
        }
    }
    Ok(out.put(&END)?)
}

fn write_single<P: Pieces>(single: &Single<'_>, out: &mut TarOut<P>) -> Result<(), WalkError> {
    let Single {
        path,
        mode,
        owner,
        time,
        what,
    } = single;
    let name = absolute(path);
    let base = Encoded {
        name: &name,
        mode: *mode,
        owner: *owner,
        mtime: *time,
        ..Encoded::default()
    };
    match what {
        SingleKind::Folder => out.header(&Encoded { flag: b'5', ..base })?,
        SingleKind::Symlink(target) => out.header(&Encoded {
            flag: b'2',
            link: target,
            ..base
        })?,
        SingleKind::File(content) => {
            out.header(&Encoded {
                flag: b'0',
                size: content.len() as u64,
                ..base
            })?;
            out.content(content)?;
        }
    }
    Ok(())
}

fn absolute(path: &TreePath) -> Vec<u8> {
    [b"/", path.as_bytes()].concat()
}

struct TreeWalk<'w, 'a, P> {
    out: &'w mut TarOut<P>,
    rules: &'w TreeRules<'a>,
    disk: &'w Path,
    at: &'w TreePath,
    /// Files with several names, by device and inode: the first name written.
    linked: BTreeMap<(u64, u64), TreePath>,
}

/// An open folder and the names in it that are still to come, the next one last.
struct Level {
    fd: OwnedFd,
    path: TreePath,
    left: Vec<Vec<u8>>,
}

impl<P: Pieces> TreeWalk<'_, '_, P> {
    fn start(mut self) -> Result<(), WalkError> {
        let parent = match self.disk.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let at = |error: Errno| WriteLayerError::Read {
            path: self.disk.to_owned(),
            source: error.into(),
        };
        let parent = rustix::fs::open(
            parent,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(at)?;
        let name = self.disk.file_name().unwrap_or(OsStr::new("/"));
        let mut levels: Vec<Level> = self
            .visit(parent.as_fd(), name, self.at.clone())?
            .into_iter()
            .collect();
        while let Some(level) = levels.last_mut() {
            let Some(name) = level.left.pop() else {
                levels.pop();
                continue;
            };
            let name = OsString::from_vec(name);
            let path = level.path.child(&name).map_err(WriteLayerError::Path)?;
            let below = self.visit(level.fd.as_fd(), &name, path)?;
            levels.extend(below);
        }
        Ok(())
    }

    /// Writes what stands at `name`; gives the folder to go into, if it is one.
    fn visit(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        path: TreePath,
    ) -> Result<Option<Level>, WalkError> {
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| self.read_error(&path, error))?;
        let file_type = FileType::from_raw_mode(stat.st_mode);
        let kind = match file_type {
            FileType::RegularFile => FileKind::File,
            FileType::Directory => FileKind::Folder,
            FileType::Symlink => FileKind::Symlink,
            FileType::Socket | FileType::Unknown => return Ok(None),
            _ => FileKind::Special,
        };
        let selection = if path.is_root() {
            Selection::Inside
        } else {
            (self.rules.selection)(&path, kind)
        };
        if selection == Selection::Leave
            || (selection == Selection::Inside && kind != FileKind::Folder)
        {
            return Ok(None);
        }
        let image_name = absolute(&path);
        let base = self.entry(&image_name, &path, kind, &stat);
        match kind {
            FileKind::Folder => {
                if selection == Selection::Take {
                    self.out.header(&Encoded { flag: b'5', ..base })?;
                }
                return self.open_folder(parent, name, path).map(Some);
            }
            FileKind::File => self.file(parent, name, &path, &stat, base)?,
            FileKind::Symlink => {
                let target = rustix::fs::readlinkat(parent, name, Vec::new())
                    .map_err(|error| self.read_error(&path, error))?;
                self.out.header(&Encoded {
                    flag: b'2',
                    link: target.as_bytes(),
                    ..base
                })?;
            }
            FileKind::Special => self.special(file_type, &path, &stat, base)?,
        }
        Ok(None)
    }

    fn entry<'n>(&self, name: &'n [u8], path: &TreePath, kind: FileKind, stat: &Stat) -> Encoded<'n>
    where
        Self: 'n,
    {
        let mode = self.rules.modes.of(kind, stat.st_mode);
        let mtime = self.rules.times.of(kind, stat.st_mtime);
        let (owner, mode, xattrs) = match self.rules.owners {
            OwnerRule::All(owner) => (owner, mode, Vec::new()),
            OwnerRule::Recorded(owners) => (
                owners.owner(path),
                owners.mode(path, mode),
                owners.xattrs(path).collect(),
            ),
        };
        Encoded {
            name,
            mode,
            owner,
            mtime,
            xattrs,
            ..Encoded::default()
        }
    }

    fn open_folder(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        path: TreePath,
    ) -> Result<Level, WalkError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let listed = rustix::fs::openat(parent, name, flags, Mode::empty())
            .and_then(|fd| names(fd.as_fd()).map(|names| (fd, names)));
        let (fd, mut left) = listed.map_err(|error| self.read_error(&path, error))?;
        left.reverse();
        if self.rules.whiteouts == TreeWhiteouts::ForLayer && is_opaque(&fd) {
            let name = [&absolute(&path)[..], b"/.wh..wh..opq"].concat();
            self.out.header(&Encoded {
                name: &name,
                flag: b'0',
                owner: self.owner(&path),
                mtime: self.rules.times.of(FileKind::Folder, 0),
                ..Encoded::default()
            })?;
        }
        Ok(Level { fd, path, left })
    }

    fn file(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &OsStr,
        path: &TreePath,
        stat: &Stat,
        base: Encoded<'_>,
    ) -> Result<(), WalkError> {
        if self.rules.hardlinks == Hardlinks::Keep && stat.st_nlink > 1 {
            match self.linked.get(&(stat.st_dev, stat.st_ino)) {
                Some(first) => {
                    let link = absolute(first);
                    return Ok(self.out.header(&Encoded {
                        flag: b'1',
                        link: &link,
                        ..base
                    })?);
                }
                None => drop(self.linked.insert((stat.st_dev, stat.st_ino), path.clone())),
            }
        }
        let size = stat.st_size as u64;
        self.out.header(&Encoded {
            flag: b'0',
            size,
            ..base
        })?;
        let mut file = open_file(parent, name).map_err(|error| self.read_error(path, error))?;
        self.out
            .content_from(&mut file, size)
            .map_err(|error| match error {
                FillError::Stopped => WalkError::Stopped,
                FillError::Short => WriteLayerError::Changed {
                    path: self.on_disk(path),
                }
                .into(),
                FillError::Read(source) => WriteLayerError::Read {
                    path: self.on_disk(path),
                    source,
                }
                .into(),
            })
    }

    fn special(
        &mut self,
        file_type: FileType,
        path: &TreePath,
        stat: &Stat,
        base: Encoded<'_>,
    ) -> Result<(), WalkError> {
        let device = (
            rustix::fs::major(stat.st_rdev),
            rustix::fs::minor(stat.st_rdev),
        );
        if file_type == FileType::CharacterDevice
            && device == (0, 0)
            && self.rules.whiteouts == TreeWhiteouts::ForLayer
        {
            let parent = path.parent().unwrap_or_default();
            let name = [
                &absolute(&parent)[..],
                if parent.is_root() { b"" } else { b"/" },
                b".wh.",
                path.file_name().as_bytes(),
            ]
            .concat();
            return Ok(self.out.header(&Encoded {
                name: &name,
                flag: b'0',
                mode: 0,
                ..base
            })?);
        }
        let flag = match file_type {
            FileType::CharacterDevice => b'3',
            FileType::BlockDevice => b'4',
            _ => b'6',
        };
        Ok(self.out.header(&Encoded {
            flag,
            device,
            ..base
        })?)
    }

    fn owner(&self, path: &TreePath) -> Owner {
        match self.rules.owners {
            OwnerRule::All(owner) => owner,
            OwnerRule::Recorded(owners) => owners.owner(path),
        }
    }

    fn on_disk(&self, path: &TreePath) -> PathBuf {
        match path.strip_prefix(self.at) {
            Some(below) if !below.is_root() => self.disk.join(below.as_path()),
            _ => self.disk.to_owned(),
        }
    }

    fn read_error(&self, path: &TreePath, error: Errno) -> WriteLayerError {
        WriteLayerError::Read {
            path: self.on_disk(path),
            source: error.into(),
        }
    }
}

/// Opens without leaving an access time where that is allowed: reading must not make a file look used.
fn open_file(parent: BorrowedFd<'_>, name: &OsStr) -> Result<File, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let opened = match rustix::fs::openat(parent, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => rustix::fs::openat(parent, name, flags, Mode::empty()),
        opened => opened,
    };
    opened.map(File::from)
}

fn is_opaque(folder: &OwnedFd) -> bool {
    ["user.overlay.opaque", "trusted.overlay.opaque"]
        .into_iter()
        .any(|name| {
            let mut value = [0; 2];
            rustix::fs::fgetxattr(folder, name, &mut value[..])
                .is_ok_and(|length| value[..length] == *b"y")
        })
}

/// Why the walk ended early.
#[derive(Debug)]
pub(super) enum WalkError {
    /// The taker of the stream has gone; it knows why.
    Stopped,
    Failed(WriteLayerError),
}

impl From<Stopped> for WalkError {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<WriteLayerError> for WalkError {
    fn from(error: WriteLayerError) -> Self {
        Self::Failed(error)
    }
}
