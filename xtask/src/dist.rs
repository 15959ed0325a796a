//! What is given to people: the executable, and its digest for whoever downloads it.

use std::path::PathBuf;

use crate::install;
use crate::steps::{ChoreError, built, cargo, command, metadata, output, root, run, say};

/// Builds the executable in release and puts it into `dist/`, with a file that `sha256sum --check` reads.
pub(crate) fn dist() -> Result<(), ChoreError> {
    install::launcher_target()?;
    run(cargo().args(["build", "--locked", "--release", "--package", "longshore"]))?;
    let version = version().ok_or(ChoreError::Metadata)?;
    let name = format!("longshore-{version}-{}-linux", std::env::consts::ARCH);
    let folder: PathBuf = root().join("dist");
    std::fs::create_dir_all(&folder).map_err(ChoreError::file(&folder))?;
    let program = folder.join(&name);
    std::fs::copy(built("release")?.join("longshore"), &program)
        .map_err(ChoreError::file(&program))?;
    let sum = output(command("sha256sum").arg(&name).current_dir(&folder))?;
    let sum_file = folder.join(format!("{name}.sha256"));
    std::fs::write(&sum_file, sum).map_err(ChoreError::file(&sum_file))?;
    say(&format!("dist/{name}\ndist/{name}.sha256"));
    Ok(())
}

fn version() -> Option<String> {
    let metadata = metadata().ok()?;
    let mut packages = metadata["packages"].as_array()?.iter();
    let package = packages.find(|package| package["name"] == "longshore")?;
    package["version"].as_str().map(str::to_owned)
}
