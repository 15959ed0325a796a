//! The sandbox with real programs, as this user and, when that is root, as an ordinary one.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "the helpers of tests stand outside of the test functions"
)]

mod emulation;
mod here;
mod isolation;
mod life;
mod world;
