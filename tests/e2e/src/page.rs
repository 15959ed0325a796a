//! Asks a page for what it has to say.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The text of a page; waits while nobody listens yet.
pub fn get(url: &str) -> String {
    let start = Instant::now();
    loop {
        let answer = ureq::get(url)
            .call()
            .and_then(|mut answer| answer.body_mut().read_to_string());
        match answer {
            Ok(text) => return text,
            Err(error) => {
                assert!(
                    start.elapsed() < Duration::from_mins(1),
                    "{url} does not answer: {error}"
                );
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

/// What Dash's layout endpoint says about the page under this address.
pub fn dash_layout(address: &str) -> Value {
    serde_json::from_str(&get(&format!("{address}/_dash-layout"))).expect("Dash's layout is JSON")
}
