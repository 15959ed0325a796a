//! The same app gives the same image, wherever, whenever and by whomever it is built.

use std::process::Command;

use e2e::app::App;
use e2e::home::Home;
use e2e::program::Longshore;
use e2e::skip;

/// No account has this id; a process may have it all the same.
const SOMEBODY: &str = "41234";

#[test]
fn other_folder_umask_time_zone_locale_and_cores() {
    let first = App::copy_of("flask-plain");
    let expected = Longshore::copied()
        .build(first.path(), &["-t", "one"])
        .digest()
        .to_owned();

    let second = App::copy_of("flask-plain");
    let longshore = Longshore::copied();
    let longshore = longshore
        .with("TZ", "Pacific/Auckland")
        .with("LC_ALL", "tr_TR.UTF-8")
        .with("LANG", "tr_TR.UTF-8");
    let longshore = longshore.under(&[
        "taskset",
        "--cpu-list",
        "0",
        "sh",
        "-c",
        "umask 077; exec \"$0\" \"$@\"",
    ]);
    let elsewhere = longshore.build(second.path(), &["-t", "two", "--clear-cache"]);
    assert_eq!(elsewhere.digest(), expected);
    // And once more where everything is cached.
    let cached = longshore.build(second.path(), &["-t", "two"]);
    assert_eq!(cached.digest(), expected);
}

/// Nothing is shared with the first build: neither cache nor downloads nor user.
#[test]
fn empty_cache_and_another_user() {
    let expected = Longshore::shared()
        .build(App::copy_of("dash-legacy").path(), &["-t", "e2e-digest"])
        .digest()
        .to_owned();

    let app = App::copy_of("dash-legacy");
    let home = Home::empty();
    let mut longshore = Longshore::at(Home::below(home.folder()));
    if skip::is_root() {
        give(app.path(), SOMEBODY);
        give(home.folder(), SOMEBODY);
        let program = home.folder().join("longshore");
        std::fs::copy(e2e::program::executable(), &program).unwrap();
        longshore = longshore
            .with_program(&program)
            .with("HOME", home.folder().to_str().unwrap());
        longshore = longshore.under(&[
            "setpriv",
            "--reuid",
            SOMEBODY,
            "--regid",
            SOMEBODY,
            "--clear-groups",
        ]);
    } else {
        skip::because("only root can build as another user; the cache is empty all the same");
    }
    let built = longshore.build(app.path(), &["-t", "somebody"]);
    assert_eq!(built.digest(), expected);
}

/// Gives a temporary folder, and the way to what is in it, to another user.
fn give(folder: &std::path::Path, user: &str) {
    let parent = folder.parent().unwrap();
    let owner = format!("{user}:{user}");
    assert!(
        Command::new("chown")
            .args(["-R", &owner])
            .arg(folder)
            .status()
            .unwrap()
            .success()
    );
    if parent
        .file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("longshore-"))
    {
        assert!(
            Command::new("chmod")
                .arg("755")
                .arg(parent)
                .status()
                .unwrap()
                .success()
        );
    }
}
