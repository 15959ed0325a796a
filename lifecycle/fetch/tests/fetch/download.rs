//! `download` and `download_all`: resuming, digests, files that are there whole or not at all.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fetch::{Client, Config, Download, Expected, FetchError, Sha256};

use crate::{
    client, quick,
    server::{Reply, Server},
};

/// Not periodic in any power of two, so that a shifted piece is noticed.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|place| (place * 31 % 251) as u8).collect()
}

fn expected(bytes: &[u8]) -> Expected {
    Expected::new(Sha256::of(bytes), bytes.len() as u64)
}

fn entries(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("text")
        })
        .collect();
    names.sort();
    names
}

#[test]
fn download_resumes_where_it_stopped() {
    let body = content(300_000);
    let served = body.clone();
    let server = Server::start(move |request, before| {
        let reply = Reply::file(request, &served, "\"v1\"");
        if before < 4 {
            reply.cut_after(50_000)
        } else {
            reply
        }
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep/er/file");
    // More interruptions than attempts: each brought something new.
    client()
        .download(&server.url("/x"), expected(&body), &path)
        .expect("fetched");
    assert_eq!(fs::read(&path).expect("there"), body);
    assert_eq!(entries(path.parent().expect("a parent")), ["file"]);
    let ranges: Vec<_> = server
        .requests()
        .iter()
        .map(|r| r.header("range").map(str::to_owned))
        .collect();
    assert_eq!(ranges.len(), 5);
    assert!(
        ranges[0].is_none() && ranges[1..].iter().all(Option::is_some),
        "{ranges:?}"
    );
    assert_eq!(server.requests()[1].header("if-range"), Some("\"v1\""));
}

#[test]
fn download_new_version_in_between_starts_over() {
    let body = content(100_000);
    let served = body.clone();
    let server = Server::start(move |request, before| match before {
        0 => Reply::file(
            request,
            &content(100_000).iter().rev().copied().collect::<Vec<_>>(),
            "\"old\"",
        )
        .cut_after(50_000),
        _ => Reply::file(request, &served, "\"new\""),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    client()
        .download(&server.url("/x"), expected(&body), &path)
        .expect("fetched");
    assert_eq!(fs::read(&path).expect("there"), body);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn download_does_not_believe_a_wrong_content_range() {
    let body = content(100_000);
    let served = body.clone();
    let server = Server::start(move |request, before| match before {
        0 => Reply::file(request, &served, "\"v1\"").cut_after(50_000),
        1 => Reply::new(206, &served[40_000..]).header("Content-Range", "bytes 40000-99999/100000"),
        _ => Reply::file(request, &served, "\"v1\""),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    client()
        .download(&server.url("/x"), expected(&body), &path)
        .expect("fetched");
    assert_eq!(fs::read(&path).expect("there"), body);
    assert_eq!(server.requests()[2].header("range"), None);
}

#[test]
fn download_wrong_digest_is_asked_for_once_more_past_caches() {
    let body = content(1000);
    let server = Server::start(|_, _| Reply::new(200, &[1; 1000]));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    let error = client()
        .download(&server.url("/x"), expected(&body), &path)
        .expect_err("refused");
    assert_eq!(
        error.to_string(),
        format!(
            "{}: its content has the SHA-256 {}, but {} was expected",
            server.url("/x"),
            Sha256::of(&[1; 1000]),
            Sha256::of(&body)
        )
    );
    assert_eq!(entries(folder.path()), [""; 0]);
    let asked: Vec<_> = server
        .requests()
        .iter()
        .map(|r| r.header("cache-control").map(str::to_owned))
        .collect();
    assert_eq!(asked, [None, Some("no-cache".to_owned())]);
}

#[test]
fn download_damaged_cache_is_cured_by_the_origin() {
    let body = content(1000);
    let served = body.clone();
    let server = Server::start(move |request, _| match request.header("cache-control") {
        Some(_) => Reply::new(200, &served),
        None => Reply::new(200, b"stale"),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("file");
    client()
        .download(&server.url("/x"), expected(&body), &path)
        .expect("fetched");
    assert_eq!(fs::read(&path).expect("there"), body);
}

#[test]
fn download_wrong_sizes() {
    let body = content(1000);
    let served = body.clone();
    let server = Server::start(move |request, _| match request.target.as_str() {
        "/long" => Reply::new(200, &[&served[..], b"x"].concat()),
        "/long-unannounced" => Reply::new(200, &[&served[..], b"x"].concat()).unsized_body(),
        // a short answer without a length looks like an interruption
        _ => Reply::new(200, &served[..999]).unsized_body(),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let get = |path: &str| {
        client()
            .download(
                &server.url(path),
                expected(&body),
                &folder.path().join("file"),
            )
            .expect_err("refused")
    };
    assert!(matches!(
        get("/long"),
        FetchError::WrongSize {
            expected: 1000,
            found: 1001,
            ..
        }
    ));
    assert!(matches!(
        get("/long-unannounced"),
        FetchError::WrongSize { expected: 1000, .. }
    ));
    let message = get("/short").to_string();
    assert!(
        message.contains("the answer ended after 999 of 1000 bytes"),
        "{message}"
    );
    assert_eq!(entries(folder.path()), [""; 0]);
}

#[test]
fn download_from_a_local_mirror() {
    let folder = tempfile::tempdir().expect("a folder");
    let body = content(5000);
    fs::write(folder.path().join("source"), &body).expect("written");
    let url = url::Url::from_file_path(folder.path().join("source")).expect("a URL");
    let path = folder.path().join("cache/file");
    client()
        .download(&url, expected(&body), &path)
        .expect("copied");
    assert_eq!(fs::read(&path).expect("there"), body);

    let other = client().download(
        &url,
        expected(&content(5000)[..4999]),
        &folder.path().join("cache/other"),
    );
    assert!(matches!(other, Err(FetchError::WrongSize { .. })));
    assert_eq!(entries(&folder.path().join("cache")), ["file"]);
}

#[test]
fn download_cannot_save() {
    let server = Server::start(|_, _| Reply::new(200, b"x"));
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("file"), "").expect("written");
    let path = folder.path().join("file/below");
    let message = client()
        .download(&server.url("/x"), expected(b"x"), &path)
        .expect_err("not a folder")
        .to_string();
    assert!(
        message.starts_with(&format!(
            "{} could not be saved as {}: ",
            server.url("/x"),
            path.display()
        )),
        "{message}"
    );
}

#[test]
fn download_all_in_parallel_within_the_limit() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let (now, peak) = (Arc::clone(&running), Arc::clone(&most));
    let server = Server::start(move |request, _| {
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(30));
        now.fetch_sub(1, Ordering::SeqCst);
        Reply::new(200, request.target.as_bytes())
    });
    let folder = tempfile::tempdir().expect("a folder");
    let downloads: Vec<_> = (0..20)
        .map(|number| {
            let path = format!("/{number}");
            let destination = folder.path().join(number.to_string());
            Download {
                url: server.url(&path),
                expected: expected(path.as_bytes()),
                destination,
            }
        })
        .collect();
    let client = Client::new(Config {
        connections_per_host: 3,
        ..quick()
    })
    .expect("a client");
    let mut done = Vec::new();
    client
        .download_all(downloads, &mut |progress| {
            if progress.done {
                done.push(progress.index);
            }
        })
        .expect("fetched");
    done.sort_unstable();
    assert_eq!(done, (0..20).collect::<Vec<_>>());
    assert_eq!(fs::read(folder.path().join("7")).expect("there"), b"/7");
    assert_eq!(entries(folder.path()).len(), 20);
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[test]
fn download_all_first_error_stops_the_rest() {
    let server = Server::start(|request, _| match request.target.as_str() {
        "/1" => Reply::new(404, b""),
        other => Reply::new(200, other.as_bytes()),
    });
    let folder = tempfile::tempdir().expect("a folder");
    let downloads = (0..3)
        .map(|number| {
            let path = format!("/{number}");
            Download {
                url: server.url(&path),
                expected: expected(path.as_bytes()),
                destination: folder.path().join(number.to_string()),
            }
        })
        .collect();
    let error = client()
        .download_all(downloads, &mut |_| {})
        .expect_err("one is missing");
    assert!(
        error.is_not_found() && error.to_string().contains(server.url("/1").as_str()),
        "{error}"
    );
}
