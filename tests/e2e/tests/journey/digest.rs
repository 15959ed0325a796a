//! The same app gives the same image, wherever, whenever and by whomever it is built.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use e2e::app::App;
use e2e::home::Home;
use e2e::program::{AS_SOMEBODY, Longshore, give_to_somebody};
use e2e::skip;

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

/// Nothing is shared with the first build: neither cache nor downloads nor user; and whoever made the copy of the app keeps it to himself.
/// The app has packages, an old Python, and a predeploy whose file becomes part of the image.
#[test]
fn empty_cache_another_user_and_closed_files() {
    let expected = Longshore::shared()
        .build(App::copy_of("dash-legacy").path(), &["-t", "e2e-digest"])
        .digest()
        .to_owned();

    let app = App::copy_of("dash-legacy");
    let closed = Command::new("chmod")
        .args(["-R", "go-rwx"])
        .arg(app.path())
        .status();
    assert!(closed.unwrap().success());
    let home = Home::empty();
    let longshore = Longshore::of_somebody(&home);
    let umask = ["sh", "-c", "umask 077; exec \"$0\" \"$@\""];
    let longshore = if skip::is_root() {
        give_to_somebody(app.path());
        let parent = app.path().parent().unwrap();
        std::fs::set_permissions(parent, PermissionsExt::from_mode(0o755)).unwrap();
        longshore.under(&[&AS_SOMEBODY[..], &umask].concat())
    } else {
        skip::because("only root can build as another user; the cache is empty all the same");
        longshore.under(&umask)
    };
    let built = longshore.build(app.path(), &["-t", "somebody"]);
    assert_eq!(built.digest(), expected);
}

/// A process that compiles remembers names of what it compiled before. Constant sets of texts with such names are compiled to the same all the same.
#[test]
fn bytecode_whatever_was_compiled_before() {
    let longshore = Longshore::copied();
    let bytecode = |others: &[&str]| {
        let set = "x = len({'first_word', 'second_word', 'third_word'})\n";
        let sets = format!("class One:\n    {set}\n\n{set}");
        let modules = [others, &["sets"]].concat();
        let setup = format!(
            "from setuptools import setup\nsetup(name='words', version='1', py_modules={modules:?})\n"
        );
        let app = App::copy_of("flask-plain")
            .with("words/setup.py", setup)
            .with("words/sets.py", sets);
        app.append("requirements.txt", "\n./words\n");
        for name in others {
            // The largest are compiled first.
            let names = "first_word = second_word = 1\n".repeat(10_000);
            app.write(&format!("words/{name}.py"), names);
        }
        longshore.build(app.path(), &["-t", "words"]);
        let print = "import sets; print(open(sets.__cached__, 'rb').read().hex())";
        let said = longshore.run(&["run", "words", "--", "python", "-c", print]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        said.stdout
    };
    // One for each worker.
    let cores = std::thread::available_parallelism().unwrap().get();
    let others: Vec<_> = (0..cores).map(|number| format!("names{number}")).collect();
    let others: Vec<_> = others.iter().map(String::as_str).collect();
    assert_eq!(bytecode(&others), bytecode(&[]));
}

/// Root builds what only another user may read: it is copied for the sandbox, and becomes the same image.
#[test]
fn files_of_another_user() {
    if !skip::is_root() {
        skip::because("only root can read what others keep to themselves");
        return;
    }
    let longshore = Longshore::copied();
    let expected = longshore
        .build(App::copy_of("flask-plain").path(), &["-t", "open"])
        .digest()
        .to_owned();
    let app = App::copy_of("flask-plain");
    give_to_somebody(app.path());
    std::fs::set_permissions(app.path().join("app.py"), PermissionsExt::from_mode(0o600)).unwrap();
    let built = longshore.build(app.path(), &["-t", "closed"]);
    assert_eq!(built.digest(), expected);
}

/// Taking a change back gives the first image again, whatever the cache has seen in between.
#[test]
fn requirement_added_and_removed_again() {
    let longshore = Longshore::copied();
    let app = App::copy_of("flask-plain");
    let first = longshore
        .build(app.path(), &["-t", "back"])
        .digest()
        .to_owned();
    app.append("requirements.txt", "iniconfig==2.0.0\n");
    assert_ne!(longshore.build(app.path(), &["-t", "back"]).digest(), first);
    app.replace("requirements.txt", "iniconfig==2.0.0\n", "");
    assert_eq!(longshore.build(app.path(), &["-t", "back"]).digest(), first);
}
