//! From an app folder to a real registry, and on from there on another machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use e2e::app::App;
use e2e::engine::Engine;
use e2e::home::Home;
use e2e::program::{Longshore, Said};
use e2e::registry::{Kind, LOGIN, Registry};
use e2e::skip;
use e2e::stack;
use serde_json::Value;
use tempfile::TempDir;
use test_registry::{Options, TestRegistry};

const USAGE: i32 = 2;
const CREDENTIALS: i32 = 62;
const REGISTRY: i32 = 63;

fn metadata(folder: &TempDir) -> Value {
    serde_json::from_slice(&fs::read(folder.path().join("build.json")).unwrap()).unwrap()
}

/// The roles of the layers that were sent.
fn sent(metadata: &Value) -> Vec<String> {
    let layers = metadata["layers"].as_array().unwrap().iter();
    layers
        .filter(|layer| layer["bytesSent"].as_u64().unwrap() > 0)
        .map(|layer| layer["role"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn publish_rebuild_and_another_machine() {
    let Some(registry) = Registry::start(Kind::Open) else {
        return;
    };
    let longshore = Longshore::copied();
    let (build_image, run_image) = stack::publish(&longshore, &registry);
    let app = App::copy_of("dash-minimal");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("build.json");
    let (tag, cache) = (
        format!("{}/team/app:v1", registry.host()),
        format!("{}/team/app:cache", registry.host()),
    );
    let words = [
        "--publish",
        &tag,
        "--cache-image",
        &cache,
        "--run-image",
        &run_image,
        "--metadata-file",
        file.to_str().unwrap(),
    ];
    let before = registry.requests();
    let first = longshore.build(app.path(), &words);
    let digest = first.digest().to_owned();
    assert_eq!(
        first.reference(),
        format!("{}/team/app@{digest}", registry.host())
    );
    let requests = registry.requests() - before;
    assert!(
        requests <= 55,
        "{requests} requests for an image and its cache"
    );
    assert!(sent(&metadata(&folder)).contains(&"longshore/deps:environment".to_owned()));

    // Nothing changed: nothing is sent.
    assert_eq!(longshore.build(app.path(), &words).digest(), digest);
    assert_eq!(sent(&metadata(&folder)), Vec::<String>::new());

    // One file changed: only its layer, and what names it.
    app.append("app.py", "\n# A remark.\n");
    assert_ne!(longshore.build(app.path(), &words).digest(), digest);
    assert_eq!(sent(&metadata(&folder)), ["app:1"]);
    app.replace("app.py", "\n# A remark.\n", "");

    // Another machine has nothing but the registry.
    let elsewhere =
        Longshore::at(Home::empty()).with("LONGSHORE_DEBIAN_MIRROR", "http://127.0.0.1:9/debian");
    let said = elsewhere.build(
        app.path(),
        &[&words[..], &["--build-image", &build_image]].concat(),
    );
    assert_eq!(said.digest(), digest);
    assert_eq!(sent(&metadata(&folder)), Vec::<String>::new());
    said.assert_says(&[
        "Environment: reused from the last build",
        "Reusing layer 'longshore/deps:environment'",
    ]);

    others_get_the_same(&registry, &tag, &digest);
}

/// Where nothing is to be installed and nothing runs, a machine that has neither wheels nor environment fetches neither.
#[test]
fn cached_layers_are_fetched_when_they_are_needed() {
    let registry = TestRegistry::start();
    let name = |tag: &str| format!("{}/team/app:{tag}", registry.host());
    let (tag, cache) = (name("v1"), name("cache"));
    let words = ["--publish", &tag, "--cache-image", &cache];
    let app = App::copy_of("flask-plain");
    // An environment that no other test has made in the home that all copy.
    app.append("requirements.txt", "\nsix==1.17.0\n");
    let first = Longshore::copied().build(app.path(), &words);
    let wheels = cached_blob(&registry, "longshore/deps", "wheels");
    let environment = cached_blob(&registry, "longshore/deps", "environment");
    // What old programs may see is gzip.
    for (layer, format) in [("wheels", "zstd"), ("environment", "gzip")] {
        let kind = cached_layer(&registry, "longshore/deps", layer)["mediaType"].clone();
        assert_eq!(
            kind,
            format!("application/vnd.oci.image.layer.v1.tar+{format}")
        );
    }
    let fetched = |blob: &str| {
        let log = registry.log();
        log.iter()
            .any(|asked| asked.method == "GET" && asked.target.ends_with(blob))
    };

    let elsewhere = Longshore::copied();
    let again = elsewhere.build(app.path(), &words);
    assert_eq!(again.digest(), first.digest());
    again.assert_says(&[
        "Leaving data for \"longshore/deps:wheels\" in the cache",
        "Leaving data for \"longshore/deps:environment\" in the cache",
        "Reusing cache layer 'longshore/deps:wheels'",
        "Reusing layer 'longshore/deps:environment'",
    ]);
    assert!(!fetched(&wheels) && !fetched(&environment));
    let kept = cached_blob(&registry, "longshore/deps", "wheels");
    assert_eq!(kept, wheels, "the cache has lost its wheels");

    // That machine without the cache image: it makes its own.
    let alone = elsewhere.build(app.path(), &words[..2]);
    assert_eq!(alone.digest(), first.digest());

    // What runs while building sees the environment.
    app.write(
        "app.json",
        r#"{"scripts": {"dokku": {"predeploy": "python -c 'import flask'"}}}"#,
    );
    Longshore::copied().build(app.path(), &words);
    assert!(!fetched(&wheels) && fetched(&environment));

    app.append("requirements.txt", "\n# A remark.\n");
    let changed = Longshore::copied().build(app.path(), &words);
    changed.assert_says(&["Wheel cache: reused from the last build"]);
    assert!(fetched(&wheels));

    // A cache image that has lost some of its layers: what is missing is made again.
    registry.remove_blob(
        "team/app",
        &cached_blob(&registry, "longshore/deps", "wheels"),
    );
    app.append("requirements.txt", "# Another.\n");
    let without = Longshore::copied().build(app.path(), &words);
    without.assert_says(&["Skipping restore for layer longshore/deps:wheels"]);
}

/// A layer that was only published is here until the machine starts anew. What a name leads to is here for good.
#[test]
fn named_after_it_was_published() {
    let registry = TestRegistry::start();
    let tag = format!("{}/team/app:v1", registry.host());
    let app = App::copy_of("flask-plain");
    app.append("app.py", "\n# In no store yet.\n");
    let longshore = Longshore::copied();
    let blobs = longshore.home().data().join("longshore/blobs");
    let published = longshore.build(app.path(), &["--publish", &tag]);
    let missing = |digest: &Value| {
        let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        !blobs.join("sha256").join(hex).is_file()
    };
    let manifest = registry.manifest("team/app", published.digest()).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    assert!(layers.iter().any(|layer| missing(&layer["digest"])));

    let named = longshore.build(app.path(), &["-t", "named"]);
    assert_eq!(named.digest(), published.digest());
    let lost: Vec<_> = layers
        .iter()
        .filter(|layer| missing(&layer["digest"]))
        .collect();
    assert!(lost.is_empty(), "{lost:?}");
}

/// The digest of the blob that a cache image has for a layer.
fn cached_blob(registry: &TestRegistry, buildpack: &str, layer: &str) -> String {
    let layer = cached_layer(registry, buildpack, layer);
    layer["digest"].as_str().unwrap().to_owned()
}

/// A layer as a cache image's manifest has it.
fn cached_layer(registry: &TestRegistry, buildpack: &str, layer: &str) -> Value {
    let parsed = |bytes: Vec<u8>| serde_json::from_slice::<Value>(&bytes).unwrap();
    let digest = registry.tag("team/app", "cache").unwrap();
    let manifest = parsed(registry.manifest("team/app", &digest).unwrap());
    let config = manifest["config"]["digest"].as_str().unwrap();
    let config = parsed(registry.blob("team/app", config).unwrap());
    let label = &config["config"]["Labels"]["io.buildpacks.lifecycle.cache.metadata"];
    let metadata = parsed(label.as_str().unwrap().into());
    let buildpacks = metadata["buildpacks"].as_array().unwrap();
    let found = buildpacks.iter().find(|found| found["key"] == buildpack);
    let diff_id = &found.unwrap()["layers"][layer]["sha"];
    let diff_ids = config["rootfs"]["diff_ids"].as_array().unwrap();
    let place = diff_ids.iter().position(|found| found == diff_id).unwrap();
    manifest["layers"][place].clone()
}

/// What skopeo, Podman and Docker pull is what was built.
fn others_get_the_same(registry: &Registry, tag: &str, digest: &str) {
    if let Some(skopeo) = skip::tool("skopeo") {
        let copy = registry.folder().join("copy");
        let copied = Command::new(skopeo)
            .args([
                "copy",
                "--quiet",
                "--src-tls-verify=false",
                &format!("docker://{tag}"),
            ])
            .arg(format!("dir:{}", copy.display()))
            .output()
            .unwrap();
        assert!(copied.status.success(), "{copied:?}");
        let manifest = fs::read(copy.join("manifest.json")).unwrap();
        let found = format!(
            "sha256:{}",
            hex::encode(<sha2::Sha256 as sha2::Digest>::digest(manifest))
        );
        assert_eq!(found, digest);
    }
    for engine in [Engine::podman(), Engine::docker()].into_iter().flatten() {
        engine.pull(tag);
        let words = ["python", "-c", "import dash; print('whole')"];
        assert_eq!(
            engine.run(tag, "/cnb/lifecycle/launcher", &words),
            "whole\n"
        );
    }
}

#[test]
fn names_labels_and_the_time() {
    let Some(registry) = Registry::start(Kind::Open) else {
        return;
    };
    let longshore = Longshore::copied();
    let app = App::copy_of("flask-plain");
    let tags = ["a:1", "a:2", "other/b:1"].map(|name| format!("{}/{name}", registry.host()));
    let layout = registry.folder().join("layout");
    let said = longshore.build(
        app.path(),
        &[
            "--publish",
            &tags[0],
            "--publish",
            &tags[1],
            "--publish",
            &tags[2],
            "-t",
            "here",
            "-t",
            "here-too:2",
            "--output",
            &format!("oci:{}", layout.display()),
            "--label",
            "com.example.team=data",
            "--creation-time",
            "2026-01-31T12:00:00Z",
        ],
    );
    let image = e2e::image::Image::open(&layout);
    assert_eq!(image.digest, said.digest());
    assert_eq!(image.label("com.example.team"), Some("data"));
    assert_eq!(image.config["created"], "2026-01-31T12:00:00Z");
    for name in ["here", "here-too:2"] {
        let inspected = longshore.run(&["inspect", name]);
        assert!(
            inspected.stdout.contains(said.digest()),
            "{}",
            inspected.stdout
        );
    }
    for tag in &tags {
        said.assert_says(&[&format!(
            "Published {}@{}",
            tag.rsplit_once(':').unwrap().0,
            said.digest()
        )]);
    }
}

/// Keys of the base image's configuration that we do not know are the app image's too.
#[test]
fn base_image_keeps_its_configuration() {
    let longshore = Longshore::copied();
    let folder = TempDir::new().unwrap();
    let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stacks/trixie");
    let output = folder.path().to_str().unwrap();
    longshore
        .run(&[
            "stack",
            "create",
            stack.to_str().unwrap(),
            "--output",
            output,
        ])
        .assert_code(0);
    let run = folder.path().join("run");
    change_configuration(&run, |config| {
        config["config"]["Healthcheck"] =
            serde_json::json!({"Test": ["CMD", "true"], "Interval": 5});
        config["config"]["OnBuild"] = serde_json::json!(["RUN true"]);
        config["x-unknown"] = serde_json::json!({"kept": true});
    });
    let layout = folder.path().join("app");
    longshore.build(
        &e2e::app::example("flask-plain"),
        &[
            "--run-image",
            &format!("oci:{}", run.display()),
            "--output",
            &format!("oci:{}", layout.display()),
        ],
    );
    let image = e2e::image::Image::open(&layout);
    assert_eq!(image.config["config"]["Healthcheck"]["Interval"], 5);
    assert_eq!(image.config["config"]["OnBuild"][0], "RUN true");
    assert_eq!(image.config["x-unknown"]["kept"], true);

    // An image for another machine is refused.
    change_configuration(&run, |config| config["architecture"] = "arm64".into());
    let said = longshore.run(&[
        "build",
        e2e::app::example("flask-plain").to_str().unwrap(),
        "--run-image",
        &format!("oci:{}", run.display()),
    ]);
    said.assert_code(USAGE);
    said.assert_says(&["linux/arm64", "linux/amd64"]);
}

/// Writes a changed configuration into a layout with one image.
fn change_configuration(layout: &Path, change: impl FnOnce(&mut Value)) {
    let blobs = layout.join("blobs/sha256");
    let read = |digest: &str| -> Value {
        let path = blobs.join(digest.trim_start_matches("sha256:"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let write = |value: &Value| -> (String, usize) {
        let bytes = serde_json::to_vec(value).unwrap();
        let hex = hex::encode(<sha2::Sha256 as sha2::Digest>::digest(&bytes));
        fs::write(blobs.join(&hex), &bytes).unwrap();
        (format!("sha256:{hex}"), bytes.len())
    };
    let mut index: Value =
        serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let mut manifest = read(index["manifests"][0]["digest"].as_str().unwrap());
    let mut config = read(manifest["config"]["digest"].as_str().unwrap());
    change(&mut config);
    let (digest, size) = write(&config);
    manifest["config"]["digest"] = digest.into();
    manifest["config"]["size"] = size.into();
    let (digest, size) = write(&manifest);
    index["manifests"][0]["digest"] = digest.into();
    index["manifests"][0]["size"] = size.into();
    fs::write(
        layout.join("index.json"),
        serde_json::to_vec(&index).unwrap(),
    )
    .unwrap();
}

fn attempt(longshore: &Longshore, words: &[&str]) -> Said {
    let app = e2e::app::example("flask-plain");
    let said = longshore.run(&[&["build", app.to_str().unwrap()], words].concat());
    assert_eq!(said.stdout, "", "a failed build gave a reference");
    said
}

/// A home in which nothing can be built: an error that comes out of it was found before any download.
fn offline() -> Longshore {
    let home = Home::empty();
    let folder = home.folder().to_str().unwrap().to_owned();
    Longshore::at(home)
        .with("LONGSHORE_DEBIAN_MIRROR", "http://127.0.0.1:9/debian")
        .with("HOME", folder)
}

#[test]
fn credentials() {
    let Some(registry) = Registry::start(Kind::Password) else {
        return;
    };
    let tag = format!("{}/team/app:v1", registry.host());
    let said = attempt(&offline(), &["--publish", &tag]);
    said.assert_code(CREDENTIALS);
    said.assert_says(&[
        &registry.host(),
        "none were found",
        ".docker/config.json",
        "containers/auth.json",
    ]);

    // A helper that hangs, and one that is not there.
    let docker = registry.folder().join("docker");
    fs::create_dir(&docker).unwrap();
    let configure = |text: String| fs::write(docker.join("config.json"), text).unwrap();
    configure(r#"{"credsStore": "absent"}"#.to_owned());
    let with_docker =
        |longshore: Longshore| longshore.with("DOCKER_CONFIG", docker.to_str().unwrap());
    let said = attempt(&with_docker(offline()), &["--publish", &tag]);
    said.assert_code(CREDENTIALS);
    said.assert_says(&["docker-credential-absent", docker.to_str().unwrap()]);

    let helper = docker.join("docker-credential-broken");
    fs::write(&helper, "#!/bin/sh\necho 'the keyring is locked'\nexit 1\n").unwrap();
    fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
    configure(r#"{"credsStore": "broken"}"#.to_owned());
    let path = format!("{}:/usr/bin:/bin", docker.display());
    let said = attempt(
        &with_docker(offline()).with("PATH", path),
        &["--publish", &tag],
    );
    said.assert_code(CREDENTIALS);
    said.assert_says(&[
        "docker-credential-broken",
        "the keyring is locked",
        "config.json",
    ]);

    configure(format!(
        r#"{{"auths": {{"{}": {{"auth": "d3Jvbmc6d3Jvbmc="}}}}}}"#,
        registry.host()
    ));
    let said = attempt(&with_docker(offline()), &["--publish", &tag]);
    said.assert_code(CREDENTIALS);
    said.assert_says(&["refuses the credentials"]);

    the_whole_way(&registry, &e2e::app::example("flask-plain"));
    let app = e2e::app::example("flask-plain");
    let given = format!(r#"{{"{}": "Basic {LOGIN}"}}"#, registry.host());
    Longshore::copied()
        .with("CNB_REGISTRY_AUTH", given)
        .build(&app, &["--publish", &tag]);
}

/// A program that never answers must not hold up a CI job for ever.
#[test]
fn credential_helper_that_hangs() {
    let Some(registry) = Registry::start(Kind::Password) else {
        return;
    };
    let folder = TempDir::new().unwrap();
    let helper = folder.path().join("docker-credential-slow");
    fs::write(&helper, "#!/bin/sh\nsleep 600\n").unwrap();
    fs::set_permissions(&helper, PermissionsExt::from_mode(0o755)).unwrap();
    fs::write(
        folder.path().join("config.json"),
        r#"{"credsStore": "slow"}"#,
    )
    .unwrap();
    let folder = folder.path().to_str().unwrap();
    let longshore = offline()
        .with("DOCKER_CONFIG", folder)
        .with("PATH", format!("{folder}:/usr/bin:/bin"));
    let tag = format!("{}/app:v1", registry.host());
    let said = attempt(&longshore, &["--publish", &tag]);
    said.assert_code(CREDENTIALS);
    said.assert_says(&["docker-credential-slow", "config.json"]);
}

/// A tag that may not be overwritten, and a registry without room: the image is built, and nothing leads to half of one.
#[test]
fn refusals() {
    let longshore = Longshore::copied();
    let app = App::copy_of("flask-plain");
    let immutable = TestRegistry::with(Options {
        immutable_tags: true,
        ..Options::default()
    });
    let tag = format!("{}/team/app:v1", immutable.host());
    let words = ["build", app.path().to_str().unwrap(), "--publish", &tag];
    longshore.run(&words).assert_code(0);
    app.append("app.py", "\n# A remark.\n");
    let said = longshore.run(&words);
    said.assert_code(REGISTRY);
    said.assert_says(&["`v1` is taken", "Choose another tag"]);
    assert_eq!(said.stdout, "");

    let full = TestRegistry::with(Options {
        largest_body: 10_000,
        ..Options::default()
    });
    let tag = format!("{}/team/app:v1", full.host());
    let said = longshore.run(&["build", app.path().to_str().unwrap(), "--publish", &tag]);
    said.assert_code(REGISTRY);
    said.assert_says(&["full, or takes nothing this large", "413"]);
    assert_eq!(said.stdout, "");
}

/// Every example goes to the registry, and a machine that has nothing but that makes the same image from there.
#[test]
fn every_example() {
    let Some(registry) = Registry::start(Kind::Open) else {
        return;
    };
    let longshore = Longshore::copied();
    let (build_image, run_image) = stack::publish(&longshore, &registry);
    let elsewhere = Longshore::at(Home::empty());
    for example in ["dash-celery", "dash-legacy", "flask-plain"] {
        let app = e2e::app::example(example);
        let name = |tag: &str| format!("{}/{example}:{tag}", registry.host());
        let (tag, cache) = (name("v1"), name("cache"));
        let words = [
            "--publish",
            &tag,
            "--cache-image",
            &cache,
            "--run-image",
            &run_image,
        ];
        let first = longshore.build(&app, &words);
        let again = elsewhere.build(
            &app,
            &[&words[..], &["--build-image", &build_image]].concat(),
        );
        assert_eq!(again.reference(), first.reference());
        again.assert_says(&["Reusing layer 'longshore/deps:environment'"]);
    }
}

#[test]
fn certificate_of_a_private_authority() {
    let Some(registry) = Registry::start(Kind::Tls) else {
        return;
    };
    let tag = format!("{}/app:v1", registry.host());
    let said = attempt(&offline(), &["--publish", &tag]);
    said.assert_code(REGISTRY);
    said.assert_says(&["ertificate", "--ca-cert"]);
    the_whole_way(&registry, &e2e::app::example("flask-plain"));
}

/// Tokens that have run out when the build comes to its end, from a server that does not say how long they live.
#[test]
fn tokens_that_run_out() {
    let life = Duration::from_secs(2);
    let Some(registry) = Registry::start(Kind::Tokens { life }) else {
        return;
    };
    let app = App::copy_of("flask-plain").with(
        "app.json",
        r#"{"scripts": {"dokku": {"predeploy": "sleep 4"}}}"#,
    );
    the_whole_way(&registry, app.path());
    let refused = registry
        .said()
        .matches("token not to be used after")
        .count();
    assert!(refused >= 3, "{refused} of {} tokens", registry.tokens());
}

/// With the logins of `docker login`: published, built again, and built by a machine that has nothing but the registry.
fn the_whole_way(registry: &Registry, app: &Path) {
    let docker = registry.folder().join("docker-of-the-company");
    fs::create_dir(&docker).unwrap();
    let logins = serde_json::json!({"auths": {registry.host(): {"auth": LOGIN}}});
    fs::write(docker.join("config.json"), logins.to_string()).unwrap();
    let at_company =
        |home: Home| Longshore::at(home).with("DOCKER_CONFIG", docker.to_str().unwrap());
    let longshore = at_company(Longshore::copied_home());
    let (build_image, run_image) = stack::publish(&longshore, registry);
    let name = |tag: &str| format!("{}/team/whole:{tag}", registry.host());
    let (tag, cache) = (name("v1"), name("cache"));
    let mut words = vec![
        "--publish",
        &tag,
        "--cache-image",
        &cache,
        "--run-image",
        &run_image,
    ];
    let authority = registry.authority_file();
    if let Some(file) = &authority {
        words.extend(["--ca-cert", file]);
    }
    let first = longshore.build(app, &words);
    assert_eq!(longshore.build(app, &words).reference(), first.reference());
    words.extend(["--build-image", &build_image]);
    let elsewhere =
        at_company(Home::empty()).with("LONGSHORE_DEBIAN_MIRROR", "http://127.0.0.1:9/debian");
    let said = elsewhere.build(app, &words);
    assert_eq!(said.reference(), first.reference());
    said.assert_says(&["Reusing layer 'longshore/deps:environment'"]);
}

#[test]
fn bad_input() {
    let longshore = offline();
    let said = attempt(&longshore, &["--publish", "registry.example/Team/app:1"]);
    said.assert_code(USAGE);
    said.assert_says(&["--publish", "lower-case", "column 18"]);
    let digest = format!("registry.example/app@sha256:{}", "0".repeat(64));
    attempt(&longshore, &["--publish", &digest]).assert_code(USAGE);
    attempt(&longshore, &["--label", "no value"]).assert_code(USAGE);
    attempt(&longshore, &["--creation-time", "yesterday"]).assert_code(USAGE);
    let said = attempt(&longshore, &["--run-image", "never-built"]);
    said.assert_code(USAGE);
    said.assert_says(&["--run-image", "never-built"]);
    // Nobody listens there.
    let said = attempt(&longshore, &["--publish", "127.0.0.1:9/app:1"]);
    said.assert_code(REGISTRY);
    said.assert_says(&["127.0.0.1:9", "attempt"]);

    let folder = TempDir::new().unwrap();
    let own = folder
        .path()
        .join("containers/certs.d/registry.example:5000");
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("client.cert"), "").unwrap();
    let certified = offline().with("XDG_CONFIG_HOME", folder.path().to_str().unwrap());
    let said = attempt(&certified, &["--publish", "registry.example:5000/app:1"]);
    said.assert_code(CREDENTIALS);
    said.assert_says(&[
        "[Error: Certificates for a registry cannot be used]",
        "registry.example:5000/client.key is not there",
    ]);

    let Some(registry) = Registry::start(Kind::Open) else {
        return;
    };
    let missing = format!("{}/base/run:1", registry.host());
    let said = attempt(&longshore, &["--run-image", &missing]);
    said.assert_code(USAGE);
    said.assert_says(&["--run-image", &missing]);
}

/// An image for another machine, and a list of such.
#[test]
fn run_image_of_another_machine() {
    let registry = TestRegistry::start();
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let put = |bytes: Vec<u8>, tag: Option<&str>, kind: &str| {
        let digest = registry.put_manifest("base/run", tag, kind, &bytes);
        (digest, bytes.len())
    };
    let config = br#"{"os":"linux","architecture":"arm64","config":{},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    let digest = registry.put_blob("base/run", config);
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": kind, "layers": [], "config":
        {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest, "size": config.len()}});
    let (digest, size) = put(serde_json::to_vec(&manifest).unwrap(), Some("arm"), kind);
    let entry = |variant: &str| {
        serde_json::json!({"mediaType": kind, "digest": digest, "size": size,
            "platform": {"os": "linux", "architecture": "arm64", "variant": variant}})
    };
    let index_kind = "application/vnd.oci.image.index.v1+json";
    let index = serde_json::json!({"schemaVersion": 2, "mediaType": index_kind, "manifests": [entry("v8"), entry("v9")]});
    put(
        serde_json::to_vec(&index).unwrap(),
        Some("arms"),
        index_kind,
    );

    for (tag, code) in [("arm", USAGE), ("arms", REGISTRY)] {
        let name = format!("{}/base/run:{tag}", registry.host());
        let said = attempt(&offline(), &["--run-image", &name]);
        said.assert_code(code);
        said.assert_says(&["base/run", "linux/arm64", "linux/amd64"]);
    }
}

/// Two CI systems fold sections; programs read events.
#[test]
fn logs_for_ci_systems_and_programs() {
    let app = e2e::app::example("flask-plain");
    let github = Longshore::copied()
        .with("GITHUB_ACTIONS", "true")
        .build(&app, &["-t", "log"]);
    let starts = github.stderr.matches("::group::").count();
    assert!(starts >= 5, "{}", github.stderr);
    assert_eq!(
        starts,
        github.stderr.matches("::endgroup::").count(),
        "{}",
        github.stderr
    );
    let gitlab = Longshore::copied()
        .with("GITLAB_CI", "true")
        .build(&app, &["-t", "log"]);
    gitlab.assert_says(&[
        "\u{1b}[0Ksection_start:",
        ":building\r\u{1b}[0KBUILDING",
        "section_end:",
    ]);

    let said = Longshore::copied().build(&app, &["-t", "log", "--progress", "json"]);
    let events: Vec<Value> = said
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(
        events
            .iter()
            .any(|event| event["event"] == "phase" && event["name"] == "BUILDING")
    );
    let built = events
        .iter()
        .find(|event| event["event"] == "built")
        .unwrap();
    assert_eq!(built["metadata"]["image"]["digest"], said.digest());
    let failed = Longshore::copied().run(&["build", "/nowhere/at/all", "--progress", "json"]);
    let last: Value = serde_json::from_str(failed.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&last["event"], &last["exitCode"]),
        (&"error".into(), &failed.code.into())
    );
}

/// `examples/ci/step.sh`, as a CI system runs it.
#[test]
fn shell_step() {
    let Some(registry) = Registry::start(Kind::Open) else {
        return;
    };
    let longshore = Longshore::copied();
    let step = e2e::app::example("ci").join("step.sh");
    let image = format!("{}/team/app", registry.host());
    let metadata = registry.folder().join("build.json");
    let run = |image: Option<&str>| {
        let mut command = longshore.command::<&str>(&[]);
        command = {
            let mut step = Command::new(&step);
            for (name, value) in command.get_envs() {
                step.env(name, value.unwrap());
            }
            step
        };
        command
            .env("LONGSHORE", e2e::program::executable())
            .env("APP", e2e::app::example("flask-plain"))
            .env("TAG", "v7")
            .env("METADATA", &metadata);
        if let Some(image) = image {
            command.env("IMAGE", image);
        }
        Said::from(command.output().unwrap())
    };
    let said = run(Some(&image));
    said.assert_code(0);
    assert!(
        said.reference().starts_with(&format!("{image}@sha256:")),
        "{}",
        said.stdout
    );
    assert!(metadata.is_file());
    assert_eq!(run(Some(&image)).reference(), said.reference());
    let unset = run(None);
    assert_ne!(unset.code, 0);
    unset.assert_says(&["IMAGE"]);
}
