//! The two lifecycles and what else a world needs of this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use test_skip as skip;

/// Whose program does a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lifecycle {
    Ours,
    Reference,
}

impl Lifecycle {
    /// The other one.
    pub(crate) fn other(self) -> Self {
        match self {
            Self::Ours => Self::Reference,
            Self::Reference => Self::Ours,
        }
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    /// bubblewrap
    pub(crate) bwrap: PathBuf,
    /// The folder of cargo's programs.
    ours: PathBuf,
    /// The folder that `build.sh` fills.
    reference: PathBuf,
}

impl Programs {
    /// All of them; `None` where one is missing, which is said and counted.
    pub(crate) fn find() -> Option<Self> {
        static FOUND: OnceLock<Result<Programs, String>> = OnceLock::new();
        match FOUND.get_or_init(Self::look) {
            Ok(programs) => Some(programs.clone()),
            Err(reason) => {
                skip::because(reason);
                None
            }
        }
    }

    fn look() -> Result<Self, String> {
        let missing = "bubblewrap is not installed (`cargo xtask test` as root installs it)";
        let path = std::env::var_os("PATH").unwrap_or_default();
        let bwrap = std::env::split_paths(&path)
            .map(|folder| folder.join("bwrap"))
            .find(|file| file.is_file())
            .ok_or(missing)?;
        let works = Command::new(&bwrap)
            .args([
                "--unshare-all",
                "--uid",
                "1000",
                "--ro-bind",
                "/",
                "/",
                "true",
            ])
            .output();
        if !works.is_ok_and(|output| output.status.success()) {
            return Err("bubblewrap may make no namespaces here".to_owned());
        }
        // …/debug/deps/differential-…
        let test = std::env::current_exe().expect("a process has an executable");
        let ours = test.ancestors().nth(2).expect("cargo's folders").to_owned();
        if !ours.join("lifecycle").is_file() || !ours.join("launcher").is_file() {
            return Err("our programs are not built: cargo build -p phases -p launcher".to_owned());
        }
        let reference = ours.join("reference");
        build_reference(&reference)?;
        Ok(Self {
            bwrap,
            ours,
            reference,
        })
    }

    /// The executable that is all phases, or the launcher.
    pub(crate) fn of(&self, lifecycle: Lifecycle, name: &str) -> PathBuf {
        let folder = match lifecycle {
            Lifecycle::Ours => &self.ours,
            Lifecycle::Reference => &self.reference,
        };
        folder.join(name)
    }
}

/// Builds the reference lifecycle, unless it is there.
fn build_reference(folder: &Path) -> Result<(), String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/build.sh");
    let output = Command::new(script)
        .arg(folder)
        .output()
        .expect("build.sh can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => Ok(()),
        Some(77) => Err(said.trim().trim_start_matches("SKIPPED: ").to_owned()),
        _ => Err(format!(
            "the reference lifecycle cannot be built: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
    }
}
