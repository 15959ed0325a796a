//! What a killed build may leave behind: mounts and processes.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// Waits until no process on the machine has a mount or a memory map of this folder; fails after ten seconds.
///
/// A process of the sandbox lives in a mount namespace whose overlay names the store's folders, so its own list of mounts
/// tells on it, whatever its name and environment.
pub fn assert_nothing_left(home: &Path, program: &Path) {
    let start = Instant::now();
    loop {
        let left = leftovers(home, program);
        if left.is_empty() {
            return;
        }
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "still there:\n{}",
            left.join("\n")
        );
        thread::sleep(Duration::from_millis(50));
    }
}

fn leftovers(home: &Path, program: &Path) -> Vec<String> {
    let home = home.to_str().expect("a temporary folder's path is UTF-8");
    let mut left = Vec::new();
    for entry in std::fs::read_dir("/proc")
        .expect("/proc is mounted")
        .flatten()
    {
        let process = entry.path();
        let mounts = std::fs::read_to_string(process.join("mountinfo")).unwrap_or_default();
        let environment = std::fs::read(process.join("environ")).unwrap_or_default();
        let runs = std::fs::read_link(process.join("exe")).is_ok_and(|exe| exe == program);
        let builds_here = runs && String::from_utf8_lossy(&environment).contains(home);
        if mounts.contains(home) || builds_here {
            let command = std::fs::read(process.join("cmdline")).unwrap_or_default();
            left.push(format!(
                "{} {}",
                process.display(),
                String::from_utf8_lossy(&command).replace('\0', " ")
            ));
        }
    }
    left
}
