//! Cached layers that a build will not look into: they stay in the cache, and are what they were.

use std::fs;

use crate::fixture::Fixture;
use crate::images::read;

/// Asks itself for what the app wishes.
const DETECT: &str = r#"printf '[[provides]]\nname = "all"\n[[requires]]\nname = "all"\n[requires.metadata]\nwishes = "%s"\n' "$(cat wishes)" >"$2""#;

/// Keeps an environment, for everybody, and downloads, for itself; says what it finds of the last build.
const BUILD: &str = r#"cd "$1"
for layer in environment downloads; do echo "$layer: $([ -d $layer ] && ls $layer | tr -d '\n' || echo new)"; done
wishes=$(cat "$OLDPWD/wishes")
if ! grep -qs "$wishes" environment.toml; then
  for layer in environment downloads; do mkdir -p $layer; rm -f $layer/*; touch "$layer/$wishes"; done
fi
unless="[metadata.restore.unless]\nname = \"all\"\nmetadata = { wishes = \"$wishes\" }\n"
printf "[types]\nlaunch = true\nbuild = true\ncache = true\n$unless" >environment.toml
printf "[types]\ncache = true\n$unless" >downloads.toml"#;

fn fixture(platform_api: &'static str) -> Fixture {
    let fixture = Fixture::with_run_image(platform_api);
    fixture.buildpack("us/deps", "0.10", "", DETECT, BUILD);
    fixture.buildpack("us/hooks", "0.10", "", "", "");
    fixture.order(&["us/deps us/hooks"]);
    fixture.write("app/wishes", "one");
    fixture
}

fn has_image_layer(fixture: &Fixture, file: &str) -> bool {
    let image = read(&fixture.layouts(), "app/latest");
    let path = format!(
        "{}/us_deps/environment/{file}",
        fixture.path("layers").display()
    );
    let layers = image.layers().iter();
    layers
        .flat_map(crate::images::entries)
        .any(|entry| entry.contains(&path))
}

#[test]
fn left_behind_while_nothing_changes() {
    let fixture = fixture("0.12");
    let first = fixture.build();
    assert_eq!(first.builder, "environment: new\ndownloads: new\n");
    let before = read(&fixture.layouts(), "app/latest").documents();
    for _ in 0..2 {
        let logs = fixture.build();
        for layer in ["environment", "downloads"] {
            let line = format!(
                "Leaving data for \"us/deps:{layer}\" in the cache: this build does not need it\n"
            );
            assert!(logs.restorer.contains(&line), "{}", logs.restorer);
            let line = format!("Reusing cache layer 'us/deps:{layer}'\n");
            assert!(logs.exporter.contains(&line), "{}", logs.exporter);
        }
        assert_eq!(logs.builder, "environment: \ndownloads: \n");
        assert!(
            logs.exporter
                .contains("Reusing layer 'us/deps:environment'\n")
        );
        let after = read(&fixture.layouts(), "app/latest").documents();
        assert_eq!(before, after, "the same image");
        assert!(has_image_layer(&fixture, "one"));
    }
    // What was left is still whole when it is wanted.
    fixture.write("app/wishes", "two");
    let logs = fixture.build();
    assert_eq!(logs.builder, "environment: one\ndownloads: one\n");
    assert!(has_image_layer(&fixture, "two") && !has_image_layer(&fixture, "one"));
}

#[test]
fn others_who_may_look_into_it_get_it() {
    let fixture = fixture("0.12");
    fixture.build();
    // A stranger sees the environment, though not what is the buildpack's own.
    fixture.buildpack("them/more", "0.10", "", "", "");
    fixture.order(&["us/deps us/hooks them/more"]);
    let logs = fixture.build();
    assert_eq!(logs.builder, "environment: one\ndownloads: \n");
    // So does one of us that asks for it.
    let asks = r#"printf '[[requires]]\nname = "all"\n' >"$2""#;
    fixture.buildpack("us/hooks", "0.10", "", asks, "");
    fixture.order(&["us/deps us/hooks"]);
    let logs = fixture.build();
    assert_eq!(logs.builder, "environment: one\ndownloads: \n");
}

#[test]
fn image_that_is_gone_is_made_of_the_cache() {
    let fixture = fixture("0.14");
    fixture.build();
    fs::remove_dir_all(fixture.path("layouts/index.docker.io/test/app")).unwrap();
    let logs = fixture.build();
    assert_eq!(logs.builder, "environment: one\ndownloads: \n");
    assert!(has_image_layer(&fixture, "one"));
}

#[test]
fn cache_that_is_gone_is_noticed() {
    let fixture = fixture("0.12");
    fixture.build();
    for entry in fs::read_dir(fixture.path("cache/committed")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "tar") {
            fs::remove_file(path).unwrap();
        }
    }
    let logs = fixture.build();
    assert!(
        logs.restorer
            .contains("Skipping restore for layer us/deps:environment"),
        "{}",
        logs.restorer
    );
    assert_eq!(logs.builder, "environment: new\ndownloads: new\n");
}

#[test]
fn what_is_written_into_the_empty_folder_is_the_layer() {
    let fixture = fixture("0.12");
    fixture.build();
    let build = BUILD.replace("wishes=$(cat", "touch environment/three\nwishes=$(cat");
    fixture.buildpack("us/deps", "0.10", "", DETECT, &build);
    let logs = fixture.build();
    assert_eq!(logs.builder, "environment: \ndownloads: \n");
    assert!(
        logs.exporter
            .contains("Adding layer 'us/deps:environment'\n")
    );
    assert!(has_image_layer(&fixture, "three") && !has_image_layer(&fixture, "one"));
}

/// A platform may only read the cache, or another build may have changed it meanwhile.
#[test]
fn image_is_whole_whatever_becomes_of_the_cache() {
    for (flags, warned) in [(&["-cache-dir="][..], false), (&[], true)] {
        let fixture = fixture("0.12");
        fixture.build();
        let before = read(&fixture.layouts(), "app/latest").documents();
        fixture.fresh_layers();
        for phase in ["analyzer", "detector", "restorer", "builder"] {
            fixture.phase_ok(phase);
        }
        fs::remove_dir_all(fixture.path("cache")).unwrap();
        fs::create_dir(fixture.path("cache")).unwrap();
        let ended = fixture.phase("exporter", flags, &[]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let after = read(&fixture.layouts(), "app/latest").documents();
        assert_eq!(before, after, "the same image");
        for layer in ["environment", "downloads"] {
            let warning = format!(
                "Failed to cache layer 'us/deps:{layer}': its contents are not in the cache any more"
            );
            assert_eq!(ended.stdout.contains(&warning), warned, "{ended:?}");
        }
        let logs = fixture.build();
        assert_eq!(logs.builder, "environment: new\ndownloads: new\n");
    }
}
