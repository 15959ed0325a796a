//! Where a container allows no sandbox, a build runs in the build image's own container, and the image is the same as on the host.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::app::{App, example};
use e2e::engine::Engine;
use e2e::image::Image;
use e2e::machine;
use e2e::program::{Longshore, Said, executable};
use e2e::skip;
use tempfile::TempDir;

/// What CI runners start jobs with, and what the build needs in it.
const DOCKER_HARDENED: &str = "--user 1000:1000 --cap-drop all --read-only --security-opt no-new-privileges \
     --tmpfs /tmp:exec --tmpfs /layers:uid=1000,exec --tmpfs /workspace:uid=1000,exec";
/// The same for Podman, whose `--tmpfs` knows no owner.
const PODMAN_HARDENED: &str = "--user 1000:1000 --cap-drop all --read-only --security-opt no-new-privileges --tmpfs /tmp:exec \
     --mount type=tmpfs,destination=/layers,chown=true --mount type=tmpfs,destination=/workspace,chown=true";
const ROOT: &str = "--user 0";
/// Root of a user namespace of the container's own.
pub(super) const USER_NAMESPACE: &str = "--user 0 --uidmap 0:100000:65536 --gidmap 0:100000:65536";

/// What the build says once about its isolation.
pub(super) const WARNING: &str = "this container allows no sandbox";
/// Shows what a build has left.
const AND_LIST: &str =
    "longshore build \"$@\" && echo \"left: $(ls -A /layers /workspace /tmp | tr '\\n' ' ')\"";
const NOTHING_LEFT: &str = "left: /layers:  /tmp:  /workspace: ";

#[test]
fn docker_as_runners_start_it() {
    let Some(engine) = Engine::docker() else {
        return;
    };
    let Some(container) = Container::new(&engine) else {
        return;
    };
    for name in ["flask-plain", "dash-legacy"] {
        let expected = host_digest(&example(name));
        for time in ["cold", "cached"] {
            let said = container.build(DOCKER_HARDENED, &example(name));
            assert_eq!(container.digest(), expected, "{name}, {time}");
            said.assert_says(&[WARNING, "as the user of this program", NOTHING_LEFT]);
            let reused = said
                .stderr
                .contains("Reusing layer 'longshore/deps:environment'");
            assert_eq!(reused, time == "cached", "{}", said.stderr);
        }
    }
    after_kill_9(&container);
    mounts_of_somebody_else(&container);
    errors_of_the_container(&container);
    errors_of_the_command(&container);
}

#[test]
fn docker_as_root() {
    let Some(engine) = Engine::docker() else {
        return;
    };
    let Some(container) = Container::new(&engine) else {
        return;
    };
    let app = example("flask-plain");
    let said = container.build(ROOT, &app);
    assert_eq!(container.digest(), host_digest(&app));
    said.assert_says(&[WARNING, "as uid 1000", NOTHING_LEFT]);
    // With what lets the sandbox in, there is one.
    let allowed =
        "--user 0 --security-opt seccomp=unconfined --security-opt systempaths=unconfined";
    let said = container.build(allowed, &app);
    assert_eq!(container.digest(), host_digest(&app));
    assert!(!said.stderr.contains(WARNING), "{}", said.stderr);
}

#[test]
fn podman() {
    let Some(engine) = Engine::podman() else {
        return;
    };
    let Some(container) = Container::new(&engine) else {
        return;
    };
    let app = example("flask-plain");
    for options in [PODMAN_HARDENED, ROOT] {
        let said = container.build(options, &app);
        assert_eq!(container.digest(), host_digest(&app), "{options}");
        said.assert_says(&[WARNING, NOTHING_LEFT]);
    }
    let allowed = "--user 1000:1000 --security-opt seccomp=unconfined --security-opt unmask=ALL";
    let said = container.build(allowed, &app);
    assert_eq!(container.digest(), host_digest(&app));
    assert!(!said.stderr.contains(WARNING), "{}", said.stderr);
}

/// The next build in the same container waits until everything of the killed one is gone, and is like any other.
fn after_kill_9(container: &Container<'_>) {
    let slow = App::copy_of("flask-plain").with(
        "app.json",
        r#"{"scripts": {"dokku": {"predeploy": "(setsid sleep 611 &) ; echo sleeping now; sleep 612"}}}"#,
    );
    let script = "longshore build /slow -t slow >/home/e2e/log 2>&1 & \
         until grep -q 'sleeping now$' /home/e2e/log; do sleep 0.1; kill -0 $! || exit 9; done; kill -9 $!; \
         longshore build \"$@\"; code=$?; echo \"left: $(ls -A /layers /workspace /tmp | tr '\\n' ' ')\"; \
         for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline; echo; done | grep '^sleep 61' && echo still running; exit $code";
    let options = format!("{DOCKER_HARDENED} -v {}:/slow:ro", slow.path().display());
    let app = example("flask-plain");
    let said = container.run(&options, &app, script);
    said.assert_code(0);
    said.assert_says(&[NOTHING_LEFT]);
    assert!(!said.stderr.contains("still running"), "{}", said.stderr);
    assert_eq!(container.digest(), host_digest(&app));
}

/// Kubernetes' emptyDir is root's and open to all; with an fsGroup its bit would be inherited.
fn mounts_of_somebody_else(container: &Container<'_>) {
    let folder = TempDir::new().unwrap();
    let mut options = "--user 1000:1000 --cap-drop all --read-only --tmpfs /tmp:exec".to_owned();
    for (name, mode) in [("layers", 0o777), ("workspace", 0o2777)] {
        let path = folder.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        options = format!("{options} -v {}:/{name}", path.display());
    }
    let app = example("dash-legacy");
    let script = format!("set -- --clear-cache \"$@\"; {AND_LIST}");
    let said = container.run(&options, &app, &script);
    said.assert_code(0);
    said.assert_says(&[NOTHING_LEFT]);
    assert_eq!(container.digest(), host_digest(&app));
}

/// What is wrong with the two folders or the rights is said, with the flag that helps; a user's files stay.
fn errors_of_the_container(container: &Container<'_>) {
    let app = example("flask-plain");
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o777)).unwrap();
    fs::write(folder.path().join("precious"), "x").unwrap();
    let filled = format!("--user 1000:1000 -v {}:/layers", folder.path().display());
    let layers = "[Error: /layers cannot be used]";
    for (options, words) in [
        (
            &filled[..],
            [
                layers,
                "it has \"precious\"",
                "--tmpfs /layers:uid=1000,exec",
            ],
        ),
        (
            "--user 1000:1000 --tmpfs /workspace:uid=1000",
            [
                "[Error: /workspace cannot be used]",
                "noexec",
                "--tmpfs /workspace:uid=1000,exec",
            ],
        ),
        (
            "--user 1000:1000 --read-only --tmpfs /tmp",
            [layers, "is read-only", "emptyDir"],
        ),
        (
            "--user 0 --cap-drop all",
            [
                "[Error: Root may not give files away here]",
                "--user 1000:1000",
                "CHOWN",
            ],
        ),
        // No image of ours: the words of old, and how to get there.
        (
            "--user 1000:1000 --tmpfs /usr/share/longshore",
            [
                "[Error: The kernel forbids user namespaces]",
                "seccomp=unconfined",
                "in Longshore's build image",
            ],
        ),
    ] {
        let said = container.run(options, &app, "longshore build \"$@\"");
        assert_eq!(said.code, 70, "{options}: {}", said.stderr);
        said.assert_says(&words);
    }
    assert!(folder.path().join("precious").is_file());
}

/// What cannot be done in place, by what was typed.
fn errors_of_the_command(container: &Container<'_>) {
    let app = example("flask-plain");
    let options = format!("--user 1000:1000 -v {}:/workspace/app:ro", app.display());
    for (script, code, words) in [
        (
            "longshore build /workspace/app",
            2,
            [
                "[Error: The app is where the build works]",
                "Mount the app elsewhere",
            ],
        ),
        (
            "longshore build /src --output oci:/workspace/image",
            2,
            ["[Error: Nothing stays there]", "/workspace/image"],
        ),
        (
            "longshore run in-place-flask-plain -- true",
            70,
            [
                "[Error: The kernel forbids user namespaces]",
                "seccomp=unconfined",
            ],
        ),
        (
            "XDG_DATA_HOME=/tmp/data XDG_CACHE_HOME=/tmp/cache longshore stack create /stack",
            70,
            [
                "[Error: The kernel forbids user namespaces]",
                "Base images cannot be made without it",
            ],
        ),
    ] {
        let said = container.run(&options, &app, script);
        assert_eq!(said.code, code, "{script}: {}", said.stderr);
        said.assert_says(&words);
    }
    let empty_store = "XDG_DATA_HOME=/tmp/data XDG_CACHE_HOME=/tmp/cache longshore build /src";
    let said = container.run("--user 1000:1000", &app, empty_store);
    said.assert_code(70);
    said.assert_says(&[
        "[Error: No run image]",
        "longshore-stack/trixie-run:",
        "longshore stack create",
    ]);
}

/// Who the build is outside of the container.
fn owner_of(options: &str) -> u32 {
    match options {
        _ if options.contains(USER_NAMESPACE) => 100_000,
        _ if options.starts_with(ROOT) => 0,
        _ => 1000,
    }
}

/// The digest of an app as this machine builds it.
pub(super) fn host_digest(app: &Path) -> String {
    let said = Longshore::shared().build(app, &["-t", &format!("e2e-{}", name_of(app))]);
    said.digest().to_owned()
}

/// A name for each app, so that no build looks back at the image of another.
fn name_of(app: &Path) -> String {
    format!("in-place-{}", app.file_name().unwrap().display())
}

/// Our build image in an engine, with everything of ours that a container is given.
pub(super) struct Container<'a> {
    engine: &'a Engine,
    pub(super) image: String,
    /// `home` with the run image, `out` for what is built.
    folder: TempDir,
}

impl<'a> Container<'a> {
    pub(super) fn new(engine: &'a Engine) -> Option<Self> {
        let skopeo = skip::tool("skopeo")?;
        let folder = TempDir::with_prefix("longshore-in-place-").unwrap();
        let longshore = Longshore::shared();
        let stack = folder.path().join("stack");
        longshore
            .run(&[
                "stack",
                "create",
                stacks().to_str().unwrap(),
                "--output",
                stack.to_str().unwrap(),
            ])
            .assert_code(0);
        let archive = folder.path().join("build.tar");
        let copied = Command::new(skopeo)
            .args(["copy", "--quiet"])
            .arg(format!("oci:{}", stack.join("build").display()))
            .arg(format!(
                "docker-archive:{}:longshore-build:e2e",
                archive.display()
            ))
            .status();
        assert!(copied.unwrap().success(), "skopeo failed");
        let image = engine.load(&archive);
        fs::remove_file(archive).unwrap();
        let home = folder.path().join("home");
        fs::create_dir_all(folder.path().join("out")).unwrap();
        fs::create_dir_all(&home).unwrap();
        // Images, and which are the stack's; layers and downloads are the container's own. Files may vanish meanwhile.
        let notes = "cache/longshore/notes/stacks";
        fs::create_dir_all(home.join(notes)).unwrap();
        for path in ["data", notes] {
            let copied = Command::new("cp")
                .args(["-R", "--reflink=auto", "-T"])
                .args([longshore.home().folder().join(path), home.join(path)])
                .stderr(std::process::Stdio::null())
                .status();
            copied.unwrap();
        }
        Some(Self {
            engine,
            image,
            folder,
        })
    }

    pub(super) fn build(&self, options: &str, app: &Path) -> Said {
        let said = self.run(options, app, AND_LIST);
        said.assert_code(0);
        said
    }

    /// Runs a script whose arguments are those of `longshore build`.
    fn run(&self, options: &str, app: &Path, script: &str) -> Said {
        let out = self.folder.path().join("out");
        fs::remove_dir_all(&out).unwrap();
        fs::create_dir(&out).unwrap();
        // Root's builds and others' take turns on one home.
        let owner = owner_of(options);
        let home = self.folder.path().join("home");
        let given_already = fs::metadata(&home).unwrap().uid() == owner;
        for folder in [Some(out), (!given_already).then_some(home)]
            .into_iter()
            .flatten()
        {
            let owner = format!("{owner}:{owner}");
            let given = Command::new("chown")
                .args(["-R", &owner])
                .arg(folder)
                .status();
            assert!(given.unwrap().success());
        }

        let mut words: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
        for (source, target) in self.mounts(app) {
            words.extend(["-v".to_owned(), format!("{}:{target}", source.display())]);
        }
        for setting in settings() {
            words.extend(["--env".to_owned(), setting]);
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let command = [
            "sh",
            "-c",
            script,
            "sh",
            "/src",
            "-t",
            &name_of(app),
            "--output",
            "oci:/out/image",
        ];
        self.engine.start(&words, &self.image, &command).end()
    }

    pub(super) fn mounts(&self, app: &Path) -> Vec<(PathBuf, String)> {
        let mut mounts = vec![
            (executable(), "/usr/local/bin/longshore:ro".to_owned()),
            (app.to_owned(), "/src:ro".to_owned()),
            (stacks(), "/stack:ro".to_owned()),
            (self.folder.path().join("home"), "/home/e2e".to_owned()),
            (self.folder.path().join("out"), "/out".to_owned()),
        ];
        mounts.extend(machine::mounts());
        mounts
    }

    /// The digest of what was written to the mounted folder.
    pub(super) fn digest(&self) -> String {
        let image = Image::open(&self.folder.path().join("out/image"));
        image.check_blobs();
        image.digest
    }
}

fn stacks() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stacks/trixie");
    folder.canonicalize().unwrap()
}

/// The home, and what this machine says about proxies and package indexes.
pub(super) fn settings() -> Vec<String> {
    let home = [("XDG_DATA_HOME", "data"), ("XDG_CACHE_HOME", "cache")];
    let home = home.map(|(name, folder)| format!("{name}=/home/e2e/{folder}"));
    let all = machine::settings().into_iter();
    let all = all.map(|(name, value)| format!("{name}={value}"));
    home.into_iter().chain(all).collect()
}
