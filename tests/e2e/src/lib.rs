//! What the end-to-end tests stand on: the `longshore` executable in a home of its own, copies of the examples, real browsers,
//! engines and servers beside it. Nothing here is built by the tests; a real part that is missing is said loudly (`skip`).
//!
//! The tests themselves are in `tests/journey/`, one file a promise.

pub mod app;
pub mod browser;
pub mod engine;
pub mod home;
pub mod image;
pub mod index;
pub mod mirror;
pub mod page;
pub mod program;
pub mod proxy;
pub mod random;
pub mod redis;
pub mod running;
pub mod server;
pub mod stack;
pub mod standalone;
pub mod trace;
pub mod traces_left;

pub use test_servers::registry;
pub use test_skip as skip;
