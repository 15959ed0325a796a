//! kill -9 at random moments: the next build works, the store is whole, nothing is left mounted or running.

use std::path::Path;
use std::thread;
use std::time::Instant;

use e2e::app::App;
use e2e::program::{Longshore, executable};
use e2e::random::Random;
use e2e::traces_left::assert_nothing_left;
use nix::sys::signal::Signal;
use sha2::{Digest as _, Sha256};

/// How often a build is killed.
const KILLS: u32 = 100;
/// How many of them, by chance, are followed by a build that comes to its end, and whose image is compared.
const LOOKS: f64 = 0.5;

#[test]
fn a_hundred_random_moments() {
    let longshore = Longshore::copied();
    let app = App::copy_of("flask-plain");
    let requirements = std::fs::read_to_string(app.path().join("requirements.txt")).unwrap();
    let source = std::fs::read_to_string(app.path().join("app.py")).unwrap();
    let plain = vec!["build", app.path().to_str().unwrap(), "-t", "crash"];
    let expected = longshore.run(&plain);
    expected.assert_code(0);

    // Three kinds of build write to the store in different places.
    let change = |kind: u32, round: u32| match kind {
        0 => [&plain[..], &["--clear-cache"]].concat(),
        1 => {
            app.write(
                "requirements.txt",
                format!("{requirements}# {round}\niniconfig==2.0.0\n"),
            );
            plain.clone()
        }
        _ => {
            app.write("app.py", format!("{source}\n# {round}\n"));
            plain.clone()
        }
    };
    let longest = [0, 1, 2].map(|kind| {
        let words = change(kind, 0);
        let start = Instant::now();
        longshore.run(&words).assert_code(0);
        start.elapsed()
    });

    let mut random = Random::new(0x1009_5407_e5ee_d001);
    for round in 1..=KILLS {
        // The first kind takes ten times as long as the others.
        let kind = [0, 1, 2, 2, 1, 2, 2, 1, 2, 2][(round % 10) as usize];
        let moment = longest[kind as usize].mul_f64(random.fraction());
        let build = longshore.start(&change(kind, round));
        thread::sleep(moment);
        build.signal(Signal::SIGKILL);
        build.end();
        assert_nothing_left(longshore.home().folder(), &executable());
        if random.fraction() < LOOKS || round == KILLS {
            app.write("requirements.txt", &requirements);
            app.write("app.py", &source);
            let next = longshore.run(&plain);
            assert_eq!(
                next.code, 0,
                "round {round}, killed after {moment:?}: {}",
                next.stderr
            );
            assert_eq!(
                next.digest(),
                expected.digest(),
                "round {round}, kind {kind}, killed after {moment:?}: {}",
                next.stderr
            );
        }
    }
    longshore.run(&["cache", "list"]).assert_code(0);
    assert_blobs_are_what_their_names_say(&longshore.home().data().join("longshore/blobs/sha256"));
    let said = longshore.run(&[
        "run",
        "crash",
        "--",
        "python",
        "-c",
        "import flask; print('whole')",
    ]);
    said.assert_code(0);
    assert_eq!(said.stdout.trim(), "whole");
}

fn assert_blobs_are_what_their_names_say(blobs: &Path) {
    let mut seen = 0;
    for entry in std::fs::read_dir(blobs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        let digest = hex::encode(Sha256::digest(std::fs::read(&path).unwrap()));
        assert_eq!(digest, name, "a torn blob");
        seen += 1;
    }
    assert!(seen > 0, "{} is empty", blobs.display());
}

/// Ctrl-C and SIGTERM end the children too.
#[test]
fn signals_end_the_whole_build() {
    let longshore = Longshore::copied();
    let app = App::copy_of("flask-plain").with(
        "app.json",
        r#"{"scripts": {"dokku": {"predeploy": "echo sleeping now; sleep 600"}}}"#,
    );
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let mut build = longshore.start(&["build", app.path().to_str().unwrap(), "-t", "signals"]);
        build.wait_until_it_says("sleeping now");
        build.signal(signal);
        let said = build.end();
        assert_eq!(said.code, 128 + signal as i32, "{}", said.stderr);
        assert_nothing_left(longshore.home().folder(), &executable());
    }
}
