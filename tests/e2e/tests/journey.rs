//! From an app folder to a running page: one file a promise.

mod bad_input;
mod crash;
mod digest;
mod engines;
mod examples;
mod failpoints;
mod interpreter;
mod mirrors;
mod newcomer;
mod resolution;
mod reuse;
mod store_commands;
mod trust;
