//! Images written and read back, in every form, and what other programs say of them.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use oci_image::layer::{Compression, LayerContents, write_layer};
use oci_image::{
    ArchiveKind, BlobSource, History, Image, ImageConfig, ImageName, Layer, Owner, Platform,
    ReadImageError, VerifyingReader, read_archive, read_layout, write_archive, write_archive_file,
    write_docker_archive, write_layout,
};
use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

fn name(text: &str) -> ImageName {
    text.parse().unwrap()
}

/// An image of two layers: a plain one and a compressed one.
fn image(content: &str) -> Image {
    let mut image = Image::new(ImageConfig::new("linux", "amd64"));
    for (file, compression) in [
        ("etc/first", Compression::None),
        (
            "etc/second",
            Compression::Gzip {
                threads: NonZeroUsize::MIN,
            },
        ),
    ] {
        let path = file.parse().unwrap();
        let contents = LayerContents::new().parents_of(&path, Owner::ROOT).file(
            &path,
            0o644,
            Owner::ROOT,
            content.as_bytes().to_vec(),
        );
        let mut blob = Vec::new();
        let layer = write_layer(&contents, &mut blob, compression).unwrap();
        let history = History {
            created_by: Some(format!("Layer: '{file}'")),
            ..History::default()
        };
        image = image.with_layer(
            Layer::new(layer, BlobSource::Bytes(Arc::from(blob))),
            history,
        );
    }
    image.with_config(|config| {
        config.created = Some("1980-01-01T00:00:01Z".into());
        config.config.entrypoint = vec!["/cnb/process/web".into()];
        config
            .config
            .labels
            .insert("io.buildpacks.base.id".into(), "x".into());
    })
}

/// What matters of an image, its bytes included, wherever they are.
fn contents(image: &Image) -> (ImageConfig, Vec<Vec<u8>>) {
    let bytes = image.layers().iter().map(|layer| {
        let mut bytes = Vec::new();
        layer.open().unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    });
    (image.config().clone(), bytes.collect())
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let Ok(output) = Command::new(program).args(arguments).output() else {
        test_skip::because(&format!(
            "{program} {arguments:?}: {program} is not installed"
        ));
        return None;
    };
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn layout_keeps_other_images() {
    let folder = TempDir::new().unwrap();
    let layout = folder.path().join("layout");
    write_layout(&layout, &image("one"), Some(&name("app:1"))).unwrap();
    write_layout(&layout, &image("two"), Some(&name("app:2"))).unwrap();
    write_layout(&layout, &image("three"), Some(&name("app:1"))).unwrap();
    let read = |name: &str| read_layout(&layout, Some(name), Platform::LINUX_AMD64);
    assert_eq!(contents(&read("1").unwrap()), contents(&image("three")));
    assert_eq!(
        contents(&read("docker.io/library/app:2").unwrap()),
        contents(&image("two"))
    );
    assert_eq!(
        read("3").unwrap_err().to_string(),
        format!("{} has no image `3`; it has 2, 1", layout.display())
    );
    let only = read_layout(&layout, None, Platform::LINUX_AMD64).unwrap_err();
    assert_eq!(
        only.to_string(),
        format!(
            "{} has no image that is the only one; it has 2, 1",
            layout.display()
        )
    );
    let names: Vec<_> = fs::read_dir(&layout)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 3, "nothing unfinished is left: {names:?}");
    assert_eq!(
        fs::metadata(layout.join("index.json")).unwrap().mode() & 0o777,
        0o644
    );
}

#[test]
fn layout_index_of_others_is_kept_as_it_is() {
    let folder = TempDir::new().unwrap();
    fs::write(
        folder.path().join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    let theirs = r#"{"digest":"sha256:00","new-key":[1],"size":1}"#;
    fs::write(
        folder.path().join("index.json"),
        format!(r#"{{"schemaVersion":2,"manifests":[{theirs}],"annotations":{{"a":"b"}}}}"#),
    )
    .unwrap();
    fs::write(
        folder.path().join(".longshore-abc"),
        "left by a program that was killed",
    )
    .unwrap();
    let digest = write_layout(folder.path(), &image("one"), Some(&name("app"))).unwrap();
    let size = image("one").documents().manifest.bytes.len();
    assert_eq!(
        fs::read_to_string(folder.path().join("index.json")).unwrap(),
        format!(
            concat!(
                r#"{{"annotations":{{"a":"b"}},"manifests":[{},{{"annotations":{{"io.containerd.image.name":"docker.io/library/app:latest","#,
                r#""org.opencontainers.image.ref.name":"latest"}},"digest":"{}","mediaType":"application/vnd.oci.image.manifest.v1+json","size":{}}}],"schemaVersion":2}}"#
            ),
            theirs, digest, size
        )
    );
    assert!(!folder.path().join(".longshore-abc").try_exists().unwrap());
}

#[test]
fn layout_refuses_another_index() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("index.json"), "[]").unwrap();
    let error = write_layout(folder.path(), &image("one"), None).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{}/index.json is not the index of an OCI layout; give another folder, or remove it",
            folder.path().display()
        )
    );
    let error = read_layout(folder.path(), None, Platform::LINUX_AMD64).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{} is not an image: it has no file `oci-layout`",
            folder.path().display()
        )
    );
}

#[test]
fn layout_damaged_blobs_are_noticed() {
    let folder = TempDir::new().unwrap();
    let image = image("one");
    write_layout(folder.path(), &image, None).unwrap();
    let read = || read_layout(folder.path(), None, Platform::LINUX_AMD64);
    let blob =
        |digest: &oci_image::BlobDigest| folder.path().join("blobs/sha256").join(digest.hex());

    let layer = blob(&image.layers()[0].digest);
    let mut bytes = fs::read(&layer).unwrap();
    bytes[0] ^= 1;
    fs::write(&layer, &bytes).unwrap();
    assert!(
        read().unwrap().layers()[0]
            .open()
            .unwrap()
            .read_to_end(&mut Vec::new())
            .is_err()
    );
    bytes.pop();
    fs::write(&layer, &bytes).unwrap();
    assert!(matches!(read().unwrap_err(), ReadImageError::Size { .. }));
    // Writing again mends it: the size tells.
    write_layout(folder.path(), &image, None).unwrap();
    assert_eq!(contents(&read().unwrap()), contents(&image));

    let config = blob(&image.documents().config.digest);
    fs::write(
        &config,
        fs::read_to_string(&config)
            .unwrap()
            .replace("linux", "lunix"),
    )
    .unwrap();
    assert!(matches!(read().unwrap_err(), ReadImageError::Blob { .. }));
    fs::remove_file(&config).unwrap();
    assert!(matches!(
        read().unwrap_err(),
        ReadImageError::Missing { .. }
    ));
}

#[test]
fn layout_ambiguous_and_foreign_documents() {
    let folder = TempDir::new().unwrap();
    let blobs = folder.path().join("blobs/sha256");
    fs::create_dir_all(&blobs).unwrap();
    let error = |document: &str| {
        let digest = oci_image::BlobDigest::new(oci_image::Digest::of(document.as_bytes()));
        fs::write(blobs.join(digest.hex()), document).unwrap();
        oci_image::read_image(&blobs, &digest).unwrap_err()
    };
    let both = r#"{"schemaVersion":2,"manifests":[],"layers":[]}"#;
    assert!(matches!(error(both), ReadImageError::Ambiguous { .. }));
    assert!(matches!(
        error(r#"{"schemaVersion":2,"manifests":[]}"#),
        ReadImageError::Platform { .. }
    ));
    assert!(matches!(error("no JSON"), ReadImageError::Document { .. }));
    let path = r#"{"schemaVersion":2,"layers":[],"config":{"mediaType":"x","size":1,"digest":"sha256:../../../etc/passwd"}}"#;
    assert!(matches!(error(path), ReadImageError::Document { .. }));
}

#[test]
fn archives_are_reproducible_and_read_back() {
    let folder = TempDir::new().unwrap();
    for kind in [ArchiveKind::Oci, ArchiveKind::Docker] {
        let file = folder.path().join("image.tar");
        let digest =
            write_archive_file(&file, kind, &image("one"), Some(&name("team/app:1"))).unwrap();
        assert_eq!(digest, image("one").documents().manifest.digest);
        let read = read_archive(&file, Some("1"), Platform::LINUX_AMD64).unwrap();
        assert_eq!(contents(&read), contents(&image("one")));
        assert_eq!(read.documents(), image("one").documents());
        // From the archive into an archive: the same bytes.
        let mut again = Vec::new();
        write_archive(&mut again, kind, &read, Some(&name("team/app:1"))).unwrap();
        assert_eq!(fs::read(&file).unwrap(), again, "{kind:?}");
    }
}

/// What a daemon is sent that has the lower layer.
#[test]
fn docker_archive_without_layers_that_are_there() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("image.tar");
    let image = image("one");
    let [lower, upper] = [0, 1].map(|place: usize| image.layers()[place].clone());
    for left_out in [BTreeSet::new(), BTreeSet::from([lower.digest])] {
        let mut archive = Vec::new();
        write_docker_archive(&mut archive, &image, &left_out).unwrap();
        fs::write(&file, &archive).unwrap();
        let read = read_archive(&file, None, Platform::LINUX_AMD64);
        if left_out.is_empty() {
            assert_eq!(contents(&read.unwrap()), contents(&image));
            continue;
        }
        let missing = format!("its layer `blobs/sha256/{}` is missing", lower.digest.hex());
        assert!(read.unwrap_err().to_string().ends_with(&missing));
        // What is there is at its place, with the configuration as it is.
        let has = |bytes: &[u8]| archive.windows(bytes.len()).any(|part| part == bytes);
        assert!(has(&image.documents().config.bytes));
        let BlobSource::Bytes(upper) = upper.source.clone() else {
            panic!("it was made in memory");
        };
        assert!(has(&upper));
    }
}

/// The form that Docker wrote before 25: a folder a layer, plain tars, symlinks for a layer that is there more than once.
#[test]
fn docker_archive_of_old_docker() {
    const SCRIPT: &str = "import hashlib, io, json, sys, tarfile\n\
        layer = open(sys.argv[1], 'rb').read()\n\
        diff = 'sha256:' + hashlib.sha256(layer).hexdigest()\n\
        config = json.dumps({'os': 'linux', 'architecture': 'amd64', 'rootfs': {'type': 'layers', 'diff_ids': [diff, diff, diff]}}).encode()\n\
        manifest = json.dumps([{'Config': 'c.json', 'RepoTags': ['app:1'], 'Layers': ['a/layer.tar', 'b/layer.tar', '0/layer.tar']}]).encode()\n\
        def link(t, n):\n\
        \ti = tarfile.TarInfo(n); i.type = tarfile.SYMTYPE; i.linkname = '../a/layer.tar'; t.addfile(i)\n\
        with tarfile.open(sys.argv[2], 'w', format=tarfile.GNU_FORMAT) as t:\n\
        \tlink(t, '0/layer.tar')\n\
        \tfor n, b in [('a/layer.tar', layer), ('c.json', config), ('manifest.json', manifest)]:\n\
        \t\ti = tarfile.TarInfo(n); i.size = len(b); t.addfile(i, io.BytesIO(b))\n\
        \tlink(t, 'b/layer.tar')\n";
    let folder = TempDir::new().unwrap();
    let layer = folder.path().join("layer.tar");
    let mut bytes = Vec::new();
    image("one").layers()[0]
        .open()
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    fs::write(&layer, &bytes).unwrap();
    let archive = folder.path().join("old.tar");
    if run(
        "python3",
        &[
            "-c",
            SCRIPT,
            layer.to_str().unwrap(),
            archive.to_str().unwrap(),
        ],
    )
    .is_none()
    {
        return;
    }
    let read = read_archive(&archive, Some("app:1"), Platform::LINUX_AMD64).unwrap();
    assert_eq!(contents(&read).1, [bytes.clone(), bytes.clone(), bytes]);
    let error = read_archive(&archive, Some("app:2"), Platform::LINUX_AMD64).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{} has no image `app:2`; it has app:1", archive.display())
    );
}

#[test]
fn skopeo_reads_every_form_and_we_read_what_it_writes() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let digest = write_layout(
        Path::new(&at("layout")),
        &image("one"),
        Some(&name("app:1")),
    )
    .unwrap();
    write_archive_file(
        Path::new(&at("oci.tar")),
        ArchiveKind::Oci,
        &image("one"),
        Some(&name("app:1")),
    )
    .unwrap();
    write_archive_file(
        Path::new(&at("docker.tar")),
        ArchiveKind::Docker,
        &image("one"),
        Some(&name("app:1")),
    )
    .unwrap();
    let config = image("one").documents().config.bytes;
    for (source, has_our_digest) in [
        (format!("oci:{}", at("layout")), true),
        (format!("oci:{}:1", at("layout")), true),
        (format!("oci-archive:{}", at("oci.tar")), true),
        (format!("docker-archive:{}:app:1", at("docker.tar")), false),
    ] {
        let Some(shown) = run("skopeo", &["inspect", &source]) else {
            return;
        };
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["Architecture"], "amd64", "{source}");
        if has_our_digest {
            assert_eq!(shown["Digest"], digest.to_string(), "{source}");
        }
        let shown = run("skopeo", &["inspect", "--config", "--raw", &source]).unwrap();
        assert_eq!(shown.as_bytes(), config, "{source}");
    }
    for target in [
        "oci-archive:their-oci.tar:1",
        "docker-archive:their-docker.tar:app:1",
        "oci:their-layout:1",
    ] {
        let (kind, rest) = target.split_once(':').unwrap();
        let target = format!("{kind}:{}", at(rest));
        run(
            "skopeo",
            &[
                "--insecure-policy",
                "copy",
                &format!("oci:{}", at("layout")),
                &target,
            ],
        )
        .unwrap();
        let path = at(rest.split(':').next().unwrap());
        let read = match kind {
            "oci" => read_layout(Path::new(&path), None, Platform::LINUX_AMD64),
            _ => read_archive(Path::new(&path), None, Platform::LINUX_AMD64),
        };
        let read = read.unwrap();
        assert_eq!(
            read.config().rootfs,
            image("one").config().rootfs,
            "{target}"
        );
        contents(&read);
    }
}

#[test]
fn umoci_unpacks_the_layout() {
    let folder = TempDir::new().unwrap();
    let layout = folder.path().join("layout");
    write_layout(&layout, &image("one"), Some(&name("app:1"))).unwrap();
    let bundle = folder.path().join("bundle");
    let source = format!("{}:1", layout.display());
    if run(
        "umoci",
        &[
            "unpack",
            "--rootless",
            "--image",
            &source,
            bundle.to_str().unwrap(),
        ],
    )
    .is_some()
    {
        assert_eq!(
            fs::read_to_string(bundle.join("rootfs/etc/second")).unwrap(),
            "one"
        );
    }
}

/// In a storage of its own, so that nothing of the machine's images is touched.
#[test]
fn podman_loads_both_archives() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for kind in [ArchiveKind::Oci, ArchiveKind::Docker] {
        let file = at("image.tar");
        write_archive_file(
            Path::new(&file),
            kind,
            &image("one"),
            Some(&name("team/app:1")),
        )
        .unwrap();
        let (root, runroot) = (at("storage"), at("run"));
        let storage = [
            "--root",
            &root,
            "--runroot",
            &runroot,
            "--storage-driver",
            "vfs",
        ];
        let Some(loaded) = run(
            "podman",
            &[&storage[..], &["load", "--input", &file]].concat(),
        ) else {
            return;
        };
        let loaded = loaded.trim().rsplit(' ').next().unwrap().to_owned();
        let shown = run(
            "podman",
            &[
                &storage[..],
                &["image", "inspect", &loaded, "--format", "{{.Id}}"],
            ]
            .concat(),
        )
        .unwrap();
        assert_eq!(
            shown.trim(),
            image("one").documents().config.digest.hex(),
            "{kind:?}: Docker's image id is the configuration's digest"
        );
        if kind == ArchiveKind::Docker {
            assert_eq!(loaded, "docker.io/team/app:1");
        }
    }
}

#[test]
fn source_that_is_too_short_or_too_long() {
    let mut layer = image("one").layers()[0].clone();
    for bytes in [&b"short"[..], &[0; 10_000][..]] {
        layer.source = BlobSource::Bytes(Arc::from(bytes));
        let mut reader: VerifyingReader<_> = layer.open().unwrap();
        assert!(reader.read_to_end(&mut Vec::new()).is_err());
    }
}
