//! What is given to people: the executable, the lifecycle for builders that others make, and their digests for whoever downloads them.

use std::path::{Path, PathBuf};

use crate::install;
use crate::steps::{ChoreError, built, cargo, command, metadata, output, root, run, say};

/// Builds in release and fills `dist/`. Beside each file stands one that `sha256sum --check` reads.
///
/// The lifecycle is a program of its own here, smaller than `longshore`; its image stands on the default stack's run image, for the certificates
/// in it. No registry is needed, only the Debian mirror that the stack is made from, where it was not made before.
pub(crate) fn dist() -> Result<(), ChoreError> {
    install::launcher_target()?;
    run(cargo().args(["build", "--locked", "--release", "--package", "longshore"]))?;
    // Without the features that only longshore's other crates ask for.
    run(cargo().args(["build", "--locked", "--release", "--package", "phases"]))?;
    let version = version().ok_or(ChoreError::Metadata)?;
    let platform = format!("{version}-{}-linux", std::env::consts::ARCH);
    let folder: PathBuf = root().join("dist");
    std::fs::create_dir_all(&folder).map_err(ChoreError::file(&folder))?;
    let name = format!("longshore-{platform}");
    let program = folder.join(&name);
    std::fs::copy(built("release")?.join("longshore"), &program)
        .map_err(ChoreError::file(&program))?;
    let lifecycle = format!("lifecycle-{platform}");
    package_lifecycle(&program, &folder.join(&lifecycle))?;
    for name in [
        name,
        format!("{lifecycle}.tgz"),
        format!("{lifecycle}.oci.tar"),
    ] {
        let sum = output(command("sha256sum").arg(&name).current_dir(&folder))?;
        let sum_file = folder.join(format!("{name}.sha256"));
        std::fs::write(&sum_file, sum).map_err(ChoreError::file(&sum_file))?;
        say(&format!("dist/{name}\ndist/{name}.sha256"));
    }
    Ok(())
}

/// `….tgz` for `pack builder create`, `….oci.tar` to be copied into a registry for kpack and `pack build --lifecycle-image`.
fn package_lifecycle(longshore: &Path, target: &Path) -> Result<(), ChoreError> {
    let mut package = command(longshore);
    package
        .args([
            "lifecycle",
            "package",
            "--base",
            "longshore:run",
            "--program",
        ])
        .arg(built("release")?.join("lifecycle"))
        .arg("--archive")
        .arg(target.with_added_extension("tgz"))
        .arg("--output")
        .arg(format!("oci-archive:{}.oci.tar", target.display()));
    run(&mut package)
}

fn version() -> Option<String> {
    let metadata = metadata().ok()?;
    let mut packages = metadata["packages"].as_array()?.iter();
    let package = packages.find(|package| package["name"] == "longshore")?;
    package["version"].as_str().map(str::to_owned)
}
