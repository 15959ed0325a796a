//! A Python as python-build-standalone packs it, made of Debian 11's packages: no other mirror is needed to test that path.
//!
//! Its archives hold one folder, `python/`, which runs wherever it is unpacked. Debian's interpreter finds its library
//! beside itself too; the shared libraries that it needs get in as well, found by RUNPATH.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::server::{Answer, Server};
use crate::{mirror, skip};

/// Debian 11's. Neither Debian 12 nor 13 has it, so that Longshore has to ask python-build-standalone.
pub const VERSION: &str = "3.9.2";

const RELEASE: &str = "20210303";

/// What uv's list says in front of every release; `UV_PYTHON_INSTALL_MIRROR` stands for it.
const PUBLISHER: &str = "https://github.com/astral-sh/python-build-standalone/releases/download";

const PACKAGES: &[&str] = &[
    "libpython3.9-minimal",
    "libpython3.9-stdlib",
    "python3.9-minimal",
    "python3-distutils",
    "libbz2-1.0",
    "libcrypt1",
    "libdb5.3",
    "libexpat1",
    "libffi7",
    "liblzma5",
    "libmpdec3",
    "libncursesw6",
    "libreadline8",
    "libsqlite3-0",
    "libssl1.1",
    "libtinfo6",
    "libuuid1",
    "zlib1g",
];

/// Imports every module of the standard library; what needs a display or is a joke or a test is left out.
const IMPORT_ALL: &str = r#"
import importlib, os, pkgutil, sys
library = os.path.join(sys.prefix, "lib", "python3.9")
left_out = ("_test", "_ctypes_test", "_tkinter", "_xxtest", "antigravity", "idlelib", "test", "this", "tkinter", "turtle")
names = [module.name for module in pkgutil.iter_modules([library, os.path.join(library, "lib-dynload")])]
names = [name for name in names if not name.startswith(left_out)]
for name in names:
    importlib.import_module(name)
print(len(names), "modules")
"#;

/// A server with uv's downloads list and the one archive in it.
#[derive(Debug)]
pub struct Releases {
    server: Server,
}

impl Releases {
    /// Makes the archive and serves it; `None` where the machine lacks a tool or its mirror has no Debian 11.
    pub fn serve() -> Option<Self> {
        let archive = archive()?;
        let file = format!(
            "cpython-{VERSION}+{RELEASE}-x86_64-unknown-linux-gnu-install_only_stripped.tar.gz"
        );
        let list = list(&file, &archive).to_string();
        let path = format!("/{RELEASE}/{file}");
        let server = Server::start(move |asked| match asked.replace("%2B", "+") {
            asked if asked == "/downloads.json" => Answer::ok(list.clone().into_bytes()),
            asked if asked == path => Answer::ok(archive.clone()),
            _ => Answer::status(404),
        });
        Some(Self { server })
    }

    /// What to set as `UV_PYTHON_INSTALL_MIRROR`.
    pub fn mirror(&self) -> String {
        self.server.url()
    }

    /// What to set as `UV_PYTHON_DOWNLOADS_JSON_URL`.
    pub fn list(&self) -> String {
        format!("{}/downloads.json", self.server.url())
    }

    /// Whether the archive was fetched.
    pub fn was_asked(&self) -> bool {
        self.server
            .asked()
            .iter()
            .any(|path| path.ends_with(".tar.gz"))
    }
}

/// The list in the form of uv's own `download-metadata.json`.
fn list(file: &str, archive: &[u8]) -> Value {
    let mut parts = VERSION
        .split('.')
        .map(|part| part.parse::<u8>().expect("a number"));
    let mut part = || parts.next().expect("three parts");
    json!({ format!("cpython-{VERSION}-linux-x86_64-gnu"): {
        "name": "cpython",
        "arch": {"family": "x86_64", "variant": null},
        "os": "linux",
        "libc": "gnu",
        "major": part(),
        "minor": part(),
        "patch": part(),
        "prerelease": "",
        "url": format!("{PUBLISHER}/{RELEASE}/{}", file.replace('+', "%2B")),
        "sha256": hex::encode(Sha256::digest(archive)),
        "variant": null,
        "build": RELEASE,
    }})
}

fn archive() -> Option<Vec<u8>> {
    for tool in ["dpkg-deb", "patchelf", "xz"] {
        skip::tool(tool)?;
    }
    let files = files_of_packages()?;
    let folder = TempDir::with_prefix("longshore-standalone-").expect("a temporary folder");
    let (unpacked, python) = (folder.path().join("unpacked"), folder.path().join("python"));
    for package in PACKAGES {
        let deb = folder.path().join(package);
        let content = mirror::get(&format!("/debian/{}", files[*package]))?;
        std::fs::write(&deb, content).expect("a temporary file");
        run(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&unpacked));
    }
    lay_out(&unpacked, &python);
    let said = run(Command::new(python.join("bin/python3.9")).args(["-I", "-c", IMPORT_ALL]));
    assert!(
        said.ends_with("modules\n"),
        "the standard library cannot be imported: {said}"
    );
    let archive = folder.path().join("archive.tar.gz");
    run(Command::new("tar")
        .arg("-C")
        .arg(folder.path())
        .arg("-czf")
        .arg(&archive)
        .arg("python"));
    Some(std::fs::read(archive).expect("tar wrote it"))
}

/// Debian's folders, arranged as python-build-standalone does.
fn lay_out(unpacked: &Path, python: &Path) {
    let script = r#"
        set -eu
        mkdir -p "$1/bin" "$1/lib"
        cp -a "$0"/usr/lib/python3.9 "$1/lib/"
        cp -L "$0"/usr/bin/python3.9 "$1/bin/"
        ln -s python3.9 "$1/bin/python3"
        ln -s python3.9 "$1/bin/python"
        cp -a "$0"/usr/lib/x86_64-linux-gnu/*.so* "$0"/lib/x86_64-linux-gnu/*.so* "$1/lib/"
        # Debian's own addition leads out of the folder; the other two want libraries that nobody needs.
        rm -f "$1"/lib/python3.9/sitecustomize.py "$1"/lib/python3.9/lib-dynload/nis.* "$1"/lib/python3.9/lib-dynload/ossaudiodev.*
        patchelf --set-rpath '$ORIGIN/../lib' "$1/bin/python3.9"
        for module in "$1"/lib/python3.9/lib-dynload/*.so; do patchelf --set-rpath '$ORIGIN/../..' "$module"; done
        find "$1/lib" -maxdepth 1 -type f -name '*.so*' -exec patchelf --set-rpath '$ORIGIN' {} \;
    "#;
    run(Command::new("sh")
        .args(["-c", script])
        .args([unpacked, python]));
}

/// Where Debian 11's index says that our packages are.
fn files_of_packages() -> Option<BTreeMap<String, String>> {
    let compressed = mirror::get("/debian/dists/bullseye/main/binary-amd64/Packages.xz")?;
    let mut xz = Command::new("xz")
        .arg("-dc")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("xz starts");
    let mut stdin = xz.stdin.take().expect("it is piped");
    let writer = std::thread::spawn(move || stdin.write_all(&compressed));
    let index = xz.wait_with_output().expect("xz ends").stdout;
    writer
        .join()
        .expect("the writer does not panic")
        .expect("xz reads everything");

    let index = String::from_utf8_lossy(&index).into_owned();
    let field = |stanza: &str, name: &str| {
        let line = stanza.lines().find_map(|line| {
            line.strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(": "))
        });
        line.map(str::to_owned)
    };
    let stanzas = index.split("\n\n");
    let found =
        stanzas.filter_map(|stanza| Some((field(stanza, "Package")?, field(stanza, "Filename")?)));
    let files: BTreeMap<String, String> = found
        .filter(|(name, _)| PACKAGES.contains(&name.as_str()))
        .collect();
    assert_eq!(files.len(), PACKAGES.len(), "Debian 11 has only {files:?}");
    Some(files)
}

fn run(command: &mut Command) -> String {
    let said = command.output().expect("the tool starts");
    assert!(
        said.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&said.stderr)
    );
    String::from_utf8_lossy(&said.stdout).into_owned()
}
