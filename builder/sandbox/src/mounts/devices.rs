//! A minimal `/dev`. Device files cannot be made in a user namespace, so the host's are brought in one by one.

use std::path::Path;

use rustix::fs::symlinkat;
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::tree::{Kind, Tree, clone_device, new_mount};
use crate::error::Failure;

const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];

const LINKS: &[(&str, &str)] = &[
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

pub(super) fn mount_devices(tree: &mut Tree) -> Result<(), Failure> {
    let made = |what: &str| Failure::step(format!("make {what} in the sandbox"));
    let no_programs = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let dev = new_mount("tmpfs", &[("mode", "0755"), ("size", "64k")], no_programs)
        .map_err(made("/dev"))?;
    for (link, target) in LINKS {
        symlinkat(*target, &dev, *link).map_err(made(link))?;
    }
    let before = tree.mount_point_count();
    tree.attach(&dev, Path::new("/dev"), Kind::Folder)?;
    let made_dev = tree.mount_point_count() - before;
    for device in DEVICES {
        let path = Path::new("/dev").join(device);
        match clone_device(&path) {
            Ok(mounted) => tree.attach(&mounted, &path, Kind::File)?,
            // A container may have fewer.
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(made(device)(errno)),
        }
    }
    let shm = new_mount(
        "tmpfs",
        &[("mode", "1777")],
        no_programs | MountAttrFlags::MOUNT_ATTR_NODEV,
    )
    .map_err(made("/dev/shm"))?;
    tree.attach(&shm, Path::new("/dev/shm"), Kind::Folder)?;
    // Builds need no pseudo-terminals, and some kernels have none to give.
    let options = [("ptmxmode", "0666"), ("mode", "0620")];
    if let Ok(pts) = new_mount("devpts", &options, no_programs) {
        tree.attach(&pts, Path::new("/dev/pts"), Kind::Folder)?;
    }
    // What was made inside /dev is gone with it.
    tree.forget_mount_points_after(before + made_dev);
    Ok(())
}
