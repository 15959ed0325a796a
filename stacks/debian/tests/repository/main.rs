//! A small signed repository, served from 127.0.0.1 and from a folder: what is believed and what is refused.

mod mini;
mod mirrors;
mod server;
mod signatures;
mod suites;
