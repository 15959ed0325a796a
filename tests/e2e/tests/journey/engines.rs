//! Other people's tools accept what we write: skopeo, umoci, Podman and Docker.

use std::path::Path;
use std::process::Command;

use e2e::app::example;
use e2e::engine::Engine;
use e2e::image::Image;
use e2e::page;
use e2e::program::Longshore;
use e2e::redis::{Redis, free_port};
use e2e::skip;
use serde_json::Value;
use tempfile::TempDir;
use test_servers::certificate::Certificate;
use test_servers::daemon::Daemon;

/// The web page of dash-celery needs no Redis to be served; its worker does.
const EXAMPLE: &str = "dash-celery";

#[test]
fn skopeo_and_umoci() {
    let folder = TempDir::new().unwrap();
    let longshore = Longshore::shared();
    let layout = folder.path().join("layout");
    let archive = folder.path().join("image.tar");
    let app = example(EXAMPLE);
    let built = longshore.build(
        &app,
        &[
            "-t",
            "e2e-tools",
            "--output",
            &format!("oci:{}", layout.display()),
        ],
    );
    let again = longshore.build(
        &app,
        &[
            "-t",
            "e2e-tools",
            "--output",
            &format!("oci-archive:{}", archive.display()),
        ],
    );
    assert_eq!(built.digest(), again.digest());

    let image = Image::open(&layout);
    image.check_blobs();
    assert_eq!(
        image.digest,
        built.digest(),
        "stdout and the layout disagree"
    );

    if let Some(skopeo) = skip::tool("skopeo") {
        for source in [
            format!("oci:{}", layout.display()),
            format!("oci-archive:{}", archive.display()),
        ] {
            let said = Command::new(&skopeo)
                .args(["inspect", &source])
                .output()
                .unwrap();
            assert!(said.status.success(), "{said:?}");
            let inspected: Value = serde_json::from_slice(&said.stdout).unwrap();
            assert_eq!(inspected["Digest"], built.digest());
            assert!(
                inspected["Labels"]["io.buildpacks.stack.id"]
                    .as_str()
                    .is_some()
            );
            assert_eq!(inspected["Os"], "linux");
        }
        // Copying reads and checks every layer.
        let copy = format!("dir:{}", folder.path().join("copy").display());
        let said = Command::new(&skopeo)
            .args([
                "copy",
                "--quiet",
                &format!("oci:{}", layout.display()),
                &copy,
            ])
            .output();
        let said = said.unwrap();
        assert!(said.status.success(), "{said:?}");
    }
    if let Some(umoci) = skip::tool("umoci") {
        let bundle = folder.path().join("bundle");
        let tag = tag(&layout);
        let mut unpack = Command::new(umoci);
        unpack.args(["unpack", "--image", &format!("{}:{tag}", layout.display())]);
        if !skip::is_root() {
            unpack.arg("--rootless");
        }
        let said = unpack.arg(&bundle).output().unwrap();
        assert!(said.status.success(), "{said:?}");
        let root = bundle.join("rootfs");
        assert!(root.join("workspace/app.py").is_file());
        assert!(root.join("cnb/lifecycle/launcher").is_file());
        // Relative, so that it leads to the same place in an unpacked tree.
        assert_eq!(
            std::fs::read_link(root.join("app")).unwrap(),
            Path::new("workspace")
        );
        assert_eq!(
            std::fs::read_link(root.join("cnb/process/worker")).unwrap(),
            Path::new("/cnb/lifecycle/launcher")
        );
    }
}

#[test]
fn podman() {
    if let Some(engine) = Engine::podman() {
        let folder = TempDir::new().unwrap();
        for kind in ["oci-archive", "docker-archive"] {
            let archive = folder.path().join(kind);
            let image = load(&engine, kind, &archive);
            serve(&engine, &image);
        }
    }
}

#[test]
fn docker() {
    let Some(engine) = Engine::docker() else {
        return;
    };
    let Some(redis) = Redis::start() else { return };
    let folder = TempDir::new().unwrap();
    let image = load(&engine, "docker-archive", &folder.path().join("image.tar"));
    serve(&engine, &image);

    // A process type is an entrypoint, by its name on the PATH and by its path.
    let setting = format!("REDIS_URL={}", redis.url());
    for entrypoint in ["worker", "/cnb/process/worker"] {
        let mut worker = engine.start(
            &["--env", &setting, "--entrypoint", entrypoint],
            &image,
            &[],
        );
        worker.wait_until_it_says("ready.");
        worker.stop();
    }
    // Any command, in the app's environment.
    let said = engine.start(
        &["--entrypoint", "launcher"],
        &image,
        &[
            "python",
            "-c",
            "import dash; print('dash', dash.__version__)",
        ],
    );
    let said = said.end();
    said.assert_code(0);
    said.assert_says(&["dash 4."]);
}

/// Builds the example into an archive and loads it.
fn load(engine: &Engine, kind: &str, archive: &Path) -> String {
    let longshore = Longshore::shared();
    longshore.build(
        &example(EXAMPLE),
        &[
            "-t",
            "e2e-engines",
            "--output",
            &format!("{kind}:{}", archive.display()),
        ],
    );
    engine.load(archive)
}

/// The default process serves the page on `PORT`.
fn serve(engine: &Engine, image: &str) {
    let port = free_port();
    let _web = engine.start(&["--env", &format!("PORT={port}")], image, &[]);
    let address = format!("http://127.0.0.1:{port}");
    assert!(page::get(&address).contains("<title>Night shift</title>"));
    assert_eq!(
        page::dash_layout(&address)["props"]["children"][1]["props"]["id"],
        "start"
    );
}

/// umoci wants the name that a layout gives its image.
fn tag(layout: &Path) -> String {
    let index: Value =
        serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    let name = &index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"];
    name.as_str()
        .expect("the image in a layout has a name")
        .to_owned()
}

/// Straight into the daemon: no archive, and the second time only what it lacks.
#[test]
fn docker_daemon() {
    let Some(engine) = Engine::docker() else {
        return;
    };
    let longshore = Longshore::copied().with("DOCKER_HOST", engine.host());
    let app = e2e::app::App::copy_of("flask-plain");
    let words = ["--output", "docker-daemon:straight:1"];
    longshore.build(app.path(), &words);
    let said = engine.run(
        "straight:1",
        "/cnb/lifecycle/launcher",
        &["python", "-c", "import flask; print('whole')"],
    );
    assert_eq!(said, "whole\n");
    app.append("app.py", "\n# A remark.\n");
    let again = longshore.build(app.path(), &words);
    let line = again
        .stderr
        .lines()
        .find(|line| line.contains("layers sent"))
        .unwrap();
    let sent = line.split(" (").nth(1).unwrap();
    assert!(!sent.starts_with("0 "), "{line}");
    // The base image's, Python's and the packages' layers are there.
    assert!(line.contains(" kB)"), "{line}");
    let inspected = longshore.run(&["inspect", "docker-daemon:straight:1"]);
    inspected.assert_code(0);
    assert!(
        inspected.stdout.contains("gunicorn app:app"),
        "{}",
        inspected.stdout
    );
    let missing = longshore.run(&["inspect", "docker-daemon:nobody"]);
    assert_ne!(missing.code, 0);
    missing.assert_says(&["no image nobody"]);

    let nowhere = Longshore::shared().with("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let said = nowhere.run(&[
        "build",
        app.path().to_str().unwrap(),
        "-t",
        "e2e-nowhere",
        "--output",
        "docker-daemon:x",
    ]);
    said.assert_code(63);
    said.assert_says(&["/nowhere/docker.sock"]);

    let folder = TempDir::new().unwrap();
    let config = folder.path().join("config.json");
    std::fs::write(&config, r#"{"currentContext": "elsewhere"}"#).unwrap();
    let in_context = Longshore::shared().with("DOCKER_CONFIG", folder.path().to_str().unwrap());
    let said = in_context.run(&["inspect", "docker-daemon:x"]);
    said.assert_code(63);
    said.assert_says(&[
        "[Error: The settings for the Docker daemon cannot be used]",
        "there is no Docker context `elsewhere`, which currentContext in",
        "`docker context ls` shows those that are",
    ]);
}

/// As GitLab's docker:dind has it.
#[test]
fn docker_daemon_with_tls() {
    let made = Certificate::new();
    let Some((engine, host)) = Daemon::docker_with_tls(&made) else {
        return;
    };
    let folder = engine.folder().join("client");
    std::fs::create_dir(&folder).unwrap();
    for (name, text) in [
        ("ca.pem", made.authority),
        ("cert.pem", made.client_certificate),
        ("key.pem", made.client_key),
    ] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let longshore = Longshore::shared()
        .with("DOCKER_HOST", &host)
        .with("DOCKER_TLS_VERIFY", "1")
        .with("DOCKER_CERT_PATH", folder.to_str().unwrap());
    let app = example("flask-plain");
    longshore.build(&app, &["--output", "docker-daemon:with-tls:1"]);
    let inspected = longshore.run(&["inspect", "docker-daemon:with-tls:1"]);
    inspected.assert_code(0);
}
