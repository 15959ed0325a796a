//! A daemon that wants TLS, found as Docker's clients find it.

use std::ffi::OsString;
use std::fs;
use std::path::Path;

use daemon::{Daemon, DaemonError, Endpoint, EndpointError, Settings, Unreachable};
use test_servers::certificate::Certificate;

use crate::fixture::{image, load};

/// The endpoint of somebody who has set these.
type Find = fn(&[(&str, &str)]) -> Result<Endpoint, EndpointError>;

fn of_user(variables: &[(&str, &str)]) -> Result<Endpoint, EndpointError> {
    Endpoint::of_user(|name| value(variables, name))
}

fn of_variables(variables: &[(&str, &str)]) -> Result<Endpoint, EndpointError> {
    Endpoint::of_variables(|name| value(variables, name))
}

fn value(variables: &[(&str, &str)], name: &str) -> Option<OsString> {
    let found = variables.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| value.into())
}

fn connect(endpoint: Endpoint) -> Daemon {
    let settings = Settings {
        endpoint,
        ..Settings::default()
    };
    Daemon::new(settings).expect("a client")
}

fn reason(endpoint: Endpoint) -> (Unreachable, String) {
    let error = connect(endpoint).inspect("app").expect_err("no answer");
    let said = error.to_string();
    match error {
        DaemonError::Unreachable { reason, .. } => (reason, said),
        other => {
            let cause = other.to_string();
            (Unreachable::Other { cause }, said)
        }
    }
}

fn write(folder: &Path, files: &[(&str, &str)]) -> String {
    fs::create_dir_all(folder).expect("a folder");
    for (name, text) in files {
        fs::write(folder.join(name), text).expect("written");
    }
    folder.display().to_string()
}

#[test]
fn docker_with_tls() {
    let made = Certificate::new();
    let Some((engine, host)) = test_servers::daemon::Daemon::docker_with_tls(&made) else {
        return;
    };
    let at = |name: &str| engine.folder().join(name);
    let (ca, cert) = (&*made.authority, &*made.client_certificate);
    let key = &*made.client_key;
    let files = [("ca.pem", ca), ("cert.pem", cert), ("key.pem", key)];
    let complete = write(&at("complete"), &files);
    let no_certificate = write(&at("no-certificate"), &files[..1]);
    let another = Certificate::new();
    let wrong_ca = [("ca.pem", &*another.authority), files[1], files[2]];
    let wrong_ca = write(&at("wrong-ca"), &wrong_ca);
    let wrong_client = [
        files[0],
        ("cert.pem", &*another.client_certificate),
        ("key.pem", &*another.client_key),
    ];
    let wrong_client = write(&at("wrong-client"), &wrong_client);

    for find in [of_user as Find, of_variables] {
        let with = |folder: &str| {
            find(&[
                ("DOCKER_HOST", &host),
                ("DOCKER_TLS_VERIFY", "1"),
                ("DOCKER_CERT_PATH", folder),
            ])
            .expect("an endpoint")
        };
        let daemon = connect(with(&complete));
        let loaded = load(&daemon, &image(), &["app"]).expect("loaded");
        let found = daemon.inspect("app").expect("asked").expect("there");
        assert_eq!(found.id, loaded.id);

        let (why, said) = reason(find(&[("DOCKER_HOST", &host)]).expect("an endpoint"));
        assert_eq!(why, Unreachable::WantsTls);
        let http = host.replace("tcp", "http");
        assert_eq!(
            said,
            format!(
                "no Docker daemon answers at {http} (DOCKER_HOST): it speaks TLS only. Set DOCKER_TLS_VERIFY=1, \
                 and DOCKER_CERT_PATH to the folder with ca.pem, cert.pem and key.pem"
            )
        );
        let (why, said) = reason(with(&wrong_ca));
        assert!(matches!(why, Unreachable::Unverified { .. }), "{said}");
        for folder in [&no_certificate, &wrong_client] {
            let (why, said) = reason(with(folder));
            assert!(matches!(why, Unreachable::Identity { .. }), "{said}");
        }
    }
}

/// What `docker context create` writes.
#[test]
fn docker_in_a_context() {
    let made = Certificate::new();
    let Some((engine, host)) = test_servers::daemon::Daemon::docker_with_tls(&made) else {
        return;
    };
    let folder = engine.folder().join("docker");
    let docker = folder.display().to_string();
    // printf %s remote | sha256sum
    let id = "b71199ebd070b36beab7317920c2c2f1d777df8d05e5527d8458fda57cb17a7a";
    let meta = format!(
        r#"{{"Name":"remote","Metadata":{{}},"Endpoints":{{"docker":{{"Host":"{host}","SkipTLSVerify":false}}}}}}"#
    );
    write(
        &folder.join("contexts/meta").join(id),
        &[("meta.json", &meta)],
    );
    let tls = [
        ("ca.pem", &*made.authority),
        ("cert.pem", &*made.client_certificate),
        ("key.pem", &*made.client_key),
    ];
    write(&folder.join("contexts/tls").join(id).join("docker"), &tls);
    write(&folder, &[("config.json", r#"{"currentContext": "none"}"#)]);
    let chosen = [("DOCKER_CONFIG", &*docker), ("DOCKER_CONTEXT", "remote")];
    let daemon = connect(of_user(&chosen).expect("an endpoint"));
    load(&daemon, &image(), &["app"]).expect("loaded");

    // Without the variable, config.json's counts; the library knows neither.
    of_user(&chosen[..1]).expect_err("there is no context `none`");
    write(
        &folder,
        &[("config.json", r#"{"currentContext": "remote"}"#)],
    );
    let daemon = connect(of_user(&chosen[..1]).expect("an endpoint"));
    assert!(daemon.inspect("app").expect("asked").is_some());
    let library = of_variables(&chosen).expect("an endpoint");
    assert_eq!(library.socket(), Some(Path::new("/var/run/docker.sock")));

    // DOCKER_HOST comes before both.
    let socket = engine.host();
    let here = [&chosen[..], &[("DOCKER_HOST", &socket)]].concat();
    let here = of_user(&here).expect("an endpoint");
    assert!(here.socket().is_some());
    assert!(connect(here).inspect("app").expect("asked").is_some());
}
