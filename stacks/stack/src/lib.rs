//! Base images from `stack.toml` and its lock: signed Debian packages to a build image and a run image, without root.
//!
//! ```text
//! stack.toml ─ resolve ─> stack.lock ─ fetch ─> .debs ─ unpack ─> two trees, as `dpkg --unpack` leaves them
//!   ─ configure ─> maintainer scripts ran in the sandbox, as emulated root ─ normalise ─> the same bytes for the same lock
//!   ─> layers, trees and named images in the store
//! ```

mod accounts;
mod assemble;
mod configure;
mod create;
mod definition;
mod dpkg_database;
mod excludes;
mod files;
mod image;
mod inputs;
mod lock;
mod normalise;
mod packages;
mod progress;
mod resolve;
mod unpack;

pub use assemble::AssembleError;
pub use configure::ConfigureError;
pub use create::{
    Origin, RUN_STATUS, STACK_FOLDER_IN_BUILD_IMAGE, Stack, StackError, create, lock,
    run_image_name,
};
pub use definition::{CnbUser, Definition, DefinitionError, Distribution, Files, ImageDefinition};
pub use image::{StackImage, StoreImageError};
pub use inputs::{LockUse, StackFolderError, StackInputs};
pub use lock::{Date, ImageKind, Lock, LockError, LockedPackage};
pub use normalise::NormaliseError;
pub use packages::{Difference, PackagesError};
pub use progress::{Event, Progress};
pub use resolve::ResolveStackError;
pub use unpack::UnpackDebError;
