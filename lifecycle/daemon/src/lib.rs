//! Reads images from a Docker daemon and loads images into it (Docker Engine API 1.25 and later; podman's service speaks it too).
//!
//! The functions are blocking; an own small tokio runtime works behind them. Nothing here reads the environment: the daemon's
//! [`Endpoint`] is a value in [`Settings`].
//!
//! ```no_run
//! # fn main() -> Result<(), daemon::DaemonError> {
//! use daemon::{Daemon, Known, Load, Settings};
//!
//! let daemon = Daemon::new(Settings::default())?;
//! if let Some(base) = daemon.image("debian:trixie", &Known::default())? {
//!     let names = ["app:1".parse().expect("a literal name")];
//!     let load = Load { names: &names, ..Load::default() };
//!     let loaded = daemon.load(&base.image, &load, &mut |_| {})?;
//!     assert_eq!(loaded.id, base.image.documents().config.digest);
//! }
//! # Ok(()) }
//! ```
//!
//! What a daemon keeps depends on its store. With a **graph driver** (Docker's own until 29, podman's) an image's id is the digest
//! of its configuration, and layers are kept unpacked: they are sent as plain tars, and those that the daemon has are left out.
//! With **containerd's image store** the id is the digest of the manifest, and blobs are kept as they came: they are sent as they are, except
//! those of images that the caller knows and the daemon says it has.

mod answer;
mod archive;
mod asked;
mod body;
mod client;
mod contents;
mod context;
mod endpoint;
mod engine;
mod error;
mod export;
mod history;
mod host;
mod image;
mod inspect;
mod load;
mod present;
mod request;
mod tls;
mod variables;

pub use asked::Asked;
pub use client::{Daemon, Settings};
pub use context::ContextError;
pub use endpoint::{Endpoint, EndpointError, NamedBy};
pub use error::{DaemonError, Unreachable};
pub use host::HostProblem;
pub use image::{DaemonImage, Known};
pub use inspect::Inspected;
pub use load::{Load, Loaded, Progress};

/// Every moment of a load at which tests let the program die, in their order.
pub const FAILPOINTS: [&str; 3] = ["load-half-sent", "load-before-name", "load-named"];
