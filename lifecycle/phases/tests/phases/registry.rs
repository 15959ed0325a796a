//! The phases with images and the cache in a registry.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use oci_image::{Platform, Reference};
use registry::{Credentials, Login, Push, Registry, Settings};
use test_registry::{Auth, Fault, Options, TestRegistry};

use crate::fixture::{Ended, Fixture};
use crate::images::read;

/// A buildpack with a launch layer, a cached one, and one that is both.
const BUILD: &str = r#"cd "$1"
for layer in launched cached both; do [ -d $layer ] && echo "$layer: $(cat $layer/file)"; done
new() { mkdir -p "$1"; printf "$1" >"$1/file"; }
[ -e launched.toml ] || new launched; printf '[types]\nlaunch = true\n' >launched.toml
[ -d cached ] || new cached; printf '[types]\ncache = true\n' >cached.toml
[ -d both ] || new both; printf '[types]\nlaunch = true\ncache = true\n' >both.toml
printf '[[processes]]\ntype = "web"\ncommand = "run"\ndirect = true\n' >launch.toml"#;

/// A registry with a run image, and the folders of a build.
pub(crate) struct Site {
    pub(crate) fixture: Fixture,
    registry: TestRegistry,
    env: Vec<(&'static str, String)>,
}

impl Site {
    pub(crate) fn new(platform_api: &'static str) -> Self {
        Self::with(platform_api, Options::default())
    }

    fn with(platform_api: &'static str, options: Options) -> Self {
        let fixture = Fixture::with_run_image(platform_api);
        fixture.buildpack("x/y", "0.8", "\n[[stacks]]\nid = \"*\"\n", "", BUILD);
        fixture.order(&["x/y"]);
        fixture.write("app/app.py", "print(1)\n");
        let registry = TestRegistry::with(options);
        let site = Self {
            fixture,
            registry,
            env: Vec::new(),
        };
        site.list_run_images(&[&site.name("run")]);
        let image = read(&site.fixture.layouts(), "run/latest");
        let push = Push {
            tags: &[site.reference("run")],
            mount_from: &[],
            previous: None,
        };
        site.client().push_image(&image, &push).unwrap();
        site
    }

    /// Writes `run.toml` and `stack.toml`: an image and its mirrors.
    fn list_run_images(&self, names: &[&str]) {
        let [image, mirrors @ ..] = names else {
            panic!("there is no run image");
        };
        let entry = format!("image = \"{image}\"\nmirrors = {mirrors:?}\n");
        let write = |file: &str, head: &str| self.fixture.write(file, &format!("{head}\n{entry}"));
        write("run.toml", "[[images]]");
        write("stack.toml", "[run-image]");
    }

    pub(crate) fn client(&self) -> Registry {
        let login = Login::Basic {
            user: "user".into(),
            password: "secret".into(),
        };
        let credentials = Credentials::none().with_login(&self.registry.host(), login);
        Registry::new(Settings {
            credentials,
            ..Settings::default()
        })
        .unwrap()
    }

    pub(crate) fn name(&self, repository: &str) -> String {
        format!("{}/{repository}", self.registry.host())
    }

    pub(crate) fn reference(&self, repository: &str) -> Reference {
        self.name(repository).parse().unwrap()
    }

    fn phase(&self, phase: &str, more: &[&str]) -> Ended {
        let path = |below: &str| self.fixture.path(below).to_str().unwrap().to_owned();
        let (app, second) = (self.name("app"), self.name("app:v2"));
        let cache = format!("-cache-image={}", self.name("cache"));
        let launcher = format!("-launcher={}", path("launcher"));
        let user = ["-uid=1000", "-gid=1000", cache.as_str()];
        let mut args: Vec<&str> = match phase {
            "analyzer" | "restorer" => user.to_vec(),
            "exporter" => [&user[..], &[&launcher]].concat(),
            _ => Vec::new(),
        };
        args.extend(more);
        match phase {
            "analyzer" => args.push(&app),
            "exporter" => args.extend([app.as_str(), second.as_str()]),
            _ => {}
        }
        let (run, stack) = (path("run.toml"), path("stack.toml"));
        let mut env = vec![
            ("CNB_RUN_PATH", run.as_str()),
            ("CNB_STACK_PATH", stack.as_str()),
            ("CNB_STACK_ID", "test.stack"),
        ];
        env.extend(self.env.iter().map(|(name, value)| (*name, value.as_str())));
        self.fixture.run_with(phase, &args, &env)
    }

    fn phase_ok(&self, phase: &str) -> String {
        let ended = self.phase(phase, &[]);
        assert_eq!(ended.code, Some(0), "{phase}: {ended:?}");
        ended.stdout
    }

    /// A build in a fresh layers folder; all that was printed.
    fn build(&self) -> String {
        self.fixture.fresh_layers();
        ["analyzer", "detector", "restorer", "builder", "exporter"]
            .map(|phase| self.phase_ok(phase))
            .concat()
    }

    /// How many blobs were sent since the log was forgotten.
    fn sent_blobs(&self) -> usize {
        let log = self.registry.log();
        let sent = log
            .iter()
            .filter(|asked| asked.method == "PUT" && asked.target.contains("/blobs/uploads/"));
        sent.count()
    }
}

#[test]
fn registry_build_twice() {
    for api in ["0.7", "0.9", "0.12", "0.13", "0.15"] {
        let site = Site::new(api);
        let first = site.build();
        for line in [
            "Adding layer 'x/y:both'\n",
            "Adding cache layer 'x/y:cached'\n",
            "Layer cache not found\n",
        ] {
            assert!(first.contains(line), "{api}: {line} in {first}");
        }
        let digest = site.registry.tag("app", "latest").unwrap();
        assert_eq!(site.registry.tag("app", "v2"), Some(digest.clone()));
        let report = site.fixture.read("layers/report.toml");
        assert!(
            report.contains(&format!("digest = \"{digest}\"\n")),
            "{report}"
        );
        let analyzed = site.fixture.read("layers/analyzed.toml");
        let run = site.registry.tag("run", "latest").unwrap();
        let run = format!("reference = \"{}@{run}\"\n", site.name("run"));
        assert!(analyzed.contains(&run), "{analyzed}");

        site.registry.forget_log();
        let second = site.build();
        for line in [
            "Restoring data for \"x/y:both\" from cache\n",
            "both: both\n",
            "cached: cached\n",
            "Reusing layer 'x/y:launched'\n",
            "Reusing cache layer 'x/y:both'\n",
            "Reused 1/1 app layer(s)\n",
        ] {
            assert!(second.contains(line), "{api}: {line} in {second}");
        }
        assert!(!second.contains("launched: "), "{api}: {second}");
        assert_eq!(site.registry.tag("app", "latest"), Some(digest));
        assert_eq!(site.sent_blobs(), 0, "{api}: {:?}", site.registry.log());
        let cache = site
            .client()
            .image(&site.reference("cache"), Platform::LINUX_AMD64);
        let cache = cache.unwrap().unwrap().image;
        assert_eq!(cache.layers().len(), 2, "each layer once");
        assert_eq!(
            site.registry.open_uploads(),
            0,
            "uploads to see the rights are given up"
        );
    }
}

#[test]
fn registry_layers_are_sent_once() {
    let site = Site::new("0.13");
    site.registry.forget_log();
    site.build();
    let log = site.registry.log();
    let mounted = |from: &str| {
        let from = format!("from={from}");
        log.iter()
            .any(|asked| asked.status == Some(201) && asked.target.contains(&from))
    };
    assert!(mounted("run"), "the run image's layer: {log:?}");
    assert!(
        mounted("app"),
        "what the cache has in common with the app: {log:?}"
    );
}

#[test]
fn registry_cache_that_lost_a_layer() {
    let site = Site::new("0.12");
    site.build();
    let cache = site
        .client()
        .image(&site.reference("cache"), Platform::LINUX_AMD64);
    for layer in cache.unwrap().unwrap().image.layers() {
        site.registry
            .remove_blob("cache", &layer.digest.to_string());
    }
    let log = site.build();
    assert!(
        log.contains("Warning: Skipping restore for layer x/y:cached: "),
        "{log}"
    );
    assert!(log.contains("Adding cache layer 'x/y:cached'\n"), "{log}");
    assert!(site.build().contains("cached: cached\n"), "whole again");
}

#[test]
fn registry_credentials() {
    let auth = Options {
        auth: Auth::basic(),
        ..Options::default()
    };
    let mut site = Site::with("0.12", auth);
    site.fixture.fresh_layers();
    let run = format!("-run-image={}", site.name("run"));
    let ended = site.phase("analyzer", &[&run]);
    assert_eq!(ended.code, Some(32), "{ended:?}");
    let start = format!(
        "ERROR: failed to initialize analyzer: validating registry read access: failed to ensure registry read access to {}: ",
        site.name("app")
    );
    assert!(ended.stdout.starts_with(&start), "{ended:?}");
    assert!(ended.stdout.contains("wants credentials"), "{ended:?}");

    // CNB_REGISTRY_AUTH counts before Docker's configuration.
    let encode = |text: &str| STANDARD.encode(text);
    let host = site.registry.host();
    let wrong = encode("user:wrong");
    let config = format!("{{\"auths\": {{\"{host}\": {{\"auth\": \"{wrong}\"}}}}}}");
    site.fixture.write("docker/config.json", &config);
    let config = site.fixture.path("docker").to_str().unwrap().to_owned();
    site.env.push(("DOCKER_CONFIG", config));
    let ended = site.phase("analyzer", &[&run]);
    assert_eq!(ended.code, Some(32), "{ended:?}");
    let right = format!("{{\"{host}\": \"Basic {}\"}}", encode("user:secret"));
    site.env.push(("CNB_REGISTRY_AUTH", right));
    site.build();
}

#[test]
fn registry_rights_to_write() {
    let site = Site::new("0.12");
    site.fixture.fresh_layers();
    // The run image and the previous image are looked for first; the cache is the first that has to be written to.
    site.registry.forget_log();
    let asked = {
        site.phase_ok("analyzer");
        let log = site.registry.log();
        log.iter().position(|asked| asked.method == "POST").unwrap()
    };
    site.registry.forget_log();
    site.registry.fail_at(asked, Fault::Status(403));
    let ended = site.phase("analyzer", &[]);
    assert_eq!(ended.code, Some(32), "{ended:?}");
    let start = format!(
        "failed to ensure registry read/write access to {}:latest: ",
        site.name("cache")
    );
    assert!(ended.stdout.contains(&start), "{ended:?}");
}

#[test]
fn registry_run_image_missing() {
    let site = Site::new("0.12");
    let run = format!("-run-image={}", site.name("none"));
    let ended = site.phase("analyzer", &[&run]);
    assert_eq!(
        ended.code,
        Some(0),
        "the exporter says so, as the reference's does"
    );
    assert!(ended.stdout.contains(&format!(
        "Image with name \"{}\" not found\n",
        site.name("none")
    )));
    for phase in ["detector", "restorer", "builder"] {
        site.phase_ok(phase);
    }
    let ended = site.phase("exporter", &[]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    assert_eq!(
        ended.stdout,
        "ERROR: failed to resolve inputs: run image not found in analyzed metadata\n"
    );

    let (first, second) = (site.name("none"), "127.0.0.1:1/run");
    site.list_run_images(&[&first, second]);
    let ended = site.phase("analyzer", &[]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let start = format!(
        "ERROR: failed to resolve inputs: failed to find accessible run image; tried {first}, {second}\n"
    );
    assert!(ended.stdout.contains(&start), "{ended:?}");
    site.list_run_images(&[&first, &site.name("run")]);
    site.phase_ok("analyzer");
    let analyzed = site.fixture.read("layers/analyzed.toml");
    assert!(
        analyzed.contains(&format!("image = \"{}\"\n", site.name("run"))),
        "{analyzed}"
    );
}

#[test]
fn registry_images_of_other_kinds() {
    let site = Site::new("0.12");
    let index = "application/vnd.oci.image.index.v1+json";
    let entry = |architecture: &str| {
        format!(
            "{{\"mediaType\": \"application/vnd.oci.image.manifest.v1+json\", \"size\": 2, \
             \"digest\": \"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a\", \
             \"platform\": {{\"os\": \"linux\", \"architecture\": \"{architecture}\"}}}}"
        )
    };
    let other = format!(
        "{{\"schemaVersion\": 2, \"mediaType\": \"{index}\", \"manifests\": [{}, {}]}}",
        entry("s390x"),
        entry("arm64")
    );
    site.registry
        .put_manifest("s390x", Some("latest"), index, other.as_bytes());
    let run = format!("-run-image={}", site.name("s390x"));
    let ended = site.phase("analyzer", &[&run]);
    assert_eq!(ended.code, Some(32), "{ended:?}");
    let start = format!(
        "ERROR: failed to analyze: reading image '{}': ",
        site.name("s390x")
    );
    assert!(ended.stdout.contains(&start), "{ended:?}");
    assert!(
        ended.stdout.contains("has no image for linux/amd64"),
        "{ended:?}"
    );

    site.registry
        .put_manifest("old", Some("latest"), "application/x-unknown", b"{}");
    let previous = format!("-previous-image={}", site.name("old"));
    let ended = site.phase("analyzer", &[&previous]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let start = format!(
        "Ignoring image \"{}\" because it was corrupt: ",
        site.name("old")
    );
    assert!(ended.stdout.contains(&start), "{ended:?}");
}

#[test]
fn registry_that_fails_leaves_no_name() {
    let site = Site::new("0.12");
    site.build();
    let before = site.registry.tag("app", "latest");
    site.fixture.write("app/app.py", "print(2)\n");
    site.fixture.fresh_layers();
    for phase in ["analyzer", "detector", "restorer", "builder"] {
        site.phase_ok(phase);
    }
    site.registry.forget_log();
    // The registry is full whatever is to be stored.
    for request in 0..400 {
        site.registry.fail_at(request, Fault::Status(507));
    }
    let ended = site.phase("exporter", &[]);
    assert_eq!(ended.code, Some(62), "{ended:?}");
    assert_eq!(site.registry.tag("app", "latest"), before);
}

#[test]
fn registry_layers_folder_that_cannot_be_written() {
    let site = Site::new("0.12");
    // A folder that is a file is one that nobody can write into, root included.
    fs::remove_dir_all(site.fixture.path("layers")).unwrap();
    site.fixture.write("layers", "");
    let ended = site.phase("analyzer", &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("ERROR: failed to write analyzed metadata: "),
        "{ended:?}"
    );
}

#[test]
fn registry_restorer_with_build_and_run_image() {
    let site = Site::new("0.14");
    site.fixture.fresh_layers();
    for phase in ["analyzer", "detector"] {
        site.phase_ok(phase);
    }
    let build = format!("-build-image={}", site.name("run"));
    let ended = site.phase("restorer", &[&build]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let run = site.registry.tag("run", "latest").unwrap();
    let analyzed = site.fixture.read("layers/analyzed.toml");
    let expected = format!(
        "[build-image]\nreference = \"{}@{run}\"\n",
        site.name("run")
    );
    assert!(analyzed.contains(&expected), "{analyzed}");
    let build = format!("-build-image={}", site.name("none"));
    let ended = site.phase("restorer", &[&build]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("ERROR: failed to pull builder image "),
        "{ended:?}"
    );
    // The mirror that the analyzer chose is gone.
    let gone = analyzed.replace(
        &format!("image = \"{}\"", site.name("run")),
        &format!("image = \"{}\"", site.name("gone")),
    );
    site.fixture.write("layers/analyzed.toml", &gone);
    site.list_run_images(&[&site.name("gone")]);
    let ended = site.phase("restorer", &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let expected = format!(
        "ERROR: selected run image '{}' is not accessible\n",
        site.name("gone")
    );
    assert!(ended.stdout.contains(&expected), "{ended:?}");
}
