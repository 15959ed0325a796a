//! A real redis-server on loopback.

use std::process::Command;

use tempfile::TempDir;

pub use test_servers::free_port;

use crate::running::Running;
use crate::skip;

/// A server that ends with the test.
#[derive(Debug)]
pub struct Redis {
    port: u16,
    _server: Running,
    _folder: TempDir,
}

impl Redis {
    /// Starts one on a free port; `None` where it is not installed.
    pub fn start() -> Option<Self> {
        let program = skip::tool("redis-server")?;
        let folder = TempDir::with_prefix("longshore-redis-").expect("a temporary folder");
        let port = free_port();
        let mut command = Command::new(program);
        command
            .args(["--bind", "127.0.0.1", "--save", "", "--port"])
            .arg(port.to_string());
        command.arg("--dir").arg(folder.path());
        let mut server = Running::start(command);
        server.wait_until_it_says("Ready to accept connections");
        Some(Self {
            port,
            _server: server,
            _folder: folder,
        })
    }

    /// What an app calls `REDIS_URL`.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }
}
