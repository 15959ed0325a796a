//! The second source of interpreters: python-build-standalone's archives, through the pinned uv and a mirror of a company's own.

use e2e::app::App;
use e2e::image::Image;
use e2e::page;
use e2e::program::Longshore;
use e2e::standalone::{Releases, VERSION};

#[test]
fn standalone_interpreter_from_a_mirror() {
    let Some(releases) = Releases::serve() else {
        return;
    };
    let longshore = Longshore::copied()
        .with("UV_PYTHON_INSTALL_MIRROR", releases.mirror())
        .with("UV_PYTHON_DOWNLOADS_JSON_URL", releases.list());
    let app = App::copy_of("flask-plain")
        .with("runtime.txt", format!("python-{VERSION}\n"))
        .with("requirements.txt", "flask==3.1.3\ngunicorn==23.0.0\n");
    let folder = tempfile::TempDir::new().unwrap();
    let layout = |name: &str| folder.path().join(name);
    let output = |name: &str| format!("oci:{}", layout(name).display());
    let built = longshore.build(
        app.path(),
        &["-t", "standalone", "--output", &output("first")],
    );
    // The log names what was taken, and from where.
    built.assert_says(&[VERSION, "python-build-standalone"]);
    assert!(releases.was_asked());

    let mut web = longshore.start(&["run", "standalone"]);
    let address = web.address();
    assert!(page::get(&address).contains(&format!("Served by Python {VERSION}.")));
    web.stop();

    let words = [
        "-t",
        "standalone",
        "--clear-cache",
        "--output",
        &output("second"),
    ];
    let again = longshore.build(app.path(), &words);
    let layers = |name: &str| Image::open(&layout(name)).named_layers();
    assert_eq!(layers("second"), layers("first"));
    assert_eq!(again.digest(), built.digest());
}
