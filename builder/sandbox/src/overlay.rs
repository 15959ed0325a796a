//! Overlay mounts for ordinary users (`userxattr`, Linux 5.11), with any number of folders and paths of any length.
//!
//! Folders are named `/proc/self/fd/N`: short, without commas or colons to escape, and meant for exactly the folder that
//! was opened. The new mount interface takes lower folders one by one since Linux 6.7 (`lowerdir+`); before, one option
//! string has to hold them all, of at most 255 bytes in the new interface and a page in the old.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, OpenTreeFlags, UnmountFlags,
    fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, open_tree,
    unmount,
};

use crate::error::Failure;
use crate::spec::{OverlayDirs, OverlayInterface};

/// Mounts an overlay that stands nowhere yet. `target` is for messages, `staging` an attached scratch folder.
pub(crate) fn mount_overlay(
    dirs: &OverlayDirs,
    target: &Path,
    staging: &OwnedFd,
    interface: OverlayInterface,
) -> Result<OwnedFd, Failure> {
    let opened = Opened::open(dirs)?;
    let result = match interface {
        OverlayInterface::OneByOne => match opened.mount_one_by_one() {
            // Which step a kernel that does not know `lowerdir+` refuses depends on its age: before 6.5 overlayfs takes any
            // option, and says no only when the mount is made.
            Err((Errno::INVAL, detail)) => opened
                .mount_one_string(staging)
                .map_err(|errno| (errno, detail)),
            other => other,
        },
        OverlayInterface::OneString => opened
            .mount_one_string(staging)
            .map_err(|errno| (errno, String::new())),
    };
    result.map_err(|(errno, detail)| Failure::Overlay {
        target: target.to_owned(),
        detail,
        errno: errno.raw_os_error(),
    })
}

struct Opened {
    lowers: Vec<OwnedFd>,
    upper: OwnedFd,
    work: OwnedFd,
}

impl Opened {
    fn open(dirs: &OverlayDirs) -> Result<Self, Failure> {
        let open = |path: &Path| {
            openat(
                CWD,
                path,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )
            .map_err(Failure::step(format!(
                "open the overlay's folder {}",
                path.display()
            )))
        };
        let OverlayDirs {
            lowers,
            upper,
            work,
        } = dirs;
        Ok(Self {
            lowers: lowers
                .iter()
                .map(|path| open(path))
                .collect::<Result<_, _>>()?,
            upper: open(upper)?,
            work: open(work)?,
        })
    }

    fn mount_one_by_one(&self) -> Result<OwnedFd, (Errno, String)> {
        let silent = |errno| (errno, String::new());
        let overlay = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(silent)?;
        let configure = || {
            for lower in &self.lowers {
                fsconfig_set_string(overlay.as_fd(), "lowerdir+", name(lower))?;
            }
            fsconfig_set_string(overlay.as_fd(), "upperdir", name(&self.upper))?;
            fsconfig_set_string(overlay.as_fd(), "workdir", name(&self.work))?;
            fsconfig_set_flag(overlay.as_fd(), "userxattr")?;
            fsconfig_create(overlay.as_fd())
        };
        configure().map_err(|errno| (errno, kernel_log(&overlay)))?;
        fsmount(
            overlay.as_fd(),
            FsMountFlags::FSMOUNT_CLOEXEC,
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV,
        )
        .map_err(silent)
    }

    fn mount_one_string(&self, staging: &OwnedFd) -> Result<OwnedFd, Errno> {
        let lowers: Vec<String> = self.lowers.iter().map(name).collect();
        let options = format!(
            "lowerdir={},upperdir={},workdir={},userxattr",
            lowers.join(":"),
            name(&self.upper),
            name(&self.work)
        );
        let options = CString::new(options).expect("numbers and names of options have no NUL");
        match mkdirat(staging, "overlay", Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno),
        }
        let place = format!("{}/overlay", name(staging));
        mount(
            "overlay",
            &place,
            "overlay",
            MountFlags::NOSUID | MountFlags::NODEV,
            Some(options.as_c_str()),
        )?;
        let tree = open_tree(
            CWD,
            &place,
            OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC,
        );
        unmount(&place, UnmountFlags::DETACH)?;
        tree
    }
}

/// A short name for an open folder.
pub(crate) fn name(file: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// What the kernel wrote about a mount that failed, one message a read.
fn kernel_log(context: &OwnedFd) -> String {
    let mut lines = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(length @ 1..) = rustix::io::read(context, &mut buffer) {
        lines.push(String::from_utf8_lossy(&buffer[..length]).trim().to_owned());
    }
    lines.join("; ")
}
