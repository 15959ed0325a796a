//! Saying loudly that a real part is missing, so that a test did not run: as the end-to-end tests do.

use std::{fs::OpenOptions, io::Write as _, path::PathBuf};

/// Where a tool is; says that the test is skipped when the machine has none.
pub(super) fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        because(&format!(
            "{name} is not installed (`cargo xtask test` as root installs it)"
        ));
    }
    found
}

/// cargo shows nothing of what a passing test prints, so the words go past its capture.
fn because(reason: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("SKIPPED: {test}: {reason}\n");
    std::io::stderr()
        .write_all(line.as_bytes())
        .expect("standard error is open");
    if let Some(file) = std::env::var_os("LONGSHORE_SKIPPED_FILE") {
        let file = OpenOptions::new().append(true).create(true).open(file);
        file.and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("the list of skipped tests can be written");
    }
}
