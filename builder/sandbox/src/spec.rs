//! What a sandbox is made of: plain values that the caller fills in and the helper reads.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::owners::Owner;
use crate::wire::raw;

/// A process tree's whole world. What is not listed is not there.
///
/// `/proc`, a minimal `/dev` and an empty `/tmp` are always there; a mount on one of them covers it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Sandbox {
    /// What stands at `/`.
    pub root: Root,
    /// Mounted in this order, so a parent comes before its child. A mount point that is missing is made
    /// (and taken away afterwards, if the root is an overlay or a writable folder).
    pub mounts: Vec<Mount>,
    /// Who the program is.
    pub user: User,
    /// Whether the calls that only root may make are answered as if they had worked.
    pub root_emulation: RootEmulation,
    /// Whether `fsync` and its kin wait for the disk.
    pub syncs: Syncs,
    /// Whether the host's network is there.
    pub network: Network,
    /// The whole environment.
    #[serde(with = "raw::map")]
    pub env: BTreeMap<OsString, OsString>,
    /// Where the program starts.
    #[serde(with = "raw::path")]
    pub cwd: PathBuf,
    /// What `hostname` says.
    pub hostname: String,
    /// How overlays are mounted.
    pub overlay_interface: OverlayInterface,
    /// The program that sets it all up.
    #[serde(skip)]
    pub helper: Helper,
}

impl Sandbox {
    /// A sandbox over `root` with no mounts of its own, no network, an empty environment, user 1000.
    pub fn new(root: Root) -> Self {
        Self {
            root,
            mounts: Vec::new(),
            user: User::CNB,
            root_emulation: RootEmulation::Off,
            syncs: Syncs::Real,
            network: Network::None,
            env: BTreeMap::new(),
            cwd: PathBuf::from("/"),
            hostname: "longshore".to_owned(),
            overlay_interface: OverlayInterface::OneByOne,
            helper: Helper::default(),
        }
    }
}

/// What stands at `/`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Root {
    /// Read-only folders with a writable one on top.
    Overlay(OverlayDirs),
    /// One folder as it is.
    Folder {
        /// The folder.
        #[serde(with = "raw::path")]
        path: PathBuf,
        /// Whether it may be written to.
        access: Access,
    },
}

/// The folders of one overlay. `upper` and `work` are empty folders on one file system.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OverlayDirs {
    /// Read-only folders, the uppermost first.
    #[serde(with = "raw::paths")]
    pub lowers: Vec<PathBuf>,
    /// Where changes go.
    #[serde(with = "raw::path")]
    pub upper: PathBuf,
    /// The kernel's scratch folder.
    #[serde(with = "raw::path")]
    pub work: PathBuf,
}

/// One thing put into the sandbox. Targets are absolute paths inside it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Mount {
    /// A file or folder of the host.
    Bind {
        /// On the host.
        #[serde(with = "raw::path")]
        source: PathBuf,
        /// In the sandbox.
        #[serde(with = "raw::path")]
        target: PathBuf,
        /// Whether it may be written to.
        access: Access,
    },
    /// Read-only folders with a writable one on top.
    Overlay {
        /// The folders.
        dirs: OverlayDirs,
        /// In the sandbox.
        #[serde(with = "raw::path")]
        target: PathBuf,
    },
    /// An empty folder in memory.
    Tmpfs {
        /// In the sandbox.
        #[serde(with = "raw::path")]
        target: PathBuf,
        /// Most bytes it may hold; the kernel's default is half the memory.
        size: Option<u64>,
    },
    /// A read-only file with these bytes.
    Contents {
        /// In the sandbox.
        #[serde(with = "raw::path")]
        target: PathBuf,
        /// What it holds.
        bytes: Vec<u8>,
    },
}

/// Whether something may be written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Reading only.
    ReadOnly,
    /// Reading and writing.
    ReadWrite,
}

/// The one user of the sandbox. On the host it is the caller, whatever its number inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The number inside.
    pub uid: u32,
    /// The group's number inside.
    pub gid: u32,
}

impl User {
    /// The user of builds and apps. It has no capability at all.
    pub const CNB: Self = Self {
        uid: 1000,
        gid: 1000,
    };
    /// Root of the sandbox: it may read, write and chmod what the caller owns, and nothing more.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
}

/// Whether calls that only root may make (`chown`, `mknod` of devices, `setuid`, …) are answered as if they had worked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum RootEmulation {
    /// The kernel answers.
    Off,
    /// They succeed; what the `chown` family asked for is in [`crate::Finished::owners`]. Needs [`User::ROOT`].
    ///
    /// `stat` is not faked: it shows every file as root's. A program that copies an owner it has read (as `useradd`
    /// does when it rewrites `/etc/shadow`) would so give the file to root; a path that belonged to someone else
    /// keeps that owner when a new file with an explicit root:root takes its place.
    On {
        /// Owners that are already known, as far as they are not root.
        #[serde(with = "raw::owners")]
        known_owners: BTreeMap<PathBuf, Owner>,
    },
}

/// Whether `fsync` and its kin wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Syncs {
    /// They do.
    Real,
    /// They succeed at once: for folders that are thrown away if the build does not come to its end.
    Skipped,
}

/// Whether the host's network is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// The host's own, all of it.
    Host,
    /// A loopback interface of its own.
    None,
}

/// How an overlay's lower folders are handed to the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OverlayInterface {
    /// One by one (`lowerdir+`, Linux 6.7), else as [`OverlayInterface::OneString`].
    OneByOne,
    /// In one option string of `mount(2)`: all that kernels before 6.7 have. A page holds about 200 folders.
    OneString,
}

/// The program that is started under the name [`crate::HELPER_NAME`] and calls [`crate::dispatch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Helper(pub PathBuf);

impl Default for Helper {
    /// The running program itself.
    fn default() -> Self {
        Self(PathBuf::from("/proc/self/exe"))
    }
}
