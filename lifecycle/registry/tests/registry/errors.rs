//! Bad input and bad registries: what the error is, and what it says.

use oci_image::{Image, Platform, Reference};
use registry::{Push, Registry, RegistryError, Settings};
use serde_json::json;
use test_registry::{Fault, Options, TestRegistry};

use crate::fixture::{client, image, reference, settings};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

fn push(server: &TestRegistry, image: &Image, name: &str) -> Result<(), RegistryError> {
    let push = Push {
        tags: &[reference(server, name)],
        mount_from: &[],
        previous: None,
    };
    client(server).push_image(image, &push).map(drop)
}

#[test]
fn tag_that_may_not_be_overwritten() {
    let server = TestRegistry::with(Options {
        immutable_tags: true,
        ..Options::default()
    });
    push(&server, &image(1, &[10]), "app:1").expect("pushed");
    push(&server, &image(1, &[10]), "app:1").expect("the same image again");
    let error = push(&server, &image(2, &[10]), "app:1").expect_err("refused");
    assert_eq!(
        error.to_string(),
        format!(
            "PUT http://{}/v2/app/manifests/1: the tag `1` is taken, and the registry does not let it be overwritten \
             (400; TAG_INVALID: the tag exists and the repository is immutable). Choose another tag",
            server.host()
        )
    );
    // Some say no more than the status.
    for status in [405, 409, 412] {
        let server = TestRegistry::start();
        push(&server, &image(1, &[10]), "app:1").expect("pushed");
        let other = image(2, &[10]);
        push(&server, &other, "app:2").expect("pushed");
        server.forget();
        // The configuration is sent and looked for; then comes the manifest.
        server.fail_at(3, Fault::Status(status));
        let error = client(&server)
            .push_manifest(&other.documents(), &[reference(&server, "app:1")])
            .expect_err("refused");
        assert!(
            matches!(error, RegistryError::TagImmutable { .. }),
            "{status}: {error:?}"
        );
    }
}

#[test]
fn registry_that_is_full() {
    let server = TestRegistry::start();
    for index in 1..20 {
        server.fail_at(index, Fault::Status(507));
    }
    let error = push(&server, &image(1, &[10]), "app:1").expect_err("refused");
    assert!(
        matches!(error, RegistryError::Full { status: 507, .. }),
        "{error:?}"
    );
    assert!(
        error
            .to_string()
            .contains("the registry is full, or takes nothing this large (507"),
        "{error}"
    );
}

#[test]
fn certificate_that_is_not_trusted_says_how_to_give_the_authority() {
    let server = TestRegistry::with(Options {
        tls: true,
        ..Options::default()
    });
    let registry = Registry::new(Settings {
        http: fetch::Config {
            roots: fetch::trust::Roots::default(),
            ..settings(&server).http
        },
        ..settings(&server)
    })
    .expect("a client");
    let error = registry
        .image(&reference(&server, "app"), Platform::LINUX_AMD64)
        .expect_err("refused");
    assert!(
        matches!(error, RegistryError::Untrusted { .. }),
        "{error:?}"
    );
    let message = error.to_string();
    assert!(
        message.starts_with(&format!(
            "GET https://{}/v2/app/manifests/latest: ",
            server.host()
        )),
        "{message}"
    );
    assert!(
        message.ends_with("--ca-cert FILE or SSL_CERT_FILE=FILE."),
        "{message}"
    );
    assert_eq!(server.requests(), 0);
}

#[test]
fn registry_that_is_not_there() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let name = format!("{}/app", listener.local_addr().expect("an address"));
    drop(listener);
    let server = TestRegistry::start();
    let name: Reference = name.parse().expect("a reference");
    let error = client(&server)
        .image(&name, Platform::LINUX_AMD64)
        .expect_err("nobody there");
    assert!(
        matches!(error, RegistryError::GaveUp { attempts: 5, .. }),
        "{error:?}"
    );
}

#[test]
fn documents_that_are_refused() {
    let server = TestRegistry::start();
    let entry = |architecture: &str| {
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 2,
            "digest": format!("sha256:{}", "0".repeat(64)), "platform": {"os": "linux", "architecture": architecture}})
    };
    let both = json!({"schemaVersion": 2, "manifests": [], "layers": [], "config": {}});
    let arm = json!({"schemaVersion": 2, "manifests": [entry("arm64"), entry("s390x")]});
    let dangling = json!({"schemaVersion": 2, "manifests": [entry("amd64"), entry("arm64")]});
    for (tag, document, reason) in [
        (
            "both",
            both,
            "is a manifest and an index at once; such documents are refused",
        ),
        (
            "old",
            json!({"schemaVersion": 1, "fsLayers": []}),
            "has the outdated schema 1",
        ),
        (
            "arm",
            arm,
            "has no image for linux/amd64, but for linux/arm64",
        ),
        ("dangling", dangling, "is missing"),
        ("text", json!("text"), "is not what it should be"),
    ] {
        server.put_manifest("app", Some(tag), INDEX, document.to_string().as_bytes());
        let name = reference(&server, &format!("app:{tag}"));
        let error = client(&server)
            .image(&name, Platform::LINUX_AMD64)
            .expect_err(tag);
        let RegistryError::Image { asked, source } = &error else {
            panic!("{tag}: {error:?}");
        };
        assert!(asked.to_string().starts_with("GET http://"), "{asked}");
        assert!(source.to_string().contains(reason), "{tag}: {source}");
    }
}

#[test]
fn index_leads_to_the_image_for_the_platform() {
    let server = TestRegistry::start();
    let (one, two) = (image(1, &[10]), image(2, &[20]));
    push(&server, &one, "app:one").expect("pushed");
    push(&server, &two, "app:two").expect("pushed");
    let entry = |image: &Image, architecture: &str| {
        let manifest = image.documents().manifest;
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": manifest.bytes.len(),
            "digest": manifest.digest, "platform": {"os": "linux", "architecture": architecture}})
    };
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry(&one, "arm64"), entry(&two, "amd64")]});
    let digest = server.put_manifest("app", Some("all"), INDEX, index.to_string().as_bytes());
    for (architecture, expected) in [("amd64", &two), ("arm64", &one)] {
        let platform = Platform {
            architecture,
            ..Platform::LINUX_AMD64
        };
        let found = client(&server)
            .image(&reference(&server, "app:all"), platform)
            .expect("pulled")
            .expect("there");
        assert_eq!(found.manifest, expected.documents().manifest.digest);
        assert_eq!(found.reference.identifier(), digest);
    }
}

#[test]
fn blob_that_the_registry_lost_is_sent_again() {
    let server = TestRegistry::start();
    let app = image(1, &[70_000]);
    push(&server, &app, "app:1").expect("pushed");
    server.remove_blob("app", &app.layers()[0].digest.to_string());
    push(&server, &app, "app:1").expect("pushed");
    crate::fixture::assert_stored(&server, "app", "1", &app);
}

#[test]
fn layer_that_cannot_be_read_here_is_not_pushed() {
    let server = TestRegistry::start();
    let app =
        image(1, &[70_000]).with_sources(|_| oci_image::BlobSource::File("/no/such/file".into()));
    let error = push(&server, &app, "app:1").expect_err("no such file");
    assert!(matches!(error, RegistryError::Source { .. }), "{error:?}");
    // Neither is one that changed since it was written.
    let other = crate::fixture::noise(5, 70_000);
    let app = image(1, &[70_000]).with_sources(|_| oci_image::BlobSource::Bytes(other.clone()));
    let error = push(&server, &app, "app:1").expect_err("another content");
    assert!(matches!(error, RegistryError::Source { .. }), "{error:?}");
    assert_eq!(server.tag("app", "1"), None);
    // What was begun is given up. (With a whole image, another blob may be on its way at that moment.)
    let server = TestRegistry::start();
    let sent = client(&server).push_layer(&reference(&server, "app:1"), &app.layers()[0], &[]);
    assert!(
        matches!(sent, Err(RegistryError::Source { .. })),
        "{sent:?}"
    );
    assert_eq!(server.open_uploads(), 0);
}
