//! What a person does to a running app: Ctrl-C, another port, two at once.

use std::net::TcpListener;

use e2e::app::App;
use e2e::page;
use e2e::program::Longshore;
use nix::sys::signal::Signal;

/// A shell waits for the server and hears nothing itself: Ctrl-C has to reach the server.
#[test]
fn ctrl_c_reaches_every_process() {
    let longshore = Longshore::copied();
    let app = App::copy_of("flask-plain").with(
        "Procfile",
        "web: test -f app.py && gunicorn app:app && echo over\n",
    );
    longshore.build(app.path(), &["-t", "chained"]);
    let mut web = longshore.start(&["run", "chained"]);
    let address = web.address();
    assert!(page::get(&address).contains("Flask, plainly"));
    web.signal(Signal::SIGINT);
    let ended = web.end();
    ended.assert_says(&["Handling signal: int", "Shutting down: Master"]);
}

/// The default port is taken, so the next free one is used and said; one that was asked for is an error.
#[test]
fn ports() {
    let longshore = Longshore::copied();
    longshore.build(&e2e::app::example("flask-plain"), &["-t", "ports"]);
    // Taken by us, or by another test.
    let _held = TcpListener::bind("0.0.0.0:8000");
    let mut web = longshore.start(&["run", "ports"]);
    let address = web.address();
    assert!(!address.ends_with(":8000"), "{address}");
    assert!(page::get(&address).contains("Flask, plainly"));

    let port = address.rsplit(':').next().unwrap();
    for words in [
        &["run", "ports", "--port", port][..],
        &["run", "ports", "--env", &format!("PORT={port}")],
    ] {
        let said = longshore.run(words);
        said.assert_code(2);
        said.assert_says(&["Port taken", port]);
    }
    web.stop();

    let free = e2e::redis::free_port().to_string();
    let mut web = longshore.start(&["run", "ports", "--env", &format!("PORT={free}")]);
    let address = web.address();
    assert!(address.ends_with(&format!(":{free}")), "{address}");
    assert!(page::get(&address).contains("Flask, plainly"));
    web.stop();
}
