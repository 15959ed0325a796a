//! From an app folder to a running page: one file a promise.

mod app_folder;
mod bad_input;
mod crash;
mod digest;
mod engines;
mod examples;
mod failpoints;
mod fallback;
mod in_place;
mod interpreter;
mod kubernetes;
mod mirrors;
mod newcomer;
mod phases_by_hand;
mod proxies;
mod publish;
mod publish_crash;
mod rebase;
mod resolution;
mod reuse;
mod signals;
mod stack_commands;
mod store_commands;
mod trust;
