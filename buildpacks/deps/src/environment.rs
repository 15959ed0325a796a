//! The environment's folders: a virtual environment written by hand, because that takes three links and one file.
//!
//! It lies one folder below the layer (`<layer>/venv`), since a layer's own `lib/` would come into LD_LIBRARY_PATH (CNB
//! buildpack specification, "Layer Paths") and a Python environment's `lib/` holds nothing for it.
//! `relocatable` makes uv write programs that find their interpreter beside them.
//! <https://docs.python.org/3/library/site.html>

use buildpack_kit::interpreter::Interpreter;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A virtual environment in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Environment {
    root: PathBuf,
    python_folder: String,
}

impl Environment {
    /// The environment that `interpreter` has in `layer`, whether it is there yet or not.
    pub(crate) fn in_layer(layer: &Path, interpreter: &Interpreter) -> Self {
        Self {
            root: layer.join("venv"),
            python_folder: format!("python{}", interpreter.facts.minor_version()),
        }
    }

    /// Makes the folders, links and `pyvenv.cfg`.
    pub(crate) fn create(&self, interpreter: &Interpreter) -> io::Result<()> {
        fs::create_dir_all(self.bin())?;
        fs::create_dir_all(self.site_packages())?;
        symlink(&interpreter.executable, self.python())?;
        symlink("python", self.bin().join("python3"))?;
        symlink("python", self.bin().join(&self.python_folder))?;
        let home = interpreter.executable.parent().unwrap_or(Path::new("/"));
        fs::write(
            self.root.join("pyvenv.cfg"),
            format!(
                "home = {}\ninclude-system-site-packages = false\nversion = {}\nrelocatable = true\n",
                home.display(),
                interpreter.facts.version
            ),
        )
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.root.join("bin")
    }

    pub(crate) fn python(&self) -> PathBuf {
        self.bin().join("python")
    }

    pub(crate) fn site_packages(&self) -> PathBuf {
        self.root
            .join("lib")
            .join(&self.python_folder)
            .join("site-packages")
    }
}
