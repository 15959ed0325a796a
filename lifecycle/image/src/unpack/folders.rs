//! Finding the folder an entry goes into, one name at a time, never outside the root.

use super::error::UnpackError;
use super::options::Parents;
use crate::tree_path::TreePath;
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::rc::Rc;

/// As many as Linux follows in one path.
const MOST_SYMLINKS: usize = 40;

/// A folder below the root, open, and where it really is: `/lib/x` may be in `/usr/lib`.
pub(super) struct Folder<'a> {
    fd: FolderFd<'a>,
    pub(super) path: TreePath,
}

enum FolderFd<'a> {
    Root(BorrowedFd<'a>),
    Below(OwnedFd),
}

impl Folder<'_> {
    /// A folder that was opened by its name.
    pub(super) fn below(fd: OwnedFd, path: TreePath) -> Self {
        Self {
            fd: FolderFd::Below(fd),
            path,
        }
    }
}

impl AsFd for Folder<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.fd {
            FolderFd::Root(fd) => *fd,
            FolderFd::Below(fd) => fd.as_fd(),
        }
    }
}

/// The root and how to go down from it. The last folder found is remembered: entries mostly come folder by folder.
pub(super) struct Folders<'a> {
    root: BorrowedFd<'a>,
    parents: Parents,
    last: Option<(TreePath, Rc<Folder<'a>>)>,
}

/// What to do where there is no folder of a name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Make,
    Leave,
}

impl<'a> Folders<'a> {
    pub(super) fn new(root: BorrowedFd<'a>, parents: Parents) -> Self {
        Self {
            root,
            parents,
            last: None,
        }
    }

    pub(super) fn root(&self) -> BorrowedFd<'a> {
        self.root
    }

    /// The folder that `path` is in. `None` only with [`Missing::Leave`].
    pub(super) fn parent_of(
        &mut self,
        path: &TreePath,
        missing: Missing,
    ) -> Result<Option<Rc<Folder<'a>>>, UnpackError> {
        let parent = path.parent().unwrap_or_default();
        self.folder(&parent, path, missing)
    }

    /// The folder `folder`, on the way to `path` (for messages).
    pub(super) fn folder(
        &mut self,
        folder: &TreePath,
        path: &TreePath,
        missing: Missing,
    ) -> Result<Option<Rc<Folder<'a>>>, UnpackError> {
        if let Some((last, open)) = &self.last
            && last == folder
        {
            return Ok(Some(Rc::clone(open)));
        }
        let found = Walk {
            folders: self,
            path,
            opened: Vec::new(),
            links: 0,
        }
        .go(folder, missing)?;
        Ok(found.map(|found| {
            let found = Rc::new(found);
            self.last = Some((folder.clone(), Rc::clone(&found)));
            found
        }))
    }

    /// Has to be called when something was removed: what stood on the way may be something else now.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}

/// One name of a path that is still to be gone, and where it stood.
type Part = (Vec<u8>, From);

#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// In the archive: folders that are not there are made.
    Archive,
    /// In a symlink: a symlink that leads nowhere is an error.
    Symlink,
}

struct Walk<'w, 'a> {
    folders: &'w Folders<'a>,
    path: &'w TreePath,
    /// The folders passed, the root not among them: `..` in a symlink goes back along them.
    opened: Vec<(OwnedFd, TreePath)>,
    links: usize,
}

impl<'a> Walk<'_, 'a> {
    fn go(
        mut self,
        folder: &TreePath,
        missing: Missing,
    ) -> Result<Option<Folder<'a>>, UnpackError> {
        let mut todo = Vec::new();
        push_parts(&mut todo, folder.as_bytes(), From::Archive);
        while let Some((name, from)) = todo.pop() {
            if name == b".." {
                self.opened.pop();
                continue;
            }
            let name = OsStr::from_bytes(&name);
            let here = self
                .here()
                .child(name)
                .map_err(|_| self.symlink_error(&self.here(), "its target is not a usable path"))?;
            match enter(self.here_fd(), name) {
                Ok(fd) => self.opened.push((fd, here)),
                Err(Errno::NOENT) if missing == Missing::Leave => return Ok(None),
                Err(Errno::NOENT) if from == From::Symlink => {
                    return Err(self.symlink_error(&here, "it leads to a folder that is not there"));
                }
                Err(Errno::NOENT) => {
                    let fd = self
                        .make(name)
                        .map_err(|error| UnpackError::io("make the folder", &here, error))?;
                    self.opened.push((fd, here));
                }
                Err(Errno::NOTDIR | Errno::LOOP) => self.follow(name, &here, &mut todo)?,
                Err(error) => return Err(UnpackError::io("enter the folder", &here, error)),
            }
        }
        Ok(Some(match self.opened.pop() {
            None => Folder {
                fd: FolderFd::Root(self.folders.root),
                path: TreePath::root(),
            },
            Some((fd, path)) => Folder {
                fd: FolderFd::Below(fd),
                path,
            },
        }))
    }

    fn here_fd(&self) -> BorrowedFd<'_> {
        self.opened
            .last()
            .map_or(self.folders.root, |(fd, _)| fd.as_fd())
    }

    fn here(&self) -> TreePath {
        self.opened
            .last()
            .map(|(_, path)| path.clone())
            .unwrap_or_default()
    }

    /// Parents that an archive does not name get mode 0755, whatever the umask.
    fn make(&self, name: &OsStr) -> Result<OwnedFd, Errno> {
        rustix::fs::mkdirat(self.here_fd(), name, Mode::from(0o700))?;
        let readable = rustix::fs::openat(
            self.here_fd(),
            name,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        rustix::fs::fchmod(&readable, Mode::from(0o755))?;
        Ok(readable)
    }

    fn follow(
        &mut self,
        name: &OsStr,
        link: &TreePath,
        todo: &mut Vec<Part>,
    ) -> Result<(), UnpackError> {
        let target = match rustix::fs::readlinkat(self.here_fd(), name, Vec::new()) {
            Ok(target) => target.into_bytes(),
            Err(Errno::INVAL) => {
                return Err(UnpackError::ParentNotFolder {
                    path: self.path.clone(),
                    parent: link.clone(),
                });
            }
            Err(error) => return Err(UnpackError::io("read the symlink", link, error)),
        };
        if self.folders.parents == Parents::NoSymlinks {
            return Err(self.symlink_error(link, "symlinks are not allowed here"));
        }
        self.links += 1;
        if self.links > MOST_SYMLINKS {
            return Err(self.symlink_error(link, "there are too many symlinks in a row"));
        }
        if target.first() == Some(&b'/') {
            self.opened.clear();
        }
        push_parts(todo, &target, From::Symlink);
        Ok(())
    }

    fn symlink_error(&self, link: &TreePath, reason: &'static str) -> UnpackError {
        UnpackError::ParentSymlink {
            path: self.path.clone(),
            link: link.clone(),
            reason,
        }
    }
}

/// Puts the parts of a path on the stack, the first on top.
fn push_parts(todo: &mut Vec<Part>, path: &[u8], from: From) {
    let parts = path
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".");
    todo.extend(parts.rev().map(|part| (part.to_vec(), from)));
}

/// Opens a folder by its bare name. A single name without a slash cannot lead out, and `O_NOFOLLOW` refuses a symlink.
pub(super) fn enter(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// What stands at a name, links not followed; `None` if nothing does.
pub(super) fn stat(
    parent: BorrowedFd<'_>,
    name: &OsStr,
) -> Result<Option<rustix::fs::Stat>, Errno> {
    match rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
