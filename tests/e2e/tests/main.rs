//! The end-to-end tests. They stand below `journey`, so that `--skip journey::` leaves them out.

#![expect(
    clippy::unwrap_used,
    reason = "clippy allows it in tests, but not in the functions that several of them share"
)]

mod journey;
