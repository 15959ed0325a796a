//! kpack, Tekton and Shipwright, as scripts that start the containers they would start (tests/engines): with a cache in a volume and in an image, twice,
//! and the second build reuses what the first one left.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::app::example;
use e2e::engine::Engine;
use e2e::image::Image;
use e2e::program::Longshore;
use e2e::registry::{Kind, Registry};
use e2e::{machine, mirror, skip, stack};
use tempfile::TempDir;

/// The scripts, and whether the platform can keep its cache in an image.
const PLATFORMS: [(&str, bool); 4] = [
    ("kpack", true),
    ("tekton-buildpacks", true),
    ("tekton-phases", true),
    ("shipwright", false),
];

#[test]
fn platforms_build_and_build_again() {
    let Some(scene) = Scene::new() else { return };
    for (platform, has_cache_image) in PLATFORMS {
        scene.build_twice(platform, None);
        if has_cache_image {
            scene.build_twice(platform, Some("app-cache:latest"));
        }
    }
}

/// A daemon to run the steps, and a registry with our builder and its run image.
struct Scene {
    engine: Engine,
    registry: Registry,
    builder: String,
    run_image: String,
    folder: TempDir,
}

impl Scene {
    fn new() -> Option<Self> {
        let engine = Engine::docker()?;
        let registry = Registry::start(Kind::Open)?;
        skip::tool("skopeo")?;
        skip::tool("jq")?;
        let longshore = Longshore::copied();
        let (_, run_image) = stack::publish(&longshore, &registry);
        let builder = format!("{}/longshore/builder:1", registry.host());
        stack::create_builder(&longshore, &run_image, ["--publish", &builder]);
        let folder = TempDir::with_prefix("longshore-platforms-").unwrap();
        write_variables(&folder.path().join("variables"));
        Some(Self {
            engine,
            registry,
            builder,
            run_image,
            folder,
        })
    }

    /// Builds an app with one of the platforms, and the same once more.
    fn build_twice(&self, platform: &str, cache: Option<&str>) {
        let work = self
            .folder
            .path()
            .join(format!("{platform}-{}", cache.is_some()));
        fs::create_dir(&work).unwrap();
        let first = self.build(platform, cache, &work);
        let second = self.build(platform, cache, &work);
        let reference = first.lines().last().unwrap();
        assert_eq!(second.lines().last(), Some(reference), "{first}{second}");
        for expected in [
            "Leaving data for \"longshore/deps:environment\" in the cache",
            "Reusing layer 'longshore/deps:environment'",
        ] {
            assert!(second.contains(expected), "{platform}: {second}");
        }
        let layout = work.join("layout");
        let copied = Command::new("skopeo")
            .args(["copy", "--quiet", "--src-tls-verify=false"])
            .arg(format!("docker://{reference}"))
            .arg(format!("oci:{}", layout.display()))
            .status();
        assert!(copied.unwrap().success());
        let image = Image::open(&layout);
        image.check_blobs();
        let entrypoint = &image.config["config"]["Entrypoint"][0];
        assert_eq!(entrypoint, "/cnb/process/web", "{platform}");
    }

    fn build(&self, platform: &str, cache: Option<&str>, work: &Path) -> String {
        let name = |image: &str| format!("{}/{platform}/{image}", self.registry.host());
        let said = Command::new(root().join(format!("tests/engines/{platform}.sh")))
            .env("ENGINE", self.engine.words().join(" "))
            .env("BUILDER", &self.builder)
            .env("RUN_IMAGE", &self.run_image)
            .env("IMAGE", name("app:latest"))
            .env("CACHE_IMAGE", cache.map_or_else(String::new, name))
            .env("APP", example("flask-plain"))
            .env("WORK", work)
            .env("CA", machine::certificates())
            .env("PLATFORM_ENV", self.folder.path().join("variables"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&said.stdout).into_owned();
        let errors = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{platform}: {text}{errors}");
        text
    }
}

/// What a company's users set: where Debian's packages are, and what to trust. Folders of this machine are not in the containers.
fn write_variables(folder: &Path) {
    let debian = mirror::machines_mirror().map(|url| format!("{url}/debian"));
    let debian = debian.map(|url| ("LONGSHORE_DEBIAN_MIRROR".to_owned(), url));
    let settings = machine::settings().into_iter();
    let settings = settings.filter(|(_, value)| !value.starts_with('/'));
    let trusted = (
        "SSL_CERT_FILE".to_owned(),
        "/etc/ssl/certs/ca-certificates.crt".to_owned(),
    );
    fs::create_dir(folder).unwrap();
    for (name, value) in settings.chain(debian).chain([trusted]) {
        fs::write(folder.join(name), value).unwrap();
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
