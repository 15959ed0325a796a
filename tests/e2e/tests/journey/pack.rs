//! `pack build` with our builder, our lifecycle and our buildpacks is an ordinary `pack build`: to a daemon and to a registry, with the creator and with
//! the phases one by one.

use std::fs;
use std::path::Path;

use e2e::app::{App, example};
use e2e::engine::Engine;
use e2e::pack::Pack;
use e2e::program::Longshore;
use e2e::registry::{Kind, Registry};
use e2e::{machine, page, stack};
use nix::sys::signal::Signal;
use tempfile::TempDir;
use test_servers::free_port;

const BUILDER: &str = "e2e/longshore:1";
const LIFECYCLE: &str = "e2e/lifecycle:1";

/// A daemon and a registry that have our builder, its lifecycle and its run image.
struct Scene {
    engine: Engine,
    registry: Registry,
    pack: Pack,
    longshore: Longshore,
    run_image: String,
    folder: TempDir,
}

impl Scene {
    fn new() -> Option<Self> {
        let engine = Engine::docker()?;
        let registry = Registry::start(Kind::Open)?;
        let pack = Pack::new(&engine)?;
        let longshore = Longshore::copied().with("DOCKER_HOST", engine.host());
        let (_, run_image) = stack::publish(&longshore, &registry);
        let output = format!("docker-daemon:{BUILDER}");
        stack::create_builder(&longshore, &run_image, ["--output", &output]);
        let output = format!("docker-daemon:{LIFECYCLE}");
        longshore
            .run(&["lifecycle", "package", "--output", &output])
            .assert_code(0);
        engine.pull(&run_image);
        Some(Self {
            engine,
            registry,
            pack,
            longshore,
            run_image,
            folder: TempDir::with_prefix("longshore-pack-").unwrap(),
        })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// What every build here needs: no bridge, nothing pulled from elsewhere, this machine's certificates and mirrors.
    fn words(image: &str, app: &Path, more: &[&str]) -> Vec<String> {
        Self::words_with(BUILDER, image, app, more)
    }

    fn words_with(builder: &str, image: &str, app: &Path, more: &[&str]) -> Vec<String> {
        let app = app.to_str().unwrap();
        let words = [
            "build",
            image,
            "--path",
            app,
            "--builder",
            builder,
            "--network",
            "host",
            "--pull-policy",
            "never",
            "--docker-host",
            "inherit",
        ];
        let mut words: Vec<String> = words
            .iter()
            .chain(more)
            .map(|word| (*word).to_owned())
            .collect();
        for (path, target) in machine::mounts() {
            words.extend([
                "--volume".to_owned(),
                format!("{}:{target}", path.display()),
            ]);
        }
        for (name, value) in machine::settings() {
            words.extend(["--env".to_owned(), format!("{name}={value}")]);
        }
        words
    }

    fn build(&self, image: &str, app: &Path, more: &[&str]) -> String {
        let words = Self::words(image, app, more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        self.pack.run(&words)
    }

    /// What the web process of an image answers.
    fn page(&self, image: &str) -> String {
        let port = free_port().to_string();
        let setting = format!("PORT={port}");
        let web = self.engine.start(&["--env", &setting], image, &[]);
        let page = page::get(&format!("http://127.0.0.1:{port}"));
        web.stop();
        page
    }
}

/// The creator, into a daemon: a tag more, a named cache, SBOM files, the time; then nothing changed, and one file changed.
#[test]
fn trusted_builder_into_a_daemon() {
    let Some(scene) = Scene::new() else { return };
    let app = App::copy_of("dash-minimal");
    let sbom = scene.path("sbom");
    let options = [
        "--trust-builder",
        "--tag",
        "e2e/minimal:second",
        "--cache",
        "type=build;format=volume;name=e2e-minimal",
        "--sbom-output-dir",
        &sbom,
        "--creation-time",
        "1767225600",
    ];
    let said = scene.build("e2e/minimal:1", app.path(), &options);
    for expected in [
        "===> EXPORTING",
        "Adding layer 'longshore/deps:environment'",
        "Successfully built image",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(
        scene
            .page("e2e/minimal:second")
            .contains("<title>Harbour traffic</title>")
    );
    assert!(
        fs::read_dir(&sbom).unwrap().count() > 0,
        "no SBOM in {sbom}"
    );
    let shown = scene.pack.run(&["inspect", "e2e/minimal:1"]);
    for expected in ["longshore/python", &scene.run_image, "gunicorn app:server"] {
        assert!(shown.contains(expected), "{expected} is not in {shown}");
    }
    let downloaded = scene.path("downloaded");
    scene.pack.run(&[
        "sbom",
        "download",
        "e2e/minimal:1",
        "--output-dir",
        &downloaded,
    ]);
    // The launcher is a part of the app, too.
    let launcher = "layers/sbom/launch/buildpacksio_lifecycle/launcher/sbom.cdx.json";
    let launcher = fs::read_to_string(Path::new(&downloaded).join(launcher)).unwrap();
    assert!(launcher.contains("pkg:cargo/launcher@"), "{launcher}");
    assert!(!said.contains("Did not find SBOM"), "{said}");
    let id = |image: &str| scene.engine.inspect(image, "{{.Id}} {{.Created}}");
    let first = id("e2e/minimal:1");
    assert!(first.ends_with("2026-01-01T00:00:00Z"), "{first}");

    let said = scene.build("e2e/minimal:1", app.path(), &options);
    for expected in [
        "Leaving data for \"longshore/deps:environment\" in the cache",
        "Reusing layer 'longshore/deps:environment'",
        "Reusing cache layer 'longshore/deps:environment'",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(id("e2e/minimal:1"), first);
    app.append("app.py", "\n# A remark.\n");
    scene.build("e2e/minimal:1", app.path(), &options);
    assert_ne!(id("e2e/minimal:1"), first);

    // Forgotten, everything is made anew, and is the same.
    app.replace("app.py", "\n# A remark.\n", "");
    let said = scene.build(
        "e2e/minimal:1",
        app.path(),
        &[&options[..], &["--clear-cache"]].concat(),
    );
    assert!(said.contains("Environment: made anew"), "{said}");
    assert_eq!(id("e2e/minimal:1"), first);

    let said = scene
        .pack
        .run(&["rebase", "e2e/minimal:1", "--pull-policy", "never"]);
    assert!(said.contains("Successfully rebased image"), "{said}");
    interrupted(&scene, app.path(), &options);
}

/// Ctrl-C ends the build; the next one finds the cache whole.
fn interrupted(scene: &Scene, app: &Path, options: &[&str]) {
    let words = Scene::words("e2e/minimal:1", app, options);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut running = scene.pack.start(&words);
    running.wait_until_it_says("RESTORING");
    running.signal(Signal::SIGINT);
    assert_ne!(running.end().code, 0);
    let said = scene.build("e2e/minimal:1", app, options);
    assert!(
        said.contains("Reusing layer 'longshore/deps:environment'"),
        "{said}"
    );
}

/// The phases in containers of their own, into a registry: a cache image, a variable, another group, a run image by name.
#[test]
fn untrusted_builder_into_a_registry() {
    let Some(scene) = Scene::new() else { return };
    let app = App::copy_of("flask-plain");
    let (image, cache) = (
        format!("{}/team/flask:1", scene.registry.host()),
        format!("{}/team/flask:cache", scene.registry.host()),
    );
    let cache = format!("type=build;format=image;name={cache}");
    let options = [
        "--publish",
        "--trust-builder=false",
        "--lifecycle-image",
        LIFECYCLE,
        "--cache",
        &cache,
        "--run-image",
        &scene.run_image,
        "--env",
        "GREETING=hello",
        "--gid",
        "1000",
    ];
    let said = scene.build(&image, app.path(), &options);
    for expected in [
        "===> ANALYZING",
        "Adding cache layer 'longshore/deps:environment'",
    ] {
        assert!(said.contains(expected), "{said}");
    }
    scene.engine.pull(&image);
    assert!(!scene.page(&image).is_empty());
    let before = scene.longshore.run(&["inspect", "--json", &image]).stdout;
    let said = scene.build(&image, app.path(), &options);
    assert!(
        said.contains("Reusing layer 'longshore/deps:environment'"),
        "{said}"
    );
    assert_eq!(
        scene.longshore.run(&["inspect", "--json", &image]).stdout,
        before
    );
    let said = scene.pack.run(&["rebase", &image, "--publish"]);
    assert!(said.contains("Successfully rebased image"), "{said}");
}

/// An app with OS packages and a predeploy hook, and one more buildpack of somebody's folder; a descriptor beside the app.
#[test]
fn every_other_example() {
    let Some(scene) = Scene::new() else { return };
    let extra = scene.folder.path().join("extra/bin");
    fs::create_dir_all(&extra).unwrap();
    for (name, text) in [
        (
            "../buildpack.toml",
            "api = \"0.10\"\n[buildpack]\nid = \"e2e/extra\"\nversion = \"1\"\n[[targets]]\nos = \"linux\"\n",
        ),
        ("detect", "#!/bin/sh\n"),
        ("build", "#!/bin/sh\necho \"extra: $WORD\"\n"),
    ] {
        let path = extra.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    let descriptor = scene.path("descriptor.toml");
    fs::write(
        &descriptor,
        "[_]\nschema-version = \"0.2\"\n[[io.buildpacks.build.env]]\nname = \"WORD\"\nvalue = \"of the descriptor\"\n",
    )
    .unwrap();
    let extra = scene.path("extra");
    let words = [
        "--trust-builder",
        "--trust-extra-buildpacks",
        "--buildpack",
        "from=builder",
        "--buildpack",
        &extra,
        "--descriptor",
        &descriptor,
    ];
    let said = scene.build("e2e/legacy:1", &example("dash-legacy"), &words);
    assert!(said.contains("extra: of the descriptor"), "{said}");
    assert!(!scene.page("e2e/legacy:1").is_empty());

    let words = ["--trust-builder=false", "--lifecycle-image", LIFECYCLE];
    scene.build("e2e/celery:1", &example("dash-celery"), &words);
    assert!(!scene.page("e2e/celery:1").is_empty());
    let worker = ["python", "-c", "import celery; print('whole')"];
    assert_eq!(
        scene.engine.run("e2e/celery:1", "launcher", &worker),
        "whole\n"
    );
}

/// The same buildpacks in a builder with the reference lifecycle: they are ordinary ones.
#[test]
fn our_buildpacks_under_the_reference_lifecycle() {
    let Some(scene) = Scene::new() else { return };
    let (archive, reference) = (scene.path("ours.tgz"), scene.path("reference.tgz"));
    let words = ["lifecycle", "package", "--archive", &archive];
    scene.longshore.run(&words).assert_code(0);
    scene
        .pack
        .reference_lifecycle(Path::new(&archive), Path::new(&reference));
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../builder/builder.toml");
    let ours = fs::read_to_string(ours).unwrap();
    let definition = scene.path("builder.toml");
    fs::write(
        &definition,
        format!("{ours}\n[lifecycle]\nuri = \"{reference}\"\n"),
    )
    .unwrap();
    let words = [
        "builder",
        "create",
        &definition,
        "--run-image",
        &scene.run_image,
        "--output",
        "docker-daemon:e2e/with-reference:1",
    ];
    scene.longshore.run(&words).assert_code(0);
    let app = example("flask-plain");
    let build = |builder: &str, image: &str| {
        let words = Scene::words_with(builder, image, &app, &["--trust-builder"]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        scene.pack.run(&words);
        scene.engine.inspect(image, "{{join .RootFS.Layers \" \"}}")
    };
    let by_reference = build("e2e/with-reference:1", "e2e/by-reference:1");
    assert!(!scene.page("e2e/by-reference:1").is_empty());
    // All layers but the launcher are the same, byte by byte: who switches keeps them.
    let by_ours = build(BUILDER, "e2e/by-ours:1");
    let pairs = by_reference.split(' ').zip(by_ours.split(' '));
    let different = pairs.filter(|(one, other)| one != other).count();
    assert_eq!(different, 1, "{by_reference}\n{by_ours}");
}
