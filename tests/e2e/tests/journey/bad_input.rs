//! What is wrong with an app is said in words that tell what to change, with its own exit code, and early.

use std::os::unix::fs::PermissionsExt;

use e2e::app::App;
use e2e::home::Home;
use e2e::program::{Longshore, Said};

const APP_INVALID: i32 = 3;
const BUILDPACK_FAILED: i32 = 51;

/// A home with nothing in it and a mirror that nobody serves: an error that comes out of it was found before any download.
fn offline() -> Longshore {
    Longshore::at(Home::empty()).with("LONGSHORE_DEBIAN_MIRROR", "http://127.0.0.1:9/debian")
}

fn build(longshore: &Longshore, app: &App) -> Said {
    let said = longshore.run(&["build", app.path().to_str().unwrap(), "-t", "e2e-bad"]);
    assert_eq!(said.stdout, "", "a failed build gave a reference");
    said
}

#[test]
fn no_requirements() {
    let said = build(
        &offline(),
        &App::copy_of("flask-plain").without("requirements.txt"),
    );
    said.assert_code(APP_INVALID);
    said.assert_says(&["[Error: No requirements.txt]", "Add one.", "pip freeze"]);
}

#[test]
fn no_procfile() {
    let said = build(&offline(), &App::copy_of("flask-plain").without("Procfile"));
    said.assert_code(APP_INVALID);
    said.assert_says(&["Procfile", "web: gunicorn"]);
}

#[test]
fn procfile_without_web() {
    let said = build(
        &offline(),
        &App::copy_of("flask-plain").with("Procfile", "worker: python job.py\n"),
    );
    said.assert_code(APP_INVALID);
    said.assert_says(&["Procfile", "web", "worker"]);
}

#[test]
fn procfile_line_that_is_none() {
    let app =
        App::copy_of("flask-plain").with("Procfile", "web: gunicorn app:app\nthis is no process\n");
    let said = build(&offline(), &app);
    said.assert_code(APP_INVALID);
    said.assert_says(&["Procfile", "line 2", "column", "this is no process"]);
}

#[test]
fn python_version_that_nobody_has() {
    let said = build(
        &offline(),
        &App::copy_of("flask-plain").with("runtime.txt", "python-3.99.1\n"),
    );
    said.assert_code(APP_INVALID);
    // What was asked for, where, and what there is.
    said.assert_says(&["3.99.1", "runtime.txt", "3.13", "3.12", "3.11"]);
}

#[test]
fn no_such_folder() {
    let said = offline().run(&["build", "/nowhere/at/all"]);
    said.assert_code(APP_INVALID);
    said.assert_says(&["/nowhere/at/all"]);
}

#[test]
fn unknown_option() {
    let said = offline().run(&["build", ".", "--no-such-option"]);
    said.assert_code(2);
    said.assert_says(&["--no-such-option"]);
}

#[test]
fn folder_that_may_not_be_read() {
    let home = Home::empty();
    let longshore = Longshore::of_somebody(&home);
    let app = App::copy_of("flask-plain").with("secret/key.txt", "x");
    let parent = app.path().parent().unwrap();
    std::fs::set_permissions(parent, PermissionsExt::from_mode(0o755)).unwrap();
    for (closed, mode) in [
        (app.path().to_owned(), 0o755),
        (app.path().join("secret"), 0o755),
        (app.path().join("app.py"), 0o644),
    ] {
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(0o000)).unwrap();
        let said = longshore.run(&["build", app.path().to_str().unwrap()]);
        std::fs::set_permissions(&closed, PermissionsExt::from_mode(mode)).unwrap();
        said.assert_code(APP_INVALID);
        said.assert_says(&[closed.to_str().unwrap(), "ermission"]);
    }
}

/// A variable becomes a file below `/platform/env`: its name must not lead anywhere else.
#[test]
fn variable_that_would_be_a_file_elsewhere() {
    let folder = tempfile::TempDir::new().unwrap();
    let elsewhere = folder.path().join("written");
    let text = format!(
        "[[io.buildpacks.build.env]]\nname = \"{}\"\nvalue = \"x\"\n",
        elsewhere.display()
    );
    let said = build(
        &offline(),
        &App::copy_of("flask-plain").with("project.toml", text),
    );
    said.assert_code(APP_INVALID);
    said.assert_says(&["project.toml", "line 3", elsewhere.to_str().unwrap()]);
    assert!(!elsewhere.try_exists().unwrap(), "the host was written to");
}

/// What Docker's and Kubernetes' defaults do, and hardened kernels.
#[test]
fn user_namespaces_that_are_forbidden() {
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$0\" \"$@\"";
    let longshore = Longshore::shared().under(&["unshare", "-rU", "sh", "-c", forbid]);
    let said = build(&longshore, &App::copy_of("flask-plain"));
    said.assert_code(70);
    said.assert_says(&["user namespaces", "user.max_user_namespaces"]);
}

#[test]
fn apt_package_that_does_not_exist() {
    let app = App::copy_of("flask-plain").with("apt-packages", "libqrencode44\n");
    let said = build(&Longshore::shared(), &app);
    said.assert_code(BUILDPACK_FAILED);
    said.assert_says(&[
        "Line 1 of 'apt-packages': there is no package 'libqrencode44'; did you mean 'libqrencode4'?",
    ]);
}

#[test]
fn requirement_that_does_not_resolve() {
    let app =
        App::copy_of("flask-plain").with("requirements.txt", "gunicorn==23.0.0\nflask==99.0\n");
    let said = build(&Longshore::shared(), &app);
    said.assert_code(BUILDPACK_FAILED);
    // uv's reason, and the line to change.
    said.assert_says(&["no version of flask==99.0", "requirements.txt", "line 2"]);
}

#[test]
fn predeploy_that_fails() {
    let script =
        "#!/bin/bash\nfor number in $(seq 60); do echo \"said line $number.\"; done\nexit 7\n";
    let app = App::copy_of("flask-plain")
        .with(
            "app.json",
            r#"{"scripts": {"dokku": {"predeploy": "bash prepare.sh"}}}"#,
        )
        .with("prepare.sh", script);
    let said = build(&Longshore::shared(), &app);
    said.assert_code(BUILDPACK_FAILED);
    said.assert_says(&["predeploy", "bash prepare.sh", "7"]);
    // The last fifty lines stand together below the error.
    let error = said
        .stderr
        .rfind("[Error")
        .map(|start| &said.stderr[start..])
        .expect("an error has a head");
    assert!(
        error.contains("said line 60.") && error.contains("said line 11."),
        "{error}"
    );
    assert!(
        !error.contains("said line 10."),
        "more than fifty lines: {error}"
    );
}
