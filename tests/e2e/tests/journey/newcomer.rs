//! Somebody who has nothing but the executable and an example: no tools, no Docker, no rights.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::app::example;
use e2e::page;
use e2e::program::{Said, executable};
use e2e::running::Running;
use e2e::skip;
use tempfile::TempDir;

#[test]
fn nothing_but_the_executable_and_an_example() {
    let account = Account::new();
    std::fs::copy(executable(), account.home().join("longshore")).unwrap();
    let copied = Command::new("cp")
        .arg("-R")
        .arg(example("dash-minimal"))
        .arg(account.home())
        .status()
        .unwrap();
    assert!(copied.success());
    account.own_home();

    let built = Said::from(
        account
            .command(&["build", "dash-minimal"])
            .output()
            .unwrap(),
    );
    built.assert_code(0);
    assert!(
        built.reference().starts_with("dash-minimal"),
        "{}",
        built.stdout
    );

    let mut web = Running::start(account.command(&["run", "dash-minimal"]));
    let address = web.address();
    assert!(page::get(&address).contains("<title>Harbour traffic</title>"));
    page::dash_layout(&address);
    web.stop();

    let listed = Said::from(account.command(&["cache", "list"]).output().unwrap());
    listed.assert_code(0);
    // Whose files they are: no privileged helper made any of it.
    let strangers = format!(
        "find {} ! -user {} | head",
        account.home().display(),
        account.id()
    );
    let found = Command::new("sh")
        .args(["-c", &strangers])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
}

/// An ordinary user: made with useradd where we are root, else ourselves with an empty home.
struct Account {
    name: Option<String>,
    home: PathBuf,
    _folder: TempDir,
}

impl Account {
    fn new() -> Self {
        let folder = TempDir::with_prefix_in("longshore-newcomer-", "/tmp").unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        let home = folder.path().join("home");
        if !skip::is_root() {
            std::fs::create_dir(&home).unwrap();
            return Self {
                name: None,
                home,
                _folder: folder,
            };
        }
        let name = format!("longshore-{}", std::process::id());
        let mut useradd = Command::new("useradd");
        useradd
            .args(["--create-home", "--shell", "/bin/sh", "--home-dir"])
            .arg(&home)
            .arg(&name);
        let said = useradd
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .output()
            .unwrap();
        assert!(said.status.success(), "{said:?}");
        Self {
            name: Some(name),
            home,
            _folder: folder,
        }
    }

    fn home(&self) -> &Path {
        &self.home
    }

    fn id(&self) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| nix::unistd::geteuid().to_string())
    }

    fn own_home(&self) {
        if let Some(name) = &self.name {
            let status = Command::new("chown")
                .args(["-R", &format!("{name}:{name}")])
                .arg(&self.home)
                .status()
                .unwrap();
            assert!(status.success());
        }
    }

    /// `longshore …` with an empty PATH and a cleared environment: whatever tool it wanted, it would not find it.
    fn command<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = match &self.name {
            Some(name) => {
                let mut command = Command::new("/usr/sbin/runuser");
                command.args(["-u", name, "--"]);
                command
            }
            None => Command::new("/usr/bin/nice"),
        };
        let env = ["/usr/bin/env", "-i", "PATH=/nonexistent"];
        command
            .args(env)
            .arg(format!("HOME={}", self.home.display()))
            .arg(self.home.join("longshore"))
            .args(arguments);
        command
            .current_dir(&self.home)
            .stdin(std::process::Stdio::null());
        command
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let removed = Command::new("/usr/sbin/userdel").arg(name).output();
            assert!(
                std::thread::panicking() || removed.is_ok_and(|said| said.status.success()),
                "{name} is still there"
            );
        }
    }
}
