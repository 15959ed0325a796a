//! What real daemons make of what they are sent, and what they give back.

use std::fs;

use daemon::{Known, Load};
use oci_image::{
    ArchiveKind, History, Image, LayerBlob, LayerFormat, Platform, layer::Compression,
    read_archive, write_archive_without,
};
use serde_json::{Value, json};

use crate::{
    engines::Engine,
    fixture::{gzip, image, layer, load, names, tar},
};

/// Is it ours, whatever is asked in whatever way?
fn assert_reads_back(engine: &Engine, name: &str, image: &Image) {
    let daemon = engine.client();
    let found = daemon
        .image(name, &Known::default())
        .expect("asked")
        .expect("there");
    assert_eq!(found.image.config(), image.config());
    assert_eq!(found.image.layers().len(), image.layers().len());
    for (found, ours) in found.image.layers().iter().zip(image.layers()) {
        assert_eq!(found.diff_id, ours.diff_id);
        assert!(tar(found) == tar(ours), "{}", ours.diff_id);
    }
}

/// One layer more than in the image before.
fn grown(image: &Image, size: usize) -> Image {
    let (more, _) = layer("etc/more", size, gzip());
    let history = History {
        created_by: Some("Layer: 'more'".to_owned()),
        ..History::default()
    };
    image.clone().with_layer(more, history)
}

#[test]
fn docker_load_twice_sends_what_is_missing() {
    let Some(engine) = Engine::docker() else {
        return;
    };
    let daemon = engine.client();
    let image = image();
    let loaded = load(&daemon, &image, &["app", "localhost:5000/team/app:2"]).expect("loaded");
    assert_eq!(loaded.id, image.documents().config.digest);
    assert_eq!(loaded.sent_layers, image.config().rootfs.diff_ids);
    assert!(
        (500_000..600_000).contains(&loaded.sent_bytes),
        "{}",
        loaded.sent_bytes
    );
    for name in ["app:latest", "localhost:5000/team/app:2"] {
        let found = daemon.inspect(name).expect("asked").expect("there");
        assert_eq!(found.id, loaded.id);
        assert_eq!(found.tags, ["app:latest", "localhost:5000/team/app:2"]);
        assert_eq!(found.config.rootfs, image.config().rootfs);
    }
    assert_docker_sees(&engine, &image);
    assert_reads_back(&engine, "app", &image);

    let grown = grown(&image, 100_000);
    let again = load(&daemon, &grown, &["app"]).expect("loaded");
    assert_eq!(again.sent_layers, grown.config().rootfs.diff_ids[2..]);
    assert!(
        (100_000..120_000).contains(&again.sent_bytes),
        "{}",
        again.sent_bytes
    );
    assert_reads_back(&engine, "app", &grown);
    // The other name is still the old one's, and the same image again costs nothing.
    assert_reads_back(&engine, "localhost:5000/team/app:2", &image);
    let unchanged = load(&daemon, &grown, &["app:3"]).expect("loaded");
    assert_eq!(
        (unchanged.sent_bytes, unchanged.sent_layers),
        (0, Vec::new())
    );
}

/// The client that people use sees the configuration, and saves the layers as they were.
fn assert_docker_sees(engine: &Engine, image: &Image) {
    let Some(inspected) = engine.docker_says(&["image", "inspect", "app"]) else {
        return;
    };
    let inspected: Value = serde_json::from_slice(&inspected.stdout).expect("JSON");
    let id = image.documents().config.digest.to_string();
    assert_eq!(inspected[0]["Id"], json!(id));
    let config = &inspected[0]["Config"];
    assert_eq!(config["OnBuild"], json!(["RUN true"]));
    assert_eq!(config["Healthcheck"]["Test"], json!(["CMD", "true"]));
    assert_eq!(config["Labels"], json!({"a": "b"}));

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("saved.tar");
    let saved = engine
        .docker_says(&["save", "app"])
        .expect("it was there just now");
    fs::write(&file, saved.stdout).expect("room");
    let saved = read_archive(&file, None, Platform::LINUX_AMD64).expect("an archive");
    for (saved, ours) in saved.layers().iter().zip(image.layers()) {
        assert!(tar(saved) == tar(ours), "{}", ours.diff_id);
    }
}

#[test]
fn docker_image_with_everything_known_is_exported_when_read() {
    let Some(engine) = Engine::docker() else {
        return;
    };
    let image = image();
    load(&engine.client(), &image, &["app"]).expect("loaded");
    let config = image.documents().config.bytes;
    let layers: Vec<LayerBlob> = [("etc/plain", 300_000), ("etc/packed", 200_000)]
        .map(|(name, size)| layer(name, size, gzip()).1)
        .into();
    let known = Known {
        configs: &[&config],
        layers: &layers,
    };
    let found = engine
        .client()
        .image("app", &known)
        .expect("asked")
        .expect("there");
    assert_eq!(found.image.config(), image.config());
    for (found, ours) in found.image.layers().iter().zip(image.layers()) {
        assert_eq!(found.format, LayerFormat::Tar);
        assert!(tar(found) == tar(ours), "{}", ours.diff_id);
    }
    // Without the daemon, what was not read stays unread.
    let late = engine
        .client()
        .image("app", &known)
        .expect("asked")
        .expect("there");
    drop(engine);
    assert!(late.image.layers()[0].open().is_err());
    assert!(tar(&found.image.layers()[1]) == tar(&image.layers()[1]));
}

#[test]
fn docker_a_layer_below_another_is_not_the_layer_above_it() {
    let Some(engine) = Engine::docker() else {
        return;
    };
    let daemon = engine.client();
    let [low, high] = ["etc/low", "etc/high"].map(|name| layer(name, 50_000, Compression::None).0);
    let stack = |layers: &[&oci_image::Layer]| {
        let empty = Image::new(oci_image::ImageConfig::new("linux", "amd64"));
        layers.iter().fold(empty, |image, layer| {
            image.with_layer((*layer).clone(), History::default())
        })
    };
    load(&daemon, &stack(&[&low, &high]), &["app"]).expect("loaded");
    // The same layers in another order are other chains; a layer twice is one file.
    let other = stack(&[&high, &low]);
    assert_eq!(
        load(&daemon, &other, &["other"])
            .expect("loaded")
            .sent_layers
            .len(),
        2
    );
    let twice = stack(&[&low, &high, &low]);
    let loaded = load(&daemon, &twice, &["twice"]).expect("loaded");
    assert_eq!(loaded.sent_layers, [low.diff_id]);
    assert_reads_back(&engine, "twice", &twice);
}

#[test]
fn docker_with_containerd_gets_blobs_as_they_are() {
    let Some(engine) = Engine::docker_with_containerd() else {
        return;
    };
    let daemon = engine.client();
    let image = image();
    let loaded = load(&daemon, &image, &["app", "app:2"]).expect("loaded");
    assert_eq!(loaded.id, image.documents().manifest.digest);
    assert_reads_back(&engine, "app", &image);
    let found = daemon.image("app", &Known::default());
    let found = found.expect("asked").expect("there").image;
    assert_eq!(found.documents(), image.documents());

    let grown = grown(&image, 100_000);
    let names = names(&["app"]);
    let load = Load {
        names: &names,
        known: &[],
        previous: &[&image],
    };
    let again = daemon.load(&grown, &load, &mut |_| {}).expect("loaded");
    assert_eq!(again.sent_layers, grown.config().rootfs.diff_ids[2..]);
    assert_reads_back(&engine, "app", &grown);
    assert_reads_back(&engine, "app:2", &image);
}

/// An image that somebody loaded without one of its layers is there, but not whole; loading it makes it whole.
#[test]
fn docker_with_containerd_half_an_image_is_made_whole() {
    let Some(engine) = Engine::docker_with_containerd() else {
        return;
    };
    let image = image();
    let half = engine.folder().join("half.tar");
    let mut file = fs::File::create(&half).expect("room");
    let left_out = [image.layers()[0].digest].into();
    write_archive_without(&mut file, ArchiveKind::Docker, &image, None, &left_out).expect("room");
    let half = half.display().to_string();
    if engine.docker_says(&["load", "-i", &half]).is_none() {
        return;
    }
    let id = image.documents().manifest.digest;
    let daemon = engine.client();
    let found = daemon.inspect(&id.to_string()).expect("asked");
    assert_eq!(found.expect("there").id, id);
    let loaded = load(&daemon, &image, &["app"]).expect("loaded");
    assert_eq!(loaded.sent_layers.len(), 2);
    assert_reads_back(&engine, "app", &image);
}

#[test]
fn podman_gets_everything() {
    let Some(engine) = Engine::podman() else {
        return;
    };
    let daemon = engine.client();
    let image = image();
    let loaded = load(&daemon, &image, &["app:1"]).expect("loaded");
    assert_eq!(loaded.id, image.documents().config.digest);
    assert_reads_back(&engine, "app:1", &image);
    let grown = grown(&image, 100_000);
    let again = load(&daemon, &grown, &["app:1"]).expect("loaded");
    assert_eq!(again.sent_layers.len(), 3);
    assert_reads_back(&engine, "app:1", &grown);
}

#[test]
fn docker_refuses_a_layer_that_is_not_what_it_says() {
    let Some(engine) = Engine::docker() else {
        return;
    };
    let daemon = engine.client();
    let (layer, blob) = layer("etc/x", 5_000, gzip());
    let image = Image::new(oci_image::ImageConfig::new("linux", "amd64"))
        .with_layer(layer, History::default());
    let names = names(&["app"]);
    let load = Load {
        names: &names,
        known: &[LayerBlob {
            uncompressed_size: blob.uncompressed_size - 512,
            ..blob
        }],
        previous: &[],
    };
    daemon
        .load(&image, &load, &mut |_| {})
        .expect_err("a wrong note");
    assert!(daemon.inspect("app").expect("asked").is_none());
}
