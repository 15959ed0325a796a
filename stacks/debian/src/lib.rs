//! Signed Debian repositories: indexes, a dependency solver, verified downloads, strict unpacking.

pub mod cache;
pub mod deb;
pub mod dpkg;
pub mod index;
pub mod keyring;
pub mod mirror;
pub mod name;
pub mod package;
pub mod paragraph;
pub mod relation;
pub mod release;
pub mod repository;
pub mod solve;
pub mod universe;
pub mod version;
