//! Real interpreters: Debian's packages from this machine's mirror, and a standalone archive from a mirror on loopback.
//!
//! Debian 12's Python is used, because it runs wherever Debian 12 or newer does; `tests/e2e` has Debian 13's, in its own build image.

#![expect(
    clippy::unwrap_used,
    reason = "tests stop where something is wrong, and say what they skip"
)]

#[path = "../../../kit/testing/harness.rs"]
mod harness;
#[path = "../../../kit/testing/mirror.rs"]
mod mirror;

use harness::{Build, Ran, contents, index_is_reachable};
use std::fs;
use std::path::Path;
use std::process::Command;

fn new_build(files: &[(&str, &[u8])]) -> Build {
    Build::new(
        env!("CARGO_BIN_EXE_buildpack-python"),
        env!("CARGO_MANIFEST_DIR"),
        files,
    )
}

/// Whether Debian's packages can be had here, and run here; loud where not.
fn debian_is_usable() -> bool {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let is_debian = release.lines().any(|line| line == "ID=debian");
    let suite_is_known = ["bookworm", "trixie"]
        .iter()
        .any(|suite| release.contains(&format!("VERSION_CODENAME={suite}")));
    let has_keys = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg").is_file()
        || Path::new("/usr/share/keyrings/debian-archive-keyring.pgp").is_file();
    let usable = is_debian && suite_is_known && has_keys;
    if !usable {
        test_skip::because("this machine is no Debian 12 or 13 with the archive's keys");
    }
    usable
}

/// Where the mirror cannot be reached the build falls back to standalone interpreters; that is no failure of this test.
fn has_mirror(ran: &Ran) -> bool {
    let reached = !ran.errors.contains("no Debian mirror is known")
        && !ran.errors.contains("could not be fetched");
    if !reached {
        let reason = format!("no Debian mirror can be reached:\n{}", ran.errors);
        test_skip::because(&reason);
    }
    reached
}

fn python(build: &Build, code: &str) -> String {
    let output = Command::new(build.path("layers/python/3.11/bin/python3"))
        .args(["-c", code])
        .env_clear()
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The prefix in the layout of python-build-standalone's archives: everything below `python/`.
fn pack_as_standalone(build: &Build, archive: &Path) {
    let staging = build.path("staging");
    fs::create_dir_all(staging.join("python/include")).unwrap();
    let copy = |from: &Path, to: &Path| {
        let copied = Command::new("cp").arg("-a").arg(from).arg(to).status();
        assert!(copied.unwrap().success());
    };
    for part in ["bin", "lib"] {
        copy(
            &build.path("layers/python/3.11").join(part),
            &staging.join("python"),
        );
    }
    copy(
        &build.path("layers/headers/headers/python3.11"),
        &staging.join("python/include"),
    );
    let packed = Command::new("tar")
        .arg("-czf")
        .arg(archive)
        .arg("-C")
        .arg(&staging)
        .arg("python")
        .status();
    assert!(packed.unwrap().success());
}

#[test]
fn debian_then_the_same_as_a_standalone_archive() {
    if !debian_is_usable() {
        return;
    }
    let build = new_build(&[
        ("runtime.txt", b"python-3.11\r\n"),
        (
            "pyproject.toml",
            b"[project]\nname = 'x'\nrequires-python = '>=3.12'\n",
        ),
    ]);
    assert_eq!(build.detect().code, Some(0));
    let first = build.build();
    if first.code != Some(0) && !has_mirror(&first) {
        return;
    }
    assert_eq!(first.code, Some(0), "{}\n{}", first.log, first.errors);
    assert!(
        first.log.contains(
            "\nruntime.txt line 1: python-3.11\npyproject.toml line 3 (requires-python): >=3.12\n"
        ),
        "{}",
        first.log
    );
    assert!(
        first
            .log
            .contains("Python 3.11.2 from Debian bookworm: imported "),
        "{}",
        first.log
    );
    let warning = "[Warning: Two places ask for different Pythons]\nruntime.txt line 1 asks for 'python-3.11', but pyproject.toml line 3 (requires-python) asks for '>=3.12'.\nThe first decides: the app gets Python 3.11.2. Change or remove one of them.\n";
    assert!(first.log.contains(warning), "{}", first.log);

    let prefix = build.path("layers/python/3.11");
    assert_eq!(
        python(&build, "import ssl, sqlite3, sys; print(sys.prefix)").trim(),
        prefix.display().to_string()
    );
    let files = contents(&prefix);
    let has = |name: &str| files.iter().any(|(found, _)| found.starts_with(name));
    assert!(
        has("lib/python3.11/distutils/core.py")
            && has("lib/python3.11/__pycache__/os.cpython-311.pyc")
    );
    for absent in [
        "lib/python3.11/EXTERNALLY-MANAGED",
        "lib/python3.11/test/",
        "lib/python3.11/ensurepip/",
        "include/",
        "share/",
    ] {
        assert!(!has(absent), "{absent}");
    }
    // Whatever was added for Python alone must not be found by anything else.
    let variables: Vec<String> = contents(&build.path("layers/python/env"))
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(variables, ["PATH.delim", "PATH.prepend"]);
    let launch = fs::read_to_string(build.path("layers/launch.toml")).unwrap();
    assert!(launch.contains(r#"{"requested-by":"runtime.txt line 1: python-3.11","source":"Debian bookworm","version":"3.11.2"}"#), "{launch}");

    let second = build.build();
    assert_eq!(second.code, Some(0));
    assert!(second.log.contains("\nPython 3.11.2 from Debian bookworm: reused from the last build\nHeaders for compiling: reused from the last build\n"), "{}", second.log);
    assert!(contents(&prefix) == files, "a reused layer changed");

    standalone_from_loopback(&build);
}

/// No Debian mirror answers, so the standalone interpreter of the list is taken.
fn standalone_from_loopback(debian: &Build) {
    if !index_is_reachable() {
        return;
    }
    let folder = debian.path("mirror");
    fs::create_dir(&folder).unwrap();
    let archive = folder
        .join("cpython-3.11.2+20261110-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz");
    pack_as_standalone(debian, &archive);
    let address = mirror::serve(&folder);
    let digest = buildpack_kit::digest::of_file(&archive).unwrap();
    let url = format!(
        "{address}/{}",
        archive
            .file_name()
            .unwrap()
            .to_string_lossy()
            .replace('+', "%2B")
    );
    let list = format!(
        r#"{{"cpython-3.11.2-linux-x86_64-gnu": {{"name": "cpython", "arch": {{"family": "x86_64", "variant": null}}, "os": "linux", "libc": "gnu",
        "major": 3, "minor": 11, "patch": 2, "prerelease": "", "url": "{url}", "sha256": "{digest}", "variant": null, "build": "20261110"}}}}"#
    );
    fs::write(folder.join("list.json"), list).unwrap();

    let mut build = new_build(&[(".python-version", b"3.11\n")]);
    for (name, value) in [
        (
            "UV_PYTHON_DOWNLOADS_JSON_URL",
            format!("{address}/list.json"),
        ),
        ("LONGSHORE_DEBIAN_MIRROR", format!("{address}/no-debian")),
        (
            "LONGSHORE_DEBIAN_SECURITY_MIRROR",
            format!("{address}/no-debian"),
        ),
        ("NO_PROXY", "127.0.0.1".to_owned()),
        ("no_proxy", "127.0.0.1".to_owned()),
    ] {
        build.variables.push((name.to_owned(), value));
    }
    let first = build.build();
    assert_eq!(first.code, Some(0), "{}\n{}", first.log, first.errors);
    assert!(
        first
            .log
            .contains("Notice: Python 3.11.2 from Debian bookworm cannot be had: "),
        "{}",
        first.log
    );
    assert!(
        first
            .log
            .contains("Python 3.11.2 from python-build-standalone: imported "),
        "{}",
        first.log
    );
    assert_eq!(
        python(&build, "import sys; print(*sys.version_info[:3])"),
        "3 11 2\n"
    );
    let cpath = fs::read_to_string(build.path("layers/headers/env.build/CPATH.prepend")).unwrap();
    assert!(
        cpath
            .split(':')
            .any(|folder| Path::new(folder).join("Python.h").is_file()),
        "{cpath}"
    );

    let second = build.build();
    assert!(
        second
            .log
            .contains("\nPython 3.11.2 from python-build-standalone: reused from the last build\n"),
        "{}",
        second.log
    );

    // A mirror that serves other bytes than the list promises is not believed.
    fs::write(&archive, b"something else").unwrap();
    build
        .variables
        .push(("LONGSHORE_REFRESH".to_owned(), "1".to_owned()));
    build
        .variables
        .push(("UV_HTTP_RETRIES".to_owned(), "0".to_owned()));
    let third = build.build();
    assert_eq!(third.code, Some(1), "{}", third.log);
    assert!(
        third
            .errors
            .contains("[Error: Python 3.11.2 cannot be fetched]"),
        "{}",
        third.errors
    );
}

#[test]
fn impossible_version_fails_before_anything_is_downloaded() {
    let mut build = new_build(&[("runtime.txt", b"python-3.6.15")]);
    // Nothing could be downloaded from here.
    build.variables.push((
        "LONGSHORE_DEBIAN_MIRROR".to_owned(),
        "http://127.0.0.1:9/".to_owned(),
    ));
    let ran = build.build();
    assert_eq!(ran.code, Some(1));
    let beginning = "\n[Error: There is no Python 3.6.15]\nruntime.txt line 1 asks for Python 3.6.15, which none of the sources has. To be had are:\n  3.8: 3.8.2 to 3.8.3, 3.8.5 to 3.8.20\n";
    assert!(ran.errors.starts_with(beginning), "{}", ran.errors);
    assert!(
        ran.errors
            .ends_with("Ask for one of these; two numbers, like 3.13, mean the newest patch.\n\n"),
        "{}",
        ran.errors
    );
}
