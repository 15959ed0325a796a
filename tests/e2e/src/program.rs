//! Runs the `longshore` executable as a person would, and tells what it said.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use crate::home::{Home, warming_lock};
use crate::running::Running;
use crate::skip;

/// Names another executable to test than the one beside the tests.
const PROGRAM: &str = "LONGSHORE_E2E_PROGRAM";

/// An executable, a home, and what else its environment holds.
#[derive(Debug)]
pub struct Longshore {
    program: PathBuf,
    /// A command that the program runs under: `taskset 1`, `setpriv …`, `strace …`.
    wrapper: Vec<String>,
    environment: BTreeMap<String, String>,
    home: Home,
}

impl Longshore {
    /// In the shared home, whose base images are made by the first test that asks.
    pub fn shared() -> Self {
        let longshore = Self::at(Home::shared());
        longshore.warm();
        longshore
    }

    /// In a copy of the shared home.
    pub fn copied() -> Self {
        Self::at(Self::copied_home())
    }

    /// A copy of the shared home, base images included.
    pub fn copied_home() -> Home {
        Self::shared();
        Home::copied()
    }

    /// In any home.
    pub fn at(home: Home) -> Self {
        Self {
            program: executable(),
            wrapper: Vec::new(),
            environment: BTreeMap::new(),
            home,
        }
    }

    /// As another user than the tests' own, if that is root: with a copy of the executable in this home, which becomes theirs.
    pub fn of_somebody(home: &Home) -> Self {
        let longshore = Self::at(Home::below(home.folder()));
        if !skip::is_root() {
            return longshore;
        }
        let program = home.folder().join("longshore");
        std::fs::copy(executable(), &program).expect("the home can be written");
        give_to_somebody(home.folder());
        let folder = home.folder().to_str().expect("a temporary path is UTF-8");
        longshore
            .with_program(&program)
            .with("HOME", folder)
            .under(&AS_SOMEBODY)
    }

    /// The home in use.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Another copy of the executable.
    #[must_use]
    pub fn with_program(mut self, program: &Path) -> Self {
        program.clone_into(&mut self.program);
        self
    }

    /// One more environment variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Runs under another command.
    #[must_use]
    pub fn under(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(|&word| word.to_owned()).collect();
        self
    }

    /// Runs to its end; one that does not come in ten minutes is made, and gives the code 124.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Said {
        let plain = self.command(arguments);
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=10", "600"])
            .arg(plain.get_program())
            .args(plain.get_args());
        for (name, value) in plain.get_envs() {
            command.env(
                name,
                value.expect("nothing is taken out of the environment"),
            );
        }
        Said::from(
            command
                .stdin(Stdio::null())
                .output()
                .expect("longshore starts"),
        )
    }

    /// Builds an app; anything but success fails the test with everything that was said.
    pub fn build<S: AsRef<OsStr>>(&self, app: &Path, more: &[S]) -> Said {
        let mut arguments = vec![OsStr::new("build"), app.as_os_str()];
        arguments.extend(more.iter().map(AsRef::as_ref));
        let said = self.run(&arguments);
        said.assert_code(0);
        said
    }

    /// Starts without waiting for the end.
    pub fn start<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Running {
        Running::start(self.command(arguments))
    }

    /// The command, for tests that need more than the above.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut words: Vec<&OsStr> = self.wrapper.iter().map(OsStr::new).collect();
        words.push(self.program.as_os_str());
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .args(arguments)
            .stdin(Stdio::null());
        command
            .env("XDG_DATA_HOME", self.home.data())
            .env("XDG_CACHE_HOME", self.home.cache());
        command.envs(&self.environment);
        command
    }

    /// Makes the base images, once a test run.
    fn warm(&self) {
        static WARM: OnceLock<()> = OnceLock::new();
        WARM.get_or_init(|| {
            let _lock = warming_lock();
            self.build(&crate::app::example("flask-plain"), &["-t", "e2e-warm"]);
        });
    }
}

/// No account has this id; a process may have it all the same.
const SOMEBODY: &str = "41234";

/// The words that make root somebody else.
pub const AS_SOMEBODY: [&str; 6] = [
    "setpriv",
    "--reuid",
    SOMEBODY,
    "--regid",
    SOMEBODY,
    "--clear-groups",
];

/// Gives a temporary folder to somebody else.
pub fn give_to_somebody(folder: &Path) {
    let owner = format!("{SOMEBODY}:{SOMEBODY}");
    let given = Command::new("chown")
        .args(["-R", &owner])
        .arg(folder)
        .status();
    assert!(given.expect("chown runs").success(), "chown failed");
}

/// How a command ended, and what it printed.
#[derive(Debug)]
pub struct Said {
    /// The exit code; 128 + the signal's number after a signal, as in a shell.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Said {
    /// The exit code has to be this one.
    pub fn assert_code(&self, code: i32) {
        assert_eq!(
            self.code, code,
            "\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
    }

    /// Standard error has to hold each of these.
    pub fn assert_says(&self, words: &[&str]) {
        for word in words {
            assert!(
                self.stderr.contains(word),
                "nothing says {word:?}\n--- stderr\n{}",
                self.stderr
            );
        }
    }

    /// The image reference, which has to be all that stands on standard output.
    pub fn reference(&self) -> &str {
        let line = self
            .stdout
            .strip_suffix('\n')
            .expect("one line on standard output");
        assert!(
            !line.contains('\n') && line.contains("@sha256:"),
            "not an image reference alone: {:?}",
            self.stdout
        );
        line
    }

    /// The `sha256:…` of the image reference.
    pub fn digest(&self) -> &str {
        self.reference()
            .split_once('@')
            .expect("`reference` saw an @")
            .1
    }
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let status = output.status;
        Self {
            code: status
                .code()
                .or_else(|| status.signal().map(|signal| 128 + signal))
                .expect("it ended"),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The executable under test.
pub fn executable() -> PathBuf {
    let program =
        std::env::var_os(PROGRAM).map_or_else(|| target_folder().join("longshore"), PathBuf::from);
    assert!(
        program.is_file(),
        "{} is not there: run `cargo build --workspace` first",
        program.display()
    );
    program
}

/// The folder with the programs that cargo built in the profile of this test: this one is in its `deps`.
pub fn target_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let folder = test
        .parent()
        .and_then(Path::parent)
        .expect("cargo puts tests into <profile>/deps");
    folder.to_owned()
}
