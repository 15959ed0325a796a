//! Building again touches only what changed.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::app::App;
use e2e::image::Image;
use e2e::program::{Longshore, Said};
use e2e::{skip, trace};
use tempfile::TempDir;

/// What Longshore and its buildpacks read in every build to know what the app asks for.
const CONTROL_FILES: &[&str] = &[
    ".gitignore",
    ".python-version",
    "Aptfile",
    "Procfile",
    "app.json",
    "apt-packages",
    "project.toml",
    "pyproject.toml",
    "requirements.txt",
    "runtime.txt",
];

#[test]
fn one_source_file_changes_only_the_app_layer() {
    let longshore = Longshore::copied();
    let app = App::copy_of("dash-minimal");
    let (_, before) = build(&longshore, &app);
    app.append("app.py", "\n# A remark.\n");
    let (said, after) = build(&longshore, &app);
    let changed = changed(&before, &after);
    assert!(
        !changed.is_empty() && changed.iter().all(|layer| layer.starts_with("app ")),
        "{changed:?}"
    );
    for layer in ["longshore/python:python", "longshore/deps:environment"] {
        said.assert_says(&[&format!("Reusing layer '{layer}'")]);
    }
    for layer in ["launcher", "config", "process-types"] {
        said.assert_says(&[&format!("Reusing layer 'buildpacksio/lifecycle:{layer}'")]);
    }
    let (_, unchanged) = build(&longshore, &app);
    assert_eq!(unchanged.digest, after.digest);
}

#[test]
fn one_more_requirement_changes_only_its_layers() {
    let longshore = Longshore::copied();
    let app = App::copy_of("dash-legacy");
    let (_, before) = build(&longshore, &app);
    app.append("requirements.txt", "\niniconfig==2.0.0\n");
    let (_, after) = build(&longshore, &app);
    let changed = changed(&before, &after);
    assert!(
        changed
            .iter()
            .any(|layer| layer.starts_with("longshore/deps: ")),
        "{changed:?}"
    );
    for layer in &changed {
        // The list of packages is a label and an SBOM too, and `config/metadata.toml` holds the labels.
        let lists_packages = layer == "config" || layer == "sbom";
        let expected =
            layer.starts_with("longshore/deps: ") || layer.starts_with("app ") || lists_packages;
        assert!(
            expected,
            "{layer} has nothing to do with a requirement; changed: {changed:?}"
        );
    }
}

#[test]
fn an_unchanged_rebuild_opens_no_file_of_a_layer() {
    let Some(_) = skip::tool("strace") else {
        return;
    };
    let longshore = Longshore::copied();
    let app = App::copy_of("dash-minimal")
        .with("assets/style.css", "h1 { color: teal }")
        .with("data/year.csv", "1,2\n");
    build(&longshore, &app);
    let (_, image) = build(&longshore, &app);
    let sbom = image
        .layer_called("Software Bill-of-Materials")
        .expect("the packages are listed");
    let folder = TempDir::new().unwrap();

    let opened = traced(&longshore, &app, &folder.path().join("unchanged"));
    assert_no_layer_is_opened(&opened, &app, AppLayer::Unchanged, &sbom);

    app.append("app.py", "\n# A remark.\n");
    let opened = traced(&longshore, &app, &folder.path().join("changed"));
    assert_no_layer_is_opened(&opened, &app, AppLayer::Changed, &sbom);
    let is_source = |path: &&PathBuf| path.ends_with("app.py");
    assert!(
        opened.iter().any(|path| is_source(&path)),
        "the trace does not even see the file that changed"
    );
}

/// Builds into a layout, so that a digest of the image can be looked into.
fn build(longshore: &Longshore, app: &App) -> (Said, Image) {
    let folder = TempDir::new().unwrap();
    let layout = folder.path().join("layout");
    let said = longshore.build(
        app.path(),
        &[
            "-t",
            "reuse",
            "--output",
            &format!("oci:{}", layout.display()),
        ],
    );
    (said, Image::open(&layout))
}

/// The names of the layers that are not in both images with the same content.
fn changed(before: &Image, after: &Image) -> Vec<String> {
    let (before, after): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (before.named_layers(), after.named_layers());
    let names = before
        .keys()
        .chain(after.keys().filter(|name| !before.contains_key(*name)));
    names
        .filter(|name| before.get(*name) != after.get(*name))
        .cloned()
        .collect()
}

/// Builds under strace.
fn traced(longshore: &Longshore, app: &App, log: &Path) -> Vec<PathBuf> {
    let plain = longshore.command(&["build", app.path().to_str().unwrap(), "-t", "reuse"]);
    let mut command = Command::new("env");
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap());
    }
    command
        .args(trace::wrapper(log))
        .arg(plain.get_program())
        .args(plain.get_args());
    Said::from(command.output().unwrap()).assert_code(0);
    trace::opened_files(log).into_iter().collect()
}

/// Whether the app's layer is made anew, from all files of the app.
#[derive(Clone, Copy, PartialEq, Eq)]
enum AppLayer {
    Unchanged,
    Changed,
}

/// `sbom` is the one layer that is read: the analyzer gives its files back to the buildpacks (Platform specification, "analyzer").
fn assert_no_layer_is_opened(opened: &[PathBuf], app: &App, app_layer: AppLayer, sbom: &str) {
    let sbom = sbom.trim_start_matches("sha256:");
    let forbidden = |path: &Path| {
        let text = path.to_string_lossy();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if path.starts_with(app.path()) || path.starts_with("/workspace") {
            return app_layer == AppLayer::Unchanged && !CONTROL_FILES.contains(&name.as_str());
        }
        // `/layers/<buildpack>/<layer>.toml` is the lifecycle's, `/layers/<buildpack>/<layer>/…` the layer's content.
        let in_layer = path
            .strip_prefix("/layers")
            .is_ok_and(|rest| rest.components().count() > 2);
        let in_store = text.contains("/trees/sha256/") || text.contains("/blobs/sha256/");
        (in_layer || in_store) && !is_metadata(path) && !is_message(path) && !path.ends_with(sbom)
    };
    let found: Vec<_> = opened.iter().filter(|path| forbidden(path)).collect();
    assert!(
        found.is_empty(),
        "opened although nothing in it changed: {found:#?}"
    );
}

/// Manifests and configurations are blobs too, and have to be read: small JSON. A tree's owners stand beside it as JSON.
fn is_metadata(path: &Path) -> bool {
    if path
        .extension()
        .is_some_and(|extension| extension == "json")
    {
        return path.to_string_lossy().matches('/').count() > 0
            && path.parent().is_some_and(|it| it.ends_with("sha256"));
    }
    path.parent().is_some_and(|it| it.ends_with("blobs/sha256"))
        && std::fs::read(path).is_ok_and(|content| content.first() == Some(&b'{'))
}

/// What a layer tells the buildpacks after its own: its variables, which the builder has to read (Buildpack specification, "Provided by
/// the Lifecycle"), and the description of the interpreter.
fn is_message(path: &Path) -> bool {
    let in_environment = path
        .parent()
        .and_then(Path::file_name)
        .is_some_and(|folder| folder == "env" || folder == "env.build" || folder == "env.launch");
    in_environment || path.ends_with("longshore-python.toml")
}
