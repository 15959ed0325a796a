//! Installs what building and testing need: a compile target from rustup, tools from Debian's packages.

use std::path::{Path, PathBuf};

use crate::steps::{ChoreError, command, output, run, say};

/// The launcher is built for musl: small, and with no runtime to start.
const LAUNCHER_TARGET: &str = "x86_64-unknown-linux-musl";

/// A program that tests use, and Debian's package that brings it.
const TEST_TOOLS: &[(&str, &str)] = &[
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("docker-registry", "docker-registry"),
    ("podman", "podman"),
    ("catatonit", "catatonit"),
    ("runc", "runc"),
    ("bwrap", "bubblewrap"),
    ("go", "golang-go"),
    ("skopeo", "skopeo"),
    ("jq", "jq"),
    ("umoci", "umoci"),
    ("redis-server", "redis-server"),
    ("chromium", "chromium"),
    ("chromedriver", "chromium-driver"),
    ("mmdebstrap", "mmdebstrap"),
    ("strace", "strace"),
    ("setpriv", "util-linux"),
    ("taskset", "util-linux"),
    ("useradd", "passwd"),
    ("patchelf", "patchelf"),
    ("python3", "python3"),
    ("pigz", "pigz"),
];

/// Adds the launcher's compile target, which rust-toolchain.toml cannot where rustup's automatic installation is off.
pub(crate) fn launcher_target() -> Result<(), ChoreError> {
    if find("rustup").is_none() {
        say("rustup is not there: the toolchain has to bring the standard library for musl itself");
        return Ok(());
    }
    let installed = output(command("rustup").args(["target", "list", "--installed"]))?;
    if String::from_utf8_lossy(&installed)
        .lines()
        .any(|line| line == LAUNCHER_TARGET)
    {
        return Ok(());
    }
    run(command("rustup").args(["target", "add", LAUNCHER_TARGET]))
}

/// Installs the tools of the tests where we may; says what is missing where we may not: their tests are skipped.
pub(crate) fn test_tools() -> Result<(), ChoreError> {
    let missing: Vec<_> = TEST_TOOLS
        .iter()
        .filter(|(program, _)| find(program).is_none())
        .collect();
    let mut packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    if !is_root()? || find("apt-get").is_none() {
        say(&format!(
            "Not installed, so their tests are skipped: {}",
            packages.join(" ")
        ));
        say(&format!(
            "To have them: sudo apt-get install {}",
            packages.join(" ")
        ));
        return Ok(());
    }
    let apt = || {
        let mut apt = command("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive")
            .env("RUNLEVEL", "1")
            .args(["-q", "-y"]);
        apt
    };
    run(apt().arg("update"))?;
    run(apt()
        .args(["install", "--no-install-recommends"])
        .args(&packages))
}

/// A program on the PATH, or where Debian keeps the administrator's.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(Path::new).map(Path::to_owned))
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn is_root() -> Result<bool, ChoreError> {
    let answer = output(command("id").arg("-u"))?;
    Ok(answer.trim_ascii() == b"0")
}
