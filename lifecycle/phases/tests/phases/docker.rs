//! The phases with images in a Docker daemon.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use daemon::{Daemon, Load, Settings};
use tempfile::TempDir;

use crate::fixture::Fixture;
use crate::images::read;

/// A daemon on a busy machine takes its time to start.
const PATIENCE: Duration = Duration::from_mins(2);

/// A `dockerd` of the test's own.
struct Engine {
    child: Child,
    folder: TempDir,
}

impl Engine {
    fn start() -> Option<Self> {
        let program = test_skip::tool("dockerd")?;
        if !test_skip::is_root() {
            test_skip::because("dockerd needs root");
            return None;
        }
        // Not below TMPDIR: the path of a Unix socket ends at 108 bytes.
        let folder = TempDir::with_prefix_in("longshore-phases-", "/tmp").unwrap();
        let below = |name: &str| folder.path().join(name);
        let log = File::create(below("log")).unwrap();
        let mut command = Command::new(program);
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
        command.args(["-H", &format!("unix://{}", below("s").display())]);
        for (flag, name) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            command.arg(flag).arg(below(name));
        }
        let second = log.try_clone().unwrap();
        command.stdin(Stdio::null()).stdout(log).stderr(second);
        let child = command.spawn().unwrap();
        let engine = Self { child, folder };
        let begun = Instant::now();
        while let Err(error) = engine.client().inspect("none") {
            let log = fs::read_to_string(engine.folder.path().join("log"));
            assert!(begun.elapsed() < PATIENCE, "{error}\n{log:?}");
            thread::sleep(Duration::from_millis(100));
        }
        Some(engine)
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("s").display())
    }

    fn client(&self) -> Daemon {
        Daemon::new(Settings {
            host: Some(self.host()),
            ..Settings::default()
        })
        .unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // It stops its containerd, too.
        let id = rustix::process::Pid::from_child(&self.child);
        let asked = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        asked.unwrap_or_default();
        drop(self.child.wait());
    }
}

/// The programs are started as root, and the daemon's socket is root's: they reach it after they became the user.
#[test]
fn docker_build_twice() {
    let Some(engine) = Engine::start() else {
        return;
    };
    for api in ["0.9", "0.13"] {
        let fixture = Fixture::with_run_image(api);
        let build = "cd \"$1\"; [ -e l.toml ] || { mkdir l; echo 1 >l/file; }; printf '[types]\\nlaunch = true\\n' >l.toml";
        fixture.buildpack("x/y", "0.8", "\n[[stacks]]\nid = \"*\"\n", "", build);
        fixture.order(&["x/y"]);
        fixture.write("app/app.py", "print(1)\n");
        fs::create_dir(fixture.path("launch-cache")).unwrap();
        let run = read(&fixture.layouts(), "run/latest");
        let load = Load {
            names: &["test/run".parse().unwrap()],
            ..Load::default()
        };
        engine.client().load(&run, &load, &mut |_| {}).unwrap();
        let host = engine.host();
        let launch_cache = fixture.path("launch-cache");
        let env = [
            ("CNB_USE_LAYOUT", ""),
            ("CNB_USE_DAEMON", "true"),
            ("DOCKER_HOST", host.as_str()),
            ("CNB_LAUNCH_CACHE_DIR", launch_cache.to_str().unwrap()),
            ("CNB_STACK_ID", "test.stack"),
            ("TMPDIR", "/tmp"),
        ];
        let as_root = [&env[..], &[("AS_ROOT", "with the files of the user")]].concat();
        let build = || {
            fixture.fresh_layers();
            ["analyzer", "detector", "restorer", "builder", "exporter"].map(|phase| {
                let rooted = matches!(phase, "analyzer" | "exporter");
                let env = if rooted { &as_root[..] } else { &env[..] };
                let ended = fixture.phase(phase, &[], env);
                assert_eq!(ended.code, Some(0), "{phase}: {ended:?}");
                ended.stdout
            })
        };
        build();
        let first = engine.client().inspect("test/app").unwrap().unwrap();
        let report = fixture.read("layers/report.toml");
        let expected = format!(
            "[image]\ntags = [\"test/app\"]\nimage-id = \"{}\"\n",
            first.id.hex()
        );
        assert!(report.starts_with(&expected), "{report}");
        let [analyzer, .., exporter] = build();
        assert!(
            analyzer.contains("Restoring data for SBOM from previous image\n"),
            "{analyzer}"
        );
        assert!(exporter.contains("Reusing layer 'x/y:l'\n"), "{exporter}");
        let short = &first.id.hex()[..12];
        assert!(
            exporter.contains(&format!("*** Images ({short}):\n      test/app\n")),
            "{exporter}"
        );
        let second = engine.client().inspect("test/app").unwrap().unwrap();
        assert_eq!(first.id, second.id, "the same image");

        let ended = fixture.phase("analyzer", &["-run-image=test/none"], &as_root);
        assert_eq!(
            ended.code,
            Some(0),
            "a missing run image may still come: {ended:?}"
        );
        let missing = [&env[..], &[("CNB_LAUNCH_CACHE_DIR", "/none")]].concat();
        let missing: Vec<_> = missing
            .into_iter()
            .filter(|(_, value)| *value != launch_cache.to_str().unwrap())
            .collect();
        let ended = fixture.phase("analyzer", &[], &missing);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(
            ended
                .stdout
                .contains("failed to create launch cache: '/none': "),
            "{ended:?}"
        );
    }
}

#[test]
fn docker_that_is_not_there() {
    let fixture = Fixture::with_run_image("0.12");
    let env = [
        ("CNB_USE_LAYOUT", ""),
        ("CNB_USE_DAEMON", "1"),
        ("DOCKER_HOST", "unix:///none.sock"),
    ];
    let ended = fixture.phase("analyzer", &[], &env);
    assert_eq!(ended.code, Some(32), "{ended:?}");
    assert!(
        ended
            .stdout
            .contains("no Docker daemon answers at unix:///none.sock"),
        "{ended:?}"
    );
}
