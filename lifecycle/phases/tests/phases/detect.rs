//! `detector`

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::fixture::{Fixture, order_text};

const PASS: &str = "exit 0";
const FAIL: &str = "exit 100";

#[test]
fn detect_writes_group_and_plan() {
    let fixture = Fixture::new("0.12");
    let homepage = "homepage = \"https://example.org/a\"\n";
    fixture.buildpack(
        "x/provider",
        "0.7",
        homepage,
        "echo 'provides = [{name = \"dep\"}]' >\"$2\"",
        "",
    );
    let requires = "cat >\"$CNB_BUILD_PLAN_PATH\" <<END\n[[requires]]\nname = \"dep\"\n[requires.metadata]\nversion = \"3.13\"\n[[or]]\nrequires = [{name = \"nothing\"}]\nEND";
    fixture.buildpack("x/consumer", "0.12", "", requires, "");
    fixture.buildpack("x/no", "0.10", "", FAIL, "");
    fixture.order(&["x/provider x/no x/consumer", "x/provider x/no? x/consumer"]);
    let stdout = fixture.run_ok("detector", &[]);
    assert_eq!(
        stdout,
        format!(
            "Warning: No analyzed metadata found at path \"{}\"\n\
             target distro name/version labels not found, reading /etc/os-release file\n\
             2 of 3 buildpacks participating\n\
             x/provider 1\n\
             x/consumer 1\n",
            fixture.path("layers/analyzed.toml").display()
        )
    );
    assert_eq!(
        fixture.read("layers/group.toml"),
        "[[group]]\nid = \"x/provider\"\nversion = \"1\"\napi = \"0.7\"\nhomepage = \"https://example.org/a\"\n\n\
         [[group]]\nid = \"x/consumer\"\nversion = \"1\"\napi = \"0.12\"\n"
    );
    assert_eq!(
        fixture.read("layers/plan.toml"),
        "[[entries]]\n\n[[entries.providers]]\nid = \"x/provider\"\nversion = \"1\"\n\n\
         [[entries.requires]]\nname = \"dep\"\n\n[entries.requires.metadata]\nversion = \"3.13\"\n"
    );
}

#[test]
fn detect_environment_by_buildpack_api() {
    let fixture = Fixture::new("0.15");
    let dump = "env | grep -E '^(CNB_|USERVAR|PATHX|SECRET|BUILDERVAR)' | sed \"s|$PWD|APP|\" | sort >\"$PWD/$(basename $(dirname $(dirname $(dirname $0))))\"";
    for api in ["0.7", "0.8", "0.9", "0.10", "0.11", "0.12"] {
        fixture.buildpack(&format!("api-{api}"), api, "", dump, "");
    }
    fixture.buildpack("clear", "0.9", "clear-env = true\n", dump, "");
    fixture.order(&["api-0.7 api-0.8 api-0.9 api-0.10 api-0.11 api-0.12 clear"]);
    fixture.write("platform/env/USERVAR", "a=b");
    fixture.write("platform/env/CNB_TARGET_OS", "from the user");
    fixture.write("config/env/BUILDERVAR", "builder");
    fixture.write(
        "layers/analyzed.toml",
        "[run-image]\nreference = 'r'\n[run-image.target]\nos = 'linux'\narch = 'amd64'\narch-variant = 'v3'\n[run-image.target.distro]\nname = 'debian'\nversion = '13'\n",
    );
    let ended = fixture.run_with(
        "detector",
        &[],
        &[("SECRET", "s"), ("CNB_EXEC_ENV", "test")],
    );
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let names = |id: &str| -> Vec<String> {
        let text = fixture.read(&format!("app/{id}"));
        text.lines()
            .map(|line| line.split('=').next().unwrap().to_owned())
            .collect()
    };
    let base = ["BUILDERVAR", "CNB_BUILDPACK_DIR"];
    assert_eq!(
        names("clear"),
        [
            &base[..1],
            &[
                "CNB_BUILDPACK_DIR",
                "CNB_BUILD_PLAN_PATH",
                "CNB_PLATFORM_DIR"
            ]
        ]
        .concat()
    );
    assert_eq!(
        names("api-0.7"),
        [&base[..], &["CNB_TARGET_OS", "USERVAR"]].concat()
    );
    for api in ["api-0.8", "api-0.9"] {
        assert_eq!(
            names(api),
            [
                &base[..],
                &[
                    "CNB_BUILD_PLAN_PATH",
                    "CNB_PLATFORM_DIR",
                    "CNB_TARGET_OS",
                    "USERVAR"
                ]
            ]
            .concat()
        );
    }
    let targets = [
        "CNB_TARGET_ARCH",
        "CNB_TARGET_ARCH_VARIANT",
        "CNB_TARGET_DISTRO_NAME",
        "CNB_TARGET_DISTRO_VERSION",
        "CNB_TARGET_OS",
        "USERVAR",
    ];
    for api in ["api-0.10", "api-0.11"] {
        assert_eq!(
            names(api),
            [
                &base[..],
                &["CNB_BUILD_PLAN_PATH", "CNB_PLATFORM_DIR"],
                &targets
            ]
            .concat()
        );
    }
    assert_eq!(
        names("api-0.12"),
        [
            &base[..],
            &["CNB_BUILD_PLAN_PATH", "CNB_EXEC_ENV", "CNB_PLATFORM_DIR"],
            &targets
        ]
        .concat()
    );
    let text = fixture.read("app/api-0.12");
    for line in [
        "CNB_EXEC_ENV=test",
        "CNB_TARGET_OS=linux",
        "CNB_TARGET_DISTRO_NAME=debian",
        "USERVAR=a=b",
        "BUILDERVAR=builder",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}

#[test]
fn detect_composites_depth_first_and_once() {
    let fixture = Fixture::new("0.12");
    let counted = |id: &str, code: u8| format!("echo {id} >>\"$PWD/calls\"; exit {code}");
    fixture.buildpack("a", "0.10", "", &counted("a", 0), "");
    fixture.buildpack("b", "0.10", "", &counted("b", 100), "");
    fixture.buildpack("c", "0.10", "", &counted("c", 0), "");
    for (id, groups) in [("inner", &["a b", "a c"][..]), ("outer", &["b", "inner"])] {
        let head = format!("api = \"0.10\"\n[buildpack]\nid = \"{id}\"\nversion = \"1\"\n");
        fixture.write(
            &format!("buildpacks/{id}/1/buildpack.toml"),
            &(head + &order_text(groups)),
        );
    }
    fixture.order(&["outer c"]);
    let stdout = fixture.run_ok("detector", &[]);
    assert!(stdout.ends_with("\na 1\nc 1\n"), "{stdout}");
    let mut calls: Vec<_> = fixture
        .read("app/calls")
        .lines()
        .map(str::to_owned)
        .collect();
    calls.sort();
    assert_eq!(calls, ["a", "b", "c"], "each bin/detect runs once");
}

#[test]
fn detect_optional_composite_is_dropped() {
    let fixture = Fixture::new("0.12");
    fixture.buildpack("a", "0.10", "", PASS, "");
    fixture.buildpack("b", "0.10", "", FAIL, "");
    let head = "api = \"0.10\"\n[buildpack]\nid = \"composite\"\nversion = \"1\"\n";
    fixture.write(
        "buildpacks/composite/1/buildpack.toml",
        &format!("{head}{}", order_text(&["b"])),
    );
    fixture.order(&["composite? a"]);
    assert!(fixture.run_ok("detector", &[]).ends_with("\na 1\n"));
    fixture.order(&["composite a"]);
    assert_eq!(fixture.run("detector", &[]).code, Some(20));
}

#[test]
fn detect_cycle() {
    let fixture = Fixture::new("0.12");
    for (id, other) in [("one", "two"), ("two", "one")] {
        let head = format!("api = \"0.10\"\n[buildpack]\nid = \"{id}\"\nversion = \"1\"\n");
        fixture.write(
            &format!("buildpacks/{id}/1/buildpack.toml"),
            &(head + &order_text(&[other])),
        );
    }
    fixture.order(&["one"]);
    let ended = fixture.run("detector", &[]);
    assert_eq!(ended.code, Some(22));
    let expected = "ERROR: failed to detect: composite buildpacks contain each other: one@1 -> two@1 -> one@1\n";
    assert!(ended.stdout.ends_with(expected), "{}", ended.stdout);
}

#[test]
fn detect_no_group_shows_everything() {
    let fixture = Fixture::new("0.12");
    fixture.buildpack("a", "0.10", "", "echo hello; echo there >&2; exit 100", "");
    fixture.order(&["a"]);
    fixture.write(
        "layers/analyzed.toml",
        "[run-image.target]\nos = 'linux'\n[run-image.target.distro]\nname = 'debian'",
    );
    let ended = fixture.run("detector", &[]);
    assert_eq!(ended.code, Some(20));
    assert_eq!(
        ended.stdout,
        "======== Output: a@1 ========\nhello\nthere\n======== Results ========\nfail: a@1\n\
         ERROR: No buildpack groups passed detection.\n\
         ERROR: Please check that you are running against the correct path.\n\
         ERROR: failed to detect: no buildpacks participating\n"
    );
    assert!(!fixture.there("layers/group.toml"));
}

#[test]
fn detect_errors_and_signals() {
    let fixture = Fixture::new("0.12");
    fixture.buildpack("bad", "0.10", "", "echo oops; exit 3", "");
    fixture.buildpack("killed", "0.10", "", "kill -9 $$", "");
    fixture.buildpack("plan", "0.10", "", "printf 'provides = 1\\n' >\"$2\"", "");
    fixture.buildpack(
        "version",
        "0.10",
        "",
        "echo 'requires = [{name = \"a\", version = \"1\"}]' >\"$2\"",
        "",
    );
    fixture.buildpack("mode", "0.10", "", PASS, "");
    let mode = fixture.path("buildpacks/mode/1/bin/detect");
    fs::set_permissions(&mode, fs::Permissions::from_mode(0o644)).unwrap();
    fixture.buildpack("good", "0.10", "", PASS, "");
    fixture.write(
        "layers/analyzed.toml",
        "[run-image.target.distro]\nname = 'debian'",
    );
    for (id, expected) in [
        ("bad", "======== Output: bad@1 ========\noops\n======== Results ========\nerr:  bad@1 (3)\n".to_owned()),
        ("killed", "======== Error: killed@1 ========\nkilled by signal 9 (SIGKILL)\n======== Results ========\nerr:  killed@1\n".to_owned()),
        ("plan", "1 | provides = 1".to_owned()),
        ("version", "buildpack version has a \"version\" key which is not supported.".to_owned()),
        ("mode", format!("'{}' is not executable; try chmod +x\n", mode.display())),
    ] {
        fixture.order(&[id]);
        let ended = fixture.run("detector", &[]);
        assert_eq!(ended.code, Some(21), "{id}");
        assert!(ended.stdout.contains(&expected), "{id}: {}", ended.stdout);
        fixture.order(&[&format!("{id}? good")]);
        let stdout = fixture.run_ok("detector", &[]);
        assert!(stdout.ends_with("1 of 2 buildpacks participating\ngood 1\n"), "{stdout}");
    }
}

#[test]
fn detect_targets() {
    let arm = "[[targets]]\nos = \"linux\"\narch = \"arm64\"\n";
    for (api, code) in [("0.11", 0), ("0.12", 21)] {
        let fixture = Fixture::new(api);
        fixture.buildpack("arm", "0.10", arm, PASS, "");
        fixture.buildpack("any", "0.10", "[[targets]]\nos = \"linux\"\n", PASS, "");
        fixture.order(&["arm any"]);
        fixture.write("layers/analyzed.toml", "[run-image.target]\nos = 'linux'\narch = 'amd64'\n[run-image.target.distro]\nname = 'debian'\nversion = '13'\n");
        let ended = fixture.run("detector", &[]);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        if code != 0 {
            let expected = "unable to satisfy target os/arch constraints; run image: {\"os\":\"linux\",\"arch\":\"amd64\",\"distro\":{\"name\":\"debian\",\"version\":\"13\"}}, buildpack: [{\"os\":\"linux\",\"arch\":\"arm64\"}]";
            assert!(ended.stdout.contains(expected), "{}", ended.stdout);
            fixture.order(&["arm? any"]);
            assert!(fixture.run_ok("detector", &[]).ends_with("any 1\n"));
        }
    }
}

#[test]
fn detect_exec_env_and_system_buildpacks() {
    let fixture = Fixture::new("0.15");
    fixture.buildpack("test-only", "0.12", "exec-env = [\"test\"]\n", PASS, "");
    fixture.buildpack("too-old", "0.11", "exec-env = [\"test\"]\n", PASS, "");
    fixture.buildpack("first", "0.12", "", PASS, "");
    fixture.buildpack("last", "0.12", "", PASS, "");
    fixture.order(&["test-only too-old"]);
    let system = fixture.write(
        "system.toml",
        "[[system.pre.buildpacks]]\nid = 'first'\nversion = '1'\n[[system.post.buildpacks]]\nid = 'last'\nversion = '1'\n[[system.post.buildpacks]]\nid = 'too-old'\nversion = '1'\n",
    );
    let system = system.to_str().unwrap();
    let args = ["-system", system, "-log-level", "debug"];
    let stdout = fixture.run_ok("detector", &args);
    for line in [
        "Prepending 1 system buildpack(s) to group\nAppending 1 system buildpack(s) to group\n",
        "Skipping test-only@1 due to execution environment mismatch; current: production, buildpack supports: test\n",
        "first   1\ntoo-old 1\nlast    1\n",
    ] {
        assert!(stdout.contains(line), "{line} in {stdout}");
    }
    let ended = fixture.run_with("detector", &[], &[("CNB_EXEC_ENV", "test")]);
    assert!(
        ended.stdout.ends_with("test-only 1\ntoo-old   1\n"),
        "{ended:?}"
    );
}

#[test]
fn detect_wrong_inputs() {
    let fixture = Fixture::new("0.12");
    fixture.buildpack("a", "0.10", "", PASS, "");
    fixture.buildpack("new", "0.13", "", PASS, "");
    let order = fixture.path("layers/order.toml");
    let dir = |id: &str| fixture.path(&format!("buildpacks/{id}/1/buildpack.toml"));
    let malformed = "[[order]]\ngroup = [\n";
    let extensions = "[[order-extensions]]\n[[order-extensions.group]]\nid = 'e'\nversion = '1'\n";
    for (text, code, expected) in [
        (malformed.to_owned(), 1, format!("failed to initialize detector: could not understand '{}': TOML parse error at line ", order.display())),
        (order_text(&["missing"]), 1, format!("could not read '{}': No such file", dir("missing").display())),
        (order_text(&["new"]), 12, "failed to set API for buildpack 'new@1': Buildpack API version `0.13` is not supported; versions 0.7 to 0.12 are\n".to_owned()),
        (extensions.to_owned(), 1, "asks for image extensions ([[order-extensions]])".to_owned()),
    ] {
        fixture.write("layers/order.toml", &text);
        let ended = fixture.run("detector", &[]);
        assert_eq!(ended.code, Some(code), "{ended:?}");
        assert!(ended.stdout.contains(&expected), "{expected} in {}", ended.stdout);
    }
}

#[test]
fn detector_arguments() {
    let fixture = Fixture::new("0.11");
    fixture.buildpack("a", "0.10", "", PASS, "");
    fixture.order(&["a"]);
    let group = fixture.path("tmp/group.toml");
    let group = format!("-group={}", group.display());
    // Tekton passes flags without values.
    fixture.run_ok("detector", &[&group, "--order=", "-plan=", "-log-level="]);
    assert!(fixture.there("tmp/group.toml"));

    let ended = fixture.run("detector", &["-run", "/x"]);
    assert_eq!(ended.code, Some(2), "-run came with Platform API 0.12");
    assert!(
        ended
            .stderr
            .starts_with("flag provided but not defined: -run\nUsage of lifecycle:\n")
    );
    let ended = fixture.run("detector", &["extra"]);
    assert_eq!(ended.code, Some(3));
    assert_eq!(
        ended.stdout,
        "ERROR: failed to parse arguments: received unexpected arguments: extra\n"
    );
    let ended = fixture.run("lifecycle", &["dance"]);
    assert_eq!(ended.code, Some(3));
    let stdout = fixture.run_ok("lifecycle", &["detect", "-no-color", "-log-level=warn"]);
    assert_eq!(
        stdout,
        format!(
            "Warning: No analyzed metadata found at path \"{}\"\n",
            fixture.path("layers/analyzed.toml").display()
        )
    );
    if nix::unistd::getuid().is_root() {
        let ended = fixture.run_with("detector", &[], &[("AS_ROOT", "")]);
        assert_eq!(ended.code, Some(1));
        assert_eq!(
            ended.stdout,
            "ERROR: failed to detect: refusing to run as root\n"
        );
    }
}

#[test]
fn platform_api_and_version() {
    let fixture = Fixture::new("0.12");
    for (api, expected) in [
        (
            "",
            "ERROR: failed to get platform API version; please set 'CNB_PLATFORM_API' to specify the desired platform API version (0.7 to 0.15 are supported)\n",
        ),
        (
            "0.16",
            "ERROR: failed to set platform API: platform API version '0.16' is incompatible with the lifecycle: Platform API version `0.16` is not supported; versions 0.7 to 0.15 are\n",
        ),
        (
            "x",
            "ERROR: failed to set platform API: platform API version 'x' is incompatible with the lifecycle: `x` is not a Platform API version; it has the form `0.10`\n",
        ),
    ] {
        for program in ["detector", "builder"] {
            let ended = fixture.run_with(program, &[], &[("CNB_PLATFORM_API", api)]);
            assert_eq!(ended.code, Some(11), "{ended:?}");
            assert_eq!(ended.stdout, expected);
            let ended = fixture.run_with(program, &["-version"], &[("CNB_PLATFORM_API", api)]);
            assert_eq!(ended.code, Some(0), "{ended:?}");
            assert_eq!(ended.stdout, format!("{}\n", phases::VERSION));
        }
    }
}
