//! The whole way on real packages: this machine's own mirror, its own dpkg status, a program that is not installed here.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

use buildpack_kit::{Explain as _, Output, Variables, digest};
use debian::cache::DownloadCache;
use libcnb::Env;
use libcnb::layer_env::Scope;

use crate::archive::Archive;
use crate::errors::AptError;
use crate::install;
use crate::list::PackageList;
use crate::report;
use crate::settings::Settings;
use buildpack_kit::stack::Stack;

/// A layer made from a list, and what the log said.
struct Made {
    layer: tempfile::TempDir,
    env: libcnb::layer_env::LayerEnv,
    log: String,
}

/// `None` where this machine has no Debian mirror that answers.
fn make(packages: &str) -> Option<Result<Made, AptError>> {
    let skipped = |reason: String| {
        test_skip::because(&reason);
        None
    };
    let stack = match Stack::read(Path::new("/")) {
        Ok(stack) => small(stack),
        Err(error) => return skipped(error.to_string()),
    };
    // The test is about packages, not about how long ago the mirror was renewed.
    let lifecycle: Variables = std::env::vars()
        .chain([("LONGSHORE_FROZEN_MIRROR".to_owned(), "1".to_owned())])
        .collect();
    let settings = Settings::new(&lifecycle, &Variables::default()).unwrap();
    match make_with(packages, &stack, &settings) {
        Err(AptError::Mirror(error)) => skipped(error.to_string()),
        Err(AptError::Fetch(error)) if error.is_unreachable() => skipped(error.to_string()),
        made => Some(made),
    }
}

/// The stack as if little more than the C library were installed, so that something is left to install on any machine.
fn small(mut stack: Stack) -> Stack {
    let is_kept = |paragraph: &&str| {
        KEPT.iter()
            .any(|name| paragraph.starts_with(&format!("Package: {name}\n")))
    };
    stack.status = stack
        .status
        .split("\n\n")
        .filter(is_kept)
        .collect::<Vec<_>>()
        .join("\n\n");
    stack
}

const KEPT: [&str; 8] = [
    "libc6",
    "libgcc-s1",
    "gcc-12-base",
    "gcc-14-base",
    "libcrypt1",
    "zlib1g",
    "libstdc++6",
    "debconf",
];

/// Indexes and packages, downloaded once for all tests.
fn downloads() -> &'static Path {
    static DOWNLOADS: OnceLock<tempfile::TempDir> = OnceLock::new();
    DOWNLOADS
        .get_or_init(|| tempfile::tempdir().unwrap())
        .path()
}

fn make_with(packages: &str, stack: &Stack, settings: &Settings) -> Result<Made, AptError> {
    let app = tempfile::tempdir().unwrap();
    std::fs::write(app.path().join("apt-packages"), packages).unwrap();
    let list = PackageList::read(app.path())?;
    let cache = DownloadCache::new(downloads());
    let (client, _) = settings.network.client()?;
    let mut output = Output::captured();
    let archive = Archive {
        stack,
        settings,
        client: &client,
        cache: &cache,
        now: SystemTime::now(),
    };
    let needed = archive.resolve(&list, &mut output)?;
    report::remarks(&needed.resolution, &list, &mut output);
    let debs = archive.download(&needed, &mut output)?;
    let layer = tempfile::tempdir().unwrap();
    let installed = install::install(&debs, layer.path())?;
    report::table(&report::in_layer(&needed.resolution, &list), &mut output);
    report::left_undone(&installed.left_undone, &mut output);
    Ok(Made {
        layer,
        env: installed.env,
        log: output.text().to_owned(),
    })
}

impl Made {
    /// A program with the layer's variables over a bare PATH.
    fn command(&self, program: &str, scope: Scope) -> Command {
        let mut env = Env::new();
        env.insert("PATH", "/usr/bin:/bin");
        let env = self.env.apply(scope, &env);
        let mut command = Command::new("sh");
        let variables: BTreeMap<_, _> = env.iter().collect();
        command.env_clear().envs(variables).args(["-c", program]);
        command
    }

    fn digest(&self) -> String {
        digest::of_folder(self.layer.path(), |_| false).unwrap()
    }
}

fn stdout(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_program_runs_from_its_layer() {
    let Some(made) = make("qrencode # draws\n") else {
        return;
    };
    let made = made.unwrap();
    println!("{}", made.log);
    assert!(made.log.contains("qrencode"), "{}", made.log);
    assert!(
        made.log.contains("asked for in line 1 of 'apt-packages'"),
        "{}",
        made.log
    );
    assert!(made.log.contains("needed by qrencode"), "{}", made.log);
    let drawn = stdout(made.command(
        "command -v qrencode; qrencode -t ASCII -o - dash",
        Scope::Launch,
    ));
    let (path, code) = drawn.split_once('\n').unwrap();
    assert_eq!(
        path,
        format!("{}/usr/bin/qrencode", made.layer.path().display())
    );
    assert!(code.contains("##############"), "{code}");
    assert!(
        !made
            .layer
            .path()
            .join("usr/share/man")
            .try_exists()
            .unwrap()
    );
}

#[test]
fn the_same_packages_give_the_same_bytes() {
    let (Some(first), Some(second)) = (make("qrencode\n"), make("qrencode\nqrencode")) else {
        return;
    };
    assert_eq!(
        first.unwrap().digest().len(),
        second.unwrap().digest().len()
    );
}

#[test]
fn headers_and_pkg_config_files_lead_to_the_layer() {
    let Some(made) = make("libqrencode-dev\n") else {
        return;
    };
    let made = made.unwrap();
    if Command::new("pkg-config")
        .arg("--version")
        .output()
        .is_err()
        || Command::new("cc").arg("--version").output().is_err()
    {
        test_skip::because("no pkg-config or no C compiler on this machine");
        return;
    }
    let flags = stdout(made.command("pkg-config --cflags --libs libqrencode", Scope::Build));
    assert!(
        flags.contains(&format!("{}/usr", made.layer.path().display()))
            || flags.contains("-lqrencode"),
        "{flags}"
    );
    let build = "printf '#include <qrencode.h>\\n#include <stdio.h>\\nint main(void){puts(QRcode_APIVersionString());return 0;}' | \
                 cc -x c - -lqrencode -o \"$OUT\" && \"$OUT\"";
    let out = tempfile::tempdir().unwrap();
    let mut command = made.command(build, Scope::Build);
    command.env("OUT", out.path().join("program"));
    assert!(
        stdout(command).starts_with("4."),
        "the version of libqrencode"
    );
}

#[test]
fn alternatives_are_links() {
    let Some(made) = make("liblapack3\n") else {
        return;
    };
    let made = made.unwrap();
    let lib = made.layer.path().join("usr/lib/x86_64-linux-gnu");
    for (link, target) in [
        ("libblas.so.3", "blas/libblas.so.3"),
        ("liblapack.so.3", "lapack/liblapack.so.3"),
    ] {
        // This machine may have one of them already.
        if lib.join(target).try_exists().unwrap() {
            assert_eq!(
                std::fs::read_link(lib.join(link)).unwrap(),
                Path::new(target)
            );
        }
    }
    assert!(
        !made.log.contains("liblapack3: "),
        "its postinst did nothing but alternatives:\n{}",
        made.log
    );
}

#[test]
fn a_package_that_does_not_exist_is_named_with_its_line() {
    let Some(made) = make("\nlibqrencode44\n") else {
        return;
    };
    let text = made.err().expect("an error").explain().as_error();
    assert!(text.starts_with("[Error: No such package]\nLine 2 of 'apt-packages': there is no package 'libqrencode44'; did you mean"), "{text}");
    assert!(text.contains("libqrencode4"), "{text}");
}
