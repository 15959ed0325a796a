//! kill -9 while an image is published, and many builders on one store and one registry: a tag leads to the old image or to the new one,
//! whole, and the next build goes on.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::thread;
use std::time::Instant;

use e2e::app::App;
use e2e::engine::Engine;
use e2e::home::Home;
use e2e::program::{Longshore, executable};
use e2e::random::Random;
use e2e::registry::{Kind, Registry};
use e2e::skip;
use e2e::stack;
use e2e::traces_left::assert_nothing_left;
use nix::sys::signal::Signal;

/// How often a build is killed.
const KILLS: u32 = 100;
/// How many of them, by chance, are followed by a look at the registry and a build that comes to its end.
const LOOKS: f64 = 0.3;
/// How many build at once.
const BUILDERS: usize = 16;
/// A file that goes through the wire in many pieces.
const LARGE: usize = 4 << 20;
/// What a machine that pulls does with what it got, on the way to its name: blobs are not kept, only what they unpack to.
const OF_UNPACKING: [&str; 4] = [
    "tree-owners-written",
    "tree-renamed",
    "file-written",
    "file-renamed",
];

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

    fn cache(&self) -> String {
        format!("{}/team/app:cache", self.registry.host())
    }

    fn words(&self) -> Vec<String> {
        let app = self.app.path().to_str().unwrap().to_owned();
        let (tag, cache) = (self.tag(), self.cache());
        ["build", &app, "--publish", &tag, "--cache-image", &cache]
            .map(str::to_owned)
            .into()
    }

    /// Builds to the end; gives the digest.
    fn build(&self) -> String {
        let said = self.longshore.run(&self.words());
        said.assert_code(0);
        said.digest().to_owned()
    }

    /// What the tag leads to, read whole by another client.
    fn published(&self) -> String {
        whole(&self.tag())
    }

    /// Kills a build of a changed app at a named moment; gives what the image's and the cache image's name lead to then. Afterwards the app
    /// that was is built, and is the image that was.
    fn killed_at(&self, moment: &str, file: &str, content: &[u8], more: &[&str]) -> [String; 2] {
        let path = self.app.path().join(file);
        let was = std::fs::read(&path).ok();
        self.app.write(file, content);
        let mut words = self.words();
        words.extend(more.iter().map(|&word| word.to_owned()));
        killed_at(moment, self.longshore.command(&words));
        match was {
            Some(was) => self.app.write(file, was),
            None => std::fs::remove_file(path).unwrap(),
        }
        [self.tag(), self.cache()].map(|name| whole(&name))
    }
}

/// Runs a command that has to die at a named moment.
fn killed_at(moment: &str, mut command: Command) {
    let killed = command.env("LONGSHORE_FAILPOINT", moment).output().unwrap();
    let signal = killed.status.signal();
    assert_eq!(signal, Some(9), "{moment} was not passed: {killed:?}");
}

/// The digest that a name leads to, after all of the image was read, and held against its digests, by another client.
fn whole(name: &str) -> String {
    let copy = tempfile::TempDir::new().unwrap();
    let copied = Command::new("skopeo")
        .args(["copy", "--quiet", "--src-tls-verify=false"])
        .arg(format!("docker://{name}"))
        .arg(format!("dir:{}", copy.path().display()))
        .output()
        .unwrap();
    assert!(copied.status.success(), "half an image: {copied:?}");
    sha256(&std::fs::read(copy.path().join("manifest.json")).unwrap())
}

fn sha256(bytes: &[u8]) -> String {
    let digest = <sha2::Sha256 as sha2::Digest>::digest(bytes);
    format!("sha256:{}", hex::encode(digest))
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

/// The named moments of the store and of a push, in a build that publishes.
#[test]
fn every_named_moment_of_publishing() {
    let Some(scene) = Scene::new() else { return };
    let expected = scene.build();
    for moment in store::FAILPOINTS {
        // Something has to change, or there would be nothing to write.
        scene.killed_at(moment, "note.txt", moment.as_bytes(), &["--clear-cache"]);
        assert_eq!(scene.build(), expected, "{moment}");
    }
    let mut random = Random::new(0x00fa_1190_1475);
    let mut cached = whole(&scene.cache());
    for moment in registry::FAILPOINTS {
        if moment.starts_with("push-") {
            let [image, cache] = scene.killed_at(moment, "note.bin", &random.bytes(LARGE), &[]);
            // The last step is the only one that shows.
            assert_eq!(image != expected, moment == "push-tag-given", "{moment}");
            assert_eq!(cache, cached, "{moment}");
            assert_eq!(scene.build(), expected, "{moment}");
        }
    }
    // The second time they are the cache image's.
    let requirements = std::fs::read_to_string(scene.app.path().join("requirements.txt")).unwrap();
    for moment in [
        "push-config-sent:2",
        "push-before-tag:2",
        "push-tag-given:2",
    ] {
        let changed = format!("{requirements}\n# {moment}\n");
        let [image, cache] = scene.killed_at(moment, "requirements.txt", changed.as_bytes(), &[]);
        assert_ne!(image, expected, "{moment}");
        assert_eq!(cache != cached, moment == "push-tag-given:2", "{moment}");
        assert_eq!(scene.build(), expected, "{moment}");
        // uv's cache of wheels is not the same twice.
        cached = whole(&scene.cache());
    }
}

/// A machine that has nothing, killed at each moment of a pull in turn: what came so far is not taken for the whole.
#[test]
fn every_named_moment_of_a_clean_machine() {
    let Some(scene) = Scene::new() else { return };
    let (build_image, run_image) = stack::publish(&scene.longshore, &scene.registry);
    let mut words = scene.words();
    words.extend(["--run-image".to_owned(), run_image]);
    let said = scene.longshore.run(&words);
    said.assert_code(0);

    words.extend(["--build-image".to_owned(), build_image]);
    let clean =
        Longshore::at(Home::empty()).with("LONGSHORE_DEBIAN_MIRROR", "http://127.0.0.1:9/debian");
    let pulls = registry::FAILPOINTS
        .into_iter()
        .filter(|moment| moment.starts_with("pull-"));
    for moment in pulls.chain(OF_UNPACKING) {
        killed_at(moment, clean.command(&words));
        assert_nothing_left(clean.home().folder(), &executable());
    }
    let again = clean.run(&words);
    again.assert_code(0);
    assert_eq!(again.digest(), said.digest());
    again.assert_says(&["Reusing layer 'longshore/deps:environment'"]);
    assert_eq!(scene.published(), said.digest());
}

/// The name in a Docker daemon leads to the old image or to the new one.
#[test]
fn every_named_moment_of_a_load() {
    let Some(engine) = Engine::docker() else {
        return;
    };
    let longshore = Longshore::copied().with("DOCKER_HOST", engine.host());
    let app = App::copy_of("flask-plain").with("note.txt", "first");
    let output = ["--output", "docker-daemon:crash:1"];
    let note = || {
        let show = "import flask; print(open('/workspace/note.txt').read())";
        let launcher = "/cnb/lifecycle/launcher";
        engine.run("crash:1", launcher, &["python", "-c", show])
    };
    longshore.build(app.path(), &output);
    let mut before = note();
    for moment in daemon::FAILPOINTS {
        app.write("note.txt", moment);
        let words = ["build", app.path().to_str().unwrap(), output[0], output[1]];
        killed_at(moment, longshore.command(&words));
        let after = format!("{moment}\n");
        let found = note();
        assert!([&before, &after].contains(&&found), "{moment}: {found}");
        longshore.build(app.path(), &output);
        assert_eq!(note(), after);
        before = after;
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
