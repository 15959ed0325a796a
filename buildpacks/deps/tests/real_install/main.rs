//! The whole buildpack with real tools: pip fetches uv, uv resolves, downloads and installs.

#![expect(clippy::unwrap_used, reason = "tests stop where something is wrong")]

#[path = "../../../kit/testing/harness.rs"]
mod harness;
#[path = "../../../kit/testing/mirror.rs"]
mod mirror;

use harness::{Build, contents, index_is_reachable};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn new_build(files: &[(&str, &[u8])]) -> Build {
    Build::new(
        env!("CARGO_BIN_EXE_buildpack-deps"),
        env!("CARGO_MANIFEST_DIR"),
        files,
    )
}

fn site_packages(build: &Build) -> PathBuf {
    let lib = build.path("layers/environment/venv/lib");
    let folder = fs::read_dir(lib).unwrap().next().unwrap().unwrap().path();
    folder.join("site-packages")
}

fn assert_succeeded(ran: &harness::Ran) {
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.log, ran.errors);
}

fn run_in_environment(build: &Build, program: &str, arguments: &[&str]) -> String {
    let output = Command::new(build.path("layers/environment/venv/bin").join(program))
        .args(arguments)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one story: each build begins where the last one ended, and the first is slow"
)]
fn installs_then_reuses_then_repeats_to_the_byte() {
    if !index_is_reachable() {
        return;
    }
    let build = new_build(&[
        ("requirements.txt", b"-r more.txt\ngunicorn==20.1.0\n"),
        ("more.txt", b"markupsafe\n"),
    ]);
    assert_succeeded(&build.detect());
    let first = build.build();
    assert_succeeded(&first);
    assert!(
        first
            .log
            .contains("Environment: made anew, because there is none from an earlier build\n"),
        "{}",
        first.log
    );
    let notice = "Notice: setuptools<82 is installed too: setuptools 82 removed pkg_resources, which is imported by gunicorn/util.py\n";
    assert!(first.log.contains(notice), "{}", first.log);
    assert!(run_in_environment(&build, "gunicorn", &["--version"]).contains("20.1.0"));

    // Bytecode is there for every module and is used without looking at the source (PEP 552: flags 1, unchecked).
    let site_packages = site_packages(&build);
    let bytecode = contents(&site_packages.join("gunicorn/__pycache__"));
    assert!(
        bytecode
            .iter()
            .any(|(name, _)| name.starts_with("util.cpython-"))
    );
    assert!(
        bytecode
            .iter()
            .all(|(_, bytes)| bytes[4..8] == [1, 0, 0, 0])
    );

    let launch = fs::read_to_string(build.path("layers/launch.toml")).unwrap();
    assert!(
        launch.contains("io.longshore.packages") && launch.contains(r#""gunicorn":"20.1.0""#),
        "{launch}"
    );
    let sbom = fs::read_to_string(build.path("layers/launch.sbom.cdx.json")).unwrap();
    assert!(sbom.contains("pkg:pypi/gunicorn@20.1.0"), "{sbom}");
    let variables = contents(&build.path("layers/environment/env"));
    assert_eq!(
        names(&variables),
        [
            "PATH.delim",
            "PATH.prepend",
            "PYTHONUNBUFFERED.default",
            "VIRTUAL_ENV.override"
        ]
    );

    // Unchanged: neither uv nor a working Python is needed.
    let before = contents(&build.path("layers/environment"));
    let facts = fs::read_to_string(build.path("layers/environment.toml"))
        .unwrap()
        .parse::<toml::Table>()
        .unwrap();
    let inputs = &facts["metadata"]["inputs"];
    let stub = build.path("stub");
    fs::create_dir(&stub).unwrap();
    let version = inputs["python"].as_str().unwrap();
    let source = inputs["python_source"].as_str().unwrap();
    write_program(
        &stub.join("python3"),
        &format!("#!/bin/sh\necho {version}\necho {source}\n"),
    );
    write_program(
        &build.path("layers/uv/uv"),
        "#!/bin/sh\necho uv was called; exit 9\n",
    );
    let mut again = build;
    again.path = Some(stub);
    let second = again.build();
    assert_succeeded(&second);
    let lines: Vec<&str> = second.log.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "",
            "[Python packages]",
            "Environment: reused from the last build"
        ]
    );
    assert!(
        lines[3].starts_with("3 packages, in the versions chosen on 20"),
        "{}",
        lines[3]
    );
    assert_eq!(
        lines[4..],
        [
            "Wheel cache: reused from the last build",
            "uv: reused from the last build"
        ]
    );
    assert_eq!(contents(&again.path("layers/environment")), before);
    assert_eq!(
        fs::read_to_string(again.path("layers/launch.toml")).unwrap(),
        launch
    );
    for layer in ["environment", "wheels", "uv"] {
        assert!(
            fs::read_to_string(again.path("layers").join(format!("{layer}.toml")))
                .unwrap()
                .contains("cache = true")
        );
    }

    // A file changed, the resolved set did not: made anew, bytecode taken over, the same bytes.
    let mut changed = again;
    changed.path = None;
    fs::remove_dir_all(changed.path("layers/uv")).unwrap();
    changed.write("more.txt", "markupsafe # needed by templates\n");
    let third = changed.build();
    assert_succeeded(&third);
    assert!(
        third
            .log
            .contains("Environment: made anew, because 'more.txt' changed\n"),
        "{}",
        third.log
    );
    assert!(
        third
            .log
            .contains("Bytecode: compiled 0 modules, kept that of "),
        "{}",
        third.log
    );
    let repeated = contents(&changed.path("layers/environment"));
    assert_eq!(names(&repeated), names(&before));
    assert!(repeated == before, "the same set gave other bytes");

    // Cache lost, image known: the store keeps the versions. And with nothing at all, the same bytes again.
    for name in ["environment", "wheels", "uv"] {
        fs::remove_dir_all(changed.path("layers").join(name)).unwrap();
        fs::remove_file(changed.path("layers").join(format!("{name}.toml"))).unwrap();
    }
    let store = fs::read_to_string(changed.path("layers/store.toml")).unwrap();
    assert!(
        store.contains("[[metadata.environment.packages]]"),
        "{store}"
    );
    let fourth = changed.build();
    assert_succeeded(&fourth);
    assert!(
        contents(&changed.path("layers/environment")) == before,
        "an empty cache gave other bytes"
    );
}

fn names(contents: &[(String, Vec<u8>)]) -> Vec<&str> {
    contents.iter().map(|(name, _)| name.as_str()).collect()
}

fn write_program(path: &Path, text: &str) {
    fs::remove_file(path).ok();
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn pip_installs_on_request() {
    if !index_is_reachable() {
        return;
    }
    let mut build = new_build(&[("requirements.txt", b"idna==3.10\n")]);
    build
        .variables
        .push(("LONGSHORE_INSTALLER".to_owned(), "pip".to_owned()));
    let ran = build.build();
    assert_succeeded(&ran);
    assert!(ran.log.contains("Notice: pip installs the packages, because the variable LONGSHORE_INSTALLER asks for it\n"), "{}", ran.log);
    assert_eq!(
        run_in_environment(
            &build,
            "python",
            &["-c", "import idna; print(idna.__version__)"]
        ),
        "3.10\n"
    );
}

#[test]
fn windows_file_with_a_local_package_leaves_the_app_as_it_was() {
    if !index_is_reachable() {
        return;
    }
    let text: Vec<u8> = "\u{feff}./tool\r\nidna==3.10\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let build = new_build(&[
        ("requirements.txt", &text),
        (
            "tool/pyproject.toml",
            b"[project]\nname = 'tool'\nversion = '1.0'\n",
        ),
        ("tool/tool.py", b"ANSWER = 42\n"),
    ]);
    let before = contents(&build.path("app"));
    let ran = build.build();
    assert_succeeded(&ran);
    assert_eq!(
        run_in_environment(&build, "python", &["-c", "import tool; print(tool.ANSWER)"]),
        "42\n"
    );
    assert_eq!(names(&contents(&build.path("app"))), names(&before));
    let record =
        fs::read_to_string(site_packages(&build).join("tool-1.0.dist-info/RECORD")).unwrap();
    assert!(!record.contains("uv_cache.json"), "{record}");

    build.write("tool/tool.py", "ANSWER = 43\n");
    let ran = build.build();
    assert_succeeded(&ran);
    assert!(
        ran.log
            .contains("made anew, because the local package './tool' changed\n"),
        "{}",
        ran.log
    );
    assert_eq!(
        run_in_environment(&build, "python", &["-c", "import tool; print(tool.ANSWER)"]),
        "43\n"
    );
}

/// A wheel with one empty module, made by Python's own zipfile.
fn write_wheel(folder: &Path, name: &str, version: &str) {
    const CODE: &str = r#"
import sys, zipfile
folder, name, version = sys.argv[1:]
info = f"{name}-{version}.dist-info"
with zipfile.ZipFile(f"{folder}/{name}-{version}-py3-none-any.whl", "w") as wheel:
    wheel.writestr(f"{name}/__init__.py", "")
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr(f"{info}/RECORD", f"{name}/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
"#;
    fs::create_dir_all(folder).unwrap();
    let made = Command::new("python3")
        .args(["-c", CODE])
        .arg(folder)
        .args([name, version])
        .status();
    assert!(made.unwrap().success());
    let wheel = format!("{name}-{version}-py3-none-any.whl");
    let page = format!("<!DOCTYPE html><html><body><a href=\"{wheel}\">{wheel}</a></body></html>");
    fs::write(folder.join("index.html"), page).unwrap();
}

/// pip takes the best version of all indexes. uv by itself would take the placeholder, because the extra index knows the name.
#[test]
fn indexes_are_merged_as_pip_merges_them() {
    if !index_is_reachable() {
        return;
    }
    let requirements = b"--extra-index-url http://${INDEX_USER}:${INDEX_PASSWORD}@${INDEX_HOST}/simple\nidna>=0\nourtool\n";
    let mut build = new_build(&[("requirements.txt", requirements)]);
    let folder = build.path("index");
    write_wheel(&folder.join("simple/idna"), "idna", "0.0.1");
    write_wheel(&folder.join("simple/ourtool"), "ourtool", "1.0");
    let address = mirror::serve(&folder);
    for (name, value) in [
        ("INDEX_HOST", address.trim_start_matches("http://")),
        ("INDEX_USER", "me"),
        ("INDEX_PASSWORD", "hunter2"),
        ("NO_PROXY", "127.0.0.1"),
        ("no_proxy", "127.0.0.1"),
    ] {
        build.variables.push((name.to_owned(), value.to_owned()));
    }
    let ran = build.build();
    assert_succeeded(&ran);
    assert!(
        ran.log.contains(" + ourtool==1.0\n")
            && ran.log.contains(" + idna==")
            && !ran.log.contains("idna==0.0.1"),
        "{}",
        ran.log
    );
    // The password is nowhere in what becomes the image.
    let metadata = fs::read(build.path("layers/environment.toml")).unwrap();
    let files = contents(&build.path("layers/environment"))
        .into_iter()
        .map(|(_, bytes)| bytes);
    for bytes in files.chain([metadata, ran.log.into_bytes()]) {
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"));
    }
    // A new password opens the same door; nothing is installed anew for it.
    build
        .variables
        .push(("INDEX_PASSWORD".to_owned(), "rotated".to_owned()));
    let again = build.build();
    assert!(
        again
            .log
            .contains("Environment: reused from the last build\n"),
        "{}",
        again.log
    );
}

#[test]
fn requirement_that_does_not_resolve_names_the_line() {
    if !index_is_reachable() {
        return;
    }
    let build = new_build(&[("requirements.txt", b"# ours\nidna==99.5\n")]);
    let ran = build.build();
    assert_eq!(ran.code, Some(1));
    let expected = "\n[Error: The requirements do not resolve]\n\
        No versions could be found that satisfy every requirement:\n\n\
        error: No solution found when resolving dependencies\n  \
        cause: Because there is no version of idna==99.5 and you require idna==99.5, we can conclude that your requirements are unsatisfiable.\n\n\
        The lines in question:\n  requirements.txt line 2: idna==99.5\n\n\
        Change these lines so that versions exist which fit together and support this Python.\n\n";
    assert_eq!(ran.errors, expected);
}

#[test]
fn unreachable_index_is_named_without_its_password() {
    if !index_is_reachable() {
        return;
    }
    let mut build = new_build(&[(
        "requirements.txt",
        b"-i https://${USERNAME}:${PASSWORD}@127.0.0.1:9/simple\nidna\n",
    )]);
    for (name, value) in [
        ("USERNAME", "me"),
        ("PASSWORD", "hunter2"),
        ("UV_HTTP_RETRIES", "0"),
    ] {
        build.variables.push((name.to_owned(), value.to_owned()));
    }
    let ran = build.build();
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.errors.contains("127.0.0.1:9/simple/idna/"),
        "{}",
        ran.errors
    );
    assert!(
        ran.errors.contains("The package index cannot be reached."),
        "{}",
        ran.errors
    );
    assert!(
        !ran.errors.contains("hunter2") && !ran.log.contains("hunter2"),
        "{}{}",
        ran.log,
        ran.errors
    );
}

#[test]
fn no_requirements_txt() {
    let build = new_build(&[("app.py", b""), ("Requirements.txt", b"dash\n")]);
    let ran = build.detect();
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.errors,
        "\n[Error: No requirements.txt]\nThe app's folder has no file named 'requirements.txt', which says what the app needs.\n\
         There is one named 'Requirements.txt'. Rename it to 'requirements.txt': the name has to be exactly that, in lower case.\n\n"
    );
    assert_eq!(new_build(&[("index.js", b"")]).detect().code, Some(100));
}
