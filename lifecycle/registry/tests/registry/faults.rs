//! The fault sweep: every fault at every single request of a push and of a pull. It ends with the right image, or with an error
//! that names a request, in time, and no other host has seen credentials. What passes always ends with the right image.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use oci_image::{History, Image, Platform, Reference};
use registry::{Push, Registry, RegistryError};
use test_registry::{Auth, Fault, Options, TestRegistry};

use crate::fixture::{assert_stored, contents, image, layer, noise, read, reference, settings};

/// Most of a case is waiting for a server that does not answer.
const AT_ONCE: usize = 12;

/// A registry with a run image of two layers, and the image to be built on it.
struct World {
    server: TestRegistry,
    run: Reference,
    app: Reference,
}

fn world(options: Options) -> World {
    let server = TestRegistry::with(options);
    let [run, app] = ["run:1", "team/app:1"].map(|name| reference(&server, name));
    let base = image(1, &[5_000, 70_000]);
    let documents = base.documents();
    for layer in base.layers() {
        server.put_blob("run", &read(layer).expect("our own layers"));
    }
    server.put_blob("run", &documents.config.bytes);
    let kind = "application/vnd.oci.image.manifest.v1+json";
    server.put_manifest("run", Some("1"), kind, &documents.manifest.bytes);
    World { server, run, app }
}

fn push(tags: &[Reference]) -> Push<'_> {
    Push {
        tags,
        mount_from: &[],
        previous: None,
    }
}

/// One small layer, one that is asked for first, one that is large enough to go on in pieces.
fn with_own_layers(base: Image) -> Image {
    [(11, 3_000), (12, 70_000), (13, 250_000)]
        .into_iter()
        .fold(base, |image, (seed, size)| {
            image.with_layer(layer(noise(seed, size)), History::default())
        })
}

fn quick(server: &TestRegistry) -> Registry {
    Registry::new(registry::Settings {
        chunk_size: 90_000,
        ..settings(server)
    })
    .expect("a client")
}

/// What `longshore build --publish` does with a registry.
fn publish(world: &World) -> Result<(), RegistryError> {
    let registry = quick(&world.server);
    registry.check_push(&world.app)?;
    registry.image(&world.app, Platform::LINUX_AMD64)?;
    let run = registry.image(&world.run, Platform::LINUX_AMD64)?;
    let run = run.expect("an error, not a missing run image");
    let app = with_own_layers(run.image);
    let tags = std::slice::from_ref(&world.app);
    registry.push_image(&app, &push(tags)).map(drop)
}

/// A registry without users that suddenly wants credentials has changed its mind, and a token server that refuses the password
/// is not asked again: accounts are locked after a few wrong ones.
pub(crate) fn passes(fault: Fault, options: &Options, line: &str) -> bool {
    let is_refusal = options.auth == Auth::None || line.contains(" /token");
    fault.passes() && !(fault == Fault::Expired && is_refusal)
}

/// Runs a case for each of these faults at every request, several at once.
pub(crate) fn sweep(requests: usize, faults: &[Fault], case: impl Fn(usize, Fault) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= requests * faults.len() {
                break;
            }
            case(number / faults.len(), faults[number % faults.len()]);
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
}

/// The request that went wrong.
pub(crate) fn line(server: &TestRegistry, index: usize) -> String {
    let own = server.log().into_iter().filter(|logged| !logged.elsewhere);
    own.map(|logged| logged.line())
        .nth(index)
        .unwrap_or_default()
}

/// What holds after every case.
pub(crate) fn assert_well_behaved(
    server: &TestRegistry,
    error: Option<&RegistryError>,
    begun: Instant,
    case: &str,
) {
    assert!(
        begun.elapsed() < Duration::from_secs(20),
        "{case}: over its time"
    );
    for logged in server.log() {
        let shown = logged.header("authorization");
        assert!(
            !(logged.elsewhere && shown.is_some()),
            "{case}: credentials were sent to another host"
        );
    }
    if let Some(error) = error {
        let message = error.to_string();
        let names_request = ["GET ", "HEAD ", "POST ", "PUT ", "PATCH "]
            .iter()
            .any(|method| message.contains(&format!("{method}http")));
        assert!(names_request, "{case}: {message}");
        assert!(
            !message.contains("secret") && !message.contains("_state="),
            "{case}: {message}"
        );
    }
}

fn sweep_push(options: &Options, faults: &[Fault]) {
    let reference = world(options.clone());
    publish(&reference).expect("published");
    let requests = reference.server.requests();
    sweep(requests, faults, |index, fault| {
        let case = format!("push, {fault:?} at request {index}");
        let world = world(options.clone());
        world.server.fail_at(index, fault);
        let begun = Instant::now();
        let published = publish(&world);
        let line = line(&world.server, index);
        let case = format!("{case} ({line})");
        assert_well_behaved(&world.server, published.as_ref().err(), begun, &case);
        if let Err(error) = &published {
            assert!(!passes(fault, options, &line), "{case}: {error}");
        }
        world.server.forget();
        // Never a tag that leads to half an image.
        if published.is_ok() || world.server.tag("team/app", "1").is_some() {
            let app = with_own_layers(image(1, &[5_000, 70_000]));
            assert_stored(&world.server, "team/app", "1", &app);
        }
    });
}

#[test]
fn push_without_credentials() {
    sweep_push(&Options::default(), &Fault::ALL);
}

#[test]
fn push_with_tokens_to_a_registry_that_checks_nothing() {
    let options = Options {
        auth: Auth::token(Duration::from_mins(5)),
        checks_manifests: false,
        says_digests: false,
        mounts: false,
        ..Options::default()
    };
    sweep_push(&options, &Fault::ALL);
}

#[test]
fn push_to_distribution() {
    let options = Options {
        is_distribution: true,
        ..Options::default()
    };
    sweep_push(&options, &Fault::ALL);
}

/// Its word, digests and all, is no proof.
#[test]
fn push_to_a_registry_that_says_digests_and_checks_nothing() {
    let options = Options {
        checks_manifests: false,
        ..Options::default()
    };
    sweep_push(&options, &[Fault::NotStored, Fault::ResetAfterwards]);
}

#[test]
fn push_with_a_password_over_tls() {
    let options = Options {
        auth: Auth::basic(),
        tls: true,
        ..Options::default()
    };
    // What happens to the connection; what is in the answers is the same as without TLS.
    let faults = [
        Fault::Expired,
        Fault::ResetBeforeHeaders,
        Fault::ResetAfterwards,
        Fault::ResetAfterHeaders,
        Fault::Truncated,
        Fault::RedirectElsewhere,
        Fault::Silent,
    ];
    sweep_push(&options, &faults);
}

#[test]
fn pull() {
    for auth in [Auth::None, Auth::token(Duration::from_mins(5))] {
        let options = Options {
            auth,
            ..Options::default()
        };
        let pull = |world: &World| {
            let found = quick(&world.server).image(&world.run, Platform::LINUX_AMD64)?;
            let found = found.expect("an error, not a missing image");
            contents(&found.image).map_err(|error| {
                let inner = error.into_inner().expect("an error of ours");
                *inner
                    .downcast::<RegistryError>()
                    .expect("an error of the registry")
            })
        };
        let well = world(options.clone());
        let expected = pull(&well).expect("pulled");
        assert_eq!(
            expected,
            contents(&image(1, &[5_000, 70_000])).expect("read")
        );
        let requests = well.server.requests();
        sweep(requests, &Fault::ALL, |index, fault| {
            let case = format!("pull, {fault:?} at request {index}");
            let world = world(options.clone());
            world.server.fail_at(index, fault);
            let begun = Instant::now();
            let pulled = pull(&world);
            let line = line(&world.server, index);
            assert_well_behaved(&world.server, pulled.as_ref().err(), begun, &case);
            match pulled {
                Ok(found) => assert!(found == expected, "{case}: another image"),
                Err(error) => assert!(!passes(fault, &options, &line), "{case}: {error}"),
            }
        });
    }
}

#[test]
fn a_server_that_never_recovers_ends_in_time() {
    for fault in [
        Fault::Silent,
        Fault::ResetBeforeHeaders,
        Fault::TooMany,
        Fault::NotStored,
    ] {
        let world = world(Options::default());
        (3..2000).for_each(|index| world.server.fail_at(index, fault));
        let registry = Registry::new(registry::Settings {
            time_budget: Duration::from_secs(2),
            ..settings(&world.server)
        })
        .expect("a client");
        let begun = Instant::now();
        let app = with_own_layers(image(1, &[10]));
        let error = registry
            .push_image(&app, &push(std::slice::from_ref(&world.app)))
            .expect_err("nothing works");
        assert_well_behaved(&world.server, Some(&error), begun, &format!("{fault:?}"));
        assert!(begun.elapsed() < Duration::from_secs(10), "{fault:?}");
        let fits = match fault {
            Fault::NotStored => matches!(error, RegistryError::NotStored { .. }),
            _ => matches!(error, RegistryError::GaveUp { .. }),
        };
        assert!(fits, "{fault:?}: {error:?}");
    }
}
