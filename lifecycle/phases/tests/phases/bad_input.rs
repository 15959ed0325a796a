//! What a platform gives that cannot be used: the words and the exit code that tell. The phases are an ordinary user, so that modes count.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::chain::PHASES;
use crate::fixture::Fixture;
use crate::images;

/// A build that works, up to the phase that is tried.
fn fixture() -> Fixture {
    let fixture = Fixture::with_run_image("0.12");
    let build =
        "mkdir -p \"$1/l\"; printf '[types]\\nlaunch = true\\ncache = true\\n' >\"$1/l.toml\"";
    fixture.buildpack("x/y", "0.10", "", "", build);
    fixture.order(&["x/y"]);
    fixture.write("app/app.py", "print(1)\n");
    fixture
}

/// A folder whose mode is another for as long as this value lives: a scratch folder that cannot be entered could not be removed.
struct Mode(PathBuf);

impl Mode {
    fn set(folder: PathBuf, mode: u32) -> Self {
        fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).unwrap();
        Self(folder)
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        fs::set_permissions(&self.0, fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Does the phases before `phase`, sets a folder's mode, and runs it.
fn run_with_mode(phase: &str, folder: &str, mode: u32) -> (Fixture, Option<i32>, String) {
    let fixture = fixture();
    for before in PHASES.iter().take_while(|before| **before != phase) {
        fixture.phase_ok(before);
    }
    let changed = Mode::set(fixture.path(folder), mode);
    let ended = fixture.phase(phase, &[], &[]);
    drop(changed);
    (fixture, ended.code, ended.stdout)
}

#[test]
fn bad_input_layers_folder_is_read_only() {
    for (phase, folder, code, message) in [
        (
            "analyzer",
            "layers",
            1,
            "failed to write analyzed metadata: could not write 'DIR/layers/analyzed.toml': Permission denied",
        ),
        (
            "detector",
            "layers",
            1,
            "failed to write the group and the plan: could not write 'DIR/layers/group.toml': Permission denied",
        ),
        (
            "builder",
            "layers",
            52,
            "failed to build: could not write 'DIR/layers/x_y': Permission denied",
        ),
        (
            "exporter",
            "layers",
            62,
            "failed to export: could not write 'DIR/layers/report.toml': Permission denied",
        ),
    ] {
        let (fixture, found, said) = run_with_mode(phase, folder, 0o555);
        let message = filled(message, &fixture);
        assert_eq!(found, Some(code), "{phase}: {said}");
        assert!(said.contains(&message), "{phase}: {message} in {said}");
    }
}

#[test]
fn bad_input_app_folder_is_unreadable() {
    let closed =
        "the app folder 'DIR/app' cannot be entered by the user of the build; try chmod +rx\n";
    for (phase, code, message) in [
        ("detector", 21, closed),
        ("builder", 51, closed),
        (
            "exporter",
            62,
            "failed to export: could not read 'DIR/app': Permission denied",
        ),
    ] {
        let (fixture, found, said) = run_with_mode(phase, "app", 0);
        let message = filled(message, &fixture);
        assert_eq!(found, Some(code), "{phase}: {said}");
        assert!(said.contains(&message), "{phase}: {message} in {said}");
    }
}

fn filled(message: &str, fixture: &Fixture) -> String {
    message.replace(
        "DIR",
        fixture.path("").to_str().unwrap().trim_end_matches('/'),
    )
}

#[test]
fn bad_input_no_order() {
    let fixture = fixture();
    fs::remove_file(fixture.path("layers/order.toml")).unwrap();
    let order = fixture.path("none/order.toml");
    let ended = fixture.run("detector", &["-order", order.to_str().unwrap()]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let message = format!(
        "could not read '{}': No such file or directory",
        order.display()
    );
    assert!(ended.stdout.contains(&message), "{ended:?}");
}

/// One that only its configuration tells of is used, as the reference implementation does; of an index nothing would fit
/// (`registry_images_of_other_kinds`).
#[test]
fn bad_input_run_image_of_another_architecture() {
    let fixture = fixture();
    let folder = fixture.layouts().join("index.docker.io/test/run/latest");
    let run_image = images::read(&fixture.layouts(), "run/latest");
    let other = run_image.with_config(|config| config.architecture = "s390x".to_owned());
    fs::remove_file(folder.join("index.json")).unwrap();
    let name = "test/run".parse().unwrap();
    oci_image::write_layout(&folder, &other, Some(&name)).unwrap();
    let ended = fixture.phase("analyzer", &[], &[]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let warning = "Warning: the run image 'test/run' is for linux/s390x, this lifecycle and its launcher for linux/amd64; \
                   name a run image for that, or the app will not start\n";
    assert!(ended.stdout.contains(warning), "{ended:?}");
}

/// A previous image that buildpacks did not make is there, and holds nothing to go on from.
#[test]
fn bad_input_previous_image_of_unknown_kind() {
    let fixture = fixture();
    let ended = fixture.phase("analyzer", &["-previous-image=test/run"], &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), ""));
    let analyzed = fixture.read("layers/analyzed.toml");
    assert!(
        analyzed.starts_with("[image]\nreference = \""),
        "{analyzed}"
    );
    assert!(!analyzed.contains("metadata.buildpacks"), "{analyzed}");
}
