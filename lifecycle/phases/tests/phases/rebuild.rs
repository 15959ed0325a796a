//! Building again: what `restorer` gives back, what `exporter` reuses, and a cache that is not as it was left.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use crate::fixture::Fixture;
use crate::images::read;

/// A buildpack that keeps three layers, and says what it finds of the last build.
const BUILD: &str = r#"cd "$1"
for layer in launched cached both build; do
  if [ -e $layer.toml ]; then cat $layer.toml | tr '\n' ' '; echo "$layer: $([ -d $layer ] && cat $layer/file || echo no contents)"; else echo "$layer: new"; fi
done
[ -e store.toml ] && echo "store: $(grep -c kept store.toml)"; printf '[metadata]\nkept = true\n' >store.toml
new() { mkdir -p "$1"; [ -e "$1/file" ] || printf "$1" >"$1/file"; }
[ -e launched.toml ] || new launched; printf '[types]\nlaunch = true\n[metadata]\nv = "1"\n' >launched.toml
new cached; printf '[types]\ncache = true\n[metadata]\nv = "2"\n' >cached.toml
new both; printf '[types]\nlaunch = true\ncache = true\n[metadata]\nv = "3"\n' >both.toml
new build; printf '[types]\nbuild = true\n[metadata]\nv = "4"\n' >build.toml.x; mv build.toml.x compile.toml; mv build compile
echo '{}' >both.sbom.cdx.json"#;

fn fixture(platform_api: &'static str) -> Fixture {
    let fixture = Fixture::with_run_image(platform_api);
    let formats = "sbom-formats = [\"application/vnd.cyclonedx+json\"]\n";
    fixture.buildpack("x/y", "0.10", formats, "", BUILD);
    fixture.order(&["x/y"]);
    fixture.write("app/file", "app");
    fixture
}

#[test]
fn rebuild_unchanged() {
    let fixture = fixture("0.12");
    let first = fixture.build();
    assert_eq!(first.restorer, "");
    assert_eq!(
        first.builder,
        "launched: new\ncached: new\nboth: new\nbuild: new\n"
    );
    let added = "Adding cache layer 'x/y:both'\nAdding cache layer 'x/y:cached'\nAdding cache layer 'buildpacksio/lifecycle:cache.sbom'\n";
    assert!(first.exporter.ends_with(added), "{}", first.exporter);
    let before = read(&fixture.layouts(), "app/latest").documents();

    let second = fixture.build();
    assert_eq!(
        second.analyzer,
        "Restoring data for SBOM from previous image\n"
    );
    let mut restored: Vec<&str> = second.restorer.lines().collect();
    restored[3..5].sort_unstable();
    assert_eq!(
        restored,
        [
            "Restoring metadata for \"x/y:both\" from app image",
            "Restoring metadata for \"x/y:launched\" from app image",
            "Restoring metadata for \"x/y:cached\" from cache",
            "Restoring data for \"x/y:both\" from cache",
            "Restoring data for \"x/y:cached\" from cache",
            "Restoring data for SBOM from cache",
        ]
    );
    assert_eq!(
        second.builder,
        "[metadata] v = \"1\" launched: no contents\n[metadata] v = \"2\" cached: cached\n[metadata] v = \"3\" both: both\nbuild: new\nstore: 1\n"
    );
    for line in [
        "Reusing layer 'x/y:both'\nReusing layer 'x/y:launched'\n",
        "Reused 1/1 app layer(s)\n",
        "Reusing layer 'buildpacksio/lifecycle:launcher'\nReusing layer 'buildpacksio/lifecycle:config'\n",
        "Reusing cache layer 'x/y:both'\nReusing cache layer 'x/y:cached'\nReusing cache layer 'buildpacksio/lifecycle:cache.sbom'\n",
    ] {
        assert!(
            second.exporter.contains(line),
            "{line} in {}",
            second.exporter
        );
    }
    assert!(!second.exporter.contains("Added") && !second.exporter.contains("Adding layer"));
    let after = read(&fixture.layouts(), "app/latest").documents();
    assert_eq!(before, after, "the same image");
    assert!(fixture.there("layers/x_y/both.sbom.cdx.json"));
}

#[test]
fn rebuild_restores_sbom_files() {
    let fixture = fixture("0.12");
    fixture.build();
    fixture.fresh_layers();
    for phase in ["analyzer", "detector", "restorer"] {
        fixture.phase_ok(phase);
    }
    assert_eq!(fixture.read("layers/x_y/both.sbom.cdx.json"), "{}\n");
    assert!(!fixture.there("layers/sbom"));
}

#[test]
fn rebuild_with_an_empty_cache() {
    for (api, launched) in [
        ("0.12", "[metadata] v = \"1\" launched: no contents\n"),
        ("0.14", "[metadata] v = \"1\" launched: no contents\n"),
    ] {
        let fixture = fixture(api);
        fixture.build();
        fs::remove_dir_all(fixture.path("cache")).unwrap();
        fs::create_dir(fixture.path("cache")).unwrap();
        let logs = fixture.build();
        assert_eq!(
            logs.builder,
            format!("{launched}cached: new\nboth: new\nbuild: new\nstore: 1\n")
        );
        assert!(
            logs.exporter.contains("Reusing layer 'x/y:both'\n"),
            "its tar is the same: {}",
            logs.exporter
        );
        assert!(logs.exporter.contains("Adding cache layer 'x/y:both'\n"));
    }
}

#[test]
fn rebuild_without_the_previous_image() {
    for (api, both) in [
        ("0.13", "both: new\n"),
        ("0.14", "[metadata] v = \"3\" both: both\n"),
    ] {
        let fixture = fixture(api);
        fixture.build();
        fs::remove_dir_all(fixture.path("layouts/index.docker.io/test/app")).unwrap();
        let logs = fixture.build();
        assert_eq!(logs.analyzer, "Image with name \"test/app\" not found\n");
        assert_eq!(
            logs.builder,
            format!("launched: new\n[metadata] v = \"2\" cached: cached\n{both}build: new\n"),
            "{api}"
        );
        read(&fixture.layouts(), "app/latest");
    }
}

#[test]
fn rebuild_skip_layers() {
    let fixture = fixture("0.12");
    fixture.build();
    fixture.fresh_layers();
    let skip = ["-skip-layers"];
    assert_eq!(fixture.phase("analyzer", &skip, &[]).stdout, "");
    fixture.phase_ok("detector");
    assert_eq!(
        fixture.phase("restorer", &skip, &[]).stdout,
        "Skipping buildpack layer analysis\n"
    );
    let builder = fixture.phase_ok("builder");
    assert_eq!(
        builder,
        "launched: new\ncached: new\nboth: new\nbuild: new\nstore: 1\n"
    );
    fixture.phase_ok("exporter");
}

#[test]
fn rebuild_with_a_damaged_cache() {
    let fixture = fixture("0.12");
    fixture.build();
    for entry in fs::read_dir(fixture.path("cache/committed")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
            file.write_all(b"x").unwrap();
        }
    }
    let logs = fixture.build();
    for name in ["both", "cached"] {
        let start = format!(
            "Warning: Skipping restore for layer x/y:{name}: expected layer contents to have SHA 'sha256:"
        );
        assert!(logs.restorer.contains(&start), "{}", logs.restorer);
    }
    assert_eq!(
        logs.builder,
        "[metadata] v = \"1\" launched: no contents\ncached: new\nboth: new\nbuild: new\nstore: 1\n"
    );
    assert!(
        logs.exporter.contains("Adding cache layer 'x/y:both'\n"),
        "{}",
        logs.exporter
    );
    let logs = fixture.build();
    assert!(
        logs.builder.contains("both: both\n"),
        "whole again: {}",
        logs.builder
    );
}

#[test]
fn rebuild_after_a_crash() {
    let fixture = fixture("0.12");
    fixture.build();
    // A build that died while it wrote.
    fixture.write("cache/staging/sha256:x.tar", "half");
    assert!(fixture.build().builder.contains("both: both\n"));
    // The reference implementation died between its two renames.
    fs::rename(
        fixture.path("cache/committed"),
        fixture.path("cache/committed-backup"),
    )
    .unwrap();
    assert!(fixture.build().builder.contains("both: both\n"));
    let mut names: Vec<_> = fs::read_dir(fixture.path("cache"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["committed"], "nothing is left over");
    fixture.write(
        "cache/committed/io.buildpacks.lifecycle.cache.metadata",
        "{",
    );
    let logs = fixture.build();
    assert!(
        logs.builder.contains("cached: new\n"),
        "a cache that cannot be read is an empty one"
    );
}

#[test]
fn previous_image_with_an_unreadable_label() {
    let fixture = fixture("0.12");
    fixture.build();
    let layouts = fixture.layouts();
    let image = read(&layouts, "app/latest").with_config(|config| {
        let label = "io.buildpacks.lifecycle.metadata".to_owned();
        config.config.labels.insert(label, "{".into());
    });
    let name = "test/app".parse().unwrap();
    let folder = layouts.join("index.docker.io/test/app/latest");
    oci_image::write_layout(&folder, &image, Some(&name)).unwrap();
    let logs = fixture.build();
    assert!(logs.analyzer.starts_with("Warning: ignoring the previous image: its label 'io.buildpacks.lifecycle.metadata' cannot be read: "), "{}", logs.analyzer);
    fs::write(
        folder.join("index.json"),
        "{\"manifests\": [{\"digest\": \"sha256:1\"}]}",
    )
    .unwrap();
    fixture.fresh_layers();
    let ended = fixture.phase("analyzer", &[], &[]);
    assert_eq!(ended.code, Some(0));
    assert!(
        ended
            .stdout
            .starts_with("Ignoring image \"test/app\" because it was corrupt: "),
        "{ended:?}"
    );
}

#[test]
fn restorer_wrong_inputs() {
    let fixture = fixture("0.12");
    fixture.build();
    assert_eq!(fixture.phase("restorer", &["extra"], &[]).code, Some(3));
    let ended = fixture.phase("restorer", &["-cache-dir=/none"], &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stdout.contains("cannot use the cache folder '/none'"),
        "{ended:?}"
    );
    let ended = fixture.phase("restorer", &["-cache-image=NO NAME"], &[]);
    assert_eq!(ended.code, Some(3), "{ended:?}");
    let ended = fixture.phase("restorer", &["-cache-dir="], &[]);
    assert!(
        ended
            .stdout
            .starts_with("Warning: No cached data will be used, no cache specified.\n"),
        "{ended:?}"
    );
    let group = fixture.read("layers/group.toml");
    fixture.write("layers/group.toml", &group.replace("0.10", "0.1"));
    assert_eq!(fixture.phase("restorer", &[], &[]).code, Some(12));
    fixture.write("layers/group.toml", "[group]\n");
    let ended = fixture.phase("restorer", &[], &[]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended
            .stdout
            .contains("layers/group.toml': TOML parse error at line 1"),
        "{ended:?}"
    );
    fixture.write("layers/group.toml", &group);
    fixture.write(
        "layers/analyzed.toml",
        "[run-image]\nreference = 'x'\nextend = true\n",
    );
    let ended = fixture.phase("restorer", &[], &[]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.stdout.contains("image extensions are asked for"),
        "{ended:?}"
    );
    fixture.write("layers/analyzed.toml", "x = [");
    let ended = fixture.phase("restorer", &[], &[]);
    assert_eq!(ended.code, Some(0));
    assert!(
        ended
            .stdout
            .starts_with("Warning: Not using analyzed data, usable file not found: "),
        "{ended:?}"
    );
    // A file stands where a layer's folder should go.
    fixture.fresh_layers();
    for phase in ["analyzer", "detector"] {
        fixture.phase_ok(phase);
    }
    fixture.write("layers/x_y", "");
    let ended = fixture.phase("restorer", &[], &[]);
    assert_eq!(ended.code, Some(42), "{ended:?}");
}

#[test]
fn phases_started_as_root_go_on_as_the_user() {
    if !nix::unistd::getuid().is_root() {
        test_skip::because("only root can start programs as root");
        return;
    }
    let fixture = fixture("0.12");
    let owner = |below: &str| {
        let found = fs::metadata(fixture.path(below)).unwrap();
        (found.uid(), found.gid())
    };
    fixture.build();
    fixture.fresh_layers();
    let as_root = [("AS_ROOT", "")];
    let ended = fixture.phase("analyzer", &["-gid=1001"], &as_root);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for path in ["layers", "layers/order.toml", "layers/analyzed.toml"] {
        assert_eq!(owner(path), (1000, 1001), "{path}");
    }
    fixture.phase_ok("detector");
    let ended = fixture.phase("restorer", &[], &as_root);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for path in [
        "layers/x_y/both/file",
        "layers/x_y/both.toml",
        "cache/committed",
    ] {
        assert_eq!(owner(path), (1000, 1000), "{path}");
    }
    fixture.phase_ok("builder");
    // The image's folder is root's, and is not given away.
    let ended = fixture.phase("exporter", &[], &as_root);
    assert_eq!(ended.code, Some(62), "{ended:?}");
    assert!(ended.stdout.contains("Permission denied"), "{ended:?}");
    assert_eq!(owner("cache"), (1000, 1000));
    let ended = fixture.phase("exporter", &["-uid=0", "-gid=0"], &as_root);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn killed_at_any_moment_the_next_build_works() {
    let fixture = fixture("0.12");
    fixture.build();
    for (round, millis) in ["0", "2", "4", "8", "16", "32"].into_iter().enumerate() {
        fixture.write("app/file", &format!("round {round}"));
        fixture.fresh_layers();
        for phase in ["analyzer", "detector", "restorer", "builder"] {
            fixture.phase_ok(phase);
        }
        let ended = fixture.phase("exporter", &[], &[("KILLED_AFTER", millis)]);
        assert!(ended.code.is_none() || ended.code == Some(0), "{ended:?}");
        let logs = fixture.build();
        assert!(
            logs.builder.contains("both: both\n"),
            "the cache is the old or the new one: {}",
            logs.builder
        );
        let image = read(&fixture.layouts(), "app/latest");
        for layer in image.layers() {
            std::io::copy(&mut layer.open().unwrap(), &mut std::io::sink()).unwrap();
        }
        let staging = fixture.there("cache/staging") || fixture.there("cache/committed-backup");
        assert!(!staging, "nothing unfinished is left");
    }
}
