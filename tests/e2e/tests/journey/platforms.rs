//! kpack, Tekton and Shipwright, as scripts that start the containers they would start (tests/engines): with a cache in a volume and in an image, twice,
//! and the second build reuses what the first one left.

use std::fs;
use std::path::Path;
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
    let (Some(engine), Some(registry)) = (Engine::docker(), Registry::start(Kind::Open)) else {
        return;
    };
    if skip::tool("skopeo").is_none() || skip::tool("jq").is_none() {
        return;
    }
    let longshore = Longshore::copied();
    let (_, run_image) = stack::publish(&longshore, &registry);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let definition = root.join("builder/builder.toml");
    let builder = format!("{}/longshore/builder:1", registry.host());
    longshore
        .run(&[
            "builder",
            "create",
            definition.to_str().unwrap(),
            "--run-image",
            &run_image,
            "--publish",
            &builder,
        ])
        .assert_code(0);
    let folder = TempDir::with_prefix("longshore-platforms-").unwrap();
    let variables = folder.path().join("variables");
    fs::create_dir(&variables).unwrap();
    // What a company's users set: where Debian's packages are, and what to trust. Folders of this machine are not in the containers.
    let debian = mirror::machines_mirror().map(|url| {
        (
            "LONGSHORE_DEBIAN_MIRROR".to_owned(),
            format!("{url}/debian"),
        )
    });
    let settings = machine::settings()
        .into_iter()
        .filter(|(_, value)| !value.starts_with('/'));
    let trusted = (
        "SSL_CERT_FILE".to_owned(),
        "/etc/ssl/certs/ca-certificates.crt".to_owned(),
    );
    for (name, value) in settings.chain(debian).chain([trusted]) {
        fs::write(variables.join(name), value).unwrap();
    }

    for (platform, has_cache_image) in PLATFORMS {
        let image = format!("{}/{platform}/app:latest", registry.host());
        let cache = format!("{}/{platform}/app-cache:latest", registry.host());
        let caches = if has_cache_image {
            &["", &cache][..]
        } else {
            &[""]
        };
        for cache in caches {
            let work = folder
                .path()
                .join(format!("{platform}-{}", cache.is_empty()));
            fs::create_dir(&work).unwrap();
            let build = || {
                let said = Command::new(root.join(format!("tests/engines/{platform}.sh")))
                    .env("ENGINE", engine.words().join(" "))
                    .env("BUILDER", &builder)
                    .env("RUN_IMAGE", &run_image)
                    .env("IMAGE", &image)
                    .env("CACHE_IMAGE", cache)
                    .env("APP", example("flask-plain"))
                    .env("WORK", &work)
                    .env("CA", machine::certificates())
                    .env("PLATFORM_ENV", &variables)
                    .output()
                    .unwrap();
                let text = String::from_utf8_lossy(&said.stdout).into_owned();
                let errors = String::from_utf8_lossy(&said.stderr);
                assert!(said.status.success(), "{platform}: {text}{errors}");
                text
            };
            let first = build();
            let second = build();
            assert_eq!(
                first.lines().last(),
                second.lines().last(),
                "{platform}: {first}{second}"
            );
            for expected in [
                "Restoring data for \"longshore/deps:environment\" from cache",
                "Reusing layer 'longshore/deps:environment'",
            ] {
                assert!(second.contains(expected), "{platform}: {second}");
            }
            let layout = work.join("layout");
            let copied = Command::new("skopeo")
                .args([
                    "copy",
                    "--quiet",
                    "--src-tls-verify=false",
                    &format!("docker://{}", first.lines().last().unwrap()),
                ])
                .arg(format!("oci:{}", layout.display()))
                .status();
            assert!(copied.unwrap().success());
            let built = Image::open(&layout);
            built.check_blobs();
            assert_eq!(
                built.config["config"]["Entrypoint"][0], "/cnb/process/web",
                "{platform}"
            );
        }
    }
}
