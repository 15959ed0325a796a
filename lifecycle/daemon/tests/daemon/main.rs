//! Loading into a daemon and reading from it: a fake one that fails as told, Debian's dockerd and podman.

mod endpoint;
mod engines;
mod fake;
mod faults;
mod fixture;
mod real;
