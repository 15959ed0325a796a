//! Reads an OCI image layout folder without our own crates, which are what is tested.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use sha2::{Digest, Sha256};

/// The one image of a layout.
#[derive(Debug)]
pub struct Image {
    layout: PathBuf,
    /// The manifest's digest, `sha256:…`.
    pub digest: String,
    /// The manifest.
    pub manifest: Value,
    /// The image configuration.
    pub config: Value,
}

impl Image {
    /// Opens a layout; every blob named on the way has to have its digest.
    pub fn open(layout: &Path) -> Self {
        let index: Value =
            json(&std::fs::read(layout.join("index.json")).expect("a layout has an index"));
        let manifests = index["manifests"]
            .as_array()
            .expect("an index lists manifests");
        let [entry] = &manifests[..] else {
            panic_with(&format!("not one image: {index}"))
        };
        let digest = text(&entry["digest"]);
        let manifest = json(&blob(layout, &digest));
        let config = json(&blob(layout, &text(&manifest["config"]["digest"])));
        Self {
            layout: layout.to_owned(),
            digest,
            manifest,
            config,
        }
    }

    /// The layers' diffIDs, lowest first.
    pub fn diff_ids(&self) -> Vec<String> {
        self.config["rootfs"]["diff_ids"]
            .as_array()
            .expect("a rootfs has layers")
            .iter()
            .map(text)
            .collect()
    }

    /// The layers' blob digests, lowest first.
    pub fn layer_digests(&self) -> Vec<String> {
        self.manifest["layers"]
            .as_array()
            .expect("a manifest has layers")
            .iter()
            .map(|it| text(&it["digest"]))
            .collect()
    }

    /// The blob digest of the layer that the history calls so.
    pub fn layer_called(&self, created_by: &str) -> Option<String> {
        let history = self.config["history"].as_array()?;
        let position = history
            .iter()
            .position(|entry| entry["created_by"] == created_by)?;
        self.layer_digests().get(position).cloned()
    }

    /// A label's value.
    pub fn label(&self, name: &str) -> Option<&str> {
        self.config["config"]["Labels"][name].as_str()
    }

    /// The layers of the lifecycle's metadata label by name: `app 0`, `config`, `launcher`, `longshore/deps: environment`, …
    pub fn named_layers(&self) -> BTreeMap<String, String> {
        let label = self
            .label("io.buildpacks.lifecycle.metadata")
            .expect("a buildpacks image has this label");
        let metadata: Value = json(label.as_bytes());
        let mut layers = BTreeMap::new();
        for (position, slice) in array(&metadata["app"]).iter().enumerate() {
            layers.insert(format!("app {position}"), text(&slice["sha"]));
        }
        for name in ["config", "launcher", "process-types", "sbom"] {
            if let Some(sha) = metadata[name]["sha"].as_str().filter(|sha| !sha.is_empty()) {
                layers.insert(name.to_owned(), sha.to_owned());
            }
        }
        for buildpack in array(&metadata["buildpacks"]) {
            for (name, layer) in buildpack["layers"].as_object().into_iter().flatten() {
                // Layers that are not for launch have no digest in the image.
                if let Some(sha) = layer["sha"].as_str().filter(|sha| !sha.is_empty()) {
                    layers.insert(
                        format!("{}: {name}", text(&buildpack["key"])),
                        sha.to_owned(),
                    );
                }
            }
        }
        layers
    }

    /// `path -> mode, owner, size` of a layer, as GNU tar lists it.
    pub fn list_layer(&self, position: usize) -> String {
        let digest = &self.layer_digests()[position];
        let path = self.layout.join("blobs").join(digest.replace(':', "/"));
        let output = Command::new("tar")
            .args(["--numeric-owner", "-tvzf"])
            .arg(path)
            .stdin(Stdio::null())
            .output();
        let output = output.expect("tar runs");
        assert!(
            output.status.success(),
            "tar: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Every blob of the layout, with its digest checked.
    pub fn check_blobs(&self) {
        for entry in
            std::fs::read_dir(self.layout.join("blobs/sha256")).expect("a layout has blobs")
        {
            let name = entry.expect("a readable folder").file_name();
            blob(&self.layout, &format!("sha256:{}", name.to_string_lossy()));
        }
    }
}

fn blob(layout: &Path, digest: &str) -> Vec<u8> {
    let path = layout.join("blobs").join(digest.replace(':', "/"));
    let mut content = Vec::new();
    let file = std::fs::File::open(&path);
    file.and_then(|mut file| file.read_to_end(&mut content))
        .expect("a blob that is named is there");
    let found = format!("sha256:{}", hex::encode(Sha256::digest(&content)));
    assert_eq!(found, digest, "a blob's content is not what its name says");
    content
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

fn text(value: &Value) -> String {
    value.as_str().expect("a JSON string").to_owned()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[expect(
    clippy::panic,
    reason = "the harness of tests ends a test like an assertion does"
)]
fn panic_with(words: &str) -> ! {
    panic!("{words}")
}
