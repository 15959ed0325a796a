//! Large blobs: uploads that go on where the registry is, downloads that go on where they broke off.

use std::time::{Duration, Instant};

use oci_image::{Image, Platform};
use registry::{Push, Registry, RegistryError, Settings};
use test_registry::{Auth, Fault, Logged, Options, TestRegistry};

use crate::{
    faults::{assert_well_behaved, line, passes, sweep},
    fixture::{assert_stored, client, contents, image, reference, settings},
};

const SIZE: usize = 1_000_000;
const CHUNK: u64 = 300_000;

fn in_chunks(server: &TestRegistry) -> Registry {
    Registry::new(Settings {
        chunk_size: CHUNK,
        ..settings(server)
    })
    .expect("a client")
}

fn push(server: &TestRegistry, image: &Image) -> Result<(), RegistryError> {
    let registry = in_chunks(server);
    let push = Push {
        tags: &[reference(server, "app:1")],
        mount_from: &[],
        previous: None,
    };
    registry.push_image(image, &push).map(drop)
}

fn large() -> Image {
    image(77, &[SIZE])
}

/// A registry that takes bodies of one chunk at most: uploads go in pieces.
fn small_bodies() -> Options {
    Options {
        largest_body: CHUNK as usize,
        auth: Auth::token(Duration::from_mins(5)),
        ..Options::default()
    }
}

/// The pieces that were sent.
fn patches(log: &[Logged]) -> Vec<String> {
    log.iter()
        .filter(|logged| logged.method == "PATCH")
        .map(|logged| {
            let range = logged.header("content-range").unwrap_or("-");
            format!("{range} {}", logged.body)
        })
        .collect()
}

#[test]
fn upload_of_a_large_blob_takes_two_requests_if_all_goes_well() {
    let server = TestRegistry::start();
    push(&server, &large()).expect("pushed");
    let uploads = server
        .log()
        .iter()
        .filter(|logged| logged.target.contains("/blobs/uploads/"))
        .count();
    assert_eq!(uploads, 4, "of the layer and of the configuration");
}

#[test]
fn upload_that_breaks_off_goes_on_in_pieces() {
    let server = TestRegistry::start();
    let image = large();
    // It is asked for, an upload is opened, and all of it is sent.
    server.fail_at(2, Fault::Status(502));
    client(&server)
        .push_layer(&reference(&server, "app"), &image.layers()[0], &[])
        .expect("pushed");
    let methods: Vec<String> = server
        .log()
        .into_iter()
        .map(|logged| logged.method)
        .collect();
    assert_eq!(
        methods,
        ["HEAD", "POST", "PUT", "DELETE", "POST", "PUT", "HEAD"],
        "small enough to begin again"
    );

    let server = TestRegistry::start();
    server.fail_at(2, Fault::Status(502));
    in_chunks(&server)
        .push_layer(&reference(&server, "app"), &image.layers()[0], &[])
        .expect("pushed");
    let methods: Vec<String> = server
        .log()
        .into_iter()
        .map(|logged| logged.method)
        .collect();
    let expected = [
        "HEAD", "POST", "PUT", "GET", "PATCH", "PATCH", "PATCH", "PATCH", "PUT", "HEAD",
    ];
    assert_eq!(methods, expected);
}

#[test]
fn registry_that_takes_only_small_bodies_gets_pieces() {
    let server = TestRegistry::with(small_bodies());
    let image = large();
    push(&server, &image).expect("pushed");
    assert_stored(&server, "app", "1", &image);
    assert_eq!(
        patches(&server.log()),
        [
            "0-299999 300000",
            "300000-599999 300000",
            "600000-899999 300000",
            "900000-999999 100000",
        ]
    );
}

/// Every fault at every request of an upload in pieces.
#[test]
fn pieces_bear_every_fault() {
    let options = small_bodies();
    let image = large();
    let server = TestRegistry::with(options.clone());
    push(&server, &image).expect("pushed");
    sweep(server.requests(), &Fault::ALL, |index, fault| {
        let server = TestRegistry::with(options.clone());
        server.fail_at(index, fault);
        let begun = Instant::now();
        let pushed = push(&server, &image);
        let line = line(&server, index);
        let case = format!("{fault:?} at {index} ({line})");
        assert_well_behaved(&server, pushed.as_ref().err(), begun, &case);
        match pushed {
            Ok(()) => {
                server.forget();
                assert_stored(&server, "app", "1", &image);
            }
            Err(error) => assert!(!passes(fault, &options, &line), "{case}: {error}"),
        }
    });
}

/// Two faults at once, one after the other: the way back from the first is not left out.
#[test]
fn pieces_bear_faults_on_the_way_back() {
    let options = small_bodies();
    let image = large();
    let transient: Vec<Fault> = Fault::ALL
        .into_iter()
        .filter(|fault| fault.passes())
        .collect();
    sweep(20, &Fault::ALL, |index, second| {
        if !second.passes() || second == Fault::Silent {
            return;
        }
        let first = transient[index % transient.len()];
        let server = TestRegistry::with(options.clone());
        server.fail_at(index, first);
        server.fail_at(index + 1, second);
        let begun = Instant::now();
        let pushed = push(&server, &image);
        let lines = [line(&server, index), line(&server, index + 1)];
        let case = format!("{first:?} and {second:?} at {index} ({lines:?})");
        assert_well_behaved(&server, pushed.as_ref().err(), begun, &case);
        let may_fail = lines.iter().any(|line| line.contains(" /token"));
        match pushed {
            Ok(()) => {
                server.forget();
                assert_stored(&server, "app", "1", &image);
            }
            Err(error) => assert!(may_fail, "{case}: {error}"),
        }
    });
}

fn pull(server: &TestRegistry) -> std::io::Result<bool> {
    let found = client(server)
        .image(&reference(server, "app:1"), Platform::LINUX_AMD64)
        .expect("pulled")
        .expect("there");
    Ok(contents(&found.image)? == contents(&large())?)
}

#[test]
fn download_goes_on_where_it_broke_off() {
    let server = TestRegistry::start();
    push(&server, &large()).expect("pushed");
    for (fault, range) in [
        (Fault::Truncated, Some("bytes=500000-")),
        (Fault::ResetAfterHeaders, None),
        (Fault::WrongRange, None),
    ] {
        server.forget();
        // The manifest, the configuration, the layer.
        server.fail_at(2, fault);
        assert!(pull(&server).expect("read"));
        let log = server.log();
        assert_eq!(log.len(), 4, "{log:#?}");
        assert_eq!(log[3].header("range"), range);
    }
}

#[test]
fn download_does_not_believe_another_range() {
    let server = TestRegistry::start();
    push(&server, &large()).expect("pushed");
    server.forget();
    server.fail_at(2, Fault::Truncated);
    server.fail_at(3, Fault::WrongRange);
    assert!(pull(&server).expect("read"));
    // Once a range was wrong, the whole blob is asked for, and what is known of it passed over.
    assert_eq!(server.log()[4].header("range"), None);
}

#[test]
fn download_that_was_damaged_is_refused() {
    let server = TestRegistry::start();
    push(&server, &large()).expect("pushed");
    server.forget();
    server.fail_at(2, Fault::WrongDigest);
    let error = pull(&server).expect_err("damaged").into_inner();
    let error = error.and_then(|error| error.downcast::<RegistryError>().ok());
    assert!(
        matches!(error.as_deref(), Some(RegistryError::WrongDigest { .. })),
        "{error:?}"
    );
}
