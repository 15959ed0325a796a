//! Where the kernel refuses overlays, files are copied: slower, and the same image.

use std::process::Command;

use e2e::app::App;
use e2e::home::Home;
use e2e::program::Longshore;
use e2e::skip;

/// The home is on an overlay itself, as in most containers: no overlay can keep its changes there.
const ON_AN_OVERLAY: &str = "home=$(dirname \"$XDG_CACHE_HOME\"); \
    mount -t tmpfs changes /mnt && mkdir /mnt/upper /mnt/work && \
    mount -t overlay -o \"lowerdir=$home,upperdir=/mnt/upper,workdir=/mnt/work\" overlay \"$home\" && \
    \"$0\" build \"$1\" -t copied && \"$0\" build \"$1\" -t copied && \
    exec \"$0\" run copied -- python -c 'import flask; print(\"runs\")'";

#[test]
fn home_on_an_overlay() {
    let possible = Command::new("unshare").args(["-m", "true"]).status();
    if !skip::is_root() || !possible.is_ok_and(|status| status.success()) {
        skip::because("only root can mount an overlay over the home");
        return;
    }
    let longshore = Longshore::copied();
    let app = App::copy_of("flask-plain").with(
        "app.json",
        r#"{"scripts": {"dokku": {"predeploy": "date +%Y > year.txt && mkdir -p logs"}}}"#,
    );
    let expected = longshore
        .build(app.path(), &["-t", "copied"])
        .digest()
        .to_owned();

    let program = e2e::program::executable();
    let home = Home::below(longshore.home().folder());
    let copying = Longshore::at(home).with_program("unshare".as_ref()).run(&[
        "-m".as_ref(),
        "sh".as_ref(),
        "-c".as_ref(),
        ON_AN_OVERLAY.as_ref(),
        program.as_os_str(),
        app.path().as_os_str(),
    ]);
    copying.assert_code(0);
    let lines: Vec<&str> = copying.stdout.lines().collect();
    let built = format!("copied:latest@{expected}");
    assert_eq!(lines, [&built[..], &built, "runs"], "{}", copying.stderr);
    copying.assert_says(&["Files are copied, which is slower"]);
}
