//! The creator makes an image in a registry, the rebaser puts it on another run image.

use oci_image::layer::{Compression, LayerContents, write_layer};
use oci_image::{BlobSource, History, Image, Layer, Owner, Platform};
use registry::Push;

use crate::fixture::Ended;
use crate::registry::Site;

/// Pushes the run image with one more layer, and other labels, under another name.
fn push_run_image(site: &Site, repository: &str, labels: &[(&str, &str)]) {
    let old = pulled(site, "run");
    let path = "/etc/new".parse().unwrap();
    let contents = LayerContents::new().file(&path, 0o644, Owner::ROOT, &b"new\n"[..]);
    let mut bytes = Vec::new();
    let blob = write_layer(&contents, &mut bytes, Compression::None).unwrap();
    let layer = Layer::new(blob, BlobSource::Bytes(bytes.into()));
    let image = old
        .with_layer(layer, History::default())
        .with_config(|config| {
            let labels = labels
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()));
            config.config.labels.extend(labels);
        });
    let push = Push {
        tags: &[site.reference(repository)],
        mount_from: &[],
        previous: None,
    };
    site.client().push_image(&image, &push).unwrap();
}

fn pulled(site: &Site, repository: &str) -> Image {
    let found = site
        .client()
        .image(&site.reference(repository), Platform::LINUX_AMD64);
    found.unwrap().unwrap().image
}

fn create(site: &Site) -> Ended {
    let path = |below: &str| site.fixture.path(below).to_str().unwrap().to_owned();
    let launcher = format!("-launcher={}", path("launcher"));
    let created = site.phase(
        "creator",
        &["-uid=1000", "-gid=1000", &launcher, &site.name("app")],
    );
    assert_eq!(created.code, Some(0), "{created:?}");
    created
}

fn label(image: &Image) -> serde_json::Value {
    let labels = &image.config().config.labels;
    serde_json::from_str(&labels["io.buildpacks.lifecycle.metadata"]).unwrap()
}

#[test]
fn creator_says_its_phases_and_reuses() {
    let site = Site::new("0.12");
    let first = create(&site);
    let headings: Vec<&str> = first
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("===> "))
        .collect();
    assert_eq!(
        headings,
        [
            "ANALYZING",
            "DETECTING",
            "RESTORING",
            "BUILDING",
            "EXPORTING"
        ]
    );
    let digest = site.registry.tag("app", "latest");
    assert!(digest.is_some());
    site.registry.forget_log();
    site.fixture.fresh_layers();
    let second = create(&site);
    assert!(
        second.stdout.contains("Reusing layer 'x/y:launched'\n"),
        "{second:?}"
    );
    assert_eq!(site.registry.tag("app", "latest"), digest);
    assert_eq!(site.sent_blobs(), 0);
}

#[test]
fn rebaser_at_platform_api_0_12() {
    let site = Site::new("0.12");
    create(&site);
    let before = pulled(&site, "app");
    push_run_image(&site, "newer", &[("io.buildpacks.base.id", "newer")]);
    let (app, newer) = (
        site.name("app"),
        format!("-run-image={}", site.name("newer")),
    );
    let report = format!("-report={}", site.fixture.path("report.toml").display());

    // It is not the run image that the app names, nor a mirror of it.
    let ended = site.phase("rebaser", &[&newer, &report, &app]);
    assert_eq!(ended.code, Some(72), "{ended:?}");
    let words = format!(
        "ERROR: failed to rebase: rebase app image: new base image '{}' not found in existing run image metadata",
        site.name("newer")
    );
    assert!(ended.stdout.contains(&words), "{ended:?}");
    assert!(!site.fixture.path("report.toml").try_exists().unwrap());

    site.registry.forget_log();
    let second = site.name("app:rebased");
    let ended = site.phase("rebaser", &["-force", &newer, &report, &app, &second]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let digest = site.registry.tag("app", "latest").unwrap();
    assert_eq!(site.registry.tag("app", "rebased"), Some(digest.clone()));
    let report = site.fixture.read("report.toml");
    assert!(
        report.contains(&format!("digest = \"{digest}\"")),
        "{report}"
    );
    // The new base's layer may be sent or mounted, and the configuration is new; the app's layers are there.
    assert!(site.sent_blobs() <= 2, "{:?}", site.registry.log());

    let after = pulled(&site, "app");
    let contents = |image: &Image, from: usize| -> Vec<String> {
        let above = image.layers()[from..].iter();
        above.map(|layer| layer.diff_id.to_string()).collect()
    };
    assert_eq!(contents(&before, 1), contents(&after, 2));
    assert_eq!(
        after.config().config.labels["io.buildpacks.base.id"],
        "newer"
    );
    assert_eq!(after.config().config.env, before.config().config.env);
    let (before, metadata) = (label(&before), label(&after));
    assert_eq!(
        metadata["runImage"]["topLayer"],
        after.layers()[1].diff_id.to_string()
    );
    assert_eq!(metadata["runImage"]["image"], site.name("newer"));
    assert_eq!(metadata["stack"]["runImage"]["image"], site.name("newer"));
    assert_eq!(metadata["buildpacks"], before["buildpacks"]);

    // Without a name the app's own is taken; it has not changed.
    let ended = site.phase("rebaser", &[&app]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(site.registry.tag("app", "latest"), Some(digest.clone()));

    push_run_image(
        &site,
        "other",
        &[("io.buildpacks.base.distro.version", "99")],
    );
    let other = format!("-run-image={}", site.name("other"));
    let ended = site.phase("rebaser", &[&other, &app]);
    assert_eq!(ended.code, Some(72), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("unable to satisfy target os/arch constraints"),
        "{ended:?}"
    );
    assert_eq!(site.registry.tag("app", "latest"), Some(digest));
}

#[test]
fn rebaser_before_platform_api_0_12() {
    let site = Site::new("0.9");
    create(&site);
    push_run_image(&site, "newer", &[]);
    push_run_image(&site, "other", &[("io.buildpacks.stack.id", "other.stack")]);
    let app = site.name("app");
    let old = format!("-image={}", site.name("newer"));
    let ended = site.phase("rebaser", &[&old, &app]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let second = |image: &str| pulled(&site, image).layers()[1].diff_id;
    assert_eq!(second("app"), second("newer"));
    let other = format!("-run-image={}", site.name("other"));
    let ended = site.phase("rebaser", &[&other, &app]);
    assert_eq!(ended.code, Some(72), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("incompatible stack: 'other.stack' is not compatible with 'test.stack'"),
        "{ended:?}"
    );
}

#[test]
fn rebaser_wrong_inputs() {
    let site = Site::new("0.12");
    let run = format!("-run-image={}", site.name("run"));
    for (words, code, expected) in [
        (
            vec![],
            3,
            "failed to parse arguments: at least one image argument is required",
        ),
        (
            vec![run.clone(), "UPPER".to_owned()],
            3,
            "could not parse reference",
        ),
        (
            vec![run.clone(), site.name("none")],
            72,
            "failed to set app image: failed to access image to rebase: image '",
        ),
        (vec!["-layout".to_owned()], 2, ""),
        (
            vec![run.clone(), "-image=other".to_owned(), site.name("app")],
            3,
            "failed to resolve inputs: supply only one of -run-image and -image, its old name\n",
        ),
        // The run image is no app image.
        (
            vec![site.name("run")],
            72,
            "-run-image is required when there is no run image metadata available",
        ),
    ] {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = site.phase("rebaser", &words);
        assert_eq!(ended.code, Some(code), "{words:?}: {ended:?}");
        assert!(ended.stdout.contains(expected), "{words:?}: {ended:?}");
    }
}
