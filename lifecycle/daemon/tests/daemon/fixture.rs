//! Images and clients for the tests.

use std::{io::Read as _, num::NonZeroUsize, sync::Arc, time::Duration};

use daemon::{Daemon, DaemonError, Load, Loaded, Settings};
use fetch::{Config, RetryPolicy};
use oci_image::{
    BlobSource, History, Image, ImageConfig, ImageName, Layer, LayerBlob, Owner,
    layer::{Compression, LayerContents, write_layer},
};
use serde_json::json;

/// Short waits: tests are about what happens, not when.
pub(crate) fn client(host: &str, time_budget: Duration) -> Daemon {
    let settings = Settings {
        endpoint: host.parse().expect("an address"),
        http: Config {
            retry: RetryPolicy {
                attempts: 3,
                first_wait: Duration::from_millis(2),
                longest_wait: Duration::from_millis(20),
            },
            ..Config::default()
        },
        time_budget,
        scratch: "/tmp".into(),
    };
    Daemon::new(settings).expect("a client")
}

/// A layer with a file of this size, which does not compress.
pub(crate) fn layer(name: &str, size: usize, compression: Compression) -> (Layer, LayerBlob) {
    let path = name.parse().expect("a path");
    let contents = LayerContents::new().parents_of(&path, Owner::ROOT).file(
        &path,
        0o644,
        Owner::ROOT,
        noise(name, size),
    );
    let mut blob = Vec::new();
    let written = write_layer(&contents, &mut blob, compression).expect("written to memory");
    let layer = Layer::new(written, BlobSource::Bytes(Arc::from(blob)));
    (layer, written)
}

pub(crate) fn gzip() -> Compression {
    Compression::Gzip {
        threads: NonZeroUsize::MIN,
    }
}

fn noise(seed: &str, length: usize) -> Vec<u8> {
    let mut state = seed
        .bytes()
        .fold(1_u64, |state, byte| state * 31 + u64::from(byte));
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

/// An image of a plain and a compressed layer, with much in its configuration that a daemon might drop.
pub(crate) fn image() -> Image {
    let layers = [
        layer("etc/plain", 300_000, Compression::None).0,
        layer("etc/packed", 200_000, gzip()).0,
    ];
    let image = layers.into_iter().fold(
        Image::new(ImageConfig::new("linux", "amd64")),
        |image, layer| image.with_layer(layer, History::default()),
    );
    image.with_config(|config| {
        config.created = Some("1980-01-01T00:00:01Z".to_owned());
        config
            .extra
            .insert("x.unknown".to_owned(), json!({"kept": [1, null]}));
        let container = &mut config.config;
        container.set_env("PATH", "/cnb/process:/bin");
        container.labels.insert("a".to_owned(), "b".to_owned());
        container.extra.insert(
            "Healthcheck".to_owned(),
            json!({"Test": ["CMD", "true"], "Interval": 5_000_000_000_u64}),
        );
        container
            .extra
            .insert("OnBuild".to_owned(), json!(["RUN true"]));
    })
}

pub(crate) fn names(names: &[&str]) -> Vec<ImageName> {
    names
        .iter()
        .map(|name| name.parse().expect("a name"))
        .collect()
}

pub(crate) fn load(daemon: &Daemon, image: &Image, to: &[&str]) -> Result<Loaded, DaemonError> {
    let names = names(to);
    let load = Load {
        names: &names,
        ..Load::default()
    };
    daemon.load(image, &load, &mut |_| {})
}

/// What a layer unpacks to.
pub(crate) fn tar(layer: &Layer) -> Vec<u8> {
    let mut bytes = Vec::new();
    let limits = oci_image::ExpansionLimits::default();
    oci_image::LayerReader::new(layer.open().expect("opened"), limits)
        .and_then(|mut reader| reader.read_to_end(&mut bytes))
        .expect("read");
    bytes
}
