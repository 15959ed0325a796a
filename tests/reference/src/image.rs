//! Images as values: the manifest without digests of compressed bytes, the configuration with labels that are JSON read as such, every layer's
//! diffID and entries.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use crate::base::{Storage, sha256};
use crate::docker::Docker;

/// As many digits of an image's id does Docker show.
const SHORT_ID: usize = 12;

/// Digests that depend on how layers are compressed, and what stands for each in both worlds: the image's name, and how many steps there had been
/// when it was first seen. They are kept from step to step, since files name images that have been replaced since.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    steps: usize,
    digests: BTreeMap<String, String>,
    /// Sizes of manifests, in which the sizes of compressed layers stand.
    sizes: Vec<u64>,
}

impl Aliases {
    /// Begins with what is there after one more step.
    pub(crate) fn next_step(&mut self) {
        self.steps += 1;
    }

    fn add(&mut self, digest: &str, what: &str) {
        let alias = format!("({what} of step {})", self.steps);
        self.digests.entry(digest.to_owned()).or_insert(alias);
    }

    /// A value in which aliases stand.
    pub(crate) fn apply(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                // From the end: where one digest is the beginning of another, the longer one comes first.
                for (digest, alias) in self.digests.iter().rev() {
                    if text.contains(digest) {
                        *text = text.replace(digest, alias);
                    }
                }
            }
            Value::Array(values) => values.iter_mut().for_each(|value| self.apply(value)),
            Value::Object(fields) => {
                fields.values_mut().for_each(|value| self.apply(value));
                let size = fields.get_mut("manifest-size");
                if let Some(size) = size
                    && size.as_u64().is_some_and(|size| self.sizes.contains(&size))
                {
                    *size = json!("as of the manifest");
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

/// Every image below a folder of layouts, by its path.
pub(crate) fn layouts(folder: &Path, aliases: &mut Aliases) -> Vec<(PathBuf, Value)> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let path = entry.expect("the layouts can be read").into_path();
        if path.file_name().is_some_and(|name| name == "index.json") {
            let layout = path.parent().expect("a file is in a folder");
            found.push((layout.to_owned(), layout_value(layout, aliases)));
        }
    }
    found
}

fn layout_value(layout: &Path, aliases: &mut Aliases) -> Value {
    let blob = |digest: &str| layout.join("blobs/sha256").join(digest);
    let parts: Vec<_> = layout.iter().rev().take(2).collect();
    let name = format!("{}:{}", parts[1].display(), parts[0].display());
    let index = read_json(&layout.join("index.json"));
    let mut images = Vec::new();
    for entry in index["manifests"].as_array().into_iter().flatten() {
        let digest = hex_of(&entry["digest"]);
        images.push(json!({
            "mediaType": entry["mediaType"],
            "annotations": entry["annotations"],
            "platform": entry["platform"],
            "image": image_value(&name, &digest, &blob, aliases),
        }));
    }
    json!({"images": images, "schemaVersion": index["schemaVersion"], "mediaType": index["mediaType"]})
}

/// Every tagged image of a registry, by `<repository>:<tag>`.
pub(crate) fn registry(folder: &Path, aliases: &mut Aliases) -> Vec<(String, Value)> {
    let storage = Storage(folder);
    let repositories = storage.repositories();
    let mut found = Vec::new();
    if !repositories.is_dir() {
        return found;
    }
    for entry in walkdir::WalkDir::new(&repositories).sort_by_file_name() {
        let path = entry.expect("the storage can be read").into_path();
        let below = path
            .strip_prefix(&repositories)
            .expect("it is below")
            .to_string_lossy();
        if let Some((repository, tag)) = below.split_once("/_manifests/tags/")
            && let Some(tag) = tag.strip_suffix("/current/link")
        {
            let link = fs::read_to_string(&path).expect("a link can be read");
            let digest = link.trim_start_matches("sha256:").to_owned();
            let name = format!("{repository}:{tag}");
            let value = image_value(&name, &digest, &|digest| storage.blob(digest), aliases);
            found.push((name, value));
        }
    }
    found
}

/// Every image of a daemon that has a name, by that name.
pub(crate) fn daemon(docker: &Docker, aliases: &mut Aliases) -> Vec<(String, Value)> {
    let images = docker.images().into_iter();
    images
        .map(|(name, archive)| {
            let value = archive_value(&name, &archive, aliases);
            (name, value)
        })
        .collect()
}

/// What `docker save` gives for one image. A daemon keeps no manifest.
fn archive_value(name: &str, archive: &[u8], aliases: &mut Aliases) -> Value {
    let mut files = BTreeMap::new();
    let mut tar = tar::Archive::new(archive);
    for entry in tar.entries().expect("memory can be read") {
        let mut entry = entry.expect("docker writes whole archives");
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).expect("memory can be read");
        files.insert(path, content);
    }
    let file = |path: &Value| &files[path.as_str().expect("a path is a text")];
    let manifest: Value = serde_json::from_slice(&files["manifest.json"]).expect("it is JSON");
    let config_bytes = file(&manifest[0]["Config"]);
    let mut config = serde_json::from_slice(config_bytes).expect("a configuration is JSON");
    config_as_values(&mut config);
    let layers = manifest[0]["Layers"].as_array().into_iter().flatten();
    let layers: Vec<Value> = layers.map(|path| layer_value(file(path))).collect();
    let id = sha256(config_bytes);
    aliases.add(&id[..SHORT_ID], &format!("short id of {name}"));
    aliases.add(&id, &format!("id of {name}"));
    json!({"config": config, "layers": layers})
}

fn image_value(
    name: &str,
    manifest: &str,
    blob: &dyn Fn(&str) -> PathBuf,
    aliases: &mut Aliases,
) -> Value {
    let manifest_bytes = fs::read(blob(manifest)).expect("the manifest is there");
    let document: Value = serde_json::from_slice(&manifest_bytes).expect("a manifest is JSON");
    let config_digest = hex_of(&document["config"]["digest"]);
    let mut config = read_json(&blob(&config_digest));
    config_as_values(&mut config);
    let layers = document["layers"].as_array().cloned().unwrap_or_default();
    let layers: Vec<Value> = layers
        .iter()
        .map(|layer| {
            let content = fs::read(blob(&hex_of(&layer["digest"])));
            json!({
                "mediaType": layer["mediaType"],
                "annotations": layer["annotations"],
                // A layer may be left out of a layout.
                "content": content.ok().map(|content| layer_value(&content)),
            })
        })
        .collect();
    let value = json!({
        "mediaType": document["mediaType"],
        "configMediaType": document["config"]["mediaType"],
        "annotations": document["annotations"],
        "config": config,
        "layers": layers,
    });
    aliases.add(manifest, &format!("manifest of {name}"));
    aliases.add(&config_digest, &format!("configuration of {name}"));
    aliases.sizes.push(manifest_bytes.len() as u64);
    value
}

/// Labels that are JSON become values. The launcher's version is that of the lifecycle, which says after a plus sign whose it is: callers compare
/// what is before it.
fn config_as_values(config: &mut Value) {
    let Some(labels) = config["config"]["Labels"].as_object_mut() else {
        return;
    };
    for value in labels.values_mut() {
        let text = value.as_str().unwrap_or_default();
        if text.starts_with('{')
            && let Ok(parsed) = serde_json::from_str(text)
        {
            *value = parsed;
        }
    }
    if let Some(build) = labels.get_mut("io.buildpacks.build.metadata")
        && let Some(version) = build["launcher"]["version"].as_str()
    {
        build["launcher"]["version"] = version.split('+').next().into();
    }
}

fn layer_value(blob: &[u8]) -> Value {
    let mut tar = Vec::new();
    if blob.starts_with(&[0x1f, 0x8b]) {
        let mut gunzip = MultiGzDecoder::new(blob);
        gunzip
            .read_to_end(&mut tar)
            .expect("a layer can be unpacked");
    } else {
        tar = blob.to_vec();
    }
    tar_value(&tar)
}

/// A tar's digest, which is all that counts, and its entries, so that a difference can be understood.
pub(crate) fn tar_value(tar: &[u8]) -> Value {
    let mut entries = Vec::new();
    for entry in tar::Archive::new(tar)
        .entries()
        .expect("memory can be read")
    {
        // A fixture may break one.
        let Ok(mut entry) = entry else { break };
        let mut content = Vec::new();
        if entry.read_to_end(&mut content).is_err() {
            break;
        }
        let header = entry.header();
        entries.push(json!(format!(
            "{} {:?} mode {:o} owner {}:{} mtime {} link {:?} {}",
            String::from_utf8_lossy(&entry.path_bytes()),
            header.entry_type(),
            header.mode().unwrap_or_default(),
            header.uid().unwrap_or_default(),
            header.gid().unwrap_or_default(),
            header.mtime().unwrap_or_default(),
            entry
                .link_name_bytes()
                .map(|name| String::from_utf8_lossy(&name).into_owned()),
            sha256(&content),
        )));
    }
    json!({"diffID": sha256(tar), "entries": entries})
}

fn hex_of(digest: &Value) -> String {
    let digest = digest.as_str().unwrap_or_default();
    digest.trim_start_matches("sha256:").to_owned()
}

fn read_json(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| unreachable!("{}: {error}", path.display()));
    serde_json::from_slice(&text)
        .unwrap_or_else(|error| unreachable!("{}: {error}", path.display()))
}
