//! A test a fixture; see the crate.

include!(concat!(env!("OUT_DIR"), "/tests.rs"));
