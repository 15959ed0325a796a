//! kill -9 under `pack build`, at every named moment of restore, cache and export: the next build finds the old state or the new one, and makes the image
//! that it would have made anyway. The buildpack is a few lines of bash, so that the lifecycle is nearly all of the work; with an image for a cache, and with other
//! places, the phases' own tests do the same (`lifecycle/phases/tests/phases/kill.rs`).

use std::os::unix::fs::PermissionsExt;

use e2e::app::App;
use e2e::engine::Engine;
use e2e::pack::Pack;
use e2e::program::{Longshore, Said};
use tempfile::TempDir;

/// A layer that stays, one that changes with the app, and one for builds alone that does, too.
const BUILDPACK: [(&str, &str); 4] = [
    (
        "buildpack/buildpack.toml",
        "api = \"0.10\"\n[buildpack]\nid = \"sample/layers\"\nversion = \"1\"\nsbom-formats = [\"application/vnd.cyclonedx+json\"]\n",
    ),
    ("buildpack/bin/detect", "#!/bin/bash\n"),
    (
        "buildpack/bin/build",
        r#"#!/bin/bash
set -eu
version=$(cat version)
cd "$CNB_LAYERS_DIR"
fill() {
    [ ! -d "$1" ] || echo "$1:" $(cat "$1/a" "$1/folder/b")
    mkdir -p "$1/folder"
    for file in a folder/b; do echo "$2" >"$1/$file"; done
    { echo '[types]'; for type in "${@:3}"; do echo "$type = true"; done; } >"$1.toml"
}
fill kept 0 launch cache
fill changed "$version" launch cache
fill cached "$version" cache
echo "{\"version\": $version}" >cached.sbom.cdx.json
printf '[[processes]]\ntype = "web"\ncommand = ["true"]\ndefault = true\n' >launch.toml
"#,
    ),
    (
        "builder.toml",
        r#"
[[buildpacks]]
uri = "buildpack"
[[order]]
group = [{ id = "sample/layers" }]
[build]
image = "longshore:build"
[[run.images]]
image = "e2e/run:1"
"#,
    ),
];

const BUILDER: &str = "e2e/layers:1";

/// A daemon with a builder of that buildpack, and an app.
struct Scene {
    engine: Engine,
    pack: Pack,
    app: App,
}

impl Scene {
    fn new() -> Option<Self> {
        let engine = Engine::docker()?;
        let pack = Pack::new(&engine)?;
        let folder = TempDir::new().unwrap();
        for (name, text) in BUILDPACK {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let text = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let longshore = Longshore::shared().with("DOCKER_HOST", engine.host());
        let (definition, buildpack) = (text("builder.toml"), text("buildpack"));
        let output = format!("docker-daemon:{BUILDER}");
        let words = ["builder", "create", &definition, "--output", &output];
        longshore.run(&words).assert_code(0);
        // Any image of our stack can be the run image: this one has an app's layers besides.
        let app = App::empty().with("version", "0");
        let run = [
            "--buildpack",
            &buildpack,
            "--output",
            "docker-daemon:e2e/run:1",
        ];
        longshore.build(app.path(), &[&["-t", "e2e-crash-run"], &run[..]].concat());
        Some(Self { engine, pack, app })
    }

    fn build(&self, image: &str, builder: &str) -> Said {
        let app = self.app.path().to_str().unwrap();
        let words = ["build", image, "--path", app, "--builder", builder];
        let options = "--trust-builder --pull-policy never --docker-host inherit --network host";
        let words: Vec<&str> = words.into_iter().chain(options.split(' ')).collect();
        self.pack.start(&words).end()
    }

    fn build_ok(&self, image: &str) -> String {
        let said = self.build(image, BUILDER);
        said.assert_code(0);
        said.stdout + &said.stderr
    }
}

#[test]
fn killed_at_every_named_moment() {
    let Some(scene) = Scene::new() else { return };
    scene.build_ok("e2e/killed-app:1");
    for (round, moment) in lifecycle::FAILPOINTS.iter().enumerate() {
        let builder = format!("e2e/killed:{round}");
        let (name, engine) = ("LONGSHORE_FAILPOINT", &scene.engine);
        engine.with_variable(BUILDER, name, moment, &builder);
        // Something to export and to cache, in every round.
        scene.app.write("version", (round + 1).to_string());
        let killed = scene.build("e2e/killed-app:1", &builder);
        // By a signal.
        assert!(
            killed.code != 0 && killed.stderr.contains("status code: 13"),
            "{moment} was not passed: {}",
            killed.stderr
        );
        let said = scene.build_ok("e2e/killed-app:1");
        for expected in [
            "Restoring data for \"sample/layers:kept\" from cache",
            "kept: 0 0\n",
            "Reusing layer 'sample/layers:kept'",
            "Reusing cache layer 'sample/layers:kept'",
        ] {
            assert!(said.contains(expected), "{moment}: {said}");
        }
        let old_or_new = [round, round + 1].map(|version| format!("cached: {version} {version}\n"));
        let found = |line: &String| said.contains(line.as_str());
        assert!(old_or_new.iter().any(found), "{moment}: {said}");
    }
    // The same app in another name's cache, which nothing happened to.
    scene.build_ok("e2e/expected:1");
    let id = |image: &str| scene.engine.inspect(image, "{{.Id}}");
    assert_eq!(id("e2e/killed-app:1"), id("e2e/expected:1"));
}
