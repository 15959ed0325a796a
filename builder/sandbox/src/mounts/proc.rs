//! `/proc` of the sandbox's own pid namespace, without what would reach the host.

use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::mount::MountAttrFlags;

use super::tree::{Kind, Tree, clone_device, clone_read_only, new_mount};
use crate::error::Failure;

/// Settings of the whole machine. Called by root, the sandbox's user is the kernel's root too, and could write them.
const READ_ONLY: &[&str] = &[
    "/proc/sys",
    "/proc/sysrq-trigger",
    "/proc/irq",
    "/proc/bus",
    "/proc/fs",
];

/// What tells of the machine's memory and keys. Container runtimes hide the same.
const HIDDEN: &[&str] = &[
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/kallsyms",
    "/proc/kmsg",
];

pub(super) fn mount_proc(tree: &mut Tree) -> Result<(), Failure> {
    let mounted = new_proc()?;
    tree.attach(&mounted, Path::new("/proc"), Kind::Folder)?;
    for path in READ_ONLY.iter().map(Path::new) {
        // What this kernel does not have needs no protection.
        if let Ok(place) = tree.open(path) {
            let mounted = clone_read_only(&place).map_err(failed(path))?;
            let kind = Kind::of(&mounted).map_err(failed(path))?;
            tree.attach(&mounted, path, kind)?;
        }
    }
    for path in HIDDEN.iter().map(Path::new) {
        if tree.open(path).is_ok() {
            let null = clone_device(Path::new("/dev/null")).map_err(failed(path))?;
            tree.attach(&null, path, Kind::File)?;
        }
    }
    Ok(())
}

/// Whether the kernel gives this process a `/proc`: it refuses where parts of the one around it are hidden.
pub(crate) fn try_proc() -> Result<(), Failure> {
    new_proc().map(drop)
}

fn new_proc() -> Result<OwnedFd, Failure> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    new_mount("proc", &[], attributes).map_err(|errno| Failure::Proc {
        errno: errno.raw_os_error(),
    })
}

fn failed(path: &Path) -> impl Fn(rustix::io::Errno) -> Failure {
    move |errno| Failure::step(format!("protect {}", path.display()))(errno)
}
