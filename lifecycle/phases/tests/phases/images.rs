//! Images for the tests: a run image, and what a finished image holds, written out.

use std::fs;
use std::path::Path;

use oci_image::archive::{Kind, ReadLimits, Reader};
use oci_image::layer::{Compression, LayerContents, write_layer};
use oci_image::{
    BlobSource, ExpansionLimits, History, Image, ImageConfig, Layer, LayerReader, Owner, Platform,
    read_layout, write_layout,
};

/// Writes the run image `<layout-dir>/index.docker.io/test/run/latest`.
pub(crate) fn write_run_image(layout_dir: &Path) {
    let mut config = ImageConfig::new("linux", "amd64");
    config.config.user = "1000:1000".into();
    config.config.env = vec!["PATH=/usr/bin:/bin".into(), "A=b=c".into()];
    config.config.cmd = vec!["bash".into()];
    for (name, value) in [
        ("io.buildpacks.base.distro.name", "debian"),
        ("io.buildpacks.base.distro.version", "13"),
        ("io.buildpacks.stack.id", "test.stack"),
    ] {
        config.config.labels.insert(name.into(), value.into());
    }
    let path = "/etc/os-release".parse().unwrap();
    let contents = LayerContents::new().file(&path, 0o644, Owner::ROOT, &b"ID=debian\n"[..]);
    let blob = layout_dir.join("run-layer");
    fs::create_dir_all(layout_dir).unwrap();
    let file = fs::File::create(&blob).unwrap();
    let layer = write_layer(&contents, file, Compression::None).unwrap();
    let history = History {
        created_by: Some("the run image".into()),
        ..History::default()
    };
    let layer = Layer::new(layer, BlobSource::File(blob));
    let image = Image::new(config).with_layer(layer, history);
    let name = "test/run".parse().unwrap();
    let folder = layout_dir.join("index.docker.io/test/run/latest");
    write_layout(&folder, &image, Some(&name)).unwrap();
}

/// The image at `<layout-dir>/index.docker.io/test/<name>/<tag>`.
pub(crate) fn read(layout_dir: &Path, name_and_tag: &str) -> Image {
    let folder = layout_dir.join("index.docker.io/test").join(name_and_tag);
    read_layout(&folder, None, Platform::LINUX_AMD64).unwrap()
}

/// What the history says about each layer.
pub(crate) fn history(image: &Image) -> Vec<String> {
    let entries = image.config().history.iter();
    entries
        .map(|entry| entry.created_by.clone().unwrap_or_default())
        .collect()
}

/// A line an entry of a layer: kind, mode, owner, path, target.
pub(crate) fn entries(layer: &Layer) -> Vec<String> {
    let tar = LayerReader::new(layer.open().unwrap(), ExpansionLimits::default()).unwrap();
    let mut reader = Reader::new(tar, ReadLimits::default());
    let mut lines = Vec::new();
    while let Some(entry) = reader.next_entry().unwrap() {
        assert_eq!(entry.mtime.seconds, 315_532_801, "{}", entry.path);
        let (kind, rest) = match &entry.kind {
            Kind::File { size } => ('f', format!(" {size}")),
            Kind::Directory => ('d', String::new()),
            Kind::Symlink { target } => ('l', format!(" -> {}", String::from_utf8_lossy(target))),
            other => panic!("unexpected {other:?}"),
        };
        let Owner { uid, gid } = entry.owner;
        let mode = entry.mode;
        lines.push(format!("{kind} {mode:o} {uid}:{gid} {}{rest}", entry.path));
    }
    lines
}
