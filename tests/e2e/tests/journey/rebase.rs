//! An app on a newer run image: the app's layers stay where they are, and nothing of them is read or sent.

use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::app::App;
use e2e::engine::Engine;
use e2e::image::Image;
use e2e::pack::Pack;
use e2e::program::Longshore;
use e2e::registry::{Kind, Registry};
use e2e::skip;
use e2e::stack;
use oci_image::layer::{Compression, LayerContents, write_layer};
use oci_image::{BlobSource, History, Layer, Owner, Platform, read_layout, write_layout};

const USAGE: i32 = 2;

/// The run image at `layout` with one more file, as a security fix would have it.
fn renew(layout: &Path, labels: &[(&str, &str)]) {
    let old = read_layout(layout, None, Platform::LINUX_AMD64).unwrap();
    let path = "/etc/renewed".parse().unwrap();
    let contents = LayerContents::new().file(&path, 0o644, Owner::ROOT, &b"renewed\n"[..]);
    let mut bytes = Vec::new();
    let blob = write_layer(&contents, &mut bytes, Compression::None).unwrap();
    let layer = Layer::new(blob, BlobSource::Bytes(bytes.into()));
    let renewed = old
        .with_layer(layer, History::default())
        .with_config(|config| {
            for (name, value) in labels {
                config.config.labels.insert((*name).into(), (*value).into());
            }
        });
    // The old one would stay beside it under its name.
    std::fs::remove_file(layout.join("index.json")).unwrap();
    write_layout(layout, &renewed, None).unwrap();
}

#[test]
fn rebase_in_a_registry() {
    let (Some(registry), Some(skopeo)) = (Registry::start(Kind::Open), skip::tool("skopeo")) else {
        return;
    };
    let longshore = Longshore::copied();
    let (_, run_image) = stack::publish(&longshore, &registry);
    let app = App::copy_of("flask-plain");
    let tag = format!("{}/team/app:v1", registry.host());
    let before = registry.folder().join("before");
    let layout = format!("oci:{}", before.display());
    let words = [
        "--publish",
        &tag,
        "--run-image",
        &run_image,
        "--output",
        &layout,
    ];
    let built = longshore.build(app.path(), &words).digest().to_owned();

    let copy = |from: &str, to: &str| {
        let copied = Command::new(&skopeo)
            .args([
                "copy",
                "--quiet",
                "--src-tls-verify=false",
                "--dest-tls-verify=false",
                from,
                to,
            ])
            .output()
            .unwrap();
        assert!(copied.status.success(), "{copied:?}");
    };
    let run = registry.folder().join("run");
    let run_layout = format!("oci:{}", run.display());
    copy(&format!("docker://{run_image}"), &run_layout);
    renew(&run, &[("io.buildpacks.base.renewed", "yes")]);
    copy(&run_layout, &format!("docker://{run_image}"));

    // The image remembers which run image it stands on. Of the app's layers nothing is sent.
    let sent = registry.requests();
    let said = longshore.run(&["rebase", &tag]);
    said.assert_code(0);
    let requests = registry.requests() - sent;
    assert!(requests <= 40, "{requests} requests");
    assert_ne!(said.digest(), built);

    let after = registry.folder().join("after");
    copy(
        &format!("docker://{tag}"),
        &format!("oci:{}", after.display()),
    );
    let (before, after) = (Image::open(&before), Image::open(&after));
    assert_eq!(after.digest, said.digest());
    let (old, new) = (before.diff_ids(), after.diff_ids());
    assert_eq!(new.len(), old.len() + 1);
    let base = new.len()
        - old
            .iter()
            .rev()
            .zip(new.iter().rev())
            .take_while(|(a, b)| a == b)
            .count();
    assert_eq!(old[base - 1..], new[base..], "the app's layers");
    assert_eq!(after.label("io.buildpacks.base.renewed"), Some("yes"));
    assert_eq!(
        before.config["config"]["Env"],
        after.config["config"]["Env"]
    );
    for engine in [Engine::podman(), Engine::docker()].into_iter().flatten() {
        engine.pull(&tag);
        let words = ["python", "-c", "print(open('/etc/renewed').read(), end='')"];
        assert_eq!(
            engine.run(&tag, "/cnb/lifecycle/launcher", &words),
            "renewed\n"
        );
    }

    // The build that follows reuses what is there.
    let said = longshore.build(app.path(), &words[..4]);
    said.assert_says(&["Reusing layer 'longshore/deps:environment'"]);

    // A run image of something else is refused, and the tag leads to what it led to.
    renew(&run, &[("io.buildpacks.base.distro.version", "99")]);
    let said = longshore.run(&["rebase", &tag, "--run-image", &run_layout]);
    said.assert_code(USAGE);
    said.assert_says(&[
        "The new run image does not suit the app",
        "\"version\":\"99\"",
    ]);
    assert_eq!(said.stdout, "");
}

/// An image and its run image that only a Docker daemon has. What `pack rebase` makes of the same image has the same layers.
#[test]
fn rebase_in_a_daemon() {
    let (Some(engine), Some(skopeo)) = (Engine::docker(), skip::tool("skopeo")) else {
        return;
    };
    let longshore = Longshore::copied().with("DOCKER_HOST", engine.host());
    let folder = tempfile::TempDir::new().unwrap();
    let run = stack_layout(&longshore, folder.path());
    let give_to_daemon = || {
        let archive = folder.path().join("run.tar");
        let from = format!("oci:{}", run.display());
        let to = format!("docker-archive:{}:e2e/run:1", archive.display());
        let mut copy = Command::new(&skopeo);
        let copied = copy.args(["copy", "--quiet", &from, &to]).output().unwrap();
        assert!(copied.status.success(), "{copied:?}");
        engine.load(&archive);
        std::fs::remove_file(archive).unwrap();
    };
    give_to_daemon();
    let app = App::copy_of("flask-plain");
    let words = ["--run-image", "docker-daemon:e2e/run:1"];
    for name in ["docker-daemon:e2e/app:1", "docker-daemon:e2e/app:2"] {
        longshore.build(app.path(), &[&words[..], &["--output", name]].concat());
    }
    let layers = |image: &str| engine.inspect(image, "{{join .RootFS.Layers \" \"}}");
    let before = layers("e2e/app:1");

    renew(&run, &[]);
    give_to_daemon();
    let said = longshore.run(&["rebase", "docker-daemon:e2e/app:1"]);
    said.assert_code(0);
    // A daemon keeps a layer with all that is below it: those of the app are others now.
    said.assert_says(&["The Docker daemon has e2e/app:1 ("]);
    let words = ["cat", "/etc/renewed"];
    let said = engine.run("e2e/app:1", "/cnb/lifecycle/launcher", &words);
    assert_eq!(said, "renewed\n");
    let after = layers("e2e/app:1");
    assert_eq!(after.split(' ').count(), before.split(' ').count() + 1);
    let said = longshore.run(&["rebase", "docker-daemon:e2e/app:1"]);
    said.assert_says(&["nothing changes"]);

    if let Some(pack) = Pack::new(&engine) {
        pack.run(&["rebase", "e2e/app:2", "--pull-policy", "never"]);
        assert_eq!(layers("e2e/app:2"), after);
    }
    let said = longshore.run(&["rebase", "docker-daemon:e2e/nobody:1"]);
    assert_ne!(said.code, 0);
    said.assert_says(&["no image e2e/nobody:1"]);
}

/// Our stack's run image as a layout.
fn stack_layout(longshore: &Longshore, folder: &Path) -> PathBuf {
    let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stacks/trixie");
    let words = ["stack", "create", stack.to_str().unwrap()];
    let output = ["--output", folder.to_str().unwrap()];
    longshore
        .run(&[&words[..], &output].concat())
        .assert_code(0);
    folder.join("run")
}

#[test]
fn rebase_here_and_what_is_no_app() {
    let longshore = Longshore::copied();
    let app = App::copy_of("flask-plain");
    longshore.build(app.path(), &["-t", "rebased"]);
    let folder = tempfile::TempDir::new().unwrap();
    let run = stack_layout(&longshore, folder.path());
    renew(&run, &[]);
    let run_layout = format!("oci:{}", run.display());
    let words = [
        "rebase",
        "rebased",
        "--run-image",
        &run_layout,
        "-t",
        "renewed",
    ];
    let said = longshore.run(&words);
    said.assert_code(USAGE);
    said.assert_says(&["not found in existing run image metadata", "--run-image"]);
    let said = longshore.run(&[&words[..], &["--force"]].concat());
    said.assert_code(0);
    let said = longshore.run(&["run", "renewed", "--", "cat", "/etc/renewed"]);
    assert_eq!(said.stdout, "renewed\n");

    let said = longshore.run(&["rebase", &run_layout]);
    said.assert_code(USAGE);
    said.assert_says(&["The image cannot be rebased", "--run-image"]);
}
