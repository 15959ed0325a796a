//! Named moments at which a test lets the program die, as if by `kill -9`: between a write and its rename, or between a blob and the
//! manifest that names it.
//!
//! A library says that it comes by one, and lists its names; it reads no environment. The program arms one of them. Unarmed, a moment
//! is one load of an atomic.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

static ARMED: OnceLock<Armed> = OnceLock::new();

struct Armed {
    name: String,
    /// How often it still has to come by.
    left: AtomicU32,
}

/// Arms a moment for this process: `NAME`, or `NAME:3` for the third time that it comes. False if `names` does not have it, or one is
/// armed already.
pub fn arm<'a>(moment: &str, names: impl IntoIterator<Item = &'a str>) -> bool {
    let (name, time) = moment.split_once(':').unwrap_or((moment, "1"));
    let Some(time) = time.parse().ok().filter(|time| *time > 0) else {
        return false;
    };
    let armed = Armed {
        name: name.to_owned(),
        left: AtomicU32::new(time),
    };
    names.into_iter().any(|known| known == name) && ARMED.set(armed).is_ok()
}

/// Comes by a moment. If it is the armed one, nothing after this runs.
pub fn reach(name: &str) {
    let armed = ARMED.get().filter(|armed| armed.name == name);
    if armed.is_some_and(|armed| armed.left.fetch_sub(1, Ordering::Relaxed) == 1) {
        let process = rustix::process::getpid();
        // SIGKILL cannot be caught, and one may always send it to oneself.
        rustix::process::kill_process(process, rustix::process::Signal::KILL).ok();
        // But not if one is a container's first process (pid_namespaces(7)): that one can only fall over.
        std::process::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arm_only_what_is_known_and_only_once() {
        let names = ["a", "b"];
        for wrong in ["c", "", "a:", "a:0", "a:-1", "a:x"] {
            assert!(!arm(wrong, names), "{wrong}");
        }
        assert!(arm("a:3", names));
        assert!(!arm("b", names));
        // The first two times are survived, and so is everything else.
        reach("a");
        reach("a");
        reach("b");
    }
}
