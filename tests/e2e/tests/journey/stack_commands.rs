//! `longshore stack create` and `stack lock`, as somebody calls them who looks after base images.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use e2e::image::Image;
use e2e::program::Longshore;
use tempfile::TempDir;

/// A copy of the stack's folder that a test may write to.
fn stack() -> TempDir {
    let folder = TempDir::new().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stacks/trixie/.");
    let copied = Command::new("cp")
        .arg("-R")
        .arg(source)
        .arg(folder.path())
        .status();
    assert!(copied.unwrap().success());
    folder
}

#[test]
fn stack_create_writes_both_images() {
    let longshore = Longshore::copied();
    let (stack, output) = (stack(), TempDir::new().unwrap());
    let output_path = output.path().to_str().unwrap();
    let words = [
        "stack",
        "create",
        stack.path().to_str().unwrap(),
        "--output",
        output_path,
    ];
    let said = longshore.run(&words);
    said.assert_code(0);
    let references: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(references.len(), 2, "{}", said.stdout);
    for (kind, reference) in ["build", "run"].into_iter().zip(references) {
        let image = Image::open(&output.path().join(kind));
        assert!(
            reference.ends_with(&format!("@{}", image.digest)),
            "{reference}"
        );
        image.check_blobs();
        assert_eq!(image.label("io.buildpacks.base.distro.version"), Some("13"));
        // From the definition's own table.
        let vendor = image.label("org.opencontainers.image.vendor");
        assert_eq!(vendor, Some("The Longshore project"));
    }
    let run = Image::open(&output.path().join("run")).list_layer(0);
    for expected in [
        " /app -> workspace",
        "var/lib/dpkg/status",
        "ca-certificates.crt",
        "zoneinfo/UTC",
    ] {
        assert!(run.contains(expected), "no {expected} in the run image");
    }
    for unwanted in ["bin/gcc", "var/lib/apt/lists/", "usr/share/man/man1/"] {
        assert!(!run.contains(unwanted), "{unwanted} in the run image");
    }

    let missing = longshore.run(&["stack", "create", "/nowhere/at/all"]);
    assert_ne!(missing.code, 0);
    missing.assert_says(&["/nowhere/at/all"]);
}

/// The lock names every package; renewed from the same mirror a second time, it is the same but for its date.
#[test]
fn stack_lock_renews_the_lock() {
    let longshore = Longshore::copied();
    let stack = stack();
    let path = stack.path().join("stack.lock");
    std::fs::remove_file(&path).unwrap();
    let lock = || {
        let said = longshore.run(&["stack", "lock", stack.path().to_str().unwrap()]);
        said.assert_code(0);
        let text = std::fs::read_to_string(&path).unwrap();
        text.parse::<toml::Table>().unwrap()
    };
    let first = lock();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let packages = first["package"].as_array().unwrap();
    assert!(packages.len() > 100, "{} packages", packages.len());
    for package in packages {
        for key in ["name", "version", "architecture", "sha256"] {
            assert!(
                package[key].as_str().is_some_and(|value| !value.is_empty()),
                "{package}"
            );
        }
    }
    assert_eq!(lock()["package"], first["package"]);
}
