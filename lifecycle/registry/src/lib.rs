//! Pulls images from registries and pushes them (OCI distribution specification 1.1).
//!
//! The functions are blocking; an own small tokio runtime works behind them. Nothing here reads the environment: credentials,
//! trust, proxies and time limits are values in [`Settings`].
//!
//! ```no_run
//! # fn main() -> Result<(), registry::RegistryError> {
//! use oci_image::{Platform, Reference};
//! use registry::{Push, Registry, Settings};
//!
//! let registry = Registry::new(Settings::default())?;
//! let base: Reference = "registry.example.com/base:1".parse().expect("a literal reference");
//! let app: Reference = "registry.example.com/app:1".parse().expect("a literal reference");
//! if let Some(found) = registry.image(&base, Platform::LINUX_AMD64)? {
//!     let push = Push { tags: &[app], mount_from: &[base], previous: None };
//!     let report = registry.push_image(&found.image, &push)?;
//!     assert_eq!(report.layers.len(), found.image.layers().len());
//! }
//! # Ok(()) }
//! ```

mod address;
mod asked;
mod auth;
mod blob;
mod blob_reader;
mod body;
mod certificates;
mod challenge;
mod client;
mod clients;
mod credentials;
mod distribution;
mod docker_config;
mod error;
mod failure;
mod helper;
mod host;
mod login;
mod manifest;
mod pull;
mod push;
mod push_manifest;
mod referrers;
mod request;
mod scopes;
mod standing;
mod token;
mod upload;
mod uploads;
mod user;
mod words;

pub use asked::Asked;
pub use blob::Outcome;
pub use certificates::CertificatesError;
pub use client::{Registry, Settings};
pub use credentials::{CredentialFile, Credentials, CredentialsError};
pub use docker_config::ParseConfigError;
pub use error::{RegistryError, Unauthorized};
pub use helper::{HelperError, HelperProblem, Helpers};
pub use login::Login;
pub use pull::Found;
pub use push::{Push, Report};
pub use referrers::{Artifact, Referrer};
pub use uploads::Uploads;
pub use user::certificate_folders;
pub use words::Words;

/// Every moment of a push or a pull at which tests let the program die, each in the order in which it comes.
pub const FAILPOINTS: [&str; 11] = [
    "push-upload-opened",
    "push-before-blob",
    "push-blob-half-sent",
    // All of it is handed over; what the registry makes of it is not known.
    "push-blob-sent",
    "push-blob-acknowledged",
    "push-config-sent",
    // A manifest is sent under its tag: it is there and has its name in one step.
    "push-before-tag",
    "push-tag-given",
    "pull-manifest-read",
    "pull-blob-half-received",
    "pull-blob-received",
];
