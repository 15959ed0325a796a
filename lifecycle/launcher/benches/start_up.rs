//! What the launcher adds before an app's first instruction: `/bin/true` started plainly and through the launcher, alternately.
//!
//! `cargo bench -p launcher`. `PEER_LAUNCHER=/path/to/launcher` adds another launcher to the same run. The layers are those of a usual image:
//! five buildpacks, four layers, eight env files.
#![expect(
    clippy::print_stdout,
    reason = "this program's purpose is to print a table"
)]

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 2000;
const TARGET: &str = "x86_64-unknown-linux-musl";

fn main() {
    let launcher = build_launcher();
    let size = fs::metadata(&launcher).expect("the launcher").len();
    let image = tempfile::tempdir().expect("a scratch folder");
    make_image(image.path());

    let mut subjects = vec![
        ("plain exec".to_owned(), plain()),
        ("launcher".to_owned(), launched(&launcher, image.path())),
    ];
    if let Some(peer) = std::env::var_os("PEER_LAUNCHER") {
        let name = format!("peer {}", Path::new(&peer).display());
        subjects.push((name, launched(Path::new(&peer), image.path())));
    }
    let times = measure(&mut subjects);
    let plain = times[0];
    println!("launcher: {size} bytes; {ROUNDS} starts each, alternately, median");
    for ((name, _), time) in subjects.iter().zip(&times) {
        let added = time.saturating_sub(plain).as_secs_f64() * 1000.0;
        let ratio = time.as_secs_f64() / plain.as_secs_f64();
        let total = time.as_secs_f64() * 1000.0;
        println!("{ratio:5.2}x  {total:6.3} ms  +{added:.3} ms  {name}");
    }
}

fn build_launcher() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("launcher-bench");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--profile", "launcher"])
        .args(["-p", "launcher", "--target", TARGET, "--target-dir"])
        .arg(&folder)
        .status()
        .expect("cargo");
    assert!(status.success(), "the launcher does not build");
    folder.join(TARGET).join("launcher/launcher")
}

/// The layers of an app made by five buildpacks.
fn make_image(root: &Path) {
    let write = |path: &str, text: &str| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder");
        fs::write(path, text).expect("the file");
    };
    let mut metadata = "[[processes]]\ntype = \"web\"\ncommand = [\"true\"]\ndirect = true\nbuildpack-id = \"longshore/procfile\"\n".to_owned();
    for buildpack in ["apt", "python", "deps", "procfile", "hooks"] {
        metadata.extend([format!(
            "[[buildpacks]]\nid = \"longshore/{buildpack}\"\nversion = \"0.1.0\"\napi = \"0.10\"\n"
        )]);
        write(&format!("layers/longshore_{buildpack}/layer.toml"), "");
    }
    write("layers/config/metadata.toml", &metadata);
    for layer in ["apt/packages", "python/python", "deps/venv", "deps/heavy"] {
        write(&format!("layers/longshore_{layer}/bin/tool"), "");
        write(
            &format!("layers/longshore_{layer}/env.launch/PYTHONPATH.prepend"),
            "/x",
        );
        write(
            &format!("layers/longshore_{layer}/env.launch/PYTHONPATH.delim"),
            ":",
        );
    }
    fs::create_dir_all(root.join("workspace")).expect("the app's folder");
}

fn plain() -> Command {
    let mut command = Command::new("/bin/true");
    quiet(&mut command);
    command
}

fn launched(launcher: &Path, image: &Path) -> Command {
    let mut command = Command::new(launcher);
    quiet(&mut command);
    command.arg0("/cnb/process/web");
    command.env("CNB_LAYERS_DIR", image.join("layers"));
    command.env("CNB_APP_DIR", image.join("workspace"));
    command.env("CNB_PLATFORM_API", "0.12");
    command
}

fn quiet(command: &mut Command) {
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
}

/// The median time of each, taken in turns so that the machine's moods fall on all alike.
fn measure(subjects: &mut [(String, Command)]) -> Vec<Duration> {
    let mut times = vec![Vec::with_capacity(ROUNDS); subjects.len()];
    for _ in 0..ROUNDS {
        for ((name, command), times) in subjects.iter_mut().zip(&mut times) {
            let start = Instant::now();
            let status = command.status().expect("it runs");
            times.push(start.elapsed());
            assert!(status.success(), "{name}: {status}");
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2]
        })
        .collect()
}
