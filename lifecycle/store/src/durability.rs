//! How long what is stored has to be there.
//!
//! Waiting until a layer is on disk can take longer than making or fetching it. One that can be had again is not waited for: it stands in
//! a folder that is named after the machine's current boot, and after a power cut, which may have left half of it, nobody looks there
//! ([`Store::settle`](crate::Store::settle)).

/// How long a blob or a tree is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It is on disk before it gets its name.
    Lasting,
    /// It can be had again, so nobody waits for the disk: it is there until the machine starts anew.
    ThisBoot,
}
