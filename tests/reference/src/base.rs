//! Images that are there before the first step, written as a layout, into a registry's storage and into a daemon: byte for byte the same in both
//! worlds.

use std::fs;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::docker::Docker;
use crate::fixture::Image;

/// Manifest, configuration, layer.
const OCI: [&str; 3] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.oci.image.layer.v1.tar+gzip",
];

/// The same in Docker's words.
const DOCKER: [&str; 3] = [
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.container.image.v1+json",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
];

/// Where images are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Places<'a> {
    /// The folder of layouts.
    pub(crate) layout: &'a Path,
    /// The registry's storage.
    pub(crate) registry: &'a Path,
    pub(crate) docker: Option<&'a Docker>,
}

/// Writes the image where its name says: an image of 127.0.0.1:5000 into the registry, others into the daemon, if the world has one, or else into the
/// layout folder.
pub(crate) fn write(image: &Image, places: Places<'_>) {
    let (repository, tag) = image.name.rsplit_once(':').expect("an image has a tag");
    let layer = layer(&image.name);
    let config = config(image, &sha256(&layer));
    let blob = gzip(&layer);
    let types = if image.docker { DOCKER } else { OCI };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": types[0],
        "config": descriptor(types[1], &config),
        "layers": [descriptor(types[2], &blob)],
    });
    let manifest = manifest.to_string().into_bytes();
    let blobs = [&blob, &config, &manifest];
    match (repository.strip_prefix("127.0.0.1:5000/"), places.docker) {
        (Some(repository), _) => {
            write_registry(&Storage(places.registry), repository, tag, &blobs);
        }
        (None, Some(docker)) => docker.load(&archive(&image.name, &config, &layer)),
        (None, None) => {
            let folder = places.layout.join(repository).join(tag);
            write_layout(&folder, tag, types[0], &blobs);
        }
    }
}

/// What `docker load` takes: the image of one layer under its name.
fn archive(name: &str, config: &[u8], layer: &[u8]) -> Vec<u8> {
    let manifest = json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in [
        ("manifest.json", manifest.to_string().as_bytes()),
        ("config.json", config),
        ("layer.tar", layer),
    ] {
        append(&mut tar, path, content);
    }
    tar.into_inner().expect("memory can be written")
}

fn append(tar: &mut tar::Builder<Vec<u8>>, path: &str, content: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.set_cksum();
    tar.append_data(&mut header, path, content)
        .expect("memory can be written");
}

/// A tar of one file, which names the image: two images have different layers.
fn layer(name: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let content = format!("ID=debian\nVERSION_ID=13\nPRETTY_NAME={name}\n");
    append(&mut tar, "etc/os-release", content.as_bytes());
    tar.into_inner().expect("memory can be written")
}

fn config(image: &Image, diff_id: &str) -> Vec<u8> {
    let arch = image.arch.as_deref().unwrap_or("amd64");
    let mut env = vec!["PATH=/usr/bin:/bin".to_owned()];
    env.extend(image.env.clone());
    let config = json!({
        "architecture": arch,
        "os": "linux",
        "created": "2020-01-01T00:00:00Z",
        "config": {
            "User": "1000:1000",
            "Env": env,
            "Cmd": ["bash"],
            "Labels": image.labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]},
        "history": [{"created": "2020-01-01T00:00:00Z", "created_by": "the run image"}],
    });
    config.to_string().into_bytes()
}

fn descriptor(media_type: &str, blob: &[u8]) -> Value {
    let digest = format!("sha256:{}", sha256(blob));
    json!({"mediaType": media_type, "digest": digest, "size": blob.len()})
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    std::io::Write::write_all(&mut gzip, bytes).expect("memory can be written");
    gzip.finish().expect("memory can be written")
}

/// The last blob is the manifest.
fn write_layout(folder: &Path, tag: &str, media_type: &str, blobs: &[&Vec<u8>]) {
    let digests = blobs.iter().map(|blob| (sha256(blob), blob));
    for (digest, blob) in digests {
        write_file(&folder.join("blobs/sha256").join(digest), blob);
    }
    let mut entry = descriptor(media_type, blobs[blobs.len() - 1]);
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    write_file(&folder.join("index.json"), index.to_string().as_bytes());
    let version = json!({"imageLayoutVersion": "1.0.0"}).to_string();
    write_file(&folder.join("oci-layout"), version.as_bytes());
}

/// The last blob is the manifest.
fn write_registry(storage: &Storage<'_>, repository: &str, tag: &str, blobs: &[&Vec<u8>]) {
    for blob in blobs {
        let digest = sha256(blob);
        write_file(&storage.blob(&digest), blob);
        storage.link(repository, &format!("_layers/sha256/{digest}"), &digest);
    }
    let manifest = sha256(blobs[blobs.len() - 1]);
    for name in [
        format!("_manifests/revisions/sha256/{manifest}"),
        format!("_manifests/tags/{tag}/current"),
        format!("_manifests/tags/{tag}/index/sha256/{manifest}"),
    ] {
        storage.link(repository, &name, &manifest);
    }
}

/// The folder in which docker-registry keeps everything, version 2 of its form.
pub(crate) struct Storage<'a>(pub(crate) &'a Path);

impl Storage<'_> {
    /// The folder of all repositories.
    pub(crate) fn repositories(&self) -> PathBuf {
        self.0.join("docker/registry/v2/repositories")
    }

    /// Where a blob is.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        let blobs = self.0.join("docker/registry/v2/blobs/sha256");
        blobs.join(&digest[..2]).join(digest).join("data")
    }

    fn link(&self, repository: &str, name: &str, digest: &str) {
        let path = self.repositories().join(repository).join(name).join("link");
        write_file(&path, format!("sha256:{digest}").as_bytes());
    }
}

fn write_file(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder is made");
    fs::write(path, content).expect("a file is written");
}

/// A digest's hex digits.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
