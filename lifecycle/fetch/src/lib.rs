//! The only code that opens HTTP: trust, proxies, retries, resumed and digest-checked downloads.
//!
//! The functions are blocking; an own small tokio runtime works behind them. Nothing here reads the environment: which
//! certificates to trust and which proxies to use are values in [`Config`].
//!
//! ```no_run
//! # fn main() -> Result<(), fetch::FetchError> {
//! let client = fetch::Client::new(fetch::Config::default())?;
//! let url: url::Url = "https://example.org/file".parse().expect("a literal URL");
//! let bytes = client.get(&url, 1 << 20)?;
//! # Ok(()) }
//! ```

mod attempt;
mod budget;
mod builder;
mod cause;
mod certificate_files;
mod client;
mod config;
mod content_range;
mod digest;
mod error;
mod local;
mod names;
mod parallel;
mod problem;
mod redact;
mod redirect;
mod retry;
mod sink;
mod transfer;
pub mod trust;

pub use budget::Budget;
pub use builder::client_builder;
pub use cause::cause_of;
pub use certificate_files::{CertificateFileError, Identity};
pub use client::{Client, Conditional, Validators};
pub use config::{Config, Proxies, RetryPolicy};
pub use content_range::checked_content_range;
pub use digest::{ParseSha256Error, Sha256};
pub use error::{FetchError, RedirectProblem};
pub use names::Names;
pub use parallel::{Download, Progress};
pub use problem::RequestProblem;
pub use redact::redacted;
pub use redirect::redirect_target;
pub use retry::{Tries, is_transient_status, retry_after};
pub use sink::Expected;
