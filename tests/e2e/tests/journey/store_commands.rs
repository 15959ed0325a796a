//! What people do with images and the cache besides building: `run`, `inspect`, `cache`, `stack`, and what scripts read.

use e2e::app::{App, example};
use e2e::image::Image;
use e2e::page;
use e2e::program::Longshore;
use serde_json::Value;
use tempfile::TempDir;

#[test]
fn metadata_file_and_inspect() {
    let longshore = Longshore::copied();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("build.json");
    let built = longshore.build(
        &example("flask-plain"),
        &["-t", "looked-at", "--metadata-file", file.to_str().unwrap()],
    );
    let metadata: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert!(metadata.to_string().contains(built.digest()), "{metadata}");
    // The resolved set is in it.
    assert!(metadata.to_string().contains("werkzeug"), "{metadata}");

    let inspected = longshore.run(&["inspect", "looked-at"]);
    inspected.assert_code(0);
    for words in [built.digest(), "web", "gunicorn app:app", "longshore/deps"] {
        assert!(
            inspected.stdout.contains(words),
            "no {words:?} in {}",
            inspected.stdout
        );
    }
    let unknown = longshore.run(&["inspect", "never-built"]);
    assert_ne!(unknown.code, 0);
    unknown.assert_says(&["never-built"]);
}

#[test]
fn run_an_image_from_a_layout() {
    let longshore = Longshore::shared();
    let folder = TempDir::new().unwrap();
    let place = format!("oci:{}", folder.path().join("layout").display());
    longshore.build(
        &example("flask-plain"),
        &["-t", "e2e-layout", "--output", &place],
    );
    Image::open(&folder.path().join("layout"));
    let mut web = longshore.start(&["run", &place]);
    let address = web.address();
    assert!(page::get(&address).contains("Flask, plainly"));
    web.stop();
}

#[test]
fn build_environment_and_run_environment() {
    let longshore = Longshore::copied();
    let app = App::copy_of("flask-plain").with(
        "app.json",
        r#"{"scripts": {"dokku": {"predeploy": "echo \"quay is $QUAY\" > quay.txt"}}}"#,
    );
    longshore.build(app.path(), &["-t", "environment", "--env", "QUAY=seven"]);
    let said = longshore.run(&[
        "run",
        "environment",
        "--",
        "bash",
        "-c",
        "cat quay.txt; echo \"now ${QUAY-unset}\"",
    ]);
    said.assert_code(0);
    assert_eq!(said.stdout, "quay is seven\nnow unset\n");
    let said = longshore.run(&[
        "run",
        "environment",
        "--env",
        "QUAY=nine",
        "--",
        "bash",
        "-c",
        "echo \"now $QUAY\"; exit 5",
    ]);
    said.assert_code(5);
    assert_eq!(said.stdout, "now nine\n");
}

/// `run` and `inspect` read archives of both kinds, too; `--json` is for programs.
#[test]
fn archives_and_json() {
    let longshore = Longshore::shared();
    let folder = TempDir::new().unwrap();
    let place = |kind: &str| format!("{kind}:{}", folder.path().join(kind).display());
    let places = [place("oci-archive"), place("docker-archive")];
    let built = longshore.build(
        &example("flask-plain"),
        &[
            "-t",
            "e2e-archives",
            "--output",
            &places[0],
            "--output",
            &places[1],
        ],
    );
    for place in &places {
        let said = longshore.run(&["inspect", "--json", place]);
        said.assert_code(0);
        let json: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(json["digest"].as_str(), Some(built.digest()), "{place}");
        assert_eq!(json["config"]["config"]["WorkingDir"], "/workspace");
        let said = longshore.run(&[
            "run",
            place,
            "--",
            "python",
            "-c",
            "import flask; print('whole')",
        ]);
        said.assert_code(0);
        assert_eq!(said.stdout, "whole\n");
    }
}

/// `--quiet` leaves warnings and errors, `--verbose` says more than is said by itself.
#[test]
fn how_much_is_said() {
    let longshore = Longshore::copied();
    let app = App::copy_of("flask-plain")
        .with("runtime.txt", "python-3.13\n")
        .with(".python-version", "3.13.5\n");
    app.write("runtime.txt", "python-3.12\n");
    let build = |more: &[&str]| longshore.build(app.path(), &[&["-t", "said"], more].concat());
    let normal = build(&[]);
    normal.assert_says(&["===> BUILDING", "[Warning: "]);
    let quiet = build(&["--quiet"]);
    quiet.assert_says(&["[Warning: ", ".python-version", "runtime.txt"]);
    assert!(!quiet.stderr.contains("===>"), "{}", quiet.stderr);
    let verbose = build(&["--verbose"]);
    assert!(
        verbose.stderr.len() > normal.stderr.len(),
        "{}",
        verbose.stderr
    );
    assert_eq!(quiet.reference(), verbose.reference());

    let failed = longshore.run(&["build", "--quiet", "/nowhere/at/all"]);
    failed.assert_code(3);
    failed.assert_says(&["[Error: ", "/nowhere/at/all"]);
}

/// The user's folder is never written to, and what does not belong in an image stays out of it.
#[test]
fn what_stays_out() {
    let longshore = Longshore::copied();
    let app = App::copy_of("flask-plain")
        .with(".env", "SECRET=1\n")
        .with(".git/HEAD", "ref: refs/heads/main\n")
        .with("venv/pyvenv.cfg", "home = /usr/bin\n")
        .with("venv/bin/python", "")
        .with("__pycache__/app.cpython-313.pyc", "x")
        .with("win/pyvenv.cfg", "home = C:\\Python\n")
        .with("win/Scripts/python.exe", "MZ");
    let before = listing(&app);
    let built = longshore.build(app.path(), &["-t", "out"]);
    assert_eq!(listing(&app), before);
    built.assert_says(&[".git", ".env", "venv", "win"]);
    let said = longshore.run(&["run", "out", "--", "ls", "-A"]);
    said.assert_code(0);
    let names: Vec<&str> = said.stdout.lines().collect();
    assert_eq!(
        names,
        [
            "Procfile",
            "README.md",
            "app.py",
            "requirements.txt",
            "templates"
        ]
    );
}

/// Every path with its kind, mode, size and time of change.
fn listing(app: &App) -> String {
    let output = std::process::Command::new("find")
        .arg(app.path())
        .args(["-printf", "%P %y %m %s %T@\n"])
        .output()
        .unwrap();
    let mut lines: Vec<String> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines.join("\n")
}

#[test]
fn cache_list_and_prune() {
    let longshore = Longshore::copied();
    let app = App::copy_of("flask-plain");
    let first = longshore
        .build(app.path(), &["-t", "kept"])
        .digest()
        .to_owned();
    app.append("app.py", "\n# A remark.\n");
    longshore.build(app.path(), &["-t", "kept"]);
    let listed = longshore.run(&["cache", "list"]);
    listed.assert_code(0);
    assert!(listed.stdout.contains("kept"), "{}", listed.stdout);
    longshore.run(&["cache", "prune"]).assert_code(0);
    let said = longshore.run(&["run", "kept", "--", "python", "-c", "print('still here')"]);
    said.assert_code(0);
    assert_eq!(said.stdout, "still here\n");
    // The same bytes come back after the prune.
    app.replace("app.py", "\n# A remark.\n", "");
    assert_eq!(longshore.build(app.path(), &["-t", "kept"]).digest(), first);

    let downloads = longshore.home().cache().join("longshore/downloads/sha256");
    let bytes = || -> u64 {
        let entries = std::fs::read_dir(&downloads).unwrap();
        entries
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum()
    };
    assert!(bytes() > 50_000_000);
    longshore
        .run(&["cache", "prune", "--keep-mb", "50"])
        .assert_code(0);
    assert!(bytes() <= 50_000_000);
    longshore.run(&["cache", "prune", "--all"]).assert_code(0);
    assert_eq!(bytes(), 0);
    let listed = longshore.run(&["cache", "list"]);
    assert!(
        listed.stdout.contains("0 apps with cached layers"),
        "{}",
        listed.stdout
    );
    let said = longshore.run(&["run", "kept", "--", "python", "-c", "print('still here')"]);
    assert_eq!(said.stdout, "still here\n");
}
