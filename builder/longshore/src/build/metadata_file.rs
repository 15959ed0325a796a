//! `--metadata-file`: what was built, as JSON for programs.
//!
//! ```json
//! {"image": {"name": "my-app:latest", "digest": "sha256:…", "size": 61234567},
//!  "tags": ["my-app:latest"], "published": ["registry.example/my-app@sha256:…"],
//!  "layers": [{"role": "longshore/deps:environment", "diffId": "…", "digest": "…", "size": 1, "reused": true,
//!              "registry": "existed" | "mounted" | "uploaded", "bytesSent": 1}],
//!  "runImage": "…", "python": {…}, "packages": […], "aptPackages": […], "hooks": {…}, "processes": ["web"],
//!  "seconds": {"prepared": 0.1, "total": 2.5}}
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use lifecycle::export::{Exported, Role};
use oci_image::BlobDigest;
use registry::Outcome;
use serde_json::{Value, json};

use super::Built;
use super::base_images::Bases;
use super::request::Request;
use crate::errors;
use crate::failure::Failure;
use crate::inspect::Found;
use crate::output::Output;

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

pub(crate) fn write(report: &Report<'_>, output: &Output) -> Result<(), Failure> {
    let metadata = describe(report);
    output.built(&metadata);
    let Some(path) = &report.request.metadata_file else {
        return Ok(());
    };
    let text = format!("{metadata:#}\n");
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

fn describe(report: &Report<'_>) -> Value {
    let Built {
        name,
        manifest,
        image,
        published,
        outcomes,
    } = report.built;
    let found = Found {
        name: name.to_string(),
        image: image.clone(),
    };
    let labels = &found.config().config.labels;
    let size: u64 = image.layers().iter().map(|layer| layer.size).sum();
    let sent: BTreeMap<BlobDigest, &Outcome> = image
        .layers()
        .iter()
        .map(|layer| layer.digest)
        .zip(outcomes)
        .collect();
    let layers: Vec<Value> = report
        .exported
        .layers
        .iter()
        .map(|layer| {
            let mut entry = json!({
                "role": role(&layer.role), "diffId": layer.blob.diff_id, "digest": layer.blob.digest,
                "size": layer.blob.size, "reused": layer.reused,
            });
            if let Some(outcome) = sent.get(&layer.blob.digest) {
                (entry["registry"], entry["bytesSent"]) = match outcome {
                    Outcome::Existed => (json!("existed"), json!(0)),
                    Outcome::Mounted { .. } => (json!("mounted"), json!(0)),
                    Outcome::Uploaded { bytes } => (json!("uploaded"), json!(bytes)),
                };
            }
            entry
        })
        .collect();
    let mut all = json!({
        "image": {"name": name.to_string(), "digest": manifest, "size": size},
        "tags": report.request.names.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "published": published,
        "layers": layers,
        "runImage": report.bases.run.image.reference,
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
    all
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
