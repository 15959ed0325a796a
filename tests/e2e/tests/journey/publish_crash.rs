//! kill -9 while an image is published, and many builders on one store and one registry: a tag leads to the old image or to the new one,
//! whole, and the next build goes on.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::thread;
use std::time::Instant;

use e2e::app::App;
use e2e::program::{Longshore, executable};
use e2e::random::Random;
use e2e::registry::{Kind, Registry};
use e2e::skip;
use e2e::traces_left::assert_nothing_left;
use nix::sys::signal::Signal;

/// How often a build is killed.
const KILLS: u32 = 100;
/// How many of them, by chance, are followed by a look at the registry and a build that comes to its end.
const LOOKS: f64 = 0.3;
/// How many build at once.
const BUILDERS: usize = 16;

struct Scene {
    registry: Registry,
    longshore: Longshore,
    app: App,
}

impl Scene {
    fn new() -> Option<Self> {
        skip::tool("skopeo")?;
        Some(Self {
            registry: Registry::start(Kind::Open)?,
            longshore: Longshore::copied(),
            app: App::copy_of("flask-plain"),
        })
    }

    fn tag(&self) -> String {
        format!("{}/team/app:v1", self.registry.host())
    }

    fn words(&self) -> Vec<String> {
        let cache = format!("{}/team/app:cache", self.registry.host());
        let app = self.app.path().to_str().unwrap().to_owned();
        let words = [
            "build",
            &app,
            "--publish",
            &self.tag(),
            "--cache-image",
            &cache,
        ];
        words.map(str::to_owned).into()
    }

    /// Builds to the end; gives the digest.
    fn build(&self) -> String {
        let said = self.longshore.run(&self.words());
        said.assert_code(0);
        said.digest().to_owned()
    }

    /// What the tag leads to, read whole by another client.
    fn published(&self) -> String {
        let copy = tempfile::TempDir::new().unwrap();
        let copied = Command::new("skopeo")
            .args(["copy", "--quiet", "--src-tls-verify=false"])
            .arg(format!("docker://{}", self.tag()))
            .arg(format!("dir:{}", copy.path().display()))
            .output()
            .unwrap();
        assert!(copied.status.success(), "half an image: {copied:?}");
        let manifest = std::fs::read(copy.path().join("manifest.json")).unwrap();
        format!(
            "sha256:{}",
            hex::encode(<sha2::Sha256 as sha2::Digest>::digest(manifest))
        )
    }
}

#[test]
fn random_moments_of_publishing() {
    let Some(scene) = Scene::new() else { return };
    let source = std::fs::read_to_string(scene.app.path().join("app.py")).unwrap();
    let first = scene.build();
    scene.app.write("app.py", format!("{source}\n# 0\n"));
    let start = Instant::now();
    assert_ne!(scene.build(), first);
    let longest = start.elapsed();

    let mut random = Random::new(0x1009_5407_e5ee_d002);
    for round in 1..=KILLS {
        scene.app.write("app.py", format!("{source}\n# {round}\n"));
        let moment = longest.mul_f64(random.fraction());
        let build = scene.longshore.start(&scene.words());
        thread::sleep(moment);
        build.signal(Signal::SIGKILL);
        build.end();
        assert_nothing_left(scene.longshore.home().folder(), &executable());
        if random.fraction() < LOOKS || round == KILLS {
            // Of the builds that nobody looked at, any may have come to its end; what the tag leads to is whole.
            scene.published();
            let new = scene.build();
            assert_eq!(scene.published(), new, "round {round}");
        }
    }
    scene.app.write("app.py", &source);
    assert_eq!(scene.build(), first);
}

/// The named moments of the store, in a build that publishes.
#[test]
fn every_named_moment_of_publishing() {
    let Some(scene) = Scene::new() else { return };
    let expected = scene.build();
    for failpoint in store::FAILPOINTS {
        let mut words = scene.words();
        words.push("--clear-cache".to_owned());
        // Something has to change, or there would be nothing to write.
        scene.app.write("note.txt", failpoint);
        let mut command = scene.longshore.command(&words);
        let killed = command
            .env("LONGSHORE_FAILPOINT", failpoint)
            .output()
            .unwrap();
        assert_eq!(
            killed.status.signal(),
            Some(9),
            "{failpoint} was not passed: {killed:?}"
        );
        std::fs::remove_file(scene.app.path().join("note.txt")).unwrap();
        scene.published();
        assert_eq!(scene.build(), expected, "{failpoint}");
    }
}

/// Sixteen copies of the app, built at the same time into one store and one registry.
#[test]
fn many_builders() {
    let Some(scene) = Scene::new() else { return };
    let expected = scene.build();
    let copies: Vec<App> = (0..BUILDERS).map(|_| App::copy_of("flask-plain")).collect();
    let digests: Vec<String> = thread::scope(|scope| {
        let builders: Vec<_> = copies
            .iter()
            .enumerate()
            .map(|(number, app)| {
                let scene = &scene;
                scope.spawn(move || {
                    // Some share a name, some do not.
                    let tag = format!("{}/team/app:v{}", scene.registry.host(), number % 4);
                    let app = app.path().to_str().unwrap();
                    let cache = format!("{}/team/app:cache", scene.registry.host());
                    let words = ["build", app, "--publish", &tag, "--cache-image", &cache];
                    let said = scene.longshore.run(&words);
                    said.assert_code(0);
                    said.digest().to_owned()
                })
            })
            .collect();
        builders
            .into_iter()
            .map(|builder| builder.join().unwrap())
            .collect()
    });
    assert!(
        digests.iter().all(|digest| *digest == expected),
        "{digests:?}"
    );
    assert_eq!(scene.published(), expected);
    assert_eq!(scene.build(), expected);
}
