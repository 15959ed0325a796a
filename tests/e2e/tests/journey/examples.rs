//! The examples: every process type starts from the image, pages answer, and callbacks work in a real browser.

use std::path::{Path, PathBuf};

use e2e::app::example;
use e2e::browser::Browser;
use e2e::page;
use e2e::program::Longshore;
use e2e::redis::Redis;
use e2e::running::Running;

/// Set to keep the pictures that READMEs show; a test run must not change tracked files by itself.
const KEEP_SCREENSHOTS: &str = "LONGSHORE_KEEP_SCREENSHOTS";

#[test]
fn dash_minimal() {
    let longshore = Longshore::shared();
    let built = longshore.build(&example("dash-minimal"), &["-t", "e2e-dash-minimal"]);
    assert!(
        built.reference().starts_with("e2e-dash-minimal"),
        "{}",
        built.stdout
    );

    let mut web = start(&longshore, "e2e-dash-minimal", &[]);
    let address = web.address();
    assert!(page::get(&address).contains("<title>Harbour traffic</title>"));
    assert_eq!(
        page::dash_layout(&address)["props"]["children"][0]["props"]["children"],
        "Harbour traffic"
    );
    if let Some(browser) = Browser::open(&address) {
        browser.wait_for_text(
            "#summary",
            "Imports: 639 thousand in the year, most in Dec.",
        );
        browser.click("#direction label:nth-of-type(2)");
        browser.wait_for_text(
            "#summary",
            "Exports: 571 thousand in the year, most in Oct.",
        );
        browser.wait_for_text("#chart .gtitle", "Exports");
        keep_screenshot(&browser, "dash-minimal");
    }
    web.stop();
}

#[test]
fn dash_celery() {
    let Some(redis) = Redis::start() else { return };
    let longshore = Longshore::shared();
    longshore.build(&example("dash-celery"), &["-t", "e2e-dash-celery"]);

    let setting = format!("REDIS_URL={}", redis.url());
    let mut web = start(&longshore, "e2e-dash-celery", &["--env", &setting]);
    let mut worker = start(
        &longshore,
        "e2e-dash-celery",
        &["--process", "worker", "--env", &setting],
    );
    let mut scheduler = start(
        &longshore,
        "e2e-dash-celery",
        &["--process", "scheduler", "--env", &setting],
    );
    worker.wait_until_it_says("ready.");
    scheduler.wait_until_it_says("Sending due task");

    let address = web.address();
    page::get(&address);
    assert_eq!(
        page::dash_layout(&address)["props"]["children"][1]["props"]["id"],
        "start"
    );
    if let Some(browser) = Browser::open(&address) {
        browser.wait_for_text("#result", "Nothing counted yet.");
        browser.click("#start");
        browser.wait_for_text("#result", "counted 1201 containers.");
        browser.wait_for_text("#tide", "Tide number ");
    }
    for process in [web, worker, scheduler] {
        process.stop();
    }
}

#[test]
fn dash_legacy() {
    let longshore = Longshore::shared();
    let built = longshore.build(&example("dash-legacy"), &["-t", "e2e-dash-legacy"]);
    built.assert_says(&["python-3.11", "libqrencode4", "catalogue.json: 4 crates"]);
    // gunicorn 20.0 and Dash 2.9 would not start without it.
    let ask = [
        "run",
        "e2e-dash-legacy",
        "--",
        "python",
        "-W",
        "ignore",
        "-c",
        "import pkg_resources",
    ];
    longshore.run(&ask).assert_code(0);

    let mut web = start(&longshore, "e2e-dash-legacy", &[]);
    let address = web.address();
    page::get(&address);
    let layout = page::dash_layout(&address);
    // The file behind this line was written by predeploy.
    assert_eq!(
        layout["props"]["children"][1]["props"]["children"],
        "4 crates in the catalogue."
    );
    if let Some(browser) = Browser::open(&address) {
        // A QR code of version 1 is 21 modules wide: the library from apt-packages counted them.
        browser.wait_for_text("#label", "Crate 1001: oranges, 21 modules wide.");
        browser.click("#next");
        browser.wait_for_text("#label", "Crate 1002: bicycle frames, 21 modules wide.");
        browser.wait_for_text("#code .plot", "");
        keep_screenshot(&browser, "dash-legacy");
    }
    web.stop();
    let postdeploy = longshore.run(&["run", "e2e-dash-legacy", "--process", "postdeploy"]);
    postdeploy.assert_code(0);
    assert!(
        postdeploy.stdout.contains("4 crates are live"),
        "{postdeploy:?}"
    );
    let python = longshore.run(&["run", "e2e-dash-legacy", "--", "python", "--version"]);
    assert!(python.stdout.starts_with("Python 3.11."), "{python:?}");
    assert!(
        !example("dash-legacy").join("catalogue.json").is_file(),
        "the user's folder was written to"
    );
}

#[test]
fn flask_plain() {
    let longshore = Longshore::shared();
    // `run` of a folder builds it first.
    let folder = example("flask-plain");
    let mut web = longshore.start(&[Path::new("run"), &folder]);
    let address = web.address();
    assert!(page::get(&address).contains("Served by Python 3.13."));
    assert_eq!(
        page::get(&format!("{address}/echo?port=harbour")).trim(),
        r#"{"port":"harbour"}"#
    );
    let ended = web.stop();
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.assert_says(&["Handling signal: term", "Shutting down: Master"]);
}

fn start(longshore: &Longshore, image: &str, more: &[&str]) -> Running {
    longshore.start(&[&["run", image], more].concat())
}

fn keep_screenshot(browser: &Browser, name: &str) {
    if std::env::var_os(KEEP_SCREENSHOTS).is_some() {
        let docs: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
        std::fs::create_dir_all(&docs).expect("the repository can be written");
        browser.screenshot(&docs.join(format!("{name}.png")));
    }
}
