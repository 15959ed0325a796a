//! App folders: the examples, and copies of them that a test may change.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// The folder of an example, not to be written to.
pub fn example(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../examples")
        .join(name);
    folder.canonicalize().expect("the example is there")
}

/// An app folder of a test's own.
#[derive(Debug)]
pub struct App {
    folder: PathBuf,
    _temporary: TempDir,
}

impl App {
    /// A copy of an example.
    pub fn copy_of(name: &str) -> Self {
        let app = Self::empty();
        let source = example(name).join(".");
        let status = Command::new("cp")
            .arg("-R")
            .arg(source)
            .arg(&app.folder)
            .status()
            .expect("cp runs");
        assert!(status.success(), "cp failed");
        app
    }

    /// A folder with nothing in it.
    pub fn empty() -> Self {
        let temporary = TempDir::with_prefix("longshore-app-").expect("a temporary folder");
        let folder = temporary.path().join("app");
        std::fs::create_dir(&folder).expect("a new folder");
        Self {
            folder,
            _temporary: temporary,
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Writes a file.
    #[must_use]
    pub fn with(self, file: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(file, content);
        self
    }

    /// Removes a file.
    #[must_use]
    pub fn without(self, file: &str) -> Self {
        std::fs::remove_file(self.folder.join(file)).expect("the file is there");
        self
    }

    /// Writes a file.
    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        let path = self.folder.join(file);
        std::fs::create_dir_all(path.parent().expect("a file is in a folder"))
            .expect("a new folder");
        std::fs::write(path, content).expect("the app's folder can be written");
    }

    /// Adds to the end of a file.
    pub fn append(&self, file: &str, text: &str) {
        let mut content = self.read(file);
        content.push_str(text);
        self.write(file, content);
    }

    /// Replaces a piece of text that has to be there.
    pub fn replace(&self, file: &str, old: &str, new: &str) {
        let content = self.read(file);
        assert!(content.contains(old), "{file} does not hold {old:?}");
        self.write(file, content.replace(old, new));
    }

    fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.folder.join(file)).expect("the file is there")
    }
}
