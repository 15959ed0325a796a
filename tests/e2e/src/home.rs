//! Where a test's Longshore keeps its data and cache.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

/// XDG data and cache folders. Tests share one, as a person's builds do, unless they need an empty or a broken one.
#[derive(Debug)]
pub struct Home {
    folder: PathBuf,
    temporary: Option<TempDir>,
}

impl Home {
    /// The home that most tests share, so that base images are made once. Several test processes may use it at once.
    pub fn shared() -> Self {
        Self {
            folder: shared_folder().to_owned(),
            temporary: None,
        }
    }

    /// An empty home, gone when the test ends.
    pub fn empty() -> Self {
        let temporary = TempDir::with_prefix("longshore-home-").expect("a temporary folder");
        Self {
            folder: temporary.path().to_owned(),
            temporary: Some(temporary),
        }
    }

    /// An empty home below a given folder, which the test owns.
    pub fn below(folder: &Path) -> Self {
        Self {
            folder: folder.to_owned(),
            temporary: None,
        }
    }

    /// A copy of the shared home as it is now: base images at hand, yet nobody else's builds come between. Files are hard
    /// links, since Longshore never writes into a stored file.
    pub fn copied() -> Self {
        let home = Self::empty();
        let source = shared_folder();
        // The shared home may be in use: a file that vanishes meanwhile is a temporary one.
        let status = std::process::Command::new("cp")
            .args(["-a", "-l", "--"])
            .arg(source.join("."))
            .arg(&home.folder)
            .stderr(std::process::Stdio::null())
            .status();
        status.expect("cp runs");
        home
    }

    /// `XDG_DATA_HOME`.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// `XDG_CACHE_HOME`.
    pub fn cache(&self) -> PathBuf {
        self.folder.join("cache")
    }

    /// The folder of both.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Trees hold folders without write permission, which an ordinary user's TempDir would leave behind.
        if let Some(temporary) = self.temporary.take() {
            let command = "chmod -R u+rwX -- \"$0\" 2>/dev/null; rm -rf -- \"$0\"";
            let removed = std::process::Command::new("sh")
                .args(["-c", command])
                .arg(temporary.path())
                .status();
            removed.expect("sh runs");
        }
    }
}

/// `target/…/e2e-home`, kept between runs: what it holds is content-addressed, so a new executable takes what it still can.
fn shared_folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = crate::program::target_folder().join("e2e-home");
        std::fs::create_dir_all(&folder).expect("the target folder can be written");
        folder
    })
}

/// Held while the first test makes the base images, so that the others wait instead of making them too.
pub fn warming_lock() -> File {
    let file =
        File::create(shared_folder().join("warming.lock")).expect("the shared home can be written");
    file.lock().expect("a lock on the shared home");
    file
}
