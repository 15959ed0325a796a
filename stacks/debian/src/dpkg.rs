//! dpkg's database below `/var/lib/dpkg`: reading what is installed, and writing what dpkg itself would have after unpacking.

mod info;
mod status;

pub use info::{InfoFile, info_files};
pub use status::{InstalledPackage, StatusError, installed_packages, unpacked_paragraph};
