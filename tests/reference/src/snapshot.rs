//! What a step leaves behind, as values: how the program ended, every file that it could write, every image.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};
use walkdir::WalkDir;

use crate::base::sha256;
use crate::docker::Docker;
use crate::image::{self, Aliases, tar_value};
use crate::lines;
use crate::world::COMPARED;

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Everything after a step.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// By what it is about: `exit`, `stdout`, the path of a file, `image <name>`.
    pub(crate) values: BTreeMap<String, Value>,
    /// What the program printed, to be shown beside what differs.
    pub(crate) ended: Ended,
}

impl Snapshot {
    /// Looks at the world in the folder `scratch`.
    pub(crate) fn take(
        scratch: &Path,
        docker: Option<&Docker>,
        ended: Ended,
        aliases: &mut Aliases,
    ) -> Self {
        aliases.next_step();
        let mut values = BTreeMap::new();
        values.insert("exit".to_owned(), json!(ended.code));
        values.insert("stdout".to_owned(), json!(lines::compared(&ended.stdout)));
        for (path, value) in image::layouts(&scratch.join("layout"), aliases) {
            let path = path.strip_prefix(scratch).expect("it is below");
            values.insert(format!("image {}", path.display()), value);
        }
        for (name, value) in image::registry(&scratch.join("registry"), aliases) {
            values.insert(format!("image {name}"), value);
        }
        for (name, value) in docker.map_or(Vec::new(), |docker| image::daemon(docker, aliases)) {
            values.insert(format!("image {name}"), value);
        }
        for folder in COMPARED {
            // What is in images is told with them, and which images there are.
            if !matches!(*folder, "layout" | "registry") {
                files(scratch, folder, &mut values);
            }
        }
        for value in values.values_mut() {
            aliases.apply(value);
        }
        let values = values.into_iter();
        Self {
            values: values
                .map(|(name, value)| (name, without_nothings(value)))
                .collect(),
            ended,
        }
    }
}

fn files(scratch: &Path, folder: &str, values: &mut BTreeMap<String, Value>) {
    for entry in WalkDir::new(scratch.join(folder)).sort_by_file_name() {
        let entry = entry.expect("a world can be read");
        let below = entry.path().strip_prefix(scratch).expect("it is below");
        values.insert(format!("/{}", below.display()), file(entry.path()));
    }
}

/// A file, folder or link.
fn file(path: &Path) -> Value {
    let data = path.symlink_metadata().expect("it is there");
    let mode = format!("{:o}", data.permissions().mode() & 0o7777);
    if data.is_dir() {
        return json!({"folder": mode});
    }
    if data.is_symlink() {
        return json!({"link": fs::read_link(path).expect("a link can be read")});
    }
    if !data.is_file() {
        return json!({"special": mode});
    }
    let content = fs::read(path).expect("a file can be read");
    json!({"mode": mode, "content": content_value(path, &content)})
}

/// TOML, JSON and tars by what they hold; other text as it is; anything else by its digest.
fn content_value(path: &Path, content: &[u8]) -> Value {
    let extension = path.extension().unwrap_or_default();
    if extension == "tar" {
        return tar_value(content);
    }
    let Ok(text) = std::str::from_utf8(content) else {
        return json!(sha256(content));
    };
    let parsed: Option<Value> = if extension == "toml" {
        toml::from_str::<toml::Table>(text)
            .ok()
            .and_then(|table| serde_json::to_value(table).ok())
            .map(with_sorted_plan)
    } else if text.starts_with('{') {
        serde_json::from_str(text).ok()
    } else {
        None
    };
    parsed.unwrap_or_else(|| json!(text))
}

/// No list, an empty list and null are the same to all who read these files.
fn without_nothings(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields
                .into_iter()
                .map(|(name, value)| (name, without_nothings(value)));
            let full = fields.filter(|(_, value)| !value.is_null() && *value != json!([]));
            Value::Object(full.collect())
        }
        Value::Array(values) => values.into_iter().map(without_nothings).collect(),
        other => other,
    }
}

/// The reference implementation writes a plan's entries in another order each time.
fn with_sorted_plan(mut value: Value) -> Value {
    if let Some(Value::Array(entries)) = value.get_mut("entries") {
        entries.sort_by_key(ToString::to_string);
    }
    value
}
