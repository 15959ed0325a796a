//! A company's own package index (PEP 503) on loopback, with packages made up on the spot.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use crate::server::{Answer, Server};
use crate::skip;

type Files = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// A wheel is a zip archive with the module and three files of metadata.
const MAKE_WHEEL: &str = r#"
import sys, zipfile
file, name, version = sys.argv[1:]
info = f"{name}-{version}.dist-info/"
with zipfile.ZipFile(file, "w") as wheel:
    wheel.writestr(f"{name}.py", f"VERSION = '{version}'\n")
    wheel.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    members = [f"{name}.py", *(info + member for member in ("METADATA", "WHEEL", "RECORD"))]
    wheel.writestr(info + "RECORD", "".join(member + ",,\n" for member in members))
"#;

/// The index and what is published on it so far.
#[derive(Debug)]
pub struct Index {
    /// The server behind it.
    pub server: Server,
    files: Files,
}

impl Index {
    /// An empty index over plain HTTP.
    pub fn start() -> Self {
        let files = Files::default();
        let server = Server::start(answers(Arc::clone(&files)));
        Self { server, files }
    }

    /// An empty index with a certificate that nobody trusts.
    pub fn start_tls() -> Self {
        let files = Files::default();
        let server = Server::start_tls(answers(Arc::clone(&files)));
        Self { server, files }
    }

    /// What to set as `PIP_EXTRA_INDEX_URL`.
    pub fn url(&self) -> String {
        format!("{}/simple/", self.server.url())
    }

    /// Publishes a version of a pure module whose `VERSION` says which it is; `None` where there is no python3 to pack it.
    pub fn publish(&self, name: &str, version: &str) -> Option<()> {
        let python = skip::tool("python3")?;
        let folder = TempDir::with_prefix("longshore-wheel-").expect("a temporary folder");
        let file = format!("{name}-{version}-py3-none-any.whl");
        let wheel = make_wheel(&python, &folder.path().join(&file), name, version);
        let mut files = self.files.lock().expect("no handler panics");
        files.insert(format!("/files/{name}/{file}"), wheel);
        let listed = files
            .keys()
            .filter(|path| path.starts_with(&format!("/files/{name}/")));
        let links = listed.map(|path| {
            format!(
                "<a href=\"{path}\">{}</a>\n",
                path.rsplit('/').next().unwrap_or_default()
            )
        });
        let page = format!("<!doctype html>\n{}", links.collect::<String>());
        files.insert(format!("/simple/{name}/"), page.into_bytes());
        Some(())
    }
}

fn make_wheel(python: &Path, file: &Path, name: &str, version: &str) -> Vec<u8> {
    let said = Command::new(python)
        .args(["-I", "-c", MAKE_WHEEL])
        .arg(file)
        .args([name, version])
        .output();
    let said = said.expect("python3 starts");
    assert!(
        said.status.success(),
        "{}",
        String::from_utf8_lossy(&said.stderr)
    );
    std::fs::read(file).expect("the wheel is written")
}

fn answers(files: Files) -> impl Fn(&str) -> Answer + Send + Sync + 'static {
    move |path| {
        let files = files.lock().expect("no handler panics");
        let Some(content) = files.get(path) else {
            return Answer::status(404);
        };
        let mut answer = Answer::ok(content.clone());
        if path.starts_with("/simple/") {
            // Without it, installers take the page for something else.
            answer
                .headers
                .push(("content-type".to_owned(), "text/html".to_owned()));
        }
        answer
    }
}
