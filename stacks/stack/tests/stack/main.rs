//! Stacks made from the machine's own Debian mirror, by the program `stack-run`: as this user and as an ordinary one.
//!
//! Downloads are kept below the build folder, so only the first run fetches anything.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of tests stand outside of the test functions"
)]

mod crashes;
mod digests;
mod failures;
mod mmdebstrap;
mod world;
