//! Push and pull when all goes well.

use oci_image::{History, Platform, Reference};
use registry::{Outcome, Push, Registry};
use test_registry::{Auth, Options, TestRegistry};

use crate::fixture::{assert_stored, client, contents, image, layer, noise, reference, settings};

fn push_all(tags: &[Reference]) -> Push<'_> {
    Push {
        tags,
        mount_from: &[],
        previous: None,
    }
}

#[test]
fn push_then_pull_gives_the_same() {
    let server = TestRegistry::start();
    let image = image(1, &[10, 100_000, 3_000_000]);
    let tag = reference(&server, "team/app:1");
    let report = client(&server)
        .push_image(&image, &push_all(std::slice::from_ref(&tag)))
        .expect("pushed");
    assert_stored(&server, "team/app", "1", &image);
    assert_eq!(
        report.layers,
        [10, 100_000, 3_000_000].map(|bytes| Outcome::Uploaded { bytes })
    );
    assert_eq!(server.open_uploads(), 0);

    let found = client(&server)
        .image(&tag, Platform::LINUX_AMD64)
        .expect("pulled")
        .expect("there");
    assert_eq!(found.reference, tag.with_digest(report.digest));
    assert_eq!(
        contents(&found.image).expect("read"),
        contents(&image).expect("read")
    );
}

#[test]
fn push_again_sends_nothing() {
    let server = TestRegistry::start();
    let image = image(1, &[70_000, 80_000]);
    let tags = ["app:1", "app:2"].map(|name| reference(&server, name));
    let report = client(&server)
        .push_image(&image, &push_all(&tags[..1]))
        .expect("pushed");

    server.forget();
    let again = client(&server)
        .push_image(&image, &push_all(&tags[1..]))
        .expect("pushed");
    assert_eq!(again.layers, [Outcome::Existed, Outcome::Existed]);
    assert_eq!(again.digest, report.digest);
    assert_stored(&server, "app", "2", &image);

    server.forget();
    let unchanged = Push {
        previous: Some(report.digest),
        ..push_all(&tags)
    };
    client(&server)
        .push_image(&image, &unchanged)
        .expect("pushed");
    // Is it there, then each name and a look at it.
    assert_eq!(server.requests(), 5, "{:#?}", server.log());
}

#[test]
fn push_to_several_repositories_mounts() {
    let server = TestRegistry::start();
    let image = image(1, &[70_000]);
    let tags = ["one:1", "two:1"].map(|name| reference(&server, name));
    client(&server)
        .push_image(&image, &push_all(&tags))
        .expect("pushed");
    for repository in ["one", "two"] {
        assert_stored(&server, repository, "1", &image);
    }
    let sent = server
        .log()
        .iter()
        .filter(|logged| logged.body >= 70_000)
        .count();
    assert_eq!(sent, 1);
}

#[test]
fn layers_of_another_repository_are_mounted_not_sent() {
    for mounts in [true, false] {
        let server = TestRegistry::with(Options {
            mounts,
            auth: Auth::token(std::time::Duration::from_mins(5)),
            ..Options::default()
        });
        let base = image(1, &[70_000, 80_000]);
        let base_tag = reference(&server, "base:1");
        client(&server)
            .push_image(&base, &push_all(std::slice::from_ref(&base_tag)))
            .expect("pushed");
        server.forget();

        let registry = client(&server);
        let found = registry
            .image(&base_tag, Platform::LINUX_AMD64)
            .expect("pulled")
            .expect("there");
        let app = found
            .image
            .with_layer(layer(noise(9, 90_000)), History::default());
        let report = registry
            .push_image(&app, &push_all(&[reference(&server, "app:1")]))
            .expect("pushed");
        assert_stored(&server, "app", "1", &app);
        let from = format!("{}/base", server.host());
        let expected = if mounts {
            let mounted = || Outcome::Mounted { from: from.clone() };
            [mounted(), mounted(), Outcome::Uploaded { bytes: 90_000 }]
        } else {
            [70_000, 80_000, 90_000].map(|bytes| Outcome::Uploaded { bytes })
        };
        assert_eq!(report.layers, expected);
        assert_eq!(server.open_uploads(), 0);
    }
}

/// A run image of one layer and six more: how many requests that takes, previous image and run image read and all.
fn requests_of_a_first_publish(options: Options) -> usize {
    let server = TestRegistry::with(options);
    client(&server)
        .push_image(&image(1, &[500]), &push_all(&[reference(&server, "run:1")]))
        .expect("pushed");
    server.forget();

    let registry = client(&server);
    let tag = reference(&server, "app:1");
    registry.check_push(&tag).expect("allowed");
    let previous = registry.image(&tag, Platform::LINUX_AMD64).expect("asked");
    assert!(previous.is_none());
    let run = registry
        .image(&reference(&server, "run:1"), Platform::LINUX_AMD64)
        .expect("pulled")
        .expect("there");
    let app = (10..16).fold(run.image, |image, seed| {
        image.with_layer(layer(noise(seed, 2000)), History::default())
    });
    assert_eq!(app.layers().len(), 7);
    registry
        .push_image(&app, &push_all(&[tag]))
        .expect("pushed");
    let requests = server.requests();
    assert_stored(&server, "app", "1", &app);
    drop(registry);
    assert_eq!(server.open_uploads(), 0);
    requests
}

#[test]
fn first_publish_of_seven_small_layers_takes_at_most_30_requests() {
    // The upload that the check opened is the first layer's; for every blob POST, PUT and a look whether it is there.
    assert_eq!(requests_of_a_first_publish(Options::default()), 28);
}

/// It looks itself for the blobs that a manifest names.
#[test]
fn first_publish_to_distribution_looks_for_no_blob() {
    let distribution = Options {
        is_distribution: true,
        ..Options::default()
    };
    assert_eq!(requests_of_a_first_publish(distribution), 28 - 8);
}

/// What is in no repository need not be asked for, however large.
#[test]
fn new_repository_is_not_asked_for_blobs() {
    for (knows_names, questions) in [(true, 0), (false, 1)] {
        let server = TestRegistry::with(Options {
            knows_names,
            ..Options::default()
        });
        let (registry, tag) = (client(&server), reference(&server, "app:1"));
        let found = registry.image(&tag, Platform::LINUX_AMD64).expect("asked");
        assert!(found.is_none());
        let image = image(1, &[200_000]);
        registry
            .push_image(&image, &push_all(&[tag]))
            .expect("pushed");
        assert_stored(&server, "app", "1", &image);
        let asked = server
            .log()
            .iter()
            .filter(|logged| logged.line().starts_with("HEAD /v2/app/blobs/"))
            .filter(|logged| logged.status == Some(404))
            .count();
        assert_eq!(asked, questions, "{:#?}", server.log());
    }
}

#[test]
fn check_push_leaves_nothing_behind() {
    let server = TestRegistry::start();
    let registry = client(&server);
    registry
        .check_push(&reference(&server, "app"))
        .expect("allowed");
    assert_eq!(server.open_uploads(), 1);
    drop(registry);
    assert_eq!(server.open_uploads(), 0);
}

#[test]
fn https_with_an_authority_of_its_own() {
    let server = TestRegistry::with(Options {
        tls: true,
        auth: Auth::basic(),
        ..Options::default()
    });
    let image = image(1, &[70_000]);
    for host in [
        server.host(),
        server.host().replace("127.0.0.1", "localhost"),
    ] {
        let registry = Registry::new(registry::Settings {
            credentials: registry::Credentials::none().with_login(&host, crate::fixture::login()),
            ..settings(&server)
        })
        .expect("a client");
        let tag: Reference = format!("{host}/app:1").parse().expect("a reference");
        registry
            .push_image(&image, &push_all(&[tag]))
            .expect("pushed");
        assert_stored(&server, "app", "1", &image);
    }
}

#[test]
fn small_layers_of_an_image_that_was_seen_are_not_sent_again() {
    let server = TestRegistry::start();
    let old = image(1, &[10, 20]);
    let tag = reference(&server, "app:1");
    let tags = std::slice::from_ref(&tag);
    client(&server)
        .push_image(&old, &push_all(tags))
        .expect("pushed");
    let registry = client(&server);
    registry.image(&tag, Platform::LINUX_AMD64).expect("pulled");
    server.forget();
    let new = old.with_layer(layer(noise(9, 30)), History::default());
    let report = registry.push_image(&new, &push_all(tags)).expect("pushed");
    assert_eq!(
        report.layers,
        [
            Outcome::Existed,
            Outcome::Existed,
            Outcome::Uploaded { bytes: 30 }
        ]
    );
    assert_stored(&server, "app", "1", &new);
}

/// 0.0.0.0 leads to this machine too, but does not say so.
#[test]
fn plain_http_elsewhere_only_if_allowed() {
    let image = image(1, &[10]);
    for (tls, allowed) in [(false, true), (true, true), (false, false)] {
        let server = TestRegistry::with(Options {
            tls,
            ..Options::default()
        });
        let host = server.host().replace("127.0.0.1", "0.0.0.0");
        let registry = Registry::new(registry::Settings {
            insecure: if allowed {
                vec![host.clone()]
            } else {
                Vec::new()
            },
            ..settings(&server)
        })
        .expect("a client");
        let tag: Reference = format!("{host}/app:1").parse().expect("a reference");
        let pushed = registry.push_image(&image, &push_all(&[tag]));
        match (tls, allowed) {
            (false, true) => assert!(pushed.is_ok(), "{pushed:?}"),
            // What speaks TLS has to have the right certificate; there is no way back to plain http.
            (true, _) => assert!(
                matches!(
                    pushed,
                    Err(registry::RegistryError::InvalidCertificate { .. })
                ),
                "{pushed:?}"
            ),
            (false, false) => {
                assert!(pushed.is_err());
                assert_eq!(server.requests(), 0);
            }
        }
    }
}

#[test]
fn several_threads_share_a_handle() {
    let server = TestRegistry::with(Options {
        auth: Auth::token(std::time::Duration::from_mins(5)),
        ..Options::default()
    });
    let registry = client(&server);
    let repository = reference(&server, "app:1");
    let image = image(1, &[70_000; 8]);
    std::thread::scope(|scope| {
        for layer in image.layers() {
            let (registry, repository) = (registry.clone(), &repository);
            scope.spawn(move || registry.push_layer(repository, layer, &[]).expect("pushed"));
        }
    });
    registry
        .push_manifest(&image.documents(), &[repository])
        .expect("named");
    assert_stored(&server, "app", "1", &image);
    let tokens = server
        .log()
        .iter()
        .filter(|logged| logged.target.starts_with("/token"))
        .count();
    assert_eq!(
        tokens, 1,
        "whoever needs a token waits for the one that is being fetched"
    );
}

#[test]
fn image_of_no_such_name() {
    let server = TestRegistry::start();
    let found = client(&server).image(&reference(&server, "none"), Platform::LINUX_AMD64);
    assert!(found.expect("asked").is_none());
}
