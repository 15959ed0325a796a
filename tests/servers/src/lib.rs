//! Real servers for tests, as a company runs them, on loopback and with folders of their own. Each ends with the value that stands for it;
//! one that is not installed is said loudly (`test_skip`), and never replaced.

pub mod certificate;
pub mod daemon;
pub mod process;
pub mod registry;
mod tokens;

use std::net::TcpListener;

/// A port that nobody listens on just now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr();
    address.expect("a bound port has an address").port()
}
