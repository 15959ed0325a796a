//! A daemon that fails: the right image in the end, or an error that names the request or the socket, within the time.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::{fs::PermissionsExt as _, net::UnixListener, process::CommandExt as _},
    process::Command,
    time::{Duration, Instant},
};

use daemon::{Daemon, DaemonError, Known, Load, Unreachable};
use oci_image::{ArchiveKind, BlobSource, Image, ImageConfig, Layer, RootFs, write_archive};
use tempfile::TempDir;

use crate::{
    fake::{Fake, Fault},
    fixture::{client, image, load, tar},
};

const PATIENT: Duration = Duration::from_secs(20);

fn id_of(image: &Image) -> String {
    image.documents().config.digest.to_string()
}

fn fake(image: &Image) -> (Fake, Daemon) {
    let fake = Fake::start();
    fake.will_have(&id_of(image));
    let daemon = client(&fake.host(), PATIENT);
    (fake, daemon)
}

#[test]
fn load_asks_no_more_than_it_needs() {
    let image = image();
    let (fake, daemon) = fake(&image);
    let loaded = load(&daemon, &image, &["app:1", "team/app:2"]).expect("loaded");
    let id = id_of(&image);
    assert_eq!(loaded.id.to_string(), id);
    assert_eq!(loaded.sent_layers, image.config().rootfs.diff_ids);
    assert_eq!(fake.loads(), [loaded.sent_bytes as usize]);
    let expected = [
        "GET /_ping".to_owned(),
        "GET /v1.41/info".to_owned(),
        format!("GET /v1.41/images/{id}/json"),
        "GET /v1.41/images/app:1/json".to_owned(),
        "GET /v1.41/images/team/app:2/json".to_owned(),
        "GET /v1.41/images/json".to_owned(),
        "POST /v1.41/images/load?quiet=1".to_owned(),
        format!("GET /v1.41/images/{id}/json"),
        format!("POST /v1.41/images/{id}/tag?repo=app&tag=1"),
        "GET /v1.41/images/app:1/json".to_owned(),
        format!("POST /v1.41/images/{id}/tag?repo=team%2Fapp&tag=2"),
        "GET /v1.41/images/team/app:2/json".to_owned(),
    ];
    assert_eq!(fake.log(), expected);

    let again = load(&daemon, &image, &["app:3"]).expect("named");
    assert_eq!((again.sent_bytes, again.sent_layers), (0, Vec::new()));
    assert_eq!(fake.loads().len(), 1);
}

#[test]
fn passing_faults_end_in_the_right_image() {
    let image = image();
    let busy = || Fault::Answer(503, "{}".to_owned());
    for (part, fault) in [
        ("_ping", Fault::Reset(0)),
        ("info", busy()),
        ("GET /v1.41/images/json", Fault::Cut),
        ("load", Fault::Reset(0)),
        ("load", Fault::Reset(100_000)),
        ("load", Fault::Cut),
        ("load", Fault::Early(503)),
        ("load", busy()),
        ("tag", Fault::Reset(0)),
        ("app:1/json", Fault::Cut),
    ] {
        let (fake, daemon) = fake(&image);
        fake.fail(part, 2, fault.clone());
        let loaded = load(&daemon, &image, &["app:1"]);
        assert!(loaded.is_ok(), "{fault:?} at {part}: {loaded:?}");
        assert_eq!(fake.loads().len(), 1, "{fault:?} at {part}");
    }
}

#[test]
fn lasting_faults_end_in_an_error_that_names_the_request() {
    let image = image();
    let no_space = r#"{"message":"write /x: no space left on device"}"#.to_owned();
    let detail = r#"{"errorDetail":{"message":"no space left on device"},"error":"x"}"#.to_owned();
    for (part, fault, words) in [
        ("_ping", Fault::Answer(200, String::new()), None),
        (
            "load",
            Fault::Answer(500, no_space),
            Some(
                "POST /v1.41/images/load (unix:///S): the daemon answered 500: write /x: no space left on device",
            ),
        ),
        (
            "load",
            Fault::Answer(200, detail),
            Some(
                "POST /v1.41/images/load (unix:///S): the daemon could not load the image: no space left on device",
            ),
        ),
        (
            "load",
            Fault::Early(500),
            Some("POST /v1.41/images/load (unix:///S): the daemon answered 500: too early"),
        ),
        (
            "tag",
            Fault::Answer(409, "{}".to_owned()),
            Some("POST /v1.41/images/ID/tag (unix:///S): the daemon answered 409: {}"),
        ),
        (
            "info",
            Fault::Answer(200, "<html>".to_owned()),
            Some(
                "GET /v1.41/info (unix:///S): the answer is not a Docker daemon's: expected value at line 1 column 1",
            ),
        ),
    ] {
        let (fake, daemon) = fake(&image);
        fake.fail(part, 99, fault.clone());
        let result = load(&daemon, &image, &["app:1"]);
        let Some(words) = words else {
            assert!(result.is_ok(), "{result:?}");
            continue;
        };
        let host = fake.host();
        let said = result.expect_err("an error").to_string();
        let said = said
            .replace(&host, "unix:///S")
            .replace(&id_of(&image), "ID");
        assert_eq!(said, words, "{fault:?} at {part}");
    }
}

/// Every fault at every request of a load. A fault that passes ends in the right image; any other in the right image or in an error, and
/// then the name leads nowhere or to the right image.
#[test]
fn every_fault_at_every_request() {
    let image = image();
    let requests = {
        let (fake, daemon) = fake(&image);
        load(&daemon, &image, &["app:1"]).expect("loaded");
        fake.log().len()
    };
    let words = |text: &str| text.to_owned();
    let faults = [
        (true, Fault::Reset(0)),
        (true, Fault::Reset(1000)),
        (true, Fault::Cut),
        (true, Fault::Early(503)),
        (true, Fault::Answer(502, words("<html>"))),
        (false, Fault::Early(500)),
        (false, Fault::Answer(500, words(r#"{"message":"x"}"#))),
        (false, Fault::Answer(404, words(r#"{"message":"x"}"#))),
        (false, Fault::Answer(403, words(""))),
        (false, Fault::Answer(200, words(""))),
        (false, Fault::Answer(200, words("{}"))),
        (false, Fault::Answer(200, words("[]"))),
        (false, Fault::Answer(200, words(r#"{"Id":"sha256:0"}"#))),
        (false, Fault::Answer(301, words(""))),
    ];
    for number in 0..requests {
        for (passes, fault) in &faults {
            let (fake, daemon) = fake(&image);
            fake.fail_at(number, fault.clone());
            let result = load(&daemon, &image, &["app:1"]);
            let case = format!("{fault:?} at {:?}: {result:?}", fake.log().get(number));
            let right = Some(id_of(&image));
            match &result {
                Ok(loaded) => {
                    assert_eq!(Some(loaded.id.to_string()), right, "{case}");
                    assert_eq!(fake.leads_to("app:1"), right, "{case}");
                }
                Err(error) => {
                    assert!(!passes, "{case}");
                    assert!(error.to_string().contains(&fake.host()), "{case}");
                    let leads_to = fake.leads_to("app:1");
                    assert!(leads_to.is_none() || leads_to == right, "{case}");
                }
            }
        }
    }
}

/// What the daemon exports, once it is known that it has the image.
fn export(faults: &[(u32, Fault)], archive: &[u8]) -> Result<Vec<Vec<u8>>, DaemonError> {
    let image = image();
    let (fake, daemon) = fake(&image);
    let diff_ids = image.config().rootfs.diff_ids.iter();
    fake.has(&id_of(&image), diff_ids.map(ToString::to_string).collect());
    fake.exports(archive);
    for (times, fault) in faults {
        fake.fail("/get", *times, fault.clone());
    }
    let found = daemon.image(&id_of(&image), &Known::default())?;
    let found = found.expect("it has it").image;
    Ok(found.layers().iter().map(tar).collect())
}

#[test]
fn export_that_breaks_is_fetched_again() {
    let image = image();
    let mut archive = Vec::new();
    write_archive(&mut archive, ArchiveKind::Docker, &image, None).expect("memory");
    let tars: Vec<_> = image.layers().iter().map(tar).collect();
    for fault in [Fault::Cut, Fault::Reset(0), Fault::Early(503)] {
        let found = export(&[(2, fault.clone())], &archive);
        assert!(found.expect("in the end") == tars, "{fault:?}");
        let error = export(&[(99, fault)], &archive).expect_err("it never comes");
        assert!(
            matches!(error, DaemonError::GaveUp { attempts: 3, .. }),
            "{error}"
        );
    }
}

#[test]
fn export_that_is_not_the_image_is_refused() {
    let mut other = Vec::new();
    let no_layers = Image::new(ImageConfig::new("linux", "amd64"));
    write_archive(&mut other, ArchiveKind::Docker, &no_layers, None).expect("memory");
    for archive in [&other[..], &other[..3000], b"{\"error\":\"x\"}", b""] {
        let error = export(&[], archive).expect_err("not the image");
        assert!(matches!(error, DaemonError::Export { .. }), "{error:?}");
    }
    let gone = Fault::Answer(404, r#"{"message":"No such image"}"#.to_owned());
    let error = export(&[(99, gone)], &other).expect_err("it is gone");
    assert!(
        matches!(error, DaemonError::Refused { status: 404, .. }),
        "{error:?}"
    );
}

#[test]
fn reset_again_and_again_gives_up() {
    let image = image();
    for fault in [Fault::Reset(100_000), Fault::Cut] {
        let (fake, daemon) = fake(&image);
        fake.fail("load", 99, fault);
        let error = load(&daemon, &image, &["app:1"]).expect_err("an error");
        let DaemonError::GaveUp {
            asked, attempts, ..
        } = &error
        else {
            panic!("{error}");
        };
        let expected = format!("POST /v1.41/images/load ({})", fake.host());
        assert_eq!((asked.to_string(), *attempts), (expected, 3), "{error}");
        assert!(!fake.log().iter().any(|line| line.contains("tag?")));
    }
}

#[test]
fn hanging_daemon_ends_within_the_budget() {
    let image = image();
    for part in ["_ping", "info", "load", "tag", "app:1/json"] {
        let fake = Fake::start();
        fake.will_have(&id_of(&image));
        fake.fail(part, 99, Fault::Hang);
        let begun = Instant::now();
        let daemon = client(&fake.host(), Duration::from_millis(400));
        let error = load(&daemon, &image, &["app:1"]).expect_err("an error");
        assert!(
            matches!(error, DaemonError::GaveUp { .. }),
            "{part}: {error}"
        );
        assert!(begun.elapsed() < Duration::from_secs(5), "{part}");
    }
}

#[test]
fn wrong_image_is_noticed_before_it_has_a_name() {
    let image = image();
    let (fake, daemon) = fake(&image);
    let other = id_of(&Image::new(image.config().clone()));
    fake.will_have(&other);
    let error = load(&daemon, &image, &["app:1"]).expect_err("an error");
    let id = id_of(&image);
    assert_eq!(
        error.to_string(),
        format!(
            "GET /v1.41/images/{id}/json ({}): the daemon should have {id} by this name, but has none",
            fake.host()
        )
    );
    assert!(!fake.log().iter().any(|line| line.contains("tag?")));
}

#[test]
fn layers_that_it_has_are_left_out_unless_it_refuses() {
    let image = image();
    let old = id_of(&Image::new(image.config().clone()));
    let lowest = vec![image.layers()[0].diff_id.to_string()];
    for refuses in [false, true] {
        let (fake, daemon) = fake(&image);
        fake.has(&old, lowest.clone());
        if refuses {
            let missing = r#"{"errorDetail":{"message":"open /x: no such file or directory"}}"#;
            fake.fail("load", 1, Fault::Answer(200, missing.to_owned()));
        }
        let loaded = load(&daemon, &image, &[]).expect("loaded");
        let sent = usize::from(!refuses);
        assert_eq!(loaded.sent_layers, image.config().rootfs.diff_ids[sent..]);
        let [bytes] = fake.loads()[..] else {
            panic!("one load");
        };
        assert_eq!(bytes > 500_000, refuses, "{bytes}");
    }
}

#[test]
fn containerd_gets_blobs_as_they_are_without_those_it_has() {
    let image = image();
    let manifest = image.documents().manifest.digest;
    let previous = Image::from_parts(
        ImageConfig {
            rootfs: RootFs {
                diff_ids: vec![image.layers()[1].diff_id],
                ..RootFs::default()
            },
            ..ImageConfig::new("linux", "amd64")
        },
        vec![image.layers()[1].clone()],
        BTreeMap::new(),
    )
    .expect("one layer");
    let older = previous.documents().manifest.digest.to_string();
    for (is_there, is_complete, stays_incomplete, expected) in [
        (false, true, false, 2),
        (true, true, false, 1),
        // Its own blobs are not all there, so they say nothing.
        (true, false, false, 2),
        // What was left out was missing after all.
        (true, true, true, 2),
    ] {
        let (fake, daemon) = fake(&image);
        fake.uses_containerd();
        fake.will_have(&manifest.to_string());
        if is_there {
            fake.has(&older, Vec::new());
        }
        if !is_complete {
            fake.lacks_content(&older);
        }
        if stays_incomplete {
            fake.lacks_content(&manifest.to_string());
        }
        let load = Load {
            previous: &[&previous],
            ..Load::default()
        };
        let loaded = daemon.load(&image, &load, &mut |_| {}).expect("loaded");
        assert_eq!(loaded.id, manifest);
        assert_eq!(loaded.sent_layers.len(), expected);
        let loads = fake.loads();
        assert_eq!(loads.len(), 1 + usize::from(stays_incomplete));
        // The packed layer goes packed.
        let least = if expected == 1 { 300_000 } else { 500_000 };
        assert!(
            (least..least + 20_000).contains(loads.last().expect("one")),
            "{loads:?}"
        );
    }
}

#[test]
fn unreadable_layer_is_the_error() {
    let image = image();
    let (fake, daemon) = fake(&image);
    let broken =
        image.with_sources(|layer: &Layer| BlobSource::Bytes(vec![0; layer.size as usize].into()));
    let error = load(&daemon, &broken, &["app:1"]).expect_err("an error");
    assert!(matches!(error, DaemonError::Source { .. }), "{error}");
    assert_eq!(fake.loads(), [0; 0]);
}

#[test]
fn image_of_no_such_name() {
    let (fake, daemon) = fake(&image());
    assert!(
        daemon
            .image("none", &Known::default())
            .expect("asked")
            .is_none()
    );
    let asked = fake.log().len();
    for name in ["", "../x", "a?b", "a b", "UPPER"] {
        let error = daemon.image(name, &Known::default()).expect_err("no name");
        assert!(matches!(error, DaemonError::Name(_)), "{name}: {error}");
    }
    assert_eq!(fake.log().len(), asked);
}

fn reason(host: &str) -> Unreachable {
    let daemon = client(host, PATIENT);
    let load = daemon.load(&image(), &Load::default(), &mut |_| {});
    let error = load.expect_err("nobody is there");
    assert!(
        error
            .to_string()
            .contains(host.trim_start_matches("tcp://")),
        "{error}"
    );
    assert!(error.is_unreachable(), "{error}");
    match error {
        DaemonError::Unreachable { reason, .. } => reason,
        other => Unreachable::Other {
            cause: other.to_string(),
        },
    }
}

#[test]
fn nobody_there() {
    let folder = TempDir::with_prefix_in("longshore-none-", "/tmp").expect("a folder");
    let socket = folder.path().join("docker.sock");
    let host = format!("unix://{}", socket.display());
    assert_eq!(reason(&host), Unreachable::NoSocket);
    let error = client(&host, PATIENT).inspect("x").expect_err("nobody");
    assert_eq!(
        error.to_string(),
        format!(
            "no Docker daemon answers at {host}: there is no such socket. Is dockerd running (`systemctl start docker`)? \
             If it listens elsewhere, set DOCKER_HOST, for example DOCKER_HOST=unix:///run/user/1000/docker.sock"
        )
    );
    drop(UnixListener::bind(&socket).expect("a socket"));
    assert_eq!(reason(&host), Unreachable::Refused);
    assert_eq!(reason("tcp://127.0.0.1:1"), Unreachable::Refused);
}

/// Root may use every socket, so it is somebody else who tries.
#[test]
fn nobody_there_forbidden() {
    const NAME: &str = "faults::nobody_there_forbidden";
    const NOBODY: u32 = 65_534;
    if test_skip::is_root() {
        let as_nobody = Command::new("/proc/self/exe")
            .args(["--exact", NAME])
            .current_dir("/")
            .uid(NOBODY)
            .gid(NOBODY)
            .output();
        let output = as_nobody.expect("this very program");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{said}");
        return;
    }
    let folder = TempDir::with_prefix_in("longshore-none-", "/tmp").expect("a folder");
    let closed = folder.path().join("closed");
    let _listener = UnixListener::bind(&closed).expect("a socket");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o0)).expect("our own socket");
    let host = format!("unix://{}", closed.display());
    assert_eq!(reason(&host), Unreachable::Forbidden);
}
