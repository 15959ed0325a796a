//! Builders, buildpackages and lifecycles: made here and used by pack, made elsewhere and used here.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use e2e::app::{App, example};
use e2e::engine::Engine;
use e2e::image::Image;
use e2e::pack::Pack;
use e2e::program::Longshore;
use e2e::registry::{Kind, Registry};
use serde_json::Value;
use tempfile::TempDir;

/// A buildpack in bash, of the oldest Buildpack API: a layer with a program, and what it sees of the build.
const OLD: [(&str, &str); 3] = [
    (
        "old/buildpack.toml",
        "api = \"0.7\"\n[buildpack]\nid = \"sample/old\"\nversion = \"1.0\"\n[[stacks]]\nid = \"*\"\n",
    ),
    (
        "old/bin/detect",
        "#!/bin/bash\nprintf '[[provides]]\\nname=\"old\"\\n[[requires]]\\nname=\"old\"\\n' > \"$2\"\n",
    ),
    (
        "old/bin/build",
        r#"#!/bin/bash
set -eu
echo "old: $(id -u):$(id -g) A=${A:-} B=${B:-} CONF=${CONF:-} data=$(cat /data/word 2>/dev/null || true)"
echo "old: interfaces $(grep -c : /proc/net/dev)"
mkdir -p "$1/tool/bin"
printf '#!/bin/sh\necho a tool\n' > "$1/tool/bin/tool"
chmod +x "$1/tool/bin/tool"
printf '[types]\nlaunch=true\ncache=true\nbuild=true\n' > "$1/tool.toml"
"#,
    ),
];

/// One of the newest, which uses the other's program.
const NEW: [(&str, &str); 3] = [
    (
        "new/buildpack.toml",
        "api = \"0.12\"\n[buildpack]\nid = \"sample/new\"\nversion = \"2.0\"\n[[targets]]\nos = \"linux\"\n",
    ),
    ("new/bin/detect", "#!/bin/bash\n"),
    (
        "new/bin/build",
        r#"#!/bin/bash
set -eu
echo "new: $(tool) in $CNB_EXEC_ENV"
cat > "$CNB_LAYERS_DIR/launch.toml" <<'END'
[[processes]]
type = "web"
command = ["tool"]
default = true
[[processes]]
type = "other"
command = ["echo", "another process"]
END
"#,
    ),
];

const BUILDER: &str = r#"
description = "two buildpacks in bash"
[[buildpacks]]
uri = "old"
[[buildpacks]]
uri = "new.cnb"
id = "sample/new"
[[order]]
group = [{ id = "sample/old" }, { id = "sample/new", version = "2.0" }]
[build]
image = "longshore:build"
[[build.env]]
name = "CONF"
value = "of the builder"
suffix = "default"
[[run.images]]
image = "longshore:run"
"#;

/// A folder with both buildpacks, the second packaged too, and builder.toml.
struct Workshop {
    folder: TempDir,
    longshore: Longshore,
}

impl Workshop {
    fn new() -> Self {
        let workshop = Self {
            folder: TempDir::new().unwrap(),
            longshore: Longshore::shared(),
        };
        for (name, text) in OLD.iter().chain(&NEW) {
            let path = workshop.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::write(workshop.path("builder.toml"), BUILDER).unwrap();
        let (new, file) = (workshop.text("new"), workshop.text("new.cnb"));
        workshop.longshore(&["buildpack", "package", &new, "--file", &file]);
        workshop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn longshore(&self, words: &[&str]) -> String {
        let said = self.longshore.run(words);
        said.assert_code(0);
        said.stdout + &said.stderr
    }
}

fn label(image: &Image, name: &str) -> Value {
    serde_json::from_str(image.label(name).unwrap()).unwrap()
}

#[test]
fn builder_is_the_same_twice_and_says_what_platforms_read() {
    let longshore = Longshore::shared();
    let folder = TempDir::new().unwrap();
    let definition = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../builder/builder.toml");
    let definition = definition.to_str().unwrap();
    let create = |name: &str| {
        let layout = folder.path().join(name);
        let output = format!("oci:{}", layout.display());
        let words = [
            "builder",
            "create",
            definition,
            "--run-image",
            "r.example/run:1",
            "--run-image",
            "mirror.example/run:1",
        ];
        longshore
            .run(&[&words[..], &["--output", &output]].concat())
            .assert_code(0);
        Image::open(&layout)
    };
    let image = create("first");
    assert_eq!(image.digest, create("second").digest);
    image.check_blobs();

    // pack and Tekton's tasks.
    let metadata = label(&image, "io.buildpacks.builder.metadata");
    let platform = &metadata["lifecycle"]["apis"]["platform"]["supported"];
    assert!(platform.as_array().unwrap().contains(&Value::from("0.13")));
    assert_eq!(metadata["stack"]["runImage"]["image"], "r.example/run:1");
    assert_eq!(metadata["images"][0]["mirrors"][0], "mirror.example/run:1");
    assert_eq!(
        label(&image, "io.buildpacks.extension.layers"),
        serde_json::json!({})
    );
    assert_eq!(
        image.label("io.buildpacks.stack.id"),
        Some("longshore.trixie")
    );
    // kpack takes layers by buildpack: each has one of its own.
    let layers = label(&image, "io.buildpacks.buildpack.layers");
    let layers: Vec<&Value> = layers
        .as_object()
        .unwrap()
        .values()
        .map(|it| &it["0.1.0"]["layerDiffID"])
        .collect();
    let diff_ids = image.diff_ids();
    assert_eq!(layers.len(), 6);
    assert!(
        layers
            .iter()
            .all(|it| diff_ids.contains(&it.as_str().unwrap().to_owned()))
    );
    let config = &image.config["config"];
    assert_eq!(config["WorkingDir"], "/layers");
    assert!(
        config["Env"]
            .as_array()
            .unwrap()
            .contains(&Value::from("CNB_USER_ID=1000"))
    );
    let folders = image.list_layer(1);
    for expected in ["1000/1000", "0/0"] {
        assert!(folders.contains(expected), "{folders}");
    }
    let lifecycle = image.list_layer(2);
    for program in [
        "analyzer", "detector", "restorer", "builder", "exporter", "creator", "rebaser", "launcher",
    ] {
        assert!(
            lifecycle.contains(&format!("cnb/lifecycle/{program}")),
            "{lifecycle}"
        );
    }
}

#[test]
fn our_buildpacks_in_a_builder_give_the_same_layers() {
    let longshore = Longshore::shared();
    let folder = TempDir::new().unwrap();
    let definition = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../builder/builder.toml");
    longshore
        .run(&[
            "builder",
            "create",
            definition.to_str().unwrap(),
            "--tag",
            "e2e-builder",
        ])
        .assert_code(0);
    let build = |name: &str, more: &[&str]| {
        let layout = folder.path().join(name);
        let output = format!("oci:{}", layout.display());
        let words = [&["-t", name, "--output", &output][..], more].concat();
        longshore.build(&example("flask-plain"), &words);
        Image::open(&layout).diff_ids()
    };
    assert_eq!(
        build("e2e-plain", &[]),
        build("e2e-by-builder", &["--builder", "e2e-builder"])
    );
}

#[test]
fn any_builder_builds() {
    let workshop = Workshop::new();
    let layout = format!("oci:{}", workshop.text("layout"));
    let definition = workshop.text("builder.toml");
    workshop.longshore(&["builder", "create", &definition, "--output", &layout]);
    let shown = workshop.longshore(&["inspect", &layout]);
    for expected in [
        "Is:         two buildpacks in bash",
        "sample/new 2.0  (API 0.12)",
        "group 1:\n    sample/old 1.0",
        "longshore.trixie",
    ] {
        assert!(shown.contains(expected), "{shown}");
    }

    let app = App::empty().with("file", "x").with("left-out", "x");
    std::fs::create_dir(workshop.path("data")).unwrap();
    for (name, text) in [
        ("data/word", "a word"),
        ("variables", "# words\nA=1\nB=of the file\n"),
        (
            "descriptor.toml",
            "[_]\nschema-version = \"0.2\"\n[io.buildpacks]\nexclude = [\"left-out\"]\n",
        ),
    ] {
        std::fs::write(workshop.path(name), text).unwrap();
    }
    let volume = format!("{}:/data", workshop.text("data"));
    let image = workshop.path("image");
    let output = format!("oci:{}", image.display());
    let (variables, descriptor) = (workshop.text("variables"), workshop.text("descriptor.toml"));
    let words = [
        "-t",
        "e2e-any",
        "--builder",
        &layout,
        "--env-file",
        &variables,
        "--env",
        "B=2",
        "--volume",
        &volume,
        "--descriptor",
        &descriptor,
        "--default-process",
        "other",
        "--network",
        "none",
        "--output",
        &output,
    ];
    let said = workshop.longshore.build(app.path(), &words);
    said.assert_says(&[
        "old: 1000:1000 A=1 B=2 CONF=of the builder data=a word",
        // The loopback alone.
        "old: interfaces 1\n",
        "new: a tool in production",
    ]);
    let image = Image::open(&image);
    assert_eq!(
        image.config["config"]["Entrypoint"][0],
        "/cnb/process/other"
    );
    let files = (0..image.diff_ids().len()).map(|layer| image.list_layer(layer));
    let files: String = files.collect();
    assert!(files.contains("workspace/file") && !files.contains("left-out"));
    let run = workshop
        .longshore
        .run(&["run", "e2e-any", "--process", "web"]);
    assert_eq!(run.stdout, "a tool\n");

    // Once more: the layer is taken over, and a buildpack can be put in front.
    let more = workshop.text("old");
    let words = [
        "-t",
        "e2e-any",
        "--builder",
        &layout,
        "--buildpack",
        &more,
        "--buildpack",
        "sample/new@2.0",
    ];
    let again = workshop.longshore.build(app.path(), &words);
    again.assert_says(&["Reusing layer 'sample/old:tool'", "new: a tool"]);
}

#[test]
fn buildpacks_without_a_builder_stand_beside_ours() {
    let workshop = Workshop::new();
    let app = App::empty().with("file", "x");
    let (old, new) = (workshop.text("old"), workshop.text("new.cnb"));
    let words = ["-t", "e2e-beside", "--buildpack", &old, "--buildpack", &new];
    let by_options = workshop.longshore.build(app.path(), &words);
    by_options.assert_says(&["new: a tool"]);

    // The same of a project descriptor, whose folder its paths are below.
    let descriptor = workshop.text("descriptor.toml");
    let groups =
        "[[io.buildpacks.group]]\nuri = \"old\"\n[[io.buildpacks.group]]\nuri = \"new.cnb\"\n";
    std::fs::write(&descriptor, groups).unwrap();
    let words = ["-t", "e2e-beside", "--descriptor", &descriptor];
    let by_descriptor = workshop.longshore.build(app.path(), &words);
    by_descriptor.assert_says(&["new: a tool"]);
    assert_eq!(by_descriptor.digest(), by_options.digest());
    std::fs::write(&descriptor, groups.replace("\"old\"", "\"odl\"")).unwrap();
    let app = app.path().to_str().unwrap();
    let said = workshop
        .longshore
        .run(&[&["build", app], &words[..]].concat());
    said.assert_code(2);
    said.assert_says(&["'descriptor.toml' line 1: ", "odl cannot be read"]);
}

#[test]
fn wrong_definitions_are_said_with_their_line() {
    let workshop = Workshop::new();
    for (from, to, expected) in [
        (
            "{ id = \"sample/old\" }",
            "{ id = \"sample/lod\" }",
            "line 9: the order names \"sample/lod\"",
        ),
        ("uri = \"old\"", "uri = \"odl\"", "line 3: "),
        (
            "api = \"0.7\"",
            "api = \"0.6\"",
            "sample/old@1.0 wants Buildpack API 0.6",
        ),
    ] {
        let file = if from.starts_with("api") {
            "old/buildpack.toml"
        } else {
            "builder.toml"
        };
        let text = std::fs::read_to_string(workshop.path(file)).unwrap();
        std::fs::write(workshop.path(file), text.replace(from, to)).unwrap();
        let said = workshop.longshore.run(&[
            "builder",
            "create",
            &workshop.text("builder.toml"),
            "--tag",
            "e2e-wrong",
        ]);
        assert_eq!(said.code, 2, "{}", said.stderr);
        said.assert_says(&[expected]);
        std::fs::write(workshop.path(file), text).unwrap();
    }
    let app = App::empty().with("file", "x");
    let said = workshop.longshore.run(&[
        "build",
        app.path().to_str().unwrap(),
        "--builder",
        "e2e-warm",
    ]);
    assert_eq!(said.code, 2);
    said.assert_says(&[
        "[Error: Not a builder]",
        "io.buildpacks.builder.metadata is missing",
    ]);
}

#[test]
fn pack_makes_builders_of_our_buildpackage_and_lifecycle() {
    let Some(engine) = Engine::docker() else {
        return;
    };
    let Some(pack) = Pack::new(&engine) else {
        return;
    };
    let workshop = Workshop::new();
    let longshore = Longshore::shared().with("DOCKER_HOST", engine.host());
    // Any image that names its user will do to build in, and to stand on: nothing is built.
    let base = workshop.text("builder.toml");
    let words = [
        "builder",
        "create",
        &base,
        "--output",
        "docker-daemon:e2e/base:1",
    ];
    longshore.run(&words).assert_code(0);
    let python_app = workshop.text("python-app.cnb");
    let archive = workshop.text("lifecycle.tgz");
    for words in [
        [
            "buildpack",
            "package",
            "longshore:python-app",
            "--file",
            &python_app,
        ],
        ["lifecycle", "package", "--quiet", "--archive", &archive],
    ] {
        longshore.run(&words).assert_code(0);
    }
    let shown = pack.run(&["buildpack", "inspect", &python_app]);
    assert!(shown.contains("longshore/python-app@0.1.0"), "{shown}");

    let create = |lifecycle: &str| {
        let definition = format!(
            "[[buildpacks]]\nuri = \"{python_app}\"\n[[order]]\ngroup = [{{id = \"longshore/python-app\", version = \"0.1.0\"}}]\n\
             [build]\nimage = \"e2e/base:1\"\n[[run.images]]\nimage = \"e2e/base:1\"\n[lifecycle]\nuri = \"{lifecycle}\"\n"
        );
        std::fs::write(workshop.path("pack.toml"), definition).unwrap();
        let file = workshop.text("pack.toml");
        let words = [
            "builder",
            "create",
            "e2e/by-pack:1",
            "--config",
            &file,
            "--pull-policy",
            "never",
        ];
        pack.run(&words);
    };
    // From an image, it takes the last layer and nothing else.
    if let Some(registry) = Registry::start(Kind::Open) {
        let image = format!("{}/lifecycle:1", registry.host());
        let words = ["lifecycle", "package", "--publish", &image];
        longshore.run(&words).assert_code(0);
        create(&format!("docker://{image}"));
    }
    create(&archive);
    let said = engine.run("e2e/by-pack:1", "/cnb/lifecycle/lifecycle", &["-version"]);
    assert!(said.starts_with("0.21.17+longshore."), "{said}");
    let shown = longshore.run(&["inspect", "docker-daemon:e2e/by-pack:1"]);
    let order =
        "longshore/python-app 0.1.0\n      group 1:\n        longshore/apt 0.1.0 (optional)";
    assert!(shown.stdout.contains(order), "{}", shown.stdout);
}

#[test]
fn pack_builds_with_our_builder_and_either_lifecycle() {
    let Some(engine) = Engine::docker() else {
        return;
    };
    let Some(pack) = Pack::new(&engine) else {
        return;
    };
    let workshop = Workshop::new();
    let longshore = Longshore::shared().with("DOCKER_HOST", engine.host());
    let archive = workshop.text("lifecycle.tgz");
    let reference = workshop.text("reference.tgz");
    longshore
        .run(&["lifecycle", "package", "--archive", &archive])
        .assert_code(0);
    pack.reference_lifecycle(Path::new(&archive), Path::new(&reference));
    for (lifecycle, builder) in [(&reference, "e2e/builder:1"), (&archive, "e2e/builder:2")] {
        let definition = BUILDER.replace("longshore:run", "e2e/run:1");
        let definition = format!("{definition}[lifecycle]\nuri = \"{lifecycle}\"\n");
        std::fs::write(workshop.path("reference.toml"), definition).unwrap();
        let file = workshop.text("reference.toml");
        let output = format!("docker-daemon:{builder}");
        let words = ["builder", "create", &file, "--output", &output];
        longshore.run(&words).assert_code(0);
        let shown = pack.run(&["builder", "inspect", builder]);
        for expected in [
            "two buildpacks in bash",
            "sample/old@1.0",
            "Name: longshore",
        ] {
            assert!(shown.contains(expected), "{shown}");
        }
    }

    // Any image of our stack can be the run image: this one has an app's layers besides.
    let app = App::empty().with("file", "x");
    let (old, new) = (workshop.text("old"), workshop.text("new"));
    let words = [
        "-t",
        "e2e-run-image",
        "--buildpack",
        &old,
        "--buildpack",
        &new,
        "--output",
        "docker-daemon:e2e/run:1",
    ];
    longshore.build(app.path(), &words);
    let app = app.path().to_str().unwrap();
    // The buildpack of the oldest API and that of the newest, under either lifecycle.
    for builder in ["e2e/builder:1", "e2e/builder:2"] {
        let said = pack.run(&[
            "build",
            "e2e/app:1",
            "--path",
            app,
            "--builder",
            builder,
            "--trust-builder",
            "--pull-policy",
            "never",
            "--docker-host",
            "inherit",
            "--network",
            "host",
        ]);
        assert!(said.contains("new: a tool in production"), "{said}");
        assert_eq!(engine.run("e2e/app:1", "/cnb/process/web", &[]), "a tool\n");
    }
}
