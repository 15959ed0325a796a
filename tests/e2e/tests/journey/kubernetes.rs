//! The two pods of the README, as Podman plays them: one under the restricted profile of Kubernetes' Pod Security, one that may have the
//! sandbox. The image is the same as on the host.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use e2e::app::example;
use e2e::engine::Engine;
use e2e::program::Longshore;
use e2e::registry::{Kind, Registry};
use e2e::{skip, stack};

use super::in_place::{Container, USER_NAMESPACE, WARNING, host_digest, settings};

#[test]
fn pod_of_the_readme() {
    let Some(engine) = Engine::podman() else {
        return;
    };
    // Every pod has one process that does nothing.
    if skip::tool("catatonit").is_none() {
        return;
    }
    let Some(registry) = Registry::start(Kind::Open) else {
        return;
    };
    let Some(container) = Container::new(&engine) else {
        return;
    };
    let app = example("flask-plain");
    let longshore = Longshore::copied();
    let (_, run_image) = stack::publish(&longshore, &registry);
    let name = |tag: &str| format!("{}/team/app:{tag}", registry.host());
    let on_the_host = longshore.build(
        &app,
        &["--publish", &name("host"), "--run-image", &run_image],
    );

    let replaced = [
        ("registry.example/team/longshore-build:1", &container.image),
        ("registry.example/team/app:v1", &name("v1")),
        ("registry.example/team/app:cache", &name("cache")),
        ("registry.example/team/run:13", &run_image),
    ];
    let mut pod = pod();
    for (old, new) in replaced {
        assert!(pod.contains(old), "{old} is not in the README's pod");
        pod = pod.replace(old, new);
    }
    let file = registry.folder().join("pod.yaml");
    fs::write(&file, with_this_machine(&pod, &container.mounts(&app))).unwrap();
    for time in ["cold", "cached"] {
        let said = engine.play(&file, "build-longshore");
        said.assert_code(0);
        assert_eq!(said.digest(), on_the_host.digest(), "{time}");
        said.assert_says(&["this container allows no sandbox"]);
        let reused = said
            .stderr
            .contains("Reusing layer 'longshore/deps:environment'");
        assert_eq!(reused, time == "cached", "{}", said.stderr);
    }
}

/// What the kubelet asks a container runtime for where a pod says these words: the container that Podman starts then.
const PLAYED: [(&str, &str); 3] = [
    ("hostUsers: false", USER_NAMESPACE),
    (
        "seccompProfile: {type: Unconfined}",
        "--security-opt seccomp=unconfined",
    ),
    ("procMount: Unmasked", "--security-opt unmask=ALL"),
];

/// The words that let the sandbox in, with a runtime's own capabilities.
#[test]
fn pod_with_the_sandbox() {
    let Some(engine) = Engine::podman() else {
        return;
    };
    let Some(container) = Container::new(&engine) else {
        return;
    };
    let row = row("Kubernetes");
    let said: Vec<&str> = row
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.contains(": "))
        .collect();
    assert_eq!(said, PLAYED.map(|(words, _)| words), "{row}");
    let flags = PLAYED.map(|(_, flags)| flags).join(" ");
    let app = example("flask-plain");
    for time in ["cold", "cached"] {
        let said = container.build(&flags, &app);
        assert_eq!(container.digest(), host_digest(&app), "{time}");
        assert!(!said.stderr.contains(WARNING), "{}", said.stderr);
    }
    // Each of them is needed: without one, the build is in place.
    for (words, flags) in &PLAYED[1..] {
        let flags = PLAYED.map(|(_, flags)| flags).join(" ").replace(flags, "");
        let said = container.build(&flags, &app);
        said.assert_says(&[WARNING]);
        assert_eq!(container.digest(), host_digest(&app), "without {words}");
    }
}

/// The README's flags for allowing the sandbox.
fn row(runtime: &str) -> String {
    let readme = readme();
    let start = format!("| {runtime} |");
    let row = readme.lines().find(|line| line.starts_with(&start));
    row.expect("the README has a row for it").to_owned()
}

/// The only one there is.
fn pod() -> String {
    let readme = readme();
    let mut pods = readme
        .split("```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("\n```"))
        .map(|(block, _)| block)
        .filter(|block| block.contains("kind: Pod"));
    let pod = pods.next().expect("the README has a pod");
    assert_eq!(pods.next(), None);
    format!("{pod}\n")
}

fn readme() -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    fs::read_to_string(readme).unwrap()
}

/// The host's network, our executable, and where packages come from here; the app is a folder instead of a claim.
fn with_this_machine(pod: &str, mounts: &[(PathBuf, String)]) -> String {
    let (mut inside, mut volumes) = (String::new(), String::new());
    for (number, (path, target)) in mounts.iter().enumerate() {
        let (path, target) = (path.to_str().unwrap(), target.trim_end_matches(":ro"));
        if target == "/src" {
            writeln!(volumes, "    - {{name: src, hostPath: {{path: {path:?}}}}}").unwrap();
            continue;
        }
        let kind = if Path::new(path).is_file() {
            "File"
        } else {
            "Directory"
        };
        writeln!(
            inside,
            "        - {{name: host-{number}, mountPath: {target}}}"
        )
        .unwrap();
        writeln!(
            volumes,
            "    - {{name: host-{number}, hostPath: {{path: {path:?}, type: {kind}}}}}"
        )
        .unwrap();
    }
    let mut env = String::new();
    for setting in settings() {
        // What is named alone is as on this machine.
        let (name, value) = match setting.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (&setting[..], std::env::var(&setting).unwrap()),
        };
        if !name.starts_with("XDG_") {
            writeln!(env, "        - {{name: {name}, value: {value:?}}}").unwrap();
        }
    }
    let after = |pod: &str, line: &str, more: &str| {
        let line = format!("{line}\n");
        assert!(pod.contains(&line), "{line:?} is not in the README's pod");
        pod.replacen(&line, &format!("{line}{more}"), 1)
    };
    let claim = "    - {name: src, persistentVolumeClaim: {claimName: checkout}}\n";
    assert!(pod.contains(claim), "{claim}");
    let pod = pod.replace(claim, "");
    let pod = after(&pod, "spec:", "  hostNetwork: true\n");
    let pod = after(&pod, "      env:", &env);
    let pod = after(&pod, "      volumeMounts:", &inside);
    after(&pod, "  volumes:", &volumes)
}
