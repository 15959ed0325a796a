//! The tree under construction: mounts are made detached and attached below one open root.
//!
//! Targets are resolved inside that root (`openat2`, `RESOLVE_IN_ROOT`), so that a symlink of the image never leads to the host.

use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2,
};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::error::Failure;
use crate::spec::Access;

/// Whether a mount point is a folder or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    File,
}

impl Kind {
    pub(super) fn of(file: &OwnedFd) -> Result<Self, Errno> {
        Ok(match FileType::from_raw_mode(fstat(file)?.st_mode) {
            FileType::Directory => Self::Folder,
            _ => Self::File,
        })
    }
}

/// A tmpfs that is attached on top of the host's root. Absolute paths still lead to the host: the kernel does not step
/// from `/` into what is mounted over it.
pub(crate) struct Staging {
    pub(crate) folder: OwnedFd,
    files: u32,
}

pub(crate) fn attach_staging() -> Result<Staging, Failure> {
    let attached = || {
        let folder = new_mount(
            "tmpfs",
            &[("mode", "0700")],
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
        )?;
        move_mount(
            folder.as_fd(),
            "",
            CWD,
            "/",
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )?;
        mkdirat(&folder, "root", Mode::RWXU)?;
        Ok(folder)
    };
    let folder = attached().map_err(|errno: Errno| Failure::UserNamespaces {
        errno: errno.raw_os_error(),
        step: "mount a tmpfs in the namespace".to_owned(),
    })?;
    Ok(Staging { folder, files: 0 })
}

/// The sandbox's root and what is mounted below it so far.
pub(super) struct Tree {
    root: OwnedFd,
    staging: Staging,
    mount_points: Vec<PathBuf>,
}

impl Tree {
    pub(super) fn attach_root(root: OwnedFd, staging: Staging) -> Result<Self, Failure> {
        move_mount(
            root.as_fd(),
            "",
            staging.folder.as_fd(),
            "root",
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
        .map_err(Failure::step("attach the root"))?;
        Ok(Self {
            root,
            staging,
            mount_points: Vec::new(),
        })
    }

    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    pub(super) fn staging(&self) -> &OwnedFd {
        &self.staging.folder
    }

    pub(super) fn mount_point_count(&self) -> usize {
        self.mount_points.len()
    }

    pub(super) fn forget_mount_points_after(&mut self, count: usize) {
        self.mount_points.truncate(count);
    }

    pub(super) fn into_mount_points(self) -> Vec<PathBuf> {
        self.mount_points
    }

    /// Attaches a mount at `target`, which is made if it is missing.
    pub(super) fn attach(
        &mut self,
        mounted: &OwnedFd,
        target: &Path,
        kind: Kind,
    ) -> Result<(), Failure> {
        let failed = |what: &str| Failure::step(format!("{what} {}", target.display()));
        let place = self
            .open_or_make(target, kind)
            .map_err(failed("make the mount point"))?;
        move_mount(
            mounted.as_fd(),
            "",
            place.as_fd(),
            "",
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH,
        )
        .map_err(failed("mount at"))
    }

    /// Opens a path below the root.
    pub(super) fn open(&self, path: &Path) -> Result<OwnedFd, Errno> {
        open_in(&self.root, path, OFlags::PATH | OFlags::CLOEXEC)
    }

    fn open_or_make(&mut self, target: &Path, kind: Kind) -> Result<OwnedFd, Errno> {
        match self.open(target) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let (Some(parent), Some(name)) = (target.parent(), target.file_name()) else {
            return Err(Errno::INVAL);
        };
        let parent = self.open_or_make(parent, Kind::Folder)?;
        match kind {
            Kind::Folder => mkdirat(&parent, name, Mode::from_raw_mode(0o755))?,
            Kind::File => {
                openat(
                    &parent,
                    name,
                    OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC,
                    Mode::from_raw_mode(0o644),
                )?;
            }
        }
        self.mount_points.push(target.to_owned());
        self.open(target)
    }

    /// A read-only mount of one new file with these bytes.
    pub(super) fn stage_file(&mut self, bytes: &[u8]) -> Result<OwnedFd, Failure> {
        let name = format!("file-{}", self.staging.files);
        self.staging.files += 1;
        let staged = || -> std::io::Result<OwnedFd> {
            let file = openat(
                &self.staging.folder,
                &name,
                OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC,
                Mode::from_raw_mode(0o444),
            )?;
            std::io::Write::write_all(&mut std::fs::File::from(file), bytes)?;
            let mounted = clone_at(&self.staging.folder, Path::new(&name))?;
            set_attributes(&mounted, attributes_of(Access::ReadOnly))?;
            Ok(mounted)
        };
        staged().map_err(Failure::step_io("write a file for the sandbox"))
    }
}

/// A detached copy of what is mounted at a path of the host, and below it.
pub(super) fn clone_tree(source: &Path, access: Access) -> Result<OwnedFd, Failure> {
    let cloned = || {
        let mounted = clone_at(CWD, source)?;
        set_attributes(&mounted, attributes_of(access))?;
        Ok(mounted)
    };
    cloned().map_err(Failure::step(format!(
        "bring {} into the sandbox",
        source.display()
    )))
}

/// The same without `nodev`, for the host's device files.
pub(super) fn clone_device(source: &Path) -> Result<OwnedFd, Errno> {
    let mounted = clone_at(CWD, source)?;
    set_attributes(
        &mounted,
        MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )?;
    Ok(mounted)
}

/// A detached copy of a path of the tree under construction, read-only.
pub(super) fn clone_read_only(place: &OwnedFd) -> Result<OwnedFd, Errno> {
    let mounted = open_tree(
        place.as_fd(),
        "",
        clone_flags() | OpenTreeFlags::AT_EMPTY_PATH,
    )?;
    set_attributes(&mounted, attributes_of(Access::ReadOnly))?;
    Ok(mounted)
}

/// A detached mount of a new file system.
pub(super) fn new_mount(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Errno> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        fsconfig_set_string(context.as_fd(), *key, *value)?;
    }
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Opens a path as a process would whose root is `root`.
pub(crate) fn open_in(root: &OwnedFd, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
}

fn clone_flags() -> OpenTreeFlags {
    OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_RECURSIVE
}

fn clone_at(folder: impl AsFd, path: &Path) -> Result<OwnedFd, Errno> {
    open_tree(folder.as_fd(), path, clone_flags())
}

fn attributes_of(access: Access) -> MountAttrFlags {
    let always = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    match access {
        Access::ReadOnly => always | MountAttrFlags::MOUNT_ATTR_RDONLY,
        Access::ReadWrite => always,
    }
}

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    user_namespace: u64,
}

/// Sets attributes on a mount and all below it (`mount_setattr(2)`, Linux 5.12).
#[expect(
    unsafe_code,
    reason = "mount_setattr has no wrapper; it reads one struct, whose size it is told"
)]
fn set_attributes(mounted: &OwnedFd, attributes: MountAttrFlags) -> Result<(), Errno> {
    let attributes = MountAttributes {
        set: attributes.bits().into(),
        clear: 0,
        propagation: 0,
        user_namespace: 0,
    };
    let flags = AtFlags::EMPTY_PATH.bits() | libc::AT_RECURSIVE as u32;
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mounted.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attributes,
            size_of::<MountAttributes>(),
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}
