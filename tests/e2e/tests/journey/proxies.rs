//! A company's proxy: everything that is downloaded goes through it, and nothing of it is in the image.

use e2e::app::App;
use e2e::image::Image;
use e2e::program::Longshore;
use e2e::proxy::Proxy;
use tempfile::TempDir;

#[test]
fn downloads_go_through_the_proxy() {
    let proxy = Proxy::start();
    let folder = TempDir::new().unwrap();
    let layout = folder.path().join("layout");
    let place = format!("oci:{}", layout.display());
    let app = App::copy_of("flask-plain").with("apt-packages", "libqrencode4\n");
    let longshore = Longshore::copied()
        .with("HTTP_PROXY", proxy.url())
        .with("http_proxy", proxy.url())
        .with("HTTPS_PROXY", proxy.url());
    longshore.build(
        app.path(),
        &["-t", "proxied", "--clear-cache", "--output", &place],
    );

    let asked = proxy.asked();
    // Our own downloads (Debian's packages, over http here), and those of pip or uv over TLS.
    let is_package = |line: &&String| line.starts_with("GET http://") && line.contains(".deb");
    assert!(asked.iter().any(|line| is_package(&line)), "{asked:#?}");
    assert!(
        asked.iter().any(|line| line.starts_with("CONNECT ")),
        "{asked:#?}"
    );

    let image = Image::open(&layout);
    let port = proxy.url().rsplit(':').next().unwrap().to_owned();
    let text = format!("127.0.0.1:{port}");
    assert!(
        !image.config.to_string().contains(&text),
        "the proxy is in the configuration"
    );
    let says = [
        "run",
        "proxied",
        "--",
        "sh",
        "-c",
        "grep -rlF \"$0\" /workspace /layers /cnb; env | grep -i _proxy",
    ];
    let said = longshore.run(&[&says[..], &[&text]].concat());
    // `longshore run` gives the host's proxies to the process; they are in no file.
    let lines: Vec<&str> = said.stdout.lines().collect();
    assert!(
        !lines.is_empty()
            && lines
                .iter()
                .all(|line| line.contains("_proxy=") || line.contains("_PROXY=")),
        "{lines:?}"
    );
}

/// `NO_PROXY` names what is asked directly.
#[test]
fn no_proxy_is_obeyed() {
    let proxy = Proxy::start();
    let app = App::copy_of("flask-plain").with("apt-packages", "libqrencode4\n");
    let longshore = Longshore::copied()
        .with("HTTP_PROXY", proxy.url())
        .with("HTTPS_PROXY", proxy.url())
        .with("NO_PROXY", "*");
    longshore.build(app.path(), &["-t", "direct", "--clear-cache"]);
    assert_eq!(proxy.asked(), Vec::<String>::new());
}
