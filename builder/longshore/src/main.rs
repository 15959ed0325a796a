//! longshore: from a Python app folder to a container image, with no Docker and no root.
//!
//! One executable that is several programs, told apart by the name it was started under (ARCHITECTURE.md, "One executable").

mod app;
mod arguments;
mod build;
mod builder_image;
mod buildpackage;
mod cache;
mod ci_log;
mod cli;
mod commands;
mod destinations;
mod docker;
mod embedded;
mod embedded_launcher;
mod errors;
mod failure;
mod host;
mod inspect;
mod lifecycle_programs;
mod lifecycle_sbom;
mod modules;
mod output;
mod ports;
mod rebase;
mod registries;
mod run;
mod stack_images;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use failure::{Exit, Failure};

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let name = arguments
        .first()
        .map(|path| program_name(path))
        .unwrap_or_default();
    if let Some(code) = sandbox::dispatch(name.as_ref()) {
        return code;
    }
    match name.as_str() {
        "detect" | "build" => run_buildpack(),
        name if phases::is_program_name(name) => phases::main(
            name.as_ref(),
            arguments.get(1..).unwrap_or_default(),
            std::env::vars_os().collect(),
            Some(embedded_launcher::LAUNCHER),
        ),
        _ => commands::main(arguments, &host::Environment::of_process()),
    }
}

fn program_name(path: &OsStr) -> String {
    Path::new(path)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Runs the buildpack that the lifecycle asked for: its descriptor stands in CNB_BUILDPACK_DIR (Buildpack API 0.10).
fn run_buildpack() -> ExitCode {
    let id = std::env::var_os("CNB_BUILDPACK_DIR")
        .and_then(|folder| std::fs::read_to_string(Path::new(&folder).join("buildpack.toml")).ok())
        .and_then(|text| text.parse::<toml::Table>().ok())
        .and_then(|table| Some(table.get("buildpack")?.get("id")?.as_str()?.to_owned()));
    let output = output::Output::new(output::Level::Normal, output::Audience::People, true);
    match id.and_then(|id| {
        embedded::BUILDPACKS
            .iter()
            .find(|buildpack| buildpack.id == id)
    }) {
        Some(buildpack) => (buildpack.run)(),
        None => {
            let body = "CNB_BUILDPACK_DIR names no folder with the buildpack.toml of a Longshore buildpack.";
            output.failure(&Failure::new(Exit::Other, "No such buildpack", body));
            ExitCode::FAILURE
        }
    }
}
