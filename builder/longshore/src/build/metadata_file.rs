//! `--metadata-file`: what was built, as JSON for programs.
//!
//! ```json
//! {"image": {"name": "my-app:latest", "digest": "sha256:…", "size": 61234567},
//!  "layers": [{"role": "longshore/deps:environment", "diffId": "…", "digest": "…", "size": 1, "reused": true}],
//!  "runImage": "…", "python": {…}, "packages": […], "aptPackages": […], "hooks": {…}, "processes": ["web"],
//!  "seconds": {"prepared": 0.1, "total": 2.5}}
//! ```

use std::time::Duration;

use lifecycle::export::{Exported, Role};
use serde_json::{Value, json};

use super::Built;
use super::request::Request;
use crate::commands::Context;
use crate::errors;
use crate::failure::Failure;
use crate::inspect;
use crate::stack_images::Bases;

/// What is reported.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    pub(crate) request: &'a Request,
    pub(crate) bases: &'a Bases,
    pub(crate) built: &'a Built,
    pub(crate) exported: &'a Exported,
    /// Until the base images were there.
    pub(crate) prepared: Duration,
    pub(crate) total: Duration,
}

/// The labels in which our buildpacks record what they chose, and their keys in the report.
const RECORDS: [(&str, &str); 4] = [
    ("python", "io.longshore.python"),
    ("packages", "io.longshore.packages"),
    ("aptPackages", "io.longshore.apt"),
    ("hooks", "io.longshore.hooks"),
];

pub(crate) fn write(report: &Report<'_>, context: &Context) -> Result<(), Failure> {
    let Some(path) = &report.request.metadata_file else {
        return Ok(());
    };
    let text = format!("{:#}\n", describe(report, context)?);
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(".".as_ref());
    let failed =
        |error| errors::storage(&format!("{} could not be written", path.display()), &error);
    // Whole or not at all: a program may be waiting for it.
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)?;
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    file.as_file().set_permissions(readable).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

fn describe(report: &Report<'_>, context: &Context) -> Result<Value, Failure> {
    let found = inspect::find(&report.built.name.to_string(), context)?;
    let labels = &found.config().config.labels;
    let size: u64 = found.image.layers().iter().map(|layer| layer.size).sum();
    let layers: Vec<Value> = report
        .exported
        .layers
        .iter()
        .map(|layer| {
            json!({
                "role": role(&layer.role), "diffId": layer.blob.diff_id, "digest": layer.blob.digest,
                "size": layer.blob.size, "reused": layer.reused,
            })
        })
        .collect();
    let mut all = json!({
        "image": {"name": report.built.name.to_string(), "digest": report.built.manifest, "size": size},
        "layers": layers,
        "runImage": report.bases.run_name,
        "processes": found.processes(),
        "seconds": {"prepared": report.prepared.as_secs_f64(), "total": report.total.as_secs_f64()},
    });
    for (key, label) in RECORDS {
        if let Some(value) = labels
            .get(label)
            .and_then(|text| serde_json::from_str::<Value>(text).ok())
        {
            all[key] = value;
        }
    }
    Ok(all)
}

fn role(role: &Role) -> String {
    match role {
        Role::Buildpack { buildpack, layer } => format!("{buildpack}:{layer}"),
        Role::Sbom => "sbom".to_owned(),
        Role::App { part, .. } => format!("app:{part}"),
        Role::Launcher => "launcher".to_owned(),
        Role::Config => "config".to_owned(),
        Role::ProcessTypes => "process-types".to_owned(),
    }
}
