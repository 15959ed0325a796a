//! The one executable under the names of the phases, called one after another as the README shows it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::image::Image;
use e2e::program::{AS_SOMEBODY, Longshore, Said, executable, give_to_somebody};
use e2e::skip;
use tempfile::TempDir;

const BUILD: &str = "#!/bin/bash
set -e
mkdir -p \"$1/greeting\"
echo hello > \"$1/greeting/text\"
printf '[types]\\nlaunch = true\\n' > \"$1/greeting.toml\"
printf '[[processes]]\\ntype = \"web\"\\ncommand = [\"cat\", \"%s\"]\\ndefault = true\\n' \"$1/greeting/text\" > \"$1/launch.toml\"
";

#[test]
fn phases_of_the_shipped_executable() {
    // Where things are here is where they are in the image, and `longshore run` has a `/tmp` of its own.
    let folder = TempDir::with_prefix_in("longshore-phases-", "/var/tmp").unwrap();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let at = |path: &str| folder.path().join(path);
    let write = |path: &str, text: &str, mode: u32| {
        fs::create_dir_all(at(path).parent().unwrap()).unwrap();
        fs::write(at(path), text).unwrap();
        fs::set_permissions(at(path), PermissionsExt::from_mode(mode)).unwrap();
    };
    let phases = ["analyzer", "detector", "restorer", "builder", "exporter"];
    fs::copy(executable(), at("longshore")).unwrap();
    for phase in phases {
        symlink("longshore", at(phase)).unwrap();
    }
    let descriptor =
        "api = \"0.10\"\n[buildpack]\nid = \"x/y\"\nversion = \"1\"\n[[targets]]\nos = \"linux\"\n";
    write("buildpacks/x_y/1/buildpack.toml", descriptor, 0o644);
    write("buildpacks/x_y/1/bin/detect", "#!/bin/bash\n", 0o755);
    write("buildpacks/x_y/1/bin/build", BUILD, 0o755);
    write(
        "order.toml",
        "[[order]]\n[[order.group]]\nid = \"x/y\"\nversion = \"1\"\n",
        0o644,
    );
    write("app/app.py", "", 0o644);
    fs::create_dir_all(at("layers")).unwrap();
    fs::create_dir_all(at("platform")).unwrap();
    put_run_image(&at("layouts/index.docker.io/library/run/latest"));
    write("run.toml", "[[images]]\nimage = \"run\"\n", 0o644);
    if skip::is_root() {
        give_to_somebody(folder.path());
    }

    let common = ["-log-level=info".to_owned(), flag("layers", &at("layers"))];
    let layout = ["-layout".to_owned(), flag("layout-dir", &at("layouts"))];
    let (app, buildpacks) = (
        flag("app", &at("app")),
        flag("buildpacks", &at("buildpacks")),
    );
    let platform = flag("platform", &at("platform"));
    let run = flag("run", &at("run.toml"));
    let words: [&[String]; 5] = [
        &[&layout[..], &[run.clone(), "app".to_owned()]].concat(),
        &[
            app.clone(),
            buildpacks.clone(),
            platform.clone(),
            flag("order", &at("order.toml")),
        ],
        &[],
        &[app.clone(), buildpacks, platform],
        &[&layout[..], &[app, run, "app".to_owned()]].concat(),
    ];
    for (phase, more) in phases.into_iter().zip(words) {
        let said = call(&at(phase), &[&common[..], more].concat());
        assert_eq!(said.code, 0, "{phase}: {}{}", said.stdout, said.stderr);
    }
    for file in [
        "analyzed.toml",
        "group.toml",
        "plan.toml",
        "config/metadata.toml",
        "report.toml",
    ] {
        assert!(at("layers").join(file).is_file(), "no {file}");
    }

    let layout = at("layouts/index.docker.io/library/app/latest");
    let image = Image::open(&layout);
    image.check_blobs();
    assert!(image.named_layers().contains_key("x/y: greeting"));
    // The launcher is the one that the executable carries: it starts the process.
    let place = format!("oci:{}", layout.display());
    let said = Longshore::shared().run(&["run", &place]);
    said.assert_code(0);
    assert_eq!(said.stdout, "hello\n");
}

fn flag(name: &str, path: &Path) -> String {
    format!("-{name}={}", path.display())
}

fn put_run_image(place: &PathBuf) {
    let output = TempDir::new().unwrap();
    let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../stacks/trixie");
    let words = [
        "stack",
        "create",
        stack.to_str().unwrap(),
        "--output",
        output.path().to_str().unwrap(),
    ];
    Longshore::shared().run(&words).assert_code(0);
    fs::create_dir_all(place).unwrap();
    let copied = Command::new("cp")
        .arg("-R")
        .arg(output.path().join("run/."))
        .arg(place)
        .status();
    assert!(copied.unwrap().success());
}

/// The detector and the builder refuse to be root.
fn call(program: &Path, arguments: &[String]) -> Said {
    let mut words: Vec<String> = Vec::new();
    if skip::is_root() {
        words.extend(AS_SOMEBODY.map(str::to_owned));
    }
    words.push(program.display().to_string());
    words.extend(arguments.iter().cloned());
    let mut command = Command::new(&words[0]);
    command
        .args(&words[1..])
        .env("CNB_PLATFORM_API", "0.12")
        .env("CNB_EXPERIMENTAL_MODE", "warn")
        .env("CNB_STACK_ID", "longshore.trixie");
    Said::from(command.output().unwrap())
}
