//! `analyzer` and `exporter`: the files they write, the image, and how they fail.

use std::fs;
use std::os::unix::fs::symlink;

use crate::fixture::Fixture;
use crate::images::{entries, history, read};

/// A buildpack with a launch layer, a process and a label.
const BUILD: &str = r#"cd "$1"
mkdir -p tool/bin; printf '#!/bin/sh\n' >tool/bin/run; chmod 755 tool/bin/run; ln -s bin/run tool/link
printf '[types]\nlaunch = true\n[metadata]\nversion = "1"\n' >tool.toml
printf '[metadata]\nseen = 1\n' >store.toml
cat >launch.toml <<'END'
[[labels]]
key = "org.example.label"
value = "x"
[[processes]]
type = "web"
command = ["run"]
default = true
END"#;

fn fixture(platform_api: &'static str) -> Fixture {
    let fixture = Fixture::with_run_image(platform_api);
    fixture.buildpack("x/y", "0.10", "", "", BUILD);
    fixture.order(&["x/y"]);
    fixture.write("app/app.py", "print(1)\n");
    fixture.write("app/app/x", "x");
    fixture
}

fn sha(image: &oci_image::Image, at: usize) -> String {
    image.layers()[at].diff_id.to_string()
}

/// The run image, exactly.
fn run_reference(fixture: &Fixture) -> String {
    let layouts = fixture.layouts();
    let path = layouts.join("index.docker.io/test/run/latest");
    let digest = read(&layouts, "run/latest").documents().manifest.digest;
    format!("{}@{digest}", path.display())
}

#[test]
fn first_build() {
    let fixture = fixture("0.12");
    let logs = fixture.build();
    assert_eq!(logs.analyzer, "Image with name \"test/app\" not found\n");
    assert_eq!(logs.builder, "");
    let run_reference = run_reference(&fixture);
    let analyzed = fixture.read("layers/analyzed.toml");
    let expected = format!(
        "[image]\nreference = \"\"\n\n[run-image]\nreference = \"{run_reference}\"\nimage = \"test/run\"\n\n\
         [run-image.target]\nos = \"linux\"\narch = \"amd64\"\n\n[run-image.target.distro]\nname = \"debian\"\nversion = \"13\"\n\n\
         [metadata.config]\nsha = \"\"\n\n[metadata.launcher]\nsha = \"\"\n\n[metadata.process-types]\nsha = \"\"\n\n\
         [metadata.run-image]\ntop-layer = \"\"\nreference = \"\"\n"
    );
    assert_eq!(analyzed, expected);

    let image = read(&fixture.layouts(), "app/latest");
    assert_eq!(
        history(&image),
        [
            "the run image",
            "Layer: 'tool', Created by buildpack: x/y@1",
            "Software Bill-of-Materials",
            "Application Layer",
            "Buildpacks Application Launcher",
            "Buildpacks Launcher Config",
            "Buildpacks Process Types",
        ]
    );
    let documents = image.documents();
    let digest = documents.manifest.digest;
    let size = documents.manifest.bytes.len();
    assert_eq!(
        fixture.read("layers/report.toml"),
        format!("[image]\ntags = [\"test/app\"]\ndigest = \"{digest}\"\nmanifest-size = {size}\n")
    );
    let missing = ["lifecycle", "launcher"].map(|component| {
        ["cdx", "spdx", "syft"]
            .map(|format| {
                format!(
                    "Warning: Did not find SBOM {component}.sbom.{format}.json in /cnb/lifecycle\n"
                )
            })
            .concat()
    });
    assert_eq!(
        logs.exporter,
        format!(
            "Using app image: {}\n",
            fixture
                .layouts()
                .join("index.docker.io/test/app/latest")
                .display()
        ) + &missing.concat()
            + "Adding layer 'x/y:tool'\nAdding layer 'buildpacksio/lifecycle:launch.sbom'\nAdded 1/1 app layer(s)\n\
               Adding layer 'buildpacksio/lifecycle:launcher'\nAdding layer 'buildpacksio/lifecycle:config'\n\
               Adding layer 'buildpacksio/lifecycle:process-types'\n\
               Adding label 'io.buildpacks.build.metadata'\nAdding label 'io.buildpacks.lifecycle.metadata'\n\
               Adding label 'io.buildpacks.project.metadata'\nAdding label 'org.example.label'\n\
               Setting default process type 'web'\nSaving test/app...\n"
            + &format!("*** Images ({digest}):\n      test/app\n")
    );
}

#[test]
fn first_build_layers() {
    let fixture = fixture("0.12");
    fixture.build();
    let image = read(&fixture.layouts(), "app/latest");
    // The folders above belong to whom they belong to here; everything inside is the user's.
    let below = |folder: &str, lines: &[&str]| -> Vec<String> {
        let at = fixture.path(folder);
        lines
            .iter()
            .map(|line| line.replace('@', at.to_str().unwrap()))
            .collect()
    };
    let inside = |at: usize, folder: &str| -> Vec<String> {
        let lines = entries(&image.layers()[at]).into_iter();
        let folder = fixture.path(folder).display().to_string();
        lines.filter(|line| line.contains(&folder)).collect()
    };
    assert_eq!(
        inside(1, "layers"),
        below(
            "layers",
            &[
                "d 755 1000:1000 @",
                "d 755 1000:1000 @/x_y",
                "d 755 1000:1000 @/x_y/tool",
                "d 755 1000:1000 @/x_y/tool/bin",
                "f 755 1000:1000 @/x_y/tool/bin/run 10",
                "l 777 1000:1000 @/x_y/tool/link -> bin/run",
            ]
        )
    );
    assert!(
        entries(&image.layers()[1])[0].starts_with("d 1777 0:0 /tmp"),
        "real owners above"
    );
    assert_eq!(
        inside(2, "layers"),
        below(
            "layers",
            &[
                "d 755 1000:1000 @",
                "d 755 1000:1000 @/sbom",
                "d 755 1000:1000 @/sbom/launch",
                "f 644 1000:1000 @/sbom/launch/sbom.legacy.json 5",
            ]
        )
    );
    assert_eq!(
        inside(3, "app"),
        below(
            "app",
            &[
                "d 755 1000:1000 @",
                "d 755 1000:1000 @/app",
                "f 644 1000:1000 @/app.py 9",
                "f 644 1000:1000 @/app/x 1",
            ]
        ),
        "sorted by the paths' bytes"
    );
    assert_eq!(
        entries(&image.layers()[4]),
        [
            "d 755 0:0 /cnb",
            "d 755 0:0 /cnb/lifecycle",
            "f 755 0:0 /cnb/lifecycle/launcher 13"
        ]
    );
    let config = inside(5, "layers");
    assert_eq!(config.len(), 3);
    assert!(config[2].contains("/config/metadata.toml"));
    let links = entries(&image.layers()[6]);
    assert_eq!(links[..2], ["d 755 0:0 /cnb", "d 755 0:0 /cnb/process"]);
    assert!(links[2].ends_with("/cnb/process/web -> /cnb/lifecycle/launcher") && links.len() == 3);
}

#[test]
fn first_build_config() {
    let fixture = fixture("0.12");
    fixture.build();
    let layers = fixture.path("layers");
    let image = read(&fixture.layouts(), "app/latest");
    let container = &image.config().config;
    assert_eq!(
        container.env,
        [
            "PATH=/cnb/process:/cnb/lifecycle:/usr/bin:/bin".to_owned(),
            "A=b=c".to_owned(),
            format!("CNB_LAYERS_DIR={}", layers.display()),
            format!("CNB_APP_DIR={}", fixture.path("app").display()),
            "CNB_PLATFORM_API=0.12".to_owned(),
            "CNB_DEPRECATION_MODE=quiet".to_owned(),
        ]
    );
    assert_eq!(container.entrypoint, ["/cnb/process/web"]);
    assert!(container.cmd.is_empty());
    assert_eq!(container.user, "1000:1000");
    assert_eq!(
        container.working_dir,
        fixture.path("app").display().to_string()
    );
    assert_eq!(
        image.config().created.as_deref(),
        Some("1980-01-01T00:00:01Z")
    );
}

#[test]
fn first_build_labels() {
    let fixture = fixture("0.12");
    fixture.build();
    let run_reference = run_reference(&fixture);
    let image = read(&fixture.layouts(), "app/latest");
    let container = &image.config().config;
    let labels = &container.labels;
    assert_eq!(labels["org.example.label"], "x");
    assert_eq!(labels["io.buildpacks.stack.id"], "test.stack");
    assert_eq!(labels["io.buildpacks.project.metadata"], "{}");
    assert_eq!(
        labels["io.buildpacks.lifecycle.metadata"],
        format!(
            r#"{{"app":[{{"sha":"{}"}}],"sbom":{{"sha":"{}"}},"buildpacks":[{{"key":"x/y","version":"1","layers":{{"tool":{{"sha":"{}","data":{{"version":"1"}},"build":false,"launch":true,"cache":false}}}},"store":{{"metadata":{{"seen":1}}}}}}],"config":{{"sha":"{}"}},"launcher":{{"sha":"{}"}},"process-types":{{"sha":"{}"}},"runImage":{{"topLayer":"{}","reference":"{run_reference}","image":"test/run","mirrors":["mirror.example/test/run"]}},"stack":{{"runImage":{{"image":"test/run","mirrors":["mirror.example/test/run"]}}}}}}"#,
            sha(&image, 3),
            sha(&image, 2),
            sha(&image, 1),
            sha(&image, 5),
            sha(&image, 4),
            sha(&image, 6),
            sha(&image, 0)
        )
    );
    assert_eq!(
        labels["io.buildpacks.build.metadata"],
        format!(
            r#"{{"buildpacks":[{{"id":"x/y","version":"1"}}],"launcher":{{"version":"{}","source":{{"git":{{"repository":"","commit":""}}}}}},"processes":[{{"type":"web","command":["run"],"args":[],"direct":true,"buildpackID":"x/y"}}],"buildpack-default-process-type":"web"}}"#,
            phases::VERSION
        )
    );
}

#[test]
fn every_platform_api() {
    for api in [
        "0.7", "0.8", "0.9", "0.10", "0.11", "0.12", "0.13", "0.14", "0.15",
    ] {
        let fixture = fixture(api);
        fixture.write(
            "buildpacks/x_y/1/bin/build",
            &format!(
                "#!/usr/bin/env bash\n{BUILD}\nprintf '[[bom]]\\nname = \"dep\"\\n' >build.toml\n"
            ),
        );
        let number: u32 = api[2..].parse().unwrap();
        fixture.build();
        let image = read(&fixture.layouts(), "app/latest");
        let history = history(&image);
        // Before 0.9 there is no sbom.legacy.json, and the buildpack has no SBOM files.
        let with_sbom = number >= 9;
        assert_eq!(history.len(), if with_sbom { 7 } else { 6 }, "{api}");
        assert_eq!(history.iter().all(String::is_empty), number < 12, "{api}");
        let config = image.config();
        assert!(
            config
                .config
                .env
                .contains(&format!("CNB_PLATFORM_API={api}"))
        );
        let labels = &config.config.labels;
        assert_eq!(
            labels.contains_key("io.buildpacks.exec-env"),
            number >= 15,
            "{api}"
        );
        let lifecycle: serde_json::Value =
            serde_json::from_str(&labels["io.buildpacks.lifecycle.metadata"]).unwrap();
        assert_eq!(
            lifecycle["runImage"].get("image").is_some(),
            number >= 12,
            "{api}"
        );
        assert_eq!(lifecycle["stack"]["runImage"]["image"], "test/run", "{api}");
        assert_eq!(lifecycle.get("sbom").is_some(), with_sbom, "{api}");
        let build: serde_json::Value =
            serde_json::from_str(&labels["io.buildpacks.build.metadata"]).unwrap();
        assert_eq!(build.get("bom").is_some(), number < 9, "{api}");
        assert_eq!(
            build["processes"][0]["command"].is_string(),
            number < 10,
            "{api}"
        );
        let report = fixture.read("layers/report.toml");
        assert_eq!(
            report.contains("[[build.bom]]"),
            number < 9,
            "{api}: {report}"
        );
        let analyzed = fixture.read("layers/analyzed.toml");
        assert_eq!(
            analyzed.contains("[run-image.target]"),
            number >= 12,
            "{api}: {analyzed}"
        );
    }
}

#[test]
fn export_names_process_type_and_date() {
    let fixture = fixture("0.13");
    fixture.fresh_layers();
    for phase in ["analyzer", "detector", "restorer", "builder"] {
        fixture.phase_ok(phase);
    }
    fixture.write(
        "layers/project-metadata.toml",
        "[source]\ntype = 'git'\n[source.version]\ncommit = 'abc'\n",
    );
    let args = ["-process-type=web", "-parallel", "-tag-like", "test/app:1"];
    assert_eq!(fixture.phase("exporter", &args, &[]).code, Some(2));
    let args = ["-process-type=web", "-parallel", "test/app:1", "test/app:2"];
    let ended = fixture.phase("exporter", &args, &[("SOURCE_DATE_EPOCH", "951827696")]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let image = read(&fixture.layouts(), "app/1");
    assert_eq!(
        image.documents(),
        read(&fixture.layouts(), "app/2").documents()
    );
    assert_eq!(
        image.config().created.as_deref(),
        Some("2000-02-29T12:34:56Z")
    );
    assert_eq!(
        image.config().history[1].created.as_deref(),
        Some("2000-02-29T12:34:56Z")
    );
    assert_eq!(
        image.config().config.labels["io.buildpacks.project.metadata"],
        r#"{"source":{"type":"git","version":{"commit":"abc"}}}"#
    );
    assert!(
        fixture
            .read("layers/report.toml")
            .starts_with("[image]\ntags = [\"test/app:1\", \"test/app:2\"]\n")
    );

    let ended = fixture.phase("exporter", &["-process-type=worker"], &[]);
    assert_eq!(ended.code, Some(62));
    assert!(ended.stdout.ends_with("ERROR: failed to export: tried to set worker to default but it doesn't exist; process types are: web\n"), "{ended:?}");
}

#[test]
fn export_slices() {
    let fixture = fixture("0.12");
    let build = format!(
        "{BUILD}\nprintf '[[slices]]\\npaths = [\"static/*.js\"]\\n[[slices]]\\npaths = [\"app\"]\\n' >>launch.toml"
    );
    fixture.buildpack("x/y", "0.10", "", "", &build);
    fixture.write("app/static/a.js", "a");
    fixture.write("app/static/b.css", "b");
    let logs = fixture.build();
    assert!(
        logs.exporter.contains("Added 3/3 app layer(s)\n"),
        "{}",
        logs.exporter
    );
    let image = read(&fixture.layouts(), "app/latest");
    let history = history(&image);
    assert_eq!(
        history[3..6],
        [
            "Application Slice: 1",
            "Application Slice: 2",
            "Application Slice: 3"
        ]
    );
    let names = |at: usize| -> Vec<String> {
        let app = fixture.path("app").display().to_string();
        let lines = entries(&image.layers()[at]).into_iter();
        let lines =
            lines.filter_map(|line| Some(line.split_once(&app)?.1.split(' ').next()?.to_owned()));
        lines.collect()
    };
    assert_eq!(names(3), ["", "/static", "/static/a.js"]);
    assert_eq!(names(4), ["", "/app", "/app/x"]);
    assert_eq!(names(5), ["", "/app.py", "/static", "/static/b.css"]);

    fixture.write("app/static/a.js", "changed");
    let logs = fixture.build();
    assert!(
        logs.exporter
            .contains("Reused 2/3 app layer(s)\nAdded 1/3 app layer(s)\n"),
        "{}",
        logs.exporter
    );
}

#[test]
fn export_failures() {
    for (change, expected) in [
        (
            "printf '[types]\\nlaunch = true\\n' >\"$1/gone.toml\"",
            "cannot reuse 'x/y:gone', previous image has no metadata for layer 'x/y:gone'",
        ),
        (
            "printf '[types]\\nlaunch = true\\ncache = true\\n' >\"$1/gone.toml\"",
            "layer 'x/y:gone' is cache=true but has no contents",
        ),
    ] {
        let fixture = fixture("0.12");
        fixture.buildpack("x/y", "0.10", "", "", &format!("{change}\n{BUILD}"));
        fixture.fresh_layers();
        for phase in ["analyzer", "detector", "restorer", "builder"] {
            fixture.phase_ok(phase);
        }
        let ended = fixture.phase("exporter", &[], &[]);
        assert_eq!(ended.code, Some(62), "{ended:?}");
        assert!(
            ended
                .stdout
                .ends_with(&format!("ERROR: failed to export: {expected}\n")),
            "{}",
            ended.stdout
        );
        assert!(
            !fixture.there("layouts/index.docker.io/test/app/latest/index.json"),
            "no image"
        );
    }
}

#[test]
fn export_damaged_files() {
    let fixture = fixture("0.12");
    fixture.build();
    fixture.write("layers/x_y/bad.toml", "[types]\nlaunch = maybe\n");
    let ended = fixture.phase("exporter", &[], &[]);
    assert_eq!(ended.code, Some(62));
    assert!(ended.stdout.contains("failed to parse metadata for layers '[x/y:bad]'\nx/y:bad: TOML parse error at line 2, column 10"), "{}", ended.stdout);
    fs::remove_file(fixture.path("layers/x_y/bad.toml")).unwrap();

    symlink("/etc/passwd", fixture.path("layers/x_y/link.toml")).unwrap();
    let ended = fixture.phase("exporter", &[], &[]);
    assert_eq!(
        ended.code,
        Some(62),
        "a link out of the layers folder is not followed"
    );
    assert!(ended.stdout.contains("x_y/link.toml'"), "{}", ended.stdout);
    fs::remove_file(fixture.path("layers/x_y/link.toml")).unwrap();

    fixture.write("layers/config/metadata.toml", "processes = 1\n");
    let ended = fixture.phase("exporter", &[], &[]);
    assert_eq!(ended.code, Some(62));
    assert!(
        ended
            .stdout
            .contains("config/metadata.toml': TOML parse error at line 1"),
        "{}",
        ended.stdout
    );
}

#[test]
fn exporter_run_image() {
    let fixture = fixture("0.12");
    fixture.build();
    let ended = fixture.phase("exporter", &["-run-image=test/run"], &[]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (
            Some(3),
            "ERROR: failed to resolve inputs: -run-image is unsupported\n"
        )
    );
    let ended = fixture.phase("exporter", &["-image=test/run"], &[]);
    assert_eq!(ended.code, Some(3));
    let ended = fixture.phase("exporter", &[], &[("CNB_RUN_IMAGE", "test/run")]);
    assert_eq!(ended.code, Some(0), "kpack sets the variable: {ended:?}");

    fs::remove_dir_all(fixture.path("layouts/index.docker.io/test/run/latest/blobs")).unwrap();
    let ended = fixture.phase("exporter", &[], &[]);
    assert_eq!(ended.code, Some(62));
    assert!(
        ended
            .stdout
            .contains("ERROR: failed to export: reading run image '"),
        "{ended:?}"
    );
    let ended = fixture.phase("analyzer", &[], &[]);
    assert_eq!(ended.code, Some(32));
    assert!(
        ended
            .stdout
            .contains("ERROR: failed to analyze: reading image 'test/run': "),
        "{ended:?}"
    );
    assert!(ended.stdout.contains(" is missing\n"), "{ended:?}");
    fs::remove_dir_all(fixture.path("layouts/index.docker.io/test/run")).unwrap();
    let analyzed = fixture.phase("analyzer", &[], &[]);
    assert!(
        analyzed
            .stdout
            .contains("Image with name \"test/run\" not found\n"),
        "{analyzed:?}"
    );
    let ended = fixture.phase("exporter", &[], &[]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (
            Some(3),
            "ERROR: failed to resolve inputs: run image not found in analyzed metadata\n"
        )
    );
}

#[test]
fn layouts_are_experimental() {
    let fixture = fixture("0.12");
    fixture.build();
    for phase in ["analyzer", "exporter"] {
        let ended = fixture.phase(phase, &[], &[("CNB_EXPERIMENTAL_MODE", "error")]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.contains("ERROR: Platform requested experimental feature 'export to OCI layout format'\nERROR: experimental features are disabled by CNB_EXPERIMENTAL_MODE=error"), "{ended:?}");
    }
}

#[test]
fn analyzer_arguments() {
    let fixture = fixture("0.12");
    for (args, expected) in [
        (
            &["test/a", "test/b"][..],
            "failed to parse arguments: received 2 arguments, but expected 1",
        ),
        (
            &["-tag=other.example/b", "test/a"],
            "failed to resolve inputs: writing to multiple registries is unsupported: index.docker.io, other.example",
        ),
        (
            &["-tag=NO", "test/a"],
            "failed to resolve inputs: could not parse reference: NO: ",
        ),
        (
            &["-previous-image=NO", "test/a"],
            "failed to resolve inputs: could not parse reference: NO: ",
        ),
        (
            &["-run=/none", "test/a"],
            "failed to resolve inputs: -run-image is required when there is no run metadata available",
        ),
        (
            &["-layout-dir=", "test/a"],
            "failed to resolve inputs: -layout-dir is required with -layout",
        ),
    ] {
        let ended = fixture.phase("analyzer", args, &[]);
        assert_eq!(ended.code, Some(3), "{args:?} {ended:?}");
        assert!(ended.stdout.contains(expected), "{args:?} {ended:?}");
    }
    assert_eq!(fixture.phase("analyzer", &["-stack=x"], &[]).code, Some(2));
    // Tekton's phases: every flag is there, many without a value.
    let empty = [
        "-tag=",
        "-cache-image=",
        "-run-image=",
        "-previous-image=",
        "-skip-layers=false",
        "-launch-cache=",
    ];
    let ended = fixture.phase("analyzer", &empty, &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}
