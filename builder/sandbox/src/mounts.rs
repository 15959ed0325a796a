//! The sandbox's world: everything that is mounted, then the host's root taken away.

mod devices;
mod proc;
mod tree;

use std::path::{Path, PathBuf};

use rustix::mount::{MountAttrFlags, MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::thread::UnshareFlags;

use crate::error::Failure;
use crate::overlay::mount_overlay;
use crate::spec::{Mount, Network, OverlayInterface, Root, Sandbox};
use crate::user::unshare_namespaces;
pub(crate) use proc::try_proc;
use tree::{Kind, Tree};
pub(crate) use tree::{attach_staging, open_in};

/// Makes the remaining namespaces and mounts what the sandbox lists. Returns the mount points that had to be made.
pub(crate) fn enter_world(sandbox: &Sandbox) -> Result<Vec<PathBuf>, Failure> {
    unshare_world(sandbox.network, &sandbox.hostname)?;
    if sandbox.network == Network::None {
        raise_loopback().map_err(Failure::step_io("raise the loopback interface"))?;
    }
    mount_world(sandbox)
}

/// The namespaces beside those of users and processes. A filter of system calls may allow making them and forbid the host name: Podman's
/// usual one does.
pub(crate) fn unshare_world(network: Network, hostname: &str) -> Result<(), Failure> {
    let mut namespaces = UnshareFlags::NEWNS | UnshareFlags::NEWIPC | UnshareFlags::NEWUTS;
    if network == Network::None {
        namespaces |= UnshareFlags::NEWNET;
    }
    let forbidden = |step: &'static str| {
        move |errno: rustix::io::Errno| Failure::UserNamespaces {
            errno: errno.raw_os_error(),
            step: step.to_owned(),
        }
    };
    unshare_namespaces(namespaces).map_err(forbidden(
        "unshare the mount, ipc, uts and network namespaces",
    ))?;
    rustix::system::sethostname(hostname.as_bytes()).map_err(forbidden("set the host name"))
}

fn mount_world(sandbox: &Sandbox) -> Result<Vec<PathBuf>, Failure> {
    // Nothing that happens here is to be seen on the host.
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .map_err(|errno| Failure::UserNamespaces {
        errno: errno.raw_os_error(),
        step: "make the mounts private".to_owned(),
    })?;
    let staging = tree::attach_staging()?;
    let root = match &sandbox.root {
        Root::Overlay(dirs) => mount_overlay(
            dirs,
            Path::new("/"),
            &staging.folder,
            sandbox.overlay_interface,
        )?,
        Root::Folder { path, access } => tree::clone_tree(path, *access)?,
    };
    let mut tree = Tree::attach_root(root, staging)?;
    proc::mount_proc(&mut tree)?;
    devices::mount_devices(&mut tree)?;
    mount_tmpfs(&mut tree, Path::new("/tmp"), None)?;
    for mount in &sandbox.mounts {
        apply(&mut tree, mount, sandbox.overlay_interface)?;
    }
    pivot(tree)
}

fn apply(tree: &mut Tree, mount: &Mount, interface: OverlayInterface) -> Result<(), Failure> {
    match mount {
        Mount::Bind {
            source,
            target,
            access,
        } => {
            let mounted = tree::clone_tree(source, *access)?;
            let kind = Kind::of(&mounted)
                .map_err(Failure::step(format!("look at {}", source.display())))?;
            tree.attach(&mounted, target, kind)
        }
        Mount::Overlay { dirs, target } => {
            let mounted = mount_overlay(dirs, target, tree.staging(), interface)?;
            tree.attach(&mounted, target, Kind::Folder)
        }
        Mount::Tmpfs { target, size } => mount_tmpfs(tree, target, *size),
        Mount::Contents { target, bytes } => {
            let mounted = tree.stage_file(bytes)?;
            tree.attach(&mounted, target, Kind::File)
        }
    }
}

fn mount_tmpfs(tree: &mut Tree, target: &Path, size: Option<u64>) -> Result<(), Failure> {
    let size = size.map(|size| size.to_string());
    let mut options = vec![("mode", "1777")];
    options.extend(size.as_deref().map(|size| ("size", size)));
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let mounted = tree::new_mount("tmpfs", &options, attributes).map_err(Failure::step(
        format!("mount a tmpfs at {}", target.display()),
    ))?;
    tree.attach(&mounted, target, Kind::Folder)
}

/// Makes the tree the root and lets go of the host's.
fn pivot(tree: Tree) -> Result<Vec<PathBuf>, Failure> {
    let failed = Failure::step("change to the sandbox's root");
    let pivoted = || {
        rustix::process::fchdir(tree.root())?;
        // The old root is stacked on the new one, and the staging folder on the old root; "." finds what lies uppermost
        // (`pivot_root(2)`, NOTES).
        rustix::process::pivot_root(".", ".")?;
        unmount(".", UnmountFlags::DETACH)?;
        unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")
    };
    pivoted().map_err(failed)?;
    Ok(tree.into_mount_points())
}

/// A new network namespace has a loopback interface, but it is down.
#[expect(
    unsafe_code,
    reason = "SIOCSIFFLAGS has no safe wrapper; it reads one ifreq, which lives on this stack"
)]
fn raise_loopback() -> std::io::Result<()> {
    use std::os::fd::AsRawFd as _;
    let socket = std::net::UdpSocket::bind("0.0.0.0:0")?;
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}
