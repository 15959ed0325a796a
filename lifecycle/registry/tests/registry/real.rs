//! Debian's docker-registry: plain, with a password, with TLS of a private authority, with tokens of a small token server.
//! And skopeo, to see that another client gets the same.

mod breaking;

use std::{process::Command, time::Duration};

use oci_image::{BlobRef, Image, Platform, Reference};
use registry::{Artifact, Credentials, Outcome, Push, Registry, RegistryError, Settings};

use crate::fixture::{contents, image, layer, login, noise};
use test_servers::registry::{Kind, Registry as DockerRegistry};

fn client(authority: &str, host: &str, with_login: bool) -> Registry {
    let none = Credentials::none();
    let credentials = if with_login {
        none.with_login(host, login())
    } else {
        none
    };
    client_with(authority, credentials)
}

fn client_with(authority: &str, credentials: Credentials) -> Registry {
    Registry::new(Settings {
        http: fetch::Config {
            roots: fetch::trust::Roots::from_pem(authority.as_bytes()),
            ..fetch::Config::default()
        },
        credentials,
        chunk_size: 1_000_000,
        ..Settings::default()
    })
    .expect("a client")
}

fn named(server: &DockerRegistry, name: &str) -> Reference {
    format!("{}/{name}", server.host())
        .parse()
        .expect("a reference")
}

fn push(
    registry: &Registry,
    image: &Image,
    tag: &Reference,
) -> Result<Vec<Outcome>, RegistryError> {
    let push = Push {
        tags: std::slice::from_ref(tag),
        mount_from: &[],
        previous: None,
    };
    registry
        .push_image(image, &push)
        .map(|report| report.layers)
}

/// Push, pull, push what grew on it elsewhere, push again.
fn round_trip(server: &DockerRegistry, registry: &Registry) {
    let base = image(1, &[10, 70_000, 3_000_000]);
    let base_tag = named(server, "team/base:1");
    registry.check_push(&base_tag).expect("allowed");
    push(registry, &base, &base_tag).expect("pushed");
    let found = registry
        .image(&base_tag, Platform::LINUX_AMD64)
        .expect("pulled")
        .expect("there");
    assert!(contents(&found.image).expect("read") == contents(&base).expect("read"));

    let app = found
        .image
        .with_layer(layer(noise(9, 5_000)), oci_image::History::default());
    let app_tag = named(server, "app:1");
    let mounted = Outcome::Mounted {
        from: base_tag.in_registry(),
    };
    assert_eq!(
        push(registry, &app, &app_tag).expect("pushed"),
        [
            mounted.clone(),
            mounted.clone(),
            mounted,
            Outcome::Uploaded { bytes: 5_000 }
        ]
    );
    let again = registry
        .image(&app_tag, Platform::LINUX_AMD64)
        .expect("pulled")
        .expect("there");
    assert_eq!(again.manifest, app.documents().manifest.digest);
    let absent = registry.image(&named(server, "none:1"), Platform::LINUX_AMD64);
    assert!(absent.expect("asked").is_none());
}

#[test]
fn plain() {
    let Some(server) = DockerRegistry::start(Kind::Open) else {
        return;
    };
    let registry = client("", &server.host(), false);
    round_trip(&server, &registry);

    let Some(skopeo) = test_skip::tool("skopeo") else {
        return;
    };
    let out = server.folder().join("copied");
    let copied = Command::new(skopeo)
        .args([
            "copy",
            "--quiet",
            "--preserve-digests",
            "--src-tls-verify=false",
        ])
        .arg(format!("docker://{}/app:1", server.host()))
        .arg(format!("oci:{}:1", out.display()))
        .output()
        .expect("skopeo runs");
    assert!(
        copied.status.success(),
        "{}",
        String::from_utf8_lossy(&copied.stderr)
    );
    let copied = oci_image::read_layout(&out, None, Platform::LINUX_AMD64).expect("a layout");
    let pushed = registry
        .image(&named(&server, "app:1"), Platform::LINUX_AMD64)
        .expect("pulled")
        .expect("there");
    assert_eq!(copied.documents().manifest.digest, pushed.manifest);
}

#[test]
fn connection_that_breaks() {
    let Some(server) = DockerRegistry::start(Kind::Open) else {
        return;
    };
    let broken = breaking::passing_on_to(&server.host(), 2_500_000, 4);
    let app = image(3, &[6_000_000]);
    let tag: Reference = format!("{broken}/app:1").parse().expect("a reference");
    let outcome = push(&client("", &broken, false), &app, &tag).expect("pushed");
    assert_eq!(outcome, [Outcome::Uploaded { bytes: 6_000_000 }]);
    let found = client("", &server.host(), false)
        .image(&named(&server, "app:1"), Platform::LINUX_AMD64)
        .expect("pulled")
        .expect("there");
    assert!(contents(&found.image).expect("read") == contents(&app).expect("read"));
}

#[test]
fn attached() {
    let Some(server) = DockerRegistry::start(Kind::Open) else {
        return;
    };
    let registry = client("", &server.host(), false);
    let tag = named(&server, "app:1");
    let app = image(3, &[5_000]);
    push(&registry, &app, &tag).expect("pushed");
    let manifest = app.documents().manifest;
    let subject = BlobRef {
        digest: manifest.digest,
        size: manifest.bytes.len() as u64,
    };
    let artifact = Artifact {
        artifact_type: "application/vnd.cyclonedx+json".to_owned(),
        content: vec![("application/vnd.cyclonedx+json".to_owned(), b"{}".to_vec())],
        annotations: std::collections::BTreeMap::new(),
    };
    // This version knows no referrers: the list is under the fallback tag.
    let attached = registry.attach(&tag, subject, &artifact).expect("attached");
    let listed = registry
        .referrers(&tag, &subject.digest, None)
        .expect("listed");
    assert_eq!(
        listed
            .into_iter()
            .map(|referrer| referrer.digest)
            .collect::<Vec<_>>(),
        [attached]
    );
}

#[test]
fn password() {
    let Some(server) = DockerRegistry::start(Kind::Password) else {
        return;
    };
    round_trip(&server, &client("", &server.host(), true));
    let error = client("", &server.host(), false)
        .check_push(&named(&server, "app"))
        .expect_err("nobody may");
    assert!(matches!(error, RegistryError::Unauthorized(_)), "{error:?}");
}

#[test]
fn tls_of_a_private_authority() {
    let Some(server) = DockerRegistry::start(Kind::Tls) else {
        return;
    };
    let authority = server.authority.as_deref().expect("it speaks TLS");
    round_trip(&server, &client(authority, &server.host(), false));
    let error = client("", &server.host(), false)
        .image(&named(&server, "app"), Platform::LINUX_AMD64)
        .expect_err("not trusted");
    assert!(
        matches!(error, RegistryError::Untrusted { .. }),
        "{error:?}"
    );
}

#[test]
fn client_certificates() {
    let Some(server) = DockerRegistry::start(Kind::ClientCertificates) else {
        return;
    };
    let folder = server.folder().join("certs.d");
    let own = folder.join(server.host());
    std::fs::create_dir_all(&own).expect("a folder");
    for (from, to) in [
        ("authority.pem", "ca.crt"),
        ("client.cert", "client.cert"),
        ("client.key", "client.key"),
    ] {
        std::fs::copy(server.folder().join(from), own.join(to)).expect("copied");
    }
    let with_folders = |certificate_folders| {
        Registry::new(Settings {
            certificate_folders,
            ..Settings::default()
        })
        .expect("a client")
    };
    round_trip(&server, &with_folders(vec![folder]));
    let authority = server.authority.as_deref().expect("it speaks TLS");
    let error = client(authority, &server.host(), false)
        .image(&named(&server, "app"), Platform::LINUX_AMD64)
        .expect_err("who asks?");
    assert!(matches!(error, RegistryError::Identity { .. }), "{error:?}");
}

#[test]
fn tokens() {
    let life = Duration::from_mins(5);
    let Some(server) = DockerRegistry::start(Kind::Tokens { life }) else {
        return;
    };
    let authority = server.authority.as_deref().expect("it speaks TLS");
    round_trip(&server, &client(authority, &server.host(), true));
    // A token server that refuses the password.
    let wrong = registry::Login::Basic {
        user: "user".to_owned(),
        password: "wrong".to_owned(),
    };
    let credentials = Credentials::none().with_login(&server.host(), wrong);
    let error = client_with(authority, credentials)
        .check_push(&named(&server, "app"))
        .expect_err("refused");
    assert!(matches!(error, RegistryError::Unauthorized(_)), "{error:?}");
}
