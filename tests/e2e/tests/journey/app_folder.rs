//! What of an app's folder is in the image, and what a build adds to it.

use e2e::app::App;
use e2e::program::{Longshore, Said};

fn in_image(longshore: &Longshore, image: &str, script: &str) -> String {
    let said: Said = longshore.run(&["run", image, "--", "bash", "-c", script]);
    said.assert_code(0);
    said.stdout
}

#[test]
fn include_and_exclude_of_project_toml() {
    let longshore = Longshore::copied();
    let app = || {
        App::copy_of("flask-plain")
            .with("notes/deep/a.md", "a")
            .with("notes/b.txt", "b")
            .with("data/big.csv", "1")
    };
    let excluding = app().with(
        "project.toml",
        "[io.buildpacks]\nexclude = ['notes/', '*.csv', 'README.md']\n",
    );
    let said = longshore.build(excluding.path(), &["-t", "excluding"]);
    said.assert_says(&["Stays out: notes (project.toml; 2 files"]);
    let found = in_image(&longshore, "excluding", "find . -type f | sort");
    assert_eq!(
        found,
        "./Procfile\n./app.py\n./project.toml\n./requirements.txt\n./templates/home.html\n"
    );

    let including = app().with(
        "project.toml",
        "[io.buildpacks]\ninclude = ['*.py', 'templates/', 'Procfile', 'requirements.txt']\n",
    );
    let said = longshore.build(including.path(), &["-t", "including"]);
    said.assert_says(&[
        "Stays out: notes (project.toml; 2 files",
        "Stays out: data (",
    ]);
    let found = in_image(&longshore, "including", "find . | sort");
    assert_eq!(
        found,
        ".\n./Procfile\n./app.py\n./requirements.txt\n./templates\n./templates/home.html\n"
    );
}

/// Folders count as much as files, and bytecode that predeploy would leave behind not at all.
#[test]
fn what_predeploy_changes_stays_in_the_image() {
    let longshore = Longshore::copied();
    let hook =
        |command: &str| format!(r#"{{"scripts": {{"dokku": {{"predeploy": "{command}"}}}}}}"#);
    let app = App::copy_of("flask-plain")
        .with("static/old.css", "")
        .with("helper.py", "NAME = 'helper'\n")
        .with("app.json", hook("mkdir uploads"));
    for (command, look, expected) in [
        ("mkdir uploads", "stat -c %F uploads", "directory\n"),
        ("chmod 700 templates", "stat -c %a templates", "700\n"),
        (
            "rm -rf static; mkdir static",
            "ls -A static; stat -c %F static",
            "directory\n",
        ),
        ("rm helper.py", "ls -d helper.py || echo gone", "gone\n"),
        (
            "python -c 'import helper; print(helper.NAME)' > name.txt",
            "cat name.txt; find . -name __pycache__",
            "helper\n",
        ),
    ] {
        app.write("app.json", hook(command));
        longshore.build(app.path(), &["-t", "changed"]);
        assert_eq!(in_image(&longshore, "changed", look), expected, "{command}");
    }
    // The user's folder is as it was.
    assert!(app.path().join("static/old.css").is_file());
    assert!(!app.path().join("uploads").try_exists().unwrap());
}

/// An image that was written into the app's folder is no part of the next one.
#[test]
fn outputs_in_the_app_folder() {
    let longshore = Longshore::copied();
    let app = App::copy_of("flask-plain");
    let build = |more: &[&str]| longshore.build(app.path(), &[&["-t", "inside"], more].concat());
    let plain = build(&[]).digest().to_owned();
    let place = |kind: &str, name: &str| format!("{kind}:{}", app.path().join(name).display());
    let (layout, archive) = (place("oci", "image"), place("docker-archive", "app.tar"));
    let metadata = app.path().join("build.json");
    let outputs = ["--output", &layout, "--output", &archive];
    let outputs = [
        &outputs[..],
        &["--metadata-file", metadata.to_str().unwrap()],
    ]
    .concat();
    assert_eq!(build(&outputs).digest(), plain);
    let again = build(&outputs);
    assert_eq!(again.digest(), plain);
    again.assert_says(&[
        "Stays out: app.tar (written by this command",
        "Stays out: image (",
    ]);
    assert!(app.path().join("image/index.json").is_file());
}
