//! Runs the benchmarks: scripts that time Longshore and its peers in one run and print the ratio first.

use crate::install;
use crate::steps::{ChoreError, built, cargo, command, root, run};

/// Builds the release executable and runs the named scripts of tests/bench, or all.
pub(crate) fn bench(names: &[&str]) -> Result<(), ChoreError> {
    install::launcher_target()?;
    install::test_tools()?;
    run(cargo().args(["build", "--locked", "--release", "--package", "longshore"]))?;
    let longshore = built("release")?.join("longshore");
    for script in scripts(names)? {
        run(command("bash")
            .arg(format!("tests/bench/{script}.sh"))
            .env("LONGSHORE", &longshore))?;
    }
    Ok(())
}

fn scripts(names: &[&str]) -> Result<Vec<String>, ChoreError> {
    if !names.is_empty() {
        return Ok(names.iter().map(|&name| name.to_owned()).collect());
    }
    let folder = root().join("tests/bench");
    let entries = std::fs::read_dir(&folder).map_err(ChoreError::file(&folder))?;
    let files = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = files
        .filter_map(|name| name.strip_suffix(".sh").map(str::to_owned))
        .collect();
    names.sort();
    Ok(names)
}
