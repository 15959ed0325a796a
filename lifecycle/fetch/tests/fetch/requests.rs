//! `get`: retries, redirects, limits, conditions, proxies, messages.

use std::time::{Duration, Instant};

use fetch::{Client, Conditional, Config, FetchError, Proxies, Validators};

use crate::{
    client, quick,
    server::{Reply, Server, dead_address, silent_address},
};

#[test]
fn get_retries_what_may_pass() {
    let server = Server::start(|_, before| match before {
        0 => Reply::new(503, b"").header("Retry-After", "0"),
        1 => Reply::new(200, b"whole").cut_after(2),
        _ => Reply::new(200, b"whole"),
    });
    assert_eq!(
        client().get(&server.url("/x"), 100).expect("fetched"),
        b"whole"
    );
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn get_counts_attempts_and_names_the_url_without_secrets() {
    let server = Server::start(|_, _| Reply::new(502, b""));
    let mut url = server.url("/x?token=secret");
    url.set_username("me").expect("set");
    url.set_password(Some("secret")).expect("set");
    let error = client().get(&url, 100).expect_err("refused");
    assert!(
        matches!(&error, FetchError::GaveUp { attempts: 3, .. }),
        "{error}"
    );
    let message = error.to_string();
    let start = format!(
        "{} could not be fetched: the server answered 502 Bad Gateway (3 attempt(s) in ",
        server
            .url("/x?(hidden)")
            .as_str()
            .replace("://", "://redacted@")
    );
    assert!(message.starts_with(&start), "{message}");
    assert!(
        !format!("{error:?}{message}").contains("secret"),
        "{error:?}"
    );
}

#[test]
fn get_final_answer_is_not_retried() {
    let server = Server::start(|_, _| Reply::new(404, b"nothing"));
    let error = client().get(&server.url("/x"), 100).expect_err("refused");
    assert!(error.is_not_found());
    assert_eq!(
        error.to_string(),
        format!(
            "{}: the server answered 404 Not Found (1 attempt(s))",
            server.url("/x")
        )
    );
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn get_dead_host() {
    let url = format!("http://{}/dists/x", dead_address())
        .parse()
        .expect("a URL");
    let error = client().get(&url, 100).expect_err("nobody there");
    assert!(error.is_unreachable());
    let message = error.to_string();
    assert!(
        message.starts_with(&format!("{url} could not be fetched: ")),
        "{message}"
    );
    assert!(
        message.contains("onnection refused") && message.contains("(3 attempt(s)"),
        "{message}"
    );
}

#[test]
fn get_silent_server_ends_in_time() {
    let url = format!("http://{}/x", silent_address())
        .parse()
        .expect("a URL");
    let config = Config {
        idle_time: Duration::from_millis(100),
        ..quick()
    };
    let begun = Instant::now();
    let error = Client::new(config)
        .expect("a client")
        .get(&url, 100)
        .expect_err("silence");
    assert!(
        error
            .to_string()
            .contains("the server fell silent (3 attempt(s)"),
        "{error}"
    );

    let config = Config {
        total_time: Duration::from_millis(300),
        ..quick()
    };
    let error = Client::new(config)
        .expect("a client")
        .get(&url, 100)
        .expect_err("silence");
    assert!(error.to_string().contains("time limit"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[test]
fn get_limits_what_it_reads() {
    let server = Server::start(|request, _| match request.target.as_str() {
        "/announced" => Reply::new(200, &[0; 101]),
        _ => Reply::new(200, &[0; 101]).unsized_body(),
    });
    for path in ["/announced", "/unannounced"] {
        let error = client().get(&server.url(path), 100).expect_err("too large");
        assert!(
            matches!(error, FetchError::TooLarge { cap: 100, .. }),
            "{error}"
        );
        assert_eq!(
            client().get(&server.url(path), 101).expect("fetched").len(),
            101
        );
    }
}

#[test]
fn get_follows_redirects_without_credentials_for_others() {
    let other = Server::start(|_, _| Reply::new(200, b"there"));
    let target = other.url_as("localhost", "/there").to_string();
    let server = Server::start(move |request, _| match request.target.as_str() {
        "/here" => Reply::new(302, b"").header("Location", "/next"),
        _ => Reply::new(307, b"").header("Location", target.clone()),
    });
    let mut url = server.url("/here");
    url.set_username("me").expect("set");
    url.set_password(Some("pw")).expect("set");
    assert_eq!(client().get(&url, 100).expect("fetched"), b"there");
    // base64 of me:pw
    let asked = server.requests();
    assert_eq!(
        asked
            .iter()
            .map(|r| r.header("authorization"))
            .collect::<Vec<_>>(),
        [Some("Basic bWU6cHc="); 2]
    );
    assert_eq!(other.requests()[0].header("authorization"), None);
    assert_eq!(other.requests()[0].header("referer"), None);
}

#[test]
fn get_redirect_loop_and_local_files() {
    let server = Server::start(|request, _| match request.target.as_str() {
        "/file" => Reply::new(302, b"").header("Location", "file:///etc/passwd"),
        _ => Reply::new(302, b"").header("Location", "/again"),
    });
    let message = client()
        .get(&server.url("/again"), 100)
        .expect_err("a loop")
        .to_string();
    assert!(
        message.ends_with("/again is not followed: more than 10 redirects in a row"),
        "{message}"
    );
    let message = client()
        .get(&server.url("/file"), 100)
        .expect_err("refused")
        .to_string();
    assert!(
        message.ends_with("is not followed: it leads to something other than http or https"),
        "{message}"
    );
}

#[test]
fn get_if_changed_knows_its_version() {
    let server = Server::start(|request, _| match request.header("if-none-match") {
        Some("\"v1\"") => Reply::new(304, b""),
        _ => Reply::new(200, b"one")
            .header("ETag", "\"v1\"")
            .header("Last-Modified", "Sat, 21 Nov 2026 10:00:00 GMT"),
    });
    let client = client();
    let first = client
        .get_if_changed(&server.url("/x"), 100, &Validators::default())
        .expect("fetched");
    let Conditional::Fresh(bytes, validators) = first else {
        panic!("{first:?}")
    };
    assert_eq!(bytes, b"one");
    assert_eq!(validators.etag.as_deref(), Some("\"v1\""));
    let second = client
        .get_if_changed(&server.url("/x"), 100, &validators)
        .expect("asked");
    assert_eq!(second, Conditional::NotModified);
    assert_eq!(
        server.requests()[1].header("if-modified-since"),
        Some("Sat, 21 Nov 2026 10:00:00 GMT")
    );
}

#[test]
fn get_through_a_proxy_except_where_told() {
    let proxy = Server::start(|_, _| Reply::new(200, b"by the proxy"));
    let server = Server::start(|_, _| Reply::new(200, b"direct"));
    let proxies = |no_proxy: &str| Proxies {
        http: Some(proxy.url("").to_string()),
        no_proxy: Some(no_proxy.to_owned()),
        ..Proxies::default()
    };
    let get = |proxies| {
        Client::new(Config { proxies, ..quick() })
            .expect("a client")
            .get(&server.url("/x"), 100)
            .expect("fetched")
    };
    assert_eq!(get(proxies("other.test")), b"by the proxy");
    assert_eq!(proxy.requests()[0].target, server.url("/x").to_string());
    for excepted in ["127.0.0.1", "other.test, 127.0.0.0/8", "*"] {
        assert_eq!(get(proxies(excepted)), b"direct", "{excepted}");
    }
}

#[test]
fn client_refuses_unusable_proxies_without_showing_them() {
    for value in ["http://[me:secret", "socks5://me:secret@proxy.test"] {
        let proxies = Proxies {
            https: Some(value.to_owned()),
            ..Proxies::default()
        };
        let error = Client::new(Config { proxies, ..quick() }).expect_err("refused");
        let message = error.to_string();
        assert!(
            message.starts_with("the proxy setting HTTPS_PROXY is not a usable address"),
            "{message}"
        );
        assert!(!message.contains("secret"), "{message}");
    }
}

#[test]
fn get_other_schemes() {
    let message = client()
        .get(&"ftp://a.test/x".parse().expect("a URL"), 1)
        .expect_err("refused")
        .to_string();
    assert_eq!(
        message,
        "ftp://a.test/x: addresses of the kind 'ftp:' cannot be fetched; use https:, http: or file:"
    );
}

#[test]
fn get_local_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a b");
    std::fs::write(&path, "local").expect("written");
    let url = url::Url::from_file_path(&path).expect("a URL");
    assert_eq!(client().get(&url, 5).expect("read"), b"local");
    assert!(matches!(
        client().get(&url, 4),
        Err(FetchError::TooLarge { .. })
    ));
    let absent = url::Url::from_file_path(folder.path().join("absent")).expect("a URL");
    assert!(client().get(&absent, 5).expect_err("absent").is_not_found());
    let directory = url::Url::from_directory_path(folder.path()).expect("a URL");
    assert!(
        client()
            .get(&directory, 5)
            .expect_err("a folder")
            .to_string()
            .contains("not a regular file")
    );
}
