//! Bad mirrors and full disks: nothing unsigned or broken gets in, and the words say what to do.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use e2e::app::App;
use e2e::home::Home;
use e2e::mirror;
use e2e::program::{Longshore, Said};
use e2e::server::{Answer, Server};
use e2e::skip;

const DOWNLOAD: i32 = 60;
const VERIFICATION: i32 = 61;
const DISK: i32 = 74;

/// Makes base images from nothing, from this mirror.
fn build_from(mirror: &str, more: &[&str]) -> Said {
    let app = App::copy_of("flask-plain");
    let longshore = Longshore::at(Home::empty());
    let words = [
        "build",
        app.path().to_str().unwrap(),
        "--debian-mirror",
        mirror,
    ];
    longshore.run(&[&words, more].concat())
}

#[test]
fn dead_mirror() {
    let port = e2e::redis::free_port();
    let said = build_from(&format!("http://127.0.0.1:{port}/debian"), &[]);
    said.assert_code(DOWNLOAD);
    said.assert_says(&[
        &format!("http://127.0.0.1:{port}/debian/"),
        "efused",
        "attempt",
    ]);
}

#[test]
fn mirror_that_fails_again_and_again() {
    let server = Server::start(|_| Answer::status(503));
    let said = build_from(&format!("{}/debian", server.url()), &[]);
    said.assert_code(DOWNLOAD);
    said.assert_says(&["503", &server.url()]);
    let first = server
        .asked()
        .first()
        .expect("the mirror was asked")
        .clone();
    let tries = server.asked().iter().filter(|path| **path == first).count();
    assert!(
        tries > 1,
        "one failure is no reason to give up: {:?}",
        server.asked()
    );
}

#[test]
fn untrusted_certificate() {
    let server = Server::start_tls(|_| Answer::status(404));
    let mirror = format!("{}/debian", server.url());
    let said = build_from(&mirror, &[]);
    said.assert_code(DOWNLOAD);
    said.assert_says(&["ertificate", "--ca-cert", "SSL_CERT_FILE"]);
    assert!(
        server.asked().is_empty(),
        "a request went through an untrusted connection"
    );

    // The same server, with its authority given: now it is only a mirror without Debian in it.
    let folder = tempfile::TempDir::new().unwrap();
    let authority = folder.path().join("authority.pem");
    std::fs::write(&authority, server.authority.as_deref().unwrap()).unwrap();
    let said = build_from(&mirror, &["--ca-cert", authority.to_str().unwrap()]);
    said.assert_code(DOWNLOAD);
    said.assert_says(&["404"]);
    assert!(!server.asked().is_empty());
}

/// The lock file names every package and its digest. Where the mirror has one of them no more, the build resolves afresh,
/// and then the index has to be signed.
#[test]
fn wrong_signature() {
    let spoil = |path: &str, mut answer: Answer| {
        if path.contains("/base-files_") {
            return Answer::status(404);
        }
        if path.ends_with("/InRelease") {
            let text = String::from_utf8(answer.body).unwrap();
            answer.body = text.replacen("Suite: ", "Suite:  ", 1).into_bytes();
        }
        answer
    };
    let Some(server) = mirror::passing_on(spoil) else {
        return;
    };
    let said = build_from(&format!("{}/debian", server.url()), &[]);
    said.assert_code(VERIFICATION);
    said.assert_says(&["signature", "InRelease"]);
    let indexes = server
        .asked()
        .iter()
        .filter(|path| path.contains("/Packages"))
        .count();
    assert_eq!(indexes, 0, "an index that nobody signed was fetched");
}

/// `--locked` makes it an error at once.
#[test]
fn locked_package_that_is_gone() {
    let spoil = |path: &str, answer: Answer| {
        if path.contains("/base-files_") {
            Answer::status(404)
        } else {
            answer
        }
    };
    let Some(server) = mirror::passing_on(spoil) else {
        return;
    };
    let said = build_from(&format!("{}/debian", server.url()), &["--locked"]);
    said.assert_code(DOWNLOAD);
    said.assert_says(&["base-files", "--locked"]);
}

#[test]
fn truncated_package() {
    let spoil = |path: &str, mut answer: Answer| {
        if path.contains("/base-files_") {
            answer.body.truncate(answer.body.len() / 2);
        }
        answer
    };
    let Some(server) = mirror::passing_on(spoil) else {
        return;
    };
    let said = build_from(&format!("{}/debian", server.url()), &[]);
    said.assert_code(VERIFICATION);
    said.assert_says(&["base-files_", "bytes came, but", "were expected"]);
}

/// A connection that breaks in the middle is everyday life: the rest is asked for, and the build goes on.
#[test]
fn broken_connection_is_resumed() {
    let broken = AtomicBool::new(false);
    let spoil = move |path: &str, mut answer: Answer| {
        if path.contains("/base-files_") && !broken.swap(true, Ordering::Relaxed) {
            answer.announced = Some(answer.body.len());
            answer.body.truncate(answer.body.len() / 2);
        }
        answer
    };
    let Some(server) = mirror::passing_on(spoil) else {
        return;
    };
    let app = App::copy_of("flask-plain");
    let longshore = Longshore::at(Home::empty());
    let mirror = format!("{}/debian", server.url());
    let words = [
        "build",
        app.path().to_str().unwrap(),
        "--debian-mirror",
        &mirror,
    ];
    let mut build = longshore.start(&words);
    // Every package is there and verified; what is made of them is another test's.
    build.wait_until_it_says("Unpacked ");
    build.stop();
    let asked = server
        .asked()
        .iter()
        .filter(|path| path.contains("/base-files_"))
        .count();
    assert_eq!(asked, 2);
}

#[test]
fn full_disk() {
    let home = Home::empty();
    let app = App::copy_of("flask-plain");
    let namespace = if skip::is_root() { "-m" } else { "-rm" };
    let script = "mount -t tmpfs -o size=48m full \"$XDG_CACHE_HOME/..\" && exec \"$0\" \"$@\"";
    let possible = Command::new("unshare")
        .args([namespace, "true"])
        .status()
        .is_ok_and(|status| status.success());
    if !possible {
        skip::because("this machine does not let us mount a small disk");
        return;
    }
    std::fs::create_dir_all(home.cache()).unwrap();
    let longshore = Longshore::at(Home::below(home.folder()))
        .under(&["unshare", namespace, "sh", "-c", script]);
    let said = longshore.run(&["build", app.path().to_str().unwrap()]);
    said.assert_code(DISK);
    said.assert_says(&[
        "o space left",
        home.folder().to_str().unwrap(),
        "cache prune",
    ]);
}

/// The disk has room for all but the last layers. What was there stays whole, and with more room the same build goes on.
#[test]
fn disk_that_fills_during_the_export() {
    if !skip::is_root() {
        skip::because("only root can mount a small disk over a folder of the tests");
        return;
    }
    let home = Home::copied();
    let app = App::copy_of("dash-minimal");
    // No other test has made this environment's layer before.
    app.append("requirements.txt", "iniconfig==2.0.0\n");
    let longshore = Longshore::at(Home::below(home.folder()));
    // The images of before are on the small disk too; a little is left.
    let script = "data=$XDG_DATA_HOME/longshore; size=$(du -sm \"$data\" | cut -f1); \
        mount -t tmpfs -o size=$((size + 4))m small /mnt && cp -a \"$data/.\" /mnt && \
        mount --move /mnt \"$data\" && exec \"$0\" \"$@\"";
    let words = ["build", app.path().to_str().unwrap(), "-t", "large"];
    let small =
        Longshore::at(Home::below(home.folder())).under(&["unshare", "-m", "sh", "-c", script]);
    let said = small.run(&words);
    said.assert_code(DISK);
    said.assert_says(&["o space left", "cache prune"]);
    longshore.run(&words).assert_code(0);
}
