//! What every tracked file must say or must not: Rust files begin with what they own; no package index is named.

use std::path::Path;

use crate::steps::{ChoreError, command, output, root};

/// Hosts of public package indexes, in two pieces so that this file does not name them either. A mirror comes from the
/// machine's configuration or a flag; one that is compiled in would be asked by people who are not allowed to.
const INDEX_HOSTS: &[[&str; 2]] = &[
    ["py", "pi.org"],
    ["python", "hosted.org"],
    ["deb.debian", ".org"],
    ["ftp.debian", ".org"],
    ["security.debian", ".org"],
    ["snapshot.debian", ".org"],
    ["registry.npm", "js.org"],
    ["static.crates", ".io"],
    ["index.crates", ".io"],
    ["repo1.maven", ".org"],
    ["proxy.golang", ".org"],
];

/// Every file that breaks a rule.
pub(super) fn broken() -> Result<Vec<String>, ChoreError> {
    // Files that are new and not ignored count too, so that tidy says it before the commit.
    let listed = output(command("git").args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let mut broken = Vec::new();
    for name in listed
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name = String::from_utf8_lossy(name);
        // A file that is deleted but still in the index has no text; links lead to files of their own.
        let path = root().join(&*name);
        if path.is_symlink() || !path.is_file() {
            continue;
        }
        let content = std::fs::read(&path).map_err(ChoreError::file(&path))?;
        broken.extend(broken_in(&name, &content));
    }
    Ok(broken)
}

fn broken_in(name: &str, content: &[u8]) -> Vec<String> {
    let mut broken = Vec::new();
    let Ok(text) = std::str::from_utf8(content) else {
        return broken;
    };
    let is_rust = Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "rs");
    if is_rust && !text.starts_with("//! ") {
        broken.push(format!(
            "{name}: the first line has to be `//!` and say what the file owns"
        ));
    }
    for host in INDEX_HOSTS.iter().map(|pieces| pieces.concat()) {
        if let Some(line) = text.lines().position(|line| line.contains(&host)) {
            broken.push(format!(
                "{name}:{}: names the package index {host}",
                line + 1
            ));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_in_head_and_host() {
        let host = INDEX_HOSTS[0].concat();
        let content = format!("fn main() {{}}\n// see {host}\n");
        let expected = [
            "a/b.rs: the first line has to be `//!` and say what the file owns".to_owned(),
            format!("a/b.rs:2: names the package index {host}"),
        ];
        assert_eq!(broken_in("a/b.rs", content.as_bytes()), expected);
        assert!(broken_in("a.rs", b"//! Owns nothing.\n").is_empty());
        assert!(broken_in("a.bin", b"\xff\xfe").is_empty());
    }
}
