//! Certificates for one registry, in a folder of its own: its authority, and what shows it who asks.

use std::fs;
use std::path::Path;

use oci_image::Platform;
use registry::{Push, Registry, RegistryError, Settings};
use test_registry::{Fault, Options, TestRegistry};

use crate::fixture::{assert_stored, image, reference, settings};

/// A registry that wants a certificate, and a folder with what these file names stand for.
fn demanding(files: &[&str]) -> (TestRegistry, tempfile::TempDir) {
    let server = TestRegistry::with(Options {
        tls: true,
        wants_certificates: true,
        ..Options::default()
    });
    let folder = tempfile::tempdir().expect("a folder");
    let made = server.certificate().expect("it speaks TLS");
    let own = folder.path().join(server.host());
    fs::create_dir(&own).expect("a folder");
    for name in files {
        let text = match Path::new(name).extension().and_then(|end| end.to_str()) {
            Some("crt") => &made.authority,
            Some("cert") => &made.client_certificate,
            _ => &made.client_key,
        };
        fs::write(own.join(name), text).expect("written");
    }
    (server, folder)
}

/// Trusts nothing but what is in the folder.
fn client(server: &TestRegistry, folder: &Path) -> Registry {
    let settings = Settings {
        certificate_folders: vec![folder.to_owned()],
        ..settings(server)
    };
    let http = fetch::Config {
        roots: fetch::trust::Roots::default(),
        ..settings.http
    };
    Registry::new(Settings { http, ..settings }).expect("a client")
}

fn push(registry: &Registry, server: &TestRegistry) -> Result<(), RegistryError> {
    let push = Push {
        tags: &[reference(server, "app:1")],
        mount_from: &[],
        previous: None,
    };
    registry
        .push_image(&image(1, &[70_000, 10]), &push)
        .map(drop)
}

#[test]
fn client_certificate_is_shown() {
    let (server, folder) = demanding(&["ca.crt", "client.cert", "client.key"]);
    let registry = client(&server, folder.path());
    push(&registry, &server).expect("pushed");
    assert_stored(&server, "app", "1", &image(1, &[70_000, 10]));
}

#[test]
fn without_one_the_message_says_where_it_belongs() {
    let (server, folder) = demanding(&["ca.crt"]);
    let registry = client(&server, folder.path());
    let asked = registry.check_push(&reference(&server, "app:1"));
    assert_eq!(
        asked.expect_err("refused").to_string(),
        format!(
            "POST https://{}/v2/app/blobs/uploads/: the server wants a client certificate, or refuses the one it was shown (CertificateRequired).\n\
             Put it as client.cert, and its key as client.key, into {}/HOST (or HOST:PORT, as in the image's name)",
            server.host(),
            folder.path().display()
        )
    );
}

#[test]
fn without_its_key_nothing_is_asked() {
    let (server, folder) = demanding(&["ca.crt", "client.cert"]);
    let error = push(&client(&server, folder.path()), &server).expect_err("refused");
    let own = folder.path().join(server.host());
    assert_eq!(
        error.to_string(),
        format!(
            "the client certificate {} has no key: {} is not there. If it is an authority's, its name has to end in .crt",
            own.join("client.cert").display(),
            own.join("client.key").display()
        )
    );
    assert!(server.log().is_empty());
}

/// Whoever the registry leads to must not be able to use its user's name elsewhere.
#[test]
fn client_certificate_is_not_shown_to_another_host() {
    let (server, folder) = demanding(&["ca.crt", "client.cert", "client.key"]);
    let registry = client(&server, folder.path());
    push(&registry, &server).expect("pushed");
    let app = reference(&server, "app:1");
    let found = registry.image(&app, Platform::LINUX_AMD64).expect("asked");
    let found = found.expect("there").image;
    server.forget();
    server.fail_at(0, Fault::RedirectElsewhere);
    let layer = &found.layers()[0];
    let error = crate::fixture::read(layer).expect_err("the other host wants a certificate, too");
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    assert!(!server.log().iter().any(|logged| logged.elsewhere));
}
