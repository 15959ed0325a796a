//! `builder`

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::fixture::Fixture;

/// A fixture with `group.toml` and `plan.toml` for buildpacks given as (id, API, more in buildpack.toml, bin/build).
fn fixture(platform_api: &'static str, buildpacks: &[(&str, &str, &str, &str)]) -> Fixture {
    let fixture = Fixture::new(platform_api);
    let mut group = String::new();
    for (id, api, toml, build) in buildpacks {
        fixture.buildpack(id, api, toml, "", build);
        let element = format!("[[group]]\nid = \"{id}\"\nversion = \"1\"\napi = \"{api}\"\n");
        group += &element;
    }
    fixture.write("layers/group.toml", &group);
    fixture.write("layers/plan.toml", "");
    fixture.write(
        "layers/analyzed.toml",
        "[run-image.target]\nos = 'linux'\narch = 'amd64'\n[run-image.target.distro]\nname = 'debian'\nversion = '13'\n",
    );
    fixture
}

const LIST_PROCESS: &str = "cat >\"$1/launch.toml\" <<'END'\n[[processes]]\ntype = \"web\"\ncommand = [\"server\", \"--fixed\"]\nargs = [\"--port\"]\ndefault = true\nEND";
const TEXT_PROCESS: &str = "cat >\"$1/launch.toml\" <<'END'\n[[processes]]\ntype = \"old\"\ncommand = \"run $PORT\"\nargs = [\"x\"]\nworking-dir = \"/w\"\n[[processes]]\ntype = \"direct\"\ncommand = \"run\"\ndirect = true\n[[labels]]\nkey = \"k\"\nvalue = \"v\"\n[[slices]]\npaths = [\"static/*\"]\nEND";

#[test]
fn build_writes_metadata() {
    let list = [
        ("x/old", "0.7", "", TEXT_PROCESS),
        ("x/new", "0.12", "", LIST_PROCESS),
    ];
    let fixture = fixture("0.12", &list);
    let stdout = fixture.run_ok("builder", &[]);
    assert_eq!(
        stdout,
        "Warning: process working directory isn't supported in this buildpack api version. Ignoring working directory for process 'old'\n"
    );
    assert_eq!(
        fixture.read("layers/config/metadata.toml"),
        r#"buildpack-default-process-type = "web"

[[buildpacks]]
  id = "x/old"
  version = "1"
  api = "0.7"

[[buildpacks]]
  id = "x/new"
  version = "1"
  api = "0.12"

[[labels]]
  key = "k"
  value = "v"

[[processes]]
  type = "direct"
  command = ["run"]
  direct = true
  buildpack-id = "x/old"

[[processes]]
  type = "old"
  command = ["run $PORT"]
  args = ["x"]
  direct = false
  buildpack-id = "x/old"

[[processes]]
  type = "web"
  command = ["server", "--fixed"]
  args = ["--port"]
  direct = true
  buildpack-id = "x/new"

[[slices]]
  paths = ["static/*"]
"#
    );
    assert_eq!(
        fixture.read("layers/sbom/launch/sbom.legacy.json"),
        "null\n"
    );
}

#[test]
fn build_metadata_before_platform_api_0_10() {
    let fixture = fixture("0.9", &[("x/new", "0.10", "", LIST_PROCESS)]);
    fixture.run_ok("builder", &[]);
    let text = fixture.read("layers/config/metadata.toml");
    let expected = "  command = \"server\"\n  args = [\"--fixed\", \"--port\"]\n";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn build_environment_by_buildpack_api() {
    let dump =
        "env | grep -E '^(CNB_|USERVAR)' | sort >env; printf '%s\\n' \"$@\" >args; cp \"$3\" plan";
    for (api, variables) in [
        ("0.7", "CNB_BUILDPACK_DIR USERVAR"),
        (
            "0.8",
            "CNB_BP_PLAN_PATH CNB_BUILDPACK_DIR CNB_LAYERS_DIR CNB_PLATFORM_DIR USERVAR",
        ),
        (
            "0.9",
            "CNB_BP_PLAN_PATH CNB_BUILDPACK_DIR CNB_LAYERS_DIR CNB_PLATFORM_DIR USERVAR",
        ),
        (
            "0.10",
            "CNB_BP_PLAN_PATH CNB_BUILDPACK_DIR CNB_LAYERS_DIR CNB_PLATFORM_DIR CNB_TARGET_ARCH CNB_TARGET_DISTRO_NAME CNB_TARGET_DISTRO_VERSION CNB_TARGET_OS USERVAR",
        ),
        (
            "0.11",
            "CNB_BP_PLAN_PATH CNB_BUILDPACK_DIR CNB_LAYERS_DIR CNB_PLATFORM_DIR CNB_TARGET_ARCH CNB_TARGET_DISTRO_NAME CNB_TARGET_DISTRO_VERSION CNB_TARGET_OS USERVAR",
        ),
        (
            "0.12",
            "CNB_BP_PLAN_PATH CNB_BUILDPACK_DIR CNB_EXEC_ENV CNB_LAYERS_DIR CNB_PLATFORM_DIR CNB_TARGET_ARCH CNB_TARGET_DISTRO_NAME CNB_TARGET_DISTRO_VERSION CNB_TARGET_OS USERVAR",
        ),
    ] {
        let fixture = fixture("0.15", &[("x/y", api, "", dump)]);
        fixture.write("platform/env/USERVAR", "u");
        fixture.write("layers/plan.toml", "[[entries]]\n[[entries.providers]]\nid = 'x/y'\nversion = '1'\n[[entries.requires]]\nname = 'a'\n[[entries]]\n[[entries.providers]]\nid = 'other'\nversion = '1'\n[[entries.requires]]\nname = 'b'\n");
        fixture.run_ok("builder", &[]);
        let env = fixture.read("app/env");
        let names: Vec<_> = env
            .lines()
            .map(|line| line.split('=').next().unwrap())
            .collect();
        assert_eq!(names.join(" "), variables, "{api}");
        let layers = fixture.path("layers/x_y");
        let args = fixture.read("app/args");
        let args: Vec<_> = args.lines().collect();
        assert_eq!(
            args[..2],
            [
                layers.to_str().unwrap(),
                fixture.path("platform").to_str().unwrap()
            ]
        );
        assert_eq!(fixture.read("app/plan"), "[[entries]]\nname = \"a\"\n");
    }
}

#[test]
fn build_layers_reach_later_buildpacks() {
    let first = r#"
layer() { mkdir -p "$L/$1/bin" "$L/$1/lib" "$L/$1/include" "$L/$1/pkgconfig" "$L/$1/env" "$L/$1/env.build" "$L/$1/env.launch"; printf "[types]\n$2" >"$L/$1.toml"; }
L=$1
layer built 'build = true\n'; layer other 'launch = true\ncache = true\n'; layer nothing ''
printf one >"$L/built/env/V"; printf two >"$L/built/env.build/V.append"; printf - >"$L/built/env.build/V.delim"; printf no >"$L/built/env.launch/V"
printf no >"$L/other/env/W""#;
    let second = "env | grep -E '^(PATH|CPATH|LIBRARY_PATH|LD_LIBRARY_PATH|PKG_CONFIG_PATH|V|W)=' | sort >\"$PWD/env\"";
    let fixture = fixture(
        "0.12",
        &[
            ("x/first", "0.10", "", first),
            ("x/second", "0.10", "", second),
        ],
    );
    fixture.run_ok("builder", &[]);
    let layer = fixture.path("layers/x_first/built");
    let layer = layer.display();
    let path = std::env::var("PATH").unwrap();
    assert_eq!(
        fixture.read("app/env"),
        format!(
            "CPATH={layer}/include\nLD_LIBRARY_PATH={layer}/lib\nLIBRARY_PATH={layer}/lib\nPATH={layer}/bin:{path}\nPKG_CONFIG_PATH={layer}/pkgconfig\nV=one-two\n"
        )
    );
    assert!(
        fixture.there("layers/x_first/nothing.ignore/bin")
            && !fixture.there("layers/x_first/nothing")
    );
    fixture.run_ok("builder", &[]);
    assert!(
        fixture.there("layers/x_first/nothing.ignore/bin"),
        "again, with the first one's folder in the way"
    );
}

#[test]
fn build_plan_met_and_unmet() {
    let first = "printf '[[unmet]]\\nname = \"b\"\\n' >\"$1/build.toml\"";
    let second = "cp \"$3\" \"$PWD/plan\"";
    let list = [("first", "0.10", "", first), ("second", "0.10", "", second)];
    let fixture = fixture("0.12", &list);
    let entry = |name: &str| {
        format!(
            "[[entries]]\n[[entries.providers]]\nid = 'first'\nversion = '1'\n[[entries.providers]]\nid = 'second'\nversion = '1'\n[[entries.requires]]\nname = '{name}'\n"
        )
    };
    fixture.write("layers/plan.toml", &(entry("a") + &entry("b")));
    fixture.run_ok("builder", &[]);
    assert_eq!(fixture.read("app/plan"), "[[entries]]\nname = \"b\"\n");
}

#[test]
fn build_sbom_files() {
    let formats =
        "sbom-formats = [\"application/vnd.cyclonedx+json\", \"application/spdx+json\"]\n";
    let script = r#"cd "$1"
for l in both launched built; do mkdir -p $l; done
printf '[types]\nlaunch = true\ncache = true\n' >both.toml; printf '[types]\nlaunch = true\n' >launched.toml; printf '[types]\nbuild = true\n' >built.toml
for l in both launched built launch build gone; do echo $l >$l.sbom.cdx.json; done
echo two >launch.sbom.spdx.json"#;
    let fixture = fixture("0.12", &[("x/y", "0.10", formats, script)]);
    fixture.run_ok("builder", &[]);
    for (path, text) in [
        ("launch/x_y/both/sbom.cdx.json", "both\n"),
        ("cache/x_y/both/sbom.cdx.json", "both\n"),
        ("launch/x_y/launched/sbom.cdx.json", "launched\n"),
        ("build/x_y/built/sbom.cdx.json", "built\n"),
        ("launch/x_y/sbom.cdx.json", "launch\n"),
        ("launch/x_y/sbom.spdx.json", "two\n"),
        ("build/x_y/sbom.cdx.json", "build\n"),
    ] {
        assert_eq!(fixture.read(&format!("layers/sbom/{path}")), text);
    }
    assert!(
        !fixture.there("layers/sbom/launch/x_y/gone")
            && !fixture.there("layers/sbom/build/x_y/gone")
    );
}

#[test]
fn build_failures() {
    let undeclared = "mkdir \"$1/l\"; printf '[types]\\nlaunch = true\\n' >\"$1/l.toml\"; echo >\"$1/l.sbom.spdx.json\"";
    for (script, code, expected) in [
        (
            "echo going; echo wrong >&2; exit 7",
            51,
            "going\nwrong\nERROR: failed to build: buildpack 'x/y@1': exit status 7\n",
        ),
        (
            "kill -TERM $$",
            51,
            "ERROR: failed to build: buildpack 'x/y@1': killed by signal 15 (SIGTERM)\n",
        ),
        (
            "printf 'launch = true\\n' >\"$1/l.toml\"",
            52,
            "l.toml' of buildpack 'x/y@1': the launch, cache and build flags should be in the types table\n",
        ),
        (
            "printf '[types\\n' >\"$1/l.toml\"",
            52,
            "l.toml' of buildpack 'x/y@1': TOML parse error at line 1, column 7",
        ),
        (
            "printf 'a = 1\\n[[processes]]\\ntype = \"a\"\\n' >\"$1/launch.toml\"",
            52,
            "launch.toml' of buildpack 'x/y@1': TOML parse error at line 2",
        ),
        (
            "printf '[[processes]]\\ntype = \"a\"\\ncommand = [\"b\"]\\ndirect = true\\n' >\"$1/launch.toml\"",
            52,
            "process.direct is not supported on this buildpack version\n",
        ),
        (
            "for t in a b; do printf '[[processes]]\\ntype = \"'$t'\"\\ncommand = [\"b\"]\\ndefault = true\\n' >>\"$1/launch.toml\"; done",
            52,
            "multiple default process types aren't allowed\n",
        ),
        (
            "printf '[[unmet]]\\nname = \"b\"\\n' >\"$1/build.toml\"",
            52,
            "unmet.name 'b' must match a requested dependency\n",
        ),
        (
            "printf '[[bom]]\\nname = \"b\"\\nversion = \"1\"\\n' >\"$1/launch.toml\"",
            52,
            "bom entry 'b' has a top level version which is not allowed.",
        ),
        (
            undeclared,
            52,
            "undeclared SBOM media type: 'application/spdx+json'; add it to sbom-formats in buildpack.toml\n",
        ),
        (
            "echo >\"$1/launch.sbom.xyz.json\"",
            52,
            "unsupported SBOM file format",
        ),
        (
            "mkfifo \"$1/launch.toml\"",
            52,
            "it is not a regular file\n",
        ),
    ] {
        let fixture = fixture("0.12", &[("x/y", "0.10", "", script)]);
        let ended = fixture.run("builder", &[]);
        assert_eq!(ended.code, Some(code), "{script}: {ended:?}");
        assert!(
            ended.stdout.contains(expected),
            "{expected} in {}",
            ended.stdout
        );
    }
}

#[test]
fn build_not_executable() {
    let fixture = fixture("0.12", &[("x/y", "0.10", "", "")]);
    let program = fixture.path("buildpacks/x_y/1/bin/build");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).unwrap();
    let ended = fixture.run("builder", &[]);
    assert_eq!(ended.code, Some(51));
    assert_eq!(
        ended.stdout,
        format!(
            "ERROR: failed to build: buildpack 'x/y@1': '{}' is not executable; try chmod +x\n",
            program.display()
        )
    );
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(&program, "#!/no/such/shell\n").unwrap();
    let ended = fixture.run("builder", &[]);
    assert_eq!(ended.code, Some(51));
    assert!(
        ended
            .stdout
            .ends_with("names an interpreter in its first line that does not exist here\n"),
        "{ended:?}"
    );
}

#[test]
fn builder_wrong_inputs() {
    let fixture = fixture("0.12", &[("x/y", "0.10", "", "")]);
    fixture.write("layers/plan.toml", "entries = 3\n");
    let ended = fixture.run("builder", &[]);
    assert_eq!(ended.code, Some(1));
    let plan = fixture.path("layers/plan.toml");
    assert!(
        ended.stdout.contains(&format!(
            "could not understand '{}': TOML parse error at line 1",
            plan.display()
        )),
        "{ended:?}"
    );
    fixture.write("layers/plan.toml", "");
    fixture.write(
        "layers/group.toml",
        "[[group]]\nid = 'x/y'\nversion = '1'\napi = '0.6'\n",
    );
    let ended = fixture.run("builder", &[]);
    assert_eq!(ended.code, Some(12));
    fixture.write(
        "layers/group.toml",
        "[[group]]\nid = 'x/y'\nversion = '2'\napi = '0.10'\n",
    );
    let ended = fixture.run("builder", &[]);
    assert_eq!(ended.code, Some(52), "{ended:?}");
    let ended = fixture.run("builder", &["-order=x"]);
    assert_eq!(ended.code, Some(2));
}

#[test]
fn build_is_independent_of_the_umask() {
    let script =
        "mkdir \"$1/l\"; echo >\"$1/l/f\"; printf '[types]\\nlaunch = true\\n' >\"$1/l.toml\"";
    let fixture = fixture("0.12", &[("x/y", "0.10", "", script)]);
    let program = env!("CARGO_BIN_EXE_lifecycle");
    fixture.write("masked", &format!("umask 077; exec -a builder {program}"));
    // The fixture gives the folders to the user and sets the environment; bash sets the umask.
    let masked = fixture.path("masked");
    fixture.run_ok("builder", &[]);
    fs::remove_dir_all(fixture.path("layers/x_y")).unwrap();
    fs::remove_dir_all(fixture.path("layers/config")).unwrap();
    let ended = fixture.run_bash(&masked);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for (path, mode) in [
        ("x_y", 0o755),
        ("x_y/l", 0o755),
        ("x_y/l/f", 0o644),
        ("config", 0o755),
        ("config/metadata.toml", 0o644),
        ("sbom/launch/sbom.legacy.json", 0o644),
    ] {
        let found = fs::metadata(fixture.path(&format!("layers/{path}"))).unwrap();
        assert_eq!(found.permissions().mode() & 0o7777, mode, "{path}");
    }
}
