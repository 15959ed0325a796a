//! The phases with images in a Docker daemon.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use daemon::{Load, Settings};
use tempfile::TempDir;
use test_servers::certificate::Certificate;
use test_servers::daemon::Daemon;

use crate::fixture::Fixture;
use crate::images::read;

/// A client of a daemon.
fn client(engine: &Daemon) -> daemon::Daemon {
    let settings = Settings {
        endpoint: engine.host().parse().unwrap(),
        ..Settings::default()
    };
    daemon::Daemon::new(settings).unwrap()
}

/// The programs are started as root, and the daemon's socket is root's: they reach it after they became the user.
#[test]
fn docker_build_twice() {
    let Some(engine) = Daemon::docker_in_memory() else {
        return;
    };
    for api in ["0.9", "0.13"] {
        let fixture = Fixture::with_run_image(api);
        let build = "cd \"$1\"; [ -e l.toml ] || { mkdir l; echo 1 >l/file; }; printf '[types]\\nlaunch = true\\n' >l.toml";
        fixture.buildpack("x/y", "0.8", "\n[[stacks]]\nid = \"*\"\n", "", build);
        fixture.order(&["x/y"]);
        fixture.write("app/app.py", "print(1)\n");
        fs::create_dir(fixture.path("launch-cache")).unwrap();
        let run = read(&fixture.layouts(), "run/latest");
        let load = Load {
            names: &["test/run".parse().unwrap()],
            ..Load::default()
        };
        client(&engine).load(&run, &load, &mut |_| {}).unwrap();
        let host = engine.host();
        let launch_cache = fixture.path("launch-cache");
        let env = [
            ("CNB_USE_LAYOUT", ""),
            ("CNB_USE_DAEMON", "true"),
            ("DOCKER_HOST", host.as_str()),
            ("CNB_LAUNCH_CACHE_DIR", launch_cache.to_str().unwrap()),
            ("CNB_STACK_ID", "test.stack"),
            ("TMPDIR", "/tmp"),
        ];
        let as_root = [&env[..], &[("AS_ROOT", "with the files of the user")]].concat();
        let build = || {
            fixture.fresh_layers();
            ["analyzer", "detector", "restorer", "builder", "exporter"].map(|phase| {
                let rooted = matches!(phase, "analyzer" | "exporter");
                let env = if rooted { &as_root[..] } else { &env[..] };
                let ended = fixture.phase(phase, &[], env);
                assert_eq!(ended.code, Some(0), "{phase}: {ended:?}");
                ended.stdout
            })
        };
        build();
        let first = client(&engine).inspect("test/app").unwrap().unwrap();
        let report = fixture.read("layers/report.toml");
        let expected = format!(
            "[image]\ntags = [\"test/app\"]\nimage-id = \"{}\"\n",
            first.id.hex()
        );
        assert!(report.starts_with(&expected), "{report}");
        let [analyzer, .., exporter] = build();
        assert!(
            analyzer.contains("Restoring data for SBOM from previous image\n"),
            "{analyzer}"
        );
        assert!(exporter.contains("Reusing layer 'x/y:l'\n"), "{exporter}");
        let short = &first.id.hex()[..12];
        assert!(
            exporter.contains(&format!("*** Images ({short}):\n      test/app\n")),
            "{exporter}"
        );
        let second = client(&engine).inspect("test/app").unwrap().unwrap();
        assert_eq!(first.id, second.id, "the same image");

        let ended = fixture.phase("analyzer", &["-run-image=test/none"], &as_root);
        assert_eq!(
            ended.code,
            Some(0),
            "a missing run image may still come: {ended:?}"
        );
        let missing = [&env[..], &[("CNB_LAUNCH_CACHE_DIR", "/none")]].concat();
        let missing: Vec<_> = missing
            .into_iter()
            .filter(|(_, value)| *value != launch_cache.to_str().unwrap())
            .collect();
        let ended = fixture.phase("analyzer", &[], &missing);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended
                .stdout
                .contains("failed to create launch cache: '/none': "),
            "{ended:?}"
        );
    }
}

/// What only root may read is read before its rights are given up.
#[test]
fn docker_with_tls() {
    let made = Certificate::new();
    let Some((_engine, host)) = Daemon::docker_with_tls(&made) else {
        return;
    };
    let folder = TempDir::with_prefix_in("longshore-tls-", "/tmp").unwrap();
    for (name, text) in [
        ("ca.pem", made.authority),
        ("cert.pem", made.client_certificate),
        ("key.pem", made.client_key),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o700)).unwrap();
    let fixture = Fixture::with_run_image("0.12");
    let certificates = folder.path().to_str().unwrap();
    let env = [
        ("AS_ROOT", "with the files of the user"),
        ("CNB_USE_LAYOUT", ""),
        ("CNB_USE_DAEMON", "1"),
        ("DOCKER_HOST", &*host),
        ("DOCKER_CERT_PATH", certificates),
        ("DOCKER_TLS_VERIFY", "1"),
    ];
    let ended = fixture.phase("analyzer", &[], &env);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let unverified = &env[..5];
    let ended = fixture.phase("analyzer", &[], unverified);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let expected = "initialize docker client: DOCKER_CERT_PATH without DOCKER_TLS_VERIFY means TLS to https://127.0.0.1";
    assert!(ended.stdout.contains(expected), "{ended:?}");
}

#[test]
fn docker_that_is_not_there() {
    let fixture = Fixture::with_run_image("0.12");
    let env = [
        ("CNB_USE_LAYOUT", ""),
        ("CNB_USE_DAEMON", "1"),
        ("DOCKER_HOST", "unix:///none.sock"),
    ];
    let ended = fixture.phase("analyzer", &[], &env);
    assert_eq!(ended.code, Some(32), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("no Docker daemon answers at unix:///none.sock (DOCKER_HOST)"),
        "{ended:?}"
    );
}
