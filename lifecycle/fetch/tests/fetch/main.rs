//! The client against a real server on loopback that fails in every way we promise to survive.

mod download;
mod requests;
mod server;
mod tls;

use std::time::Duration;

use fetch::{Client, Config, RetryPolicy};

/// Retries as in real life, but without the long pauses.
fn quick() -> Config {
    Config {
        retry: RetryPolicy {
            attempts: 3,
            first_wait: Duration::from_millis(5),
            longest_wait: Duration::from_millis(50),
        },
        total_time: Duration::from_secs(20),
        ..Config::default()
    }
}

fn client() -> Client {
    Client::new(quick()).expect("a client")
}
