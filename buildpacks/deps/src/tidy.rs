//! Removes from an environment what differs from one installation to the next, so that the same distributions give the same bytes.
//!
//! - `uv_cache.json` holds the times of a local package's files, `uv_build.json` what uv was told; only uv's next run would read them.
//! - `direct_url.json` may hold the password of a private repository.
//! - `.lock` is uv's.
//!
//! `RECORD` follows each change. Files may be hard links to the wheel cache, so a changed one is written anew, never in place.

use buildpack_kit::redact::redact;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::io;
use std::path::Path;

const REMOVED: [&str; 2] = ["uv_cache.json", "uv_build.json"];

/// Tidies the environment below `root`, whose packages are in `site_packages`.
pub(crate) fn tidy(root: &Path, site_packages: &Path) -> io::Result<()> {
    remove_if_there(&root.join(".lock"))?;
    for entry in fs::read_dir(site_packages)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "dist-info")
        {
            tidy_distribution(&path)?;
        }
    }
    Ok(())
}

fn tidy_distribution(dist_info: &Path) -> io::Result<()> {
    let folder = dist_info.file_name().unwrap_or_default().to_string_lossy();
    let mut changes: Vec<(String, Option<String>)> = Vec::new();
    for name in REMOVED {
        if remove_if_there(&dist_info.join(name))? {
            changes.push((format!("{folder}/{name}"), None));
        }
    }
    let direct_url = dist_info.join("direct_url.json");
    if let Ok(text) = fs::read_to_string(&direct_url) {
        let public = redact(&text);
        if public != text {
            replace(&direct_url, &public)?;
            let name = format!("{folder}/direct_url.json");
            changes.push((name.clone(), Some(record_line(&name, &public))));
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let record = dist_info.join("RECORD");
    let text = fs::read_to_string(&record)?;
    replace(&record, &changed_record(&text, &changes))
}

/// `RECORD` with lines replaced or removed. Its lines are `path,sha256=<digest>,<size>`.
fn changed_record(record: &str, changes: &[(String, Option<String>)]) -> String {
    let mut lines = String::new();
    for line in record.lines() {
        let path = line.split(',').next().unwrap_or_default();
        match changes.iter().find(|(name, _)| name == path) {
            Some((_, None)) => continue,
            Some((_, Some(replacement))) => lines.push_str(replacement),
            None => lines.push_str(line),
        }
        lines.push('\n');
    }
    lines
}

/// The digest is base64 with the URL alphabet and no padding (PEP 427).
fn record_line(path: &str, content: &str) -> String {
    format!(
        "{path},sha256={},{}",
        base64_url(&Sha256::digest(content)),
        content.len()
    )
}

fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0_u32, |group, byte| group << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for position in 0..=chunk.len() {
            text.push(char::from(
                ALPHABET[(group >> (18 - 6 * position) & 63) as usize],
            ));
        }
    }
    text
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    fs::remove_file(path)?;
    fs::write(path, text)
}

fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_url_known_values() {
        let cases = [
            ("", ""),
            ("f", "Zg"),
            ("fo", "Zm8"),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(base64_url(bytes.as_bytes()), expected);
        }
        assert_eq!(base64_url(&[0xFB, 0xFF]), "-_8");
    }

    #[test]
    fn tidy_removes_times_and_passwords_and_keeps_hard_links_whole() {
        let root = tempfile::tempdir().unwrap();
        let site = root.path().join("lib/site-packages");
        let info = site.join("t-1.dist-info");
        fs::create_dir_all(&info).unwrap();
        fs::write(root.path().join(".lock"), "").unwrap();
        fs::write(info.join("uv_cache.json"), "{}").unwrap();
        fs::write(info.join("direct_url.json"), r#"{"url":"https://u:p@h/r"}"#).unwrap();
        let record = "t.py,sha256=x,1\nt-1.dist-info/uv_cache.json,sha256=y,2\nt-1.dist-info/direct_url.json,sha256=z,25\nt-1.dist-info/RECORD,,\n";
        fs::write(info.join("RECORD"), record).unwrap();
        fs::hard_link(info.join("RECORD"), root.path().join("cached")).unwrap();
        tidy(root.path(), &site).unwrap();
        assert_eq!(
            fs::read_to_string(info.join("RECORD")).unwrap(),
            "t.py,sha256=x,1\nt-1.dist-info/direct_url.json,sha256=s6N7PTcoeFKjGY4ubiTzayvHrxXPgAwK4qMMNBDHDOs,26\nt-1.dist-info/RECORD,,\n"
        );
        assert_eq!(
            fs::read_to_string(info.join("direct_url.json")).unwrap(),
            r#"{"url":"https://****@h/r"}"#
        );
        assert_eq!(
            fs::read_to_string(root.path().join("cached")).unwrap(),
            record
        );
        assert!(!root.path().join(".lock").try_exists().unwrap());
        assert!(!info.join("uv_cache.json").try_exists().unwrap());
    }
}
