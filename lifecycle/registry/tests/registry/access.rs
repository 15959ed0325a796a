//! Credentials: found, shown to whom they are for, renewed, and never to anybody else.

use std::time::Duration;

use oci_image::{Platform, Reference};
use registry::{CredentialFile, Credentials, Login, Push, Registry, RegistryError, Settings};
use test_registry::{Auth, Fault, Options, TestRegistry};

use crate::fixture::{assert_stored, client, image, reference, settings};

fn with(server: &TestRegistry, credentials: Credentials) -> Registry {
    Registry::new(Settings {
        credentials,
        ..settings(server)
    })
    .expect("a client")
}

fn push(registry: &Registry, tag: Reference) -> Result<(), RegistryError> {
    let push = Push {
        tags: &[tag],
        mount_from: &[],
        previous: None,
    };
    registry
        .push_image(&image(1, &[70_000, 10]), &push)
        .map(drop)
}

fn secured(auth: Auth) -> TestRegistry {
    TestRegistry::with(Options {
        auth,
        ..Options::default()
    })
}

#[test]
fn every_kind_of_login() {
    let life = Duration::from_mins(5);
    for (auth, login) in [
        (Auth::basic(), crate::fixture::login()),
        (Auth::token(life), crate::fixture::login()),
        (Auth::token(life), Login::Identity("secret".to_owned())),
    ] {
        let server = secured(auth.clone());
        let registry = with(
            &server,
            Credentials::none().with_login(&server.host(), login.clone()),
        );
        let pushed = push(&registry, reference(&server, "app:1"));
        assert!(pushed.is_ok(), "{auth:?} {login:?}: {pushed:?}");
        assert_stored(&server, "app", "1", &image(1, &[70_000, 10]));
    }
}

#[test]
fn cnb_registry_auth_and_docker_config() {
    let server = secured(Auth::basic());
    let encoded = "dXNlcjpzZWNyZXQ=";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.json");
    let text = format!(
        r#"{{"auths": {{"{}": {{"auth": "{encoded}"}}}}}}"#,
        server.host()
    );
    std::fs::write(&path, text).expect("written");
    let file = CredentialFile {
        path,
        origin: "a test".to_owned(),
    };
    let variable = format!(r#"{{"{}": "Basic {encoded}"}}"#, server.host());
    for credentials in [
        Credentials::none().with_cnb_registry_auth(&variable),
        Credentials::none().with_file(&file),
    ] {
        let registry = with(&server, credentials.expect("readable"));
        push(&registry, reference(&server, "app:1")).expect("pushed");
    }
}

#[test]
fn nothing_is_shown_unasked() {
    let server = TestRegistry::start();
    push(&client(&server), reference(&server, "app:1")).expect("pushed");
    let shown = |logged: &test_registry::Logged| logged.header("authorization").is_some();
    assert!(!server.log().iter().any(shown));
}

#[test]
fn token_is_renewed_before_it_ends() {
    // It would still be taken; that it is not shown any more is the point.
    let server = secured(Auth::Token {
        user: "user".to_owned(),
        password: "secret".to_owned(),
        life: Duration::from_mins(5),
        announced: Duration::from_secs(1),
    });
    let registry = client(&server);
    let app = reference(&server, "app:1");
    registry.check_push(&app).expect("allowed");
    std::thread::sleep(Duration::from_millis(850));
    server.forget_log();
    registry.check_push(&app).expect("allowed");
    let lines: Vec<String> = server
        .log()
        .iter()
        .map(test_registry::Logged::line)
        .collect();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("GET /token?"), "{lines:?}");
}

#[test]
fn token_that_ends_in_the_middle_is_renewed() {
    let server = secured(Auth::token(Duration::from_mins(5)));
    let registry = client(&server);
    let app = reference(&server, "app:1");
    registry.check_push(&app).expect("allowed");
    server.expire_tokens();
    push(&registry, app).expect("pushed");
    assert_stored(&server, "app", "1", &image(1, &[70_000, 10]));
}

#[test]
fn wrong_credentials_say_where_they_were_looked_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let absent = CredentialFile {
        path: folder.path().join("auth.json"),
        origin: "Podman's credentials".to_owned(),
    };
    for auth in [Auth::basic(), Auth::token(Duration::from_mins(5))] {
        let server = secured(auth);
        let none = Credentials::none()
            .with_cnb_registry_auth("{}")
            .and_then(|none| none.with_file(&absent))
            .expect("readable");
        let error =
            push(&with(&server, none.clone()), reference(&server, "app:1")).expect_err("refused");
        let message = error.to_string();
        let looked_at = format!(
            "\nLooked at:\n- CNB_REGISTRY_AUTH\n- {}/auth.json (Podman's credentials): not there",
            folder.path().display()
        );
        let host = server.host();
        assert!(
            message.contains(&format!(
                "{host} wants credentials, and none were found for it"
            )),
            "{message}"
        );
        assert!(message.ends_with(&looked_at), "{message}");
        assert!(matches!(error, RegistryError::Unauthorized(_)));

        let wrong = Login::Basic {
            user: "user".to_owned(),
            password: "hunter2".to_owned(),
        };
        let registry = with(&server, none.with_login(&host, wrong));
        let message = push(&registry, reference(&server, "app:1"))
            .expect_err("refused")
            .to_string();
        assert!(
            message.contains(&format!(
                "{host} refuses the credentials that were found for it"
            )),
            "{message}"
        );
        assert!(!message.contains("hunter2"), "{message}");
    }
}

#[test]
fn credentials_stay_with_their_registry() {
    for auth in [Auth::basic(), Auth::token(Duration::from_mins(5))] {
        let server = secured(auth);
        let registry = client(&server);
        let app = reference(&server, "app:1");
        push(&registry, app.clone()).expect("pushed");
        let requests = server.requests();
        // Now that it is known what the registry wants to see, every request could carry it anywhere.
        for index in requests..requests + 40 {
            server.fail_at(index, Fault::RedirectElsewhere);
        }
        push(&registry, reference(&server, "other:1")).expect_err("nothing is there");
        registry
            .image(&app, Platform::LINUX_AMD64)
            .expect_err("nothing is there");
        let elsewhere: Vec<_> = server
            .log()
            .into_iter()
            .filter(|logged| logged.elsewhere)
            .collect();
        assert!(elsewhere.len() > 1);
        for logged in elsewhere {
            assert_eq!(logged.header("authorization"), None, "{}", logged.line());
        }
    }
}
