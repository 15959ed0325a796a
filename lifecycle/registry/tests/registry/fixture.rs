//! Images and clients for the tests.

use std::{
    collections::BTreeMap,
    io::Read as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use fetch::{Config, RetryPolicy, trust::Roots};
use oci_image::{
    BlobDigest, BlobSource, DiffId, Digest, History, Image, ImageConfig, Layer, LayerFormat,
    Reference,
};
use registry::{Credentials, Login, Registry, Settings};
use test_registry::TestRegistry;

/// Short waits: tests are about what happens, not when.
pub(crate) fn settings(server: &TestRegistry) -> Settings {
    Settings {
        http: Config {
            roots: Roots::from_pem(server.authority().unwrap_or_default().as_bytes()),
            retry: RetryPolicy {
                attempts: 5,
                first_wait: Duration::from_millis(2),
                longest_wait: Duration::from_millis(20),
            },
            idle_time: Duration::from_millis(700),
            ..Config::default()
        },
        credentials: Credentials::none().with_login(&server.host(), login()),
        time_budget: Duration::from_secs(20),
        ..Settings::default()
    }
}

pub(crate) fn login() -> Login {
    Login::Basic {
        user: "user".to_owned(),
        password: "secret".to_owned(),
    }
}

pub(crate) fn client(server: &TestRegistry) -> Registry {
    Registry::new(settings(server)).expect("a client")
}

pub(crate) fn reference(server: &TestRegistry, name: &str) -> Reference {
    format!("{}/{name}", server.host())
        .parse()
        .expect("a reference")
}

/// By seed and length.
type Noises = BTreeMap<(u64, usize), Arc<[u8]>>;

/// Bytes that look like nothing else. Made once: the sweep needs the same ones a thousand times.
pub(crate) fn noise(seed: u64, length: usize) -> Arc<[u8]> {
    static MADE: Mutex<Noises> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().expect("nobody panics meanwhile");
    Arc::clone(
        made.entry((seed, length))
            .or_insert_with(|| make_noise(seed, length)),
    )
}

fn make_noise(seed: u64, length: usize) -> Arc<[u8]> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// A layer; what it is made of does not matter to a registry.
pub(crate) fn layer(bytes: Arc<[u8]>) -> Layer {
    let digest = Digest::of(&bytes);
    Layer {
        diff_id: DiffId::new(digest),
        digest: BlobDigest::new(digest),
        size: bytes.len() as u64,
        format: LayerFormat::Gzip,
        source: BlobSource::Bytes(bytes),
    }
}

/// An image with layers of these sizes.
pub(crate) fn image(seed: u64, sizes: &[usize]) -> Image {
    sizes.iter().enumerate().fold(
        Image::new(ImageConfig::new("linux", "amd64")),
        |image, (index, size)| {
            let layer = layer(noise(seed + index as u64, *size));
            image.with_layer(layer, History::default())
        },
    )
}

/// Does the registry have the whole image under this tag?
pub(crate) fn assert_stored(server: &TestRegistry, repository: &str, tag: &str, image: &Image) {
    let documents = image.documents();
    let digest = documents.manifest.digest.to_string();
    assert_eq!(server.tag(repository, tag).as_ref(), Some(&digest));
    assert_eq!(
        server.manifest(repository, &digest),
        Some(documents.manifest.bytes)
    );
    let config = server.blob(repository, &documents.config.digest.to_string());
    assert_eq!(config, Some(documents.config.bytes));
    for layer in image.layers() {
        let stored = server.blob(repository, &layer.digest.to_string());
        assert_eq!(stored, Some(read(layer).expect("our own layers")));
    }
}

pub(crate) fn read(layer: &Layer) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    layer.open()?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// An image as JSON and bytes: what has to be the same after a push and a pull.
pub(crate) fn contents(image: &Image) -> std::io::Result<(BlobDigest, Vec<Vec<u8>>)> {
    let layers = image.layers().iter().map(read).collect::<Result<_, _>>()?;
    Ok((image.documents().manifest.digest, layers))
}
