//! Saying loudly that a real part is missing, so that a test did not run.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Names a file that collects the skipped tests, so that `cargo xtask test` can count them.
pub const SKIPPED_FILE: &str = "LONGSHORE_SKIPPED_FILE";

/// Where a tool is; says that the test is skipped when the machine has none.
///
/// cargo shows nothing of what a passing test prints, so the words go past its capture.
pub fn tool(name: &str) -> Option<PathBuf> {
    let found = search_path(name);
    if found.is_none() {
        because(&format!(
            "{name} is not installed (`cargo xtask test` as root installs it)"
        ));
    }
    found
}

/// Says that the running test is skipped, and why.
pub fn because(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED: {test}: {reason}\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("standard error is open");
    if let Some(file) = std::env::var_os(SKIPPED_FILE) {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(file)
            .expect("the list of skipped tests");
        file.write_all(line.as_bytes())
            .expect("the list of skipped tests can be written");
    }
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

fn search_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps dockerd, redis-server's peers and useradd in /usr/sbin, which is not on every user's PATH.
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin"].iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| is_file(file))
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|data| data.is_file())
}
