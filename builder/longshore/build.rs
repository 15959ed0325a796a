//! Builds the launcher for musl, so that `longshore` can carry it: one `cargo build` makes the one executable.
//!
//! Cargo cannot depend on a binary for another target without unstable features, so it is called a second time, with a target folder of
//! its own (the outer build holds the lock of the usual one). The launcher is `$OUT_DIR/launcher` afterwards.
//!
//! `$OUT_DIR/<program>.crates` lists what is linked into each program that images hold, for their SBOMs.
use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// musl's start-up is the shortest and its static programs the smallest: the launcher stands in every image.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// What the outer build says about the target `longshore` is for, or about being checked by clippy: both would change what is built here.
const OUTER_BUILD_VARIABLES: [&str; 6] = [
    "CARGO_ENCODED_RUSTFLAGS",
    "RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
];

fn main() {
    let root = workspace_root();
    for path in [
        "lifecycle/launcher",
        "lifecycle/spec/src",
        "Cargo.toml",
        "Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }
    let done = build_launcher(&root)
        .and_then(|()| list_crates(&root, "launcher", "launcher"))
        .and_then(|()| list_crates(&root, "phases", "lifecycle"))
        .and_then(|()| list_crates(&root, "longshore", "longshore"));
    if let Err(message) = done {
        for line in message.lines() {
            println!("cargo::error={line}");
        }
    }
}

fn workspace_root() -> PathBuf {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    own.ancestors()
        .nth(2)
        .expect("builder/longshore is two folders below the root")
        .to_owned()
}

fn out_dir() -> PathBuf {
    env::var_os("OUT_DIR").expect("cargo sets it").into()
}

/// cargo, as if nobody were building.
fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").expect("cargo sets it"));
    for variable in OUTER_BUILD_VARIABLES {
        cargo.env_remove(variable);
    }
    cargo.current_dir(root);
    cargo
}

fn build_launcher(root: &Path) -> Result<(), String> {
    let out_dir = out_dir();
    let target_dir = out_dir.join("launcher-target");
    let mut cargo = cargo(root);
    cargo
        .args([
            "build",
            "--quiet",
            "--locked",
            "--profile",
            "launcher",
            "--package",
            "launcher",
            "--target",
            TARGET,
        ])
        .arg("--manifest-path")
        .arg(root.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir);
    let output = cargo
        .output()
        .map_err(|error| format!("cargo could not be started to build the launcher: {error}"))?;
    if !output.status.success() {
        return Err(format!(
            "the launcher does not build for {TARGET}; if the target is not installed, run: rustup target add {TARGET}\n{}",
            String::from_utf8_lossy(&output.stderr)
        ));
    }
    let built = target_dir.join(TARGET).join("launcher/launcher");
    fs::copy(&built, out_dir.join("launcher"))
        .map(drop)
        .map_err(|error| format!("{} could not be copied: {error}", built.display()))
}

/// Writes the names and versions of a package's crates, itself included; not of those that only run while it is built.
fn list_crates(root: &Path, package: &str, program: &str) -> Result<(), String> {
    let mut cargo = cargo(root);
    cargo
        .args(["tree", "--quiet", "--locked", "--package", package])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .args(["--edges", "normal,no-proc-macro", "--prefix", "none"]);
    let output = cargo
        .output()
        .map_err(|error| format!("cargo could not be started to list crates: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the crates of {package} cannot be listed\n{said}"));
    }
    // `rustix v1.1.6`, and more behind it for crates of the workspace and those that were listed before.
    let text = String::from_utf8_lossy(&output.stdout);
    let crates: BTreeSet<String> = text
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
            Some(format!("{name} {version}\n"))
        })
        .collect();
    let out_dir = out_dir();
    let list = out_dir.join(format!("{program}.crates"));
    fs::write(&list, crates.into_iter().collect::<String>())
        .map_err(|error| format!("{} could not be written: {error}", list.display()))
}
