//! Linux namespaces, overlay, seccomp and root emulation: a container without privileges.
//!
//! A [`Sandbox`] says what a process tree may see: its root, its mounts, its user, its environment.
//! [`Sandbox::spawn`] starts a program in it:
//!
//! ```text
//! caller ── socket ──> helper (user namespace, no longer the caller's threads)
//!                        │  answers the chown family under root emulation
//!                        └──> init (pid 1: mounts, pivot, filter; reaps, passes signals on)
//!                               └──> the program
//! ```
//!
//! The helper is the caller's own executable, started again under the name [`HELPER_NAME`], because the kernel
//! lets only a single-threaded process create a user namespace. Its `main` therefore begins with [`dispatch`].
//! Whatever ends the caller, even `SIGKILL`, closes the socket, and with it the helper, init and all below it end:
//! the mounts live in init's namespace and go with it.
//!
//! It is a fence against accidents and ordinary malice of a build, made of what every user may do:
//! nothing of the host is visible but what is listed, and no privilege can be gained.
//!
//! Where the kernel refuses all that, [`Here`] runs programs in the container that is around them anyway.

mod child;
mod copy;
mod error;
mod files;
mod forbidden;
mod helper;
mod here;
mod init;
mod ledger;
mod mounts;
mod notify;
mod overlay;
mod owners;
mod probe;
mod seccomp;
mod spec;
mod supervisor;
mod user;
mod wire;

pub use child::{Child, Finished, Signaller, Status, Stream, Streams};
pub use copy::{CopyError, flatten};
pub use error::SandboxError;
pub use forbidden::Forbidden;
pub use helper::{HELPER_NAME, dispatch};
pub use here::{Cleanup, Here, Program};
pub use owners::Owner;
pub use probe::{Allowed, probe};
pub use spec::{
    Access, Helper, Mount, Network, OverlayDirs, OverlayInterface, Root, RootEmulation, Sandbox,
    Syncs, User,
};
