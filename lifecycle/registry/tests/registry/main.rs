//! Pushing and pulling with an in-process registry, well and with every fault, and with Debian's docker-registry.

mod access;
mod certificates;
mod errors;
mod faults;
mod fixture;
mod journey;
mod large;
mod names;
mod real;
mod referrers;
