//! Putting one entry in its place.

use super::Unpacker;
use super::error::UnpackError;
use super::folders::{Folder, Missing, stat};
use super::options::{Devices, ExistingFolders, Whiteouts};
use super::remove::remove_all;
use crate::archive::{Entry, Kind, Mtime, ReadArchiveError, Reader};
use crate::tree_path::TreePath;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::rc::Rc;

impl<'a> Unpacker<'a> {
    /// Makes what `entry` says; a file's content comes from `reader`.
    pub(super) fn place(
        &mut self,
        entry: &Entry,
        reader: &mut Reader<impl Read>,
    ) -> Result<(), UnpackError> {
        if entry.path.is_root() {
            return self.place_root(entry);
        }
        if self.whiteouts != Whiteouts::AsFiles
            && entry.path.file_name().as_bytes().starts_with(b".wh.")
        {
            return self.whiteout(&entry.path);
        }
        if matches!(
            entry.kind,
            Kind::CharDevice { .. } | Kind::BlockDevice { .. }
        ) {
            return self.device(entry);
        }
        let folder = self.parent_of(&entry.path)?;
        let name = entry.path.file_name();
        // Where the file really is: its folder may have been reached by a symlink.
        let path = folder.path.child(name).map_err(|error| {
            UnpackError::io("use the path of", &entry.path, std::io::Error::other(error))
        })?;
        match &entry.kind {
            Kind::Directory => self.directory(entry, &folder, &path)?,
            Kind::File { size } => {
                self.file(entry, *size, &folder, &path, reader)?;
            }
            Kind::Symlink { target } => {
                self.replacing(&folder, &path, |folder, name| {
                    rustix::fs::symlinkat(OsStr::from_bytes(target), folder, name)
                })
                .map_err(|error| error.or("make the symlink", &path))?;
                rustix::fs::utimensat(
                    &*folder,
                    name,
                    &times(entry.mtime),
                    AtFlags::SYMLINK_NOFOLLOW,
                )
                .map_err(|error| UnpackError::io("set the time of", &path, error))?;
                self.record(entry, &path, None);
            }
            Kind::Hardlink { target } => self.hardlink(target, &folder, &path)?,
            Kind::Fifo => {
                let on_disk = entry.mode & 0o777;
                self.replacing(&folder, &path, |folder, name| {
                    rustix::fs::mknodat(folder, name, FileType::Fifo, Mode::from(on_disk), 0)
                })
                .map_err(|error| error.or("make the pipe", &path))?;
                // A pipe cannot be opened without waiting for the other side; nobody else knows this name yet.
                rustix::fs::chmodat(&*folder, name, Mode::from(on_disk), AtFlags::empty())
                    .map_err(|error| UnpackError::io("set the mode of", &path, error))?;
                self.record(entry, &path, Some(on_disk));
            }
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } => {}
        }
        if self.whiteouts == Whiteouts::Apply {
            self.made.insert(path);
        }
        Ok(())
    }

    fn place_root(&mut self, entry: &Entry) -> Result<(), UnpackError> {
        if entry.kind != Kind::Directory {
            return Err(UnpackError::RootNotFolder);
        }
        if self.existing_folders == ExistingFolders::Change {
            let root = self.folders.root();
            self.change_folder(entry, root, &TreePath::root())?;
        }
        Ok(())
    }

    fn device(&mut self, entry: &Entry) -> Result<(), UnpackError> {
        match self.devices {
            Devices::Refuse => Err(UnpackError::Device {
                path: entry.path.clone(),
            }),
            Devices::Record => {
                self.unpacked.devices.push(entry.clone());
                Ok(())
            }
        }
    }

    fn directory(
        &mut self,
        entry: &Entry,
        folder: &Folder<'_>,
        path: &TreePath,
    ) -> Result<(), UnpackError> {
        let name = path.file_name();
        match rustix::fs::mkdirat(folder, name, Mode::from(0o700)) {
            Ok(()) => {}
            Err(Errno::EXIST) => {
                let found = stat(folder.as_fd(), name)
                    .map_err(|error| UnpackError::io("look at", path, error))?;
                let found = found.map(|stat| FileType::from_raw_mode(stat.st_mode));
                let leads_to_folder = |unpacker: &mut Self| {
                    unpacker
                        .folders
                        .folder(path, path, Missing::Leave)
                        .is_ok_and(|found| found.is_some())
                };
                match (found, self.existing_folders) {
                    (Some(FileType::Directory), ExistingFolders::Keep) => return Ok(()),
                    (Some(FileType::Symlink), ExistingFolders::Keep) if leads_to_folder(self) => {
                        return Ok(());
                    }
                    (Some(FileType::Directory), ExistingFolders::Change) => {}
                    _ => {
                        self.clear(folder, path)?;
                        rustix::fs::mkdirat(folder, name, Mode::from(0o700))
                            .map_err(|error| UnpackError::io("make the folder", path, error))?;
                    }
                }
            }
            Err(error) => return Err(UnpackError::io("make the folder", path, error)),
        }
        let fd = rustix::fs::openat(
            folder,
            name,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| UnpackError::io("open the folder", path, error))?;
        self.change_folder(entry, fd.as_fd(), path)
    }

    fn change_folder(
        &mut self,
        entry: &Entry,
        fd: BorrowedFd<'_>,
        path: &TreePath,
    ) -> Result<(), UnpackError> {
        // We have to be able to write into it until the end, and to remove it some day.
        let on_disk = entry.mode & 0o1777 | 0o700;
        rustix::fs::fchmod(fd, Mode::from(on_disk))
            .map_err(|error| UnpackError::io("set the mode of", path, error))?;
        self.record(entry, path, Some(on_disk));
        self.folder_times.insert(path.clone(), entry.mtime);
        Ok(())
    }

    fn file(
        &mut self,
        entry: &Entry,
        size: u64,
        folder: &Folder<'_>,
        path: &TreePath,
        reader: &mut Reader<impl Read>,
    ) -> Result<(), UnpackError> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // Setuid and setgid stay out of the disk: a file of ours that other users could run as us.
        let on_disk = entry.mode & 0o777 | 0o400;
        let fd: OwnedFd = self
            .replacing(folder, path, |folder, name| {
                rustix::fs::openat(folder, name, flags, Mode::from(on_disk | 0o200))
            })
            .map_err(|error| error.or("make the file", path))?;
        let mut file = File::from(fd);
        loop {
            let count = reader
                .read(&mut self.buffer)
                .map_err(ReadArchiveError::Read)?;
            if count == 0 {
                break;
            }
            file.write_all(&self.buffer[..count])
                .map_err(|error| UnpackError::io("write", path, error))?;
        }
        set_mode(&file, on_disk)
            .map_err(|error| UnpackError::io("set the mode of", path, error))?;
        rustix::fs::futimens(&file, &times(entry.mtime))
            .map_err(|error| UnpackError::io("set the time of", path, error))?;
        self.unpacked.bytes += size;
        self.record(entry, path, Some(on_disk));
        Ok(())
    }

    fn hardlink(
        &mut self,
        target: &TreePath,
        folder: &Folder<'_>,
        path: &TreePath,
    ) -> Result<(), UnpackError> {
        let target = self
            .moved
            .get(target)
            .cloned()
            .unwrap_or_else(|| target.clone());
        let missing = || UnpackError::LinkTargetMissing {
            path: path.clone(),
            target: target.clone(),
        };
        let refused = |reason| UnpackError::LinkTarget {
            path: path.clone(),
            target: target.clone(),
            reason,
        };
        let target_folder = self
            .folders
            .parent_of(&target, Missing::Leave)?
            .ok_or_else(missing)?;
        let target_name = target.file_name();
        let found = stat(target_folder.as_fd(), target_name)
            .map_err(|error| UnpackError::io("look at", &target, error))?
            .ok_or_else(missing)?;
        let original = target_folder
            .path
            .child(target_name)
            .map_err(|_| missing())?;
        if FileType::from_raw_mode(found.st_mode) == FileType::Directory {
            return Err(refused("it is a folder"));
        }
        if original == *path {
            return Err(refused("it is the same name"));
        }
        // The last part is not followed: a link to a symlink is another name of the symlink.
        self.replacing(folder, path, |folder, name| {
            rustix::fs::linkat(&*target_folder, target_name, folder, name, AtFlags::empty())
        })
        .map_err(|error| error.or("make the hard link", path))?;
        self.owners.copy_facts(&original, path);
        Ok(())
    }

    /// Makes something new at `path`; if something stands there, it is removed first.
    fn replacing<T>(
        &mut self,
        folder: &Folder<'_>,
        path: &TreePath,
        make: impl Fn(&Folder<'_>, &OsStr) -> Result<T, Errno>,
    ) -> Result<T, ReplaceError> {
        match make(folder, path.file_name()) {
            Err(Errno::EXIST) => {
                self.clear(folder, path)?;
                make(folder, path.file_name()).map_err(ReplaceError::Make)
            }
            made => made.map_err(ReplaceError::Make),
        }
    }

    /// Removes what stands at `path`.
    pub(super) fn clear(
        &mut self,
        folder: &Folder<'_>,
        path: &TreePath,
    ) -> Result<(), UnpackError> {
        let name = path.file_name();
        let removed = match self.existing_folders {
            ExistingFolders::Change => remove_all(folder.as_fd(), name),
            ExistingFolders::Keep => match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
                Err(Errno::ISDIR) => rustix::fs::unlinkat(folder, name, AtFlags::REMOVEDIR),
                removed => removed,
            },
        };
        match removed {
            Ok(()) => {}
            Err(Errno::NOTEMPTY) => return Err(UnpackError::FolderInTheWay { path: path.clone() }),
            Err(error) => return Err(UnpackError::io("remove", path, error)),
        }
        self.folders.forget();
        self.owners.forget(path);
        let gone: Vec<TreePath> = self
            .folder_times
            .range(path.clone()..)
            .map(|(folder, _)| folder.clone())
            .take_while(|folder| folder.starts_with(path))
            .collect();
        for folder in gone {
            self.folder_times.remove(&folder);
        }
        let gone: Vec<TreePath> = self
            .made
            .range(path.clone()..)
            .take_while(|made| made.starts_with(path))
            .cloned()
            .collect();
        for made in gone {
            self.made.remove(&made);
        }
        Ok(())
    }

    /// The folder that an entry goes into, made if it is not there.
    pub(super) fn parent_of(&mut self, path: &TreePath) -> Result<Rc<Folder<'a>>, UnpackError> {
        let found = self.folders.parent_of(path, Missing::Make)?;
        Ok(found.expect("a missing folder is made, or it is an error"))
    }

    fn record(&mut self, entry: &Entry, path: &TreePath, on_disk: Option<u32>) {
        self.owners.set_owner(path, entry.owner);
        if let Some(on_disk) = on_disk {
            self.owners.set_mode(path, on_disk, entry.mode);
        }
        for (name, value) in &entry.xattrs {
            // Overlayfs's own attributes would change what a lower folder shows.
            if !name.starts_with("user.overlay.") && !name.starts_with("trusted.overlay.") {
                self.owners.set_xattr(path, name, value);
            }
        }
    }

    /// Folders get their times when nothing more is made in them.
    pub(super) fn set_folder_times(&mut self) -> Result<(), UnpackError> {
        for (path, mtime) in std::mem::take(&mut self.folder_times) {
            let Some(folder) = self.folders.folder(&path, &path, Missing::Leave)? else {
                continue;
            };
            rustix::fs::utimensat(&*folder, ".", &times(mtime), AtFlags::empty())
                .map_err(|error| UnpackError::io("set the time of", &path, error))?;
        }
        Ok(())
    }
}

/// Sets a new file's mode where the umask or the folder's default ACL gave it another: looking costs less than a change of the inode.
fn set_mode(file: &File, mode: u32) -> Result<(), Errno> {
    if rustix::fs::fstat(file)?.st_mode & 0o7777 == mode {
        return Ok(());
    }
    rustix::fs::fchmod(file, Mode::from(mode))
}

fn times(mtime: Mtime) -> Timestamps {
    let time = Timespec {
        tv_sec: mtime.seconds,
        tv_nsec: i64::from(mtime.nanoseconds),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}

/// Why something could not be put in the place of something else.
enum ReplaceError {
    Clear(UnpackError),
    Make(Errno),
}

impl From<UnpackError> for ReplaceError {
    fn from(error: UnpackError) -> Self {
        Self::Clear(error)
    }
}

impl ReplaceError {
    fn or(self, action: &'static str, path: &TreePath) -> UnpackError {
        match self {
            Self::Clear(error) => error,
            Self::Make(error) => UnpackError::io(action, path, error),
        }
    }
}
