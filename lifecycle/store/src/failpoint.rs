//! Named moments at which a test lets the program die, as if by `kill -9`: between a write and its rename, say.
//!
//! A library reads no environment; the program arms one by name. Unarmed, a failpoint is one load of an atomic.

use std::sync::OnceLock;

/// Every failpoint there is, in the order in which a build first reaches them.
pub const FAILPOINTS: [&str; 8] = [
    "temporary-made",
    "blob-written",
    "blob-renamed",
    "tree-owners-written",
    "tree-renamed",
    "file-written",
    "file-renamed",
    "app-saved",
];

static ARMED: OnceLock<String> = OnceLock::new();

/// Arms the failpoint called `name` for this process; false if there is none of that name, or one is armed already.
pub fn arm(name: &str) -> bool {
    FAILPOINTS.contains(&name) && ARMED.set(name.to_owned()).is_ok()
}

pub(crate) fn reach(name: &str) {
    if ARMED.get().is_some_and(|armed| armed == name) {
        let process = rustix::process::getpid();
        // Nothing after this line runs: SIGKILL cannot be caught.
        rustix::process::kill_process(process, rustix::process::Signal::KILL).ok();
    }
}
