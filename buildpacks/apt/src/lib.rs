//! longshore/apt: OS packages from `apt-packages` and `Aptfile`, in a cached layer.
//!
//! Packages are resolved against what the run image has, downloaded, checked against Debian's signature, and unpacked into a layer; variables
//! lead programs and compilers to it. No maintainer script runs: what they would have done is done here or said.

pub mod list;

mod alternatives;
mod archive;
mod buildpack;
mod environment;
mod errors;
mod install;
mod metadata;
mod other_files;
mod prefixes;
mod report;
mod runpath;
mod scripts;
mod settings;
mod shell_text;
mod tree;
mod unpack;

#[cfg(test)]
mod real_archive;

pub use errors::AptError;
pub use list::PackageList;

/// The program behind `bin/detect` and `bin/build`.
pub fn run() -> std::process::ExitCode {
    buildpack_kit::program::run(&buildpack::AptBuildpack)
}
