//! Scripts with Windows line endings: bash and the kernel take the carriage return for a part of the last word.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// A script's interpreter line and the beginning of a longer one are all that is looked at.
const LOOKED_AT: u64 = 1 << 20;

/// Programs whose argument is a shell script.
const SHELLS: [&str; 6] = ["bash", "sh", "source", ".", "/bin/bash", "/bin/sh"];

/// The first script that the command runs and that cannot work because of its line endings, below the app's folder.
pub(crate) fn windows_script(command: &str, app_dir: &Path) -> Option<PathBuf> {
    let words: Vec<&str> = command
        .split(|c: char| c.is_whitespace() || ";&|()<>".contains(c))
        .map(|word| word.trim_matches(['"', '\'']))
        .filter(|word| !word.is_empty())
        .collect();
    words.iter().enumerate().find_map(|(index, word)| {
        let script = below_app(word, app_dir)?;
        let start = beginning(&app_dir.join(&script))?;
        let by_shell = index
            .checked_sub(1)
            .is_some_and(|before| SHELLS.contains(&words[before]));
        is_broken(
            &start,
            by_shell || script.extension().is_some_and(|ending| ending == "sh"),
        )
        .then_some(script)
    })
}

/// `/app/x`, `./x` and `x` are the same file.
fn below_app(word: &str, app_dir: &Path) -> Option<PathBuf> {
    let path = Path::new(word);
    let relative = path
        .strip_prefix("/app")
        .or_else(|_| path.strip_prefix(app_dir))
        .unwrap_or(path);
    let relative = relative.strip_prefix("./").unwrap_or(relative);
    (relative.is_relative() && !relative.as_os_str().is_empty()).then(|| relative.to_owned())
}

fn beginning(path: &Path) -> Option<Vec<u8>> {
    let file = File::open(path)
        .ok()
        .filter(|file| file.metadata().is_ok_and(|metadata| metadata.is_file()))?;
    let mut start = Vec::new();
    file.take(LOOKED_AT).read_to_end(&mut start).ok()?;
    Some(start)
}

/// A shell trips over any line; other interpreters only over their own name in the first.
fn is_broken(start: &[u8], is_shell_script: bool) -> bool {
    let first_line = start
        .split(|&byte| byte == b'\n')
        .next()
        .unwrap_or_default();
    let bad_interpreter = first_line.starts_with(b"#!") && first_line.ends_with(b"\r");
    bad_interpreter || (is_shell_script && start.windows(2).any(|pair| pair == b"\r\n"))
}

#[cfg(test)]
mod tests {
    use super::windows_script;
    use std::fs;

    #[test]
    fn windows_script_table() {
        let app = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("crlf.sh", "echo a\r\necho b\r\n"),
            ("lf.sh", "#!/bin/sh\necho a\n"),
            ("crlf.py", "print(1)\r\n"),
            ("tool", "#!/usr/bin/env python\r\nprint(1)\r\n"),
            ("plain", "echo a\r\n"),
        ] {
            fs::write(app.path().join(name), text).unwrap();
        }
        for (command, expected) in [
            ("bash crlf.sh", Some("crlf.sh")),
            ("cd /app && ./crlf.sh", Some("crlf.sh")),
            ("cd /app;bash /app/crlf.sh --flag", Some("crlf.sh")),
            ("bash \"crlf.sh\"", Some("crlf.sh")),
            ("bash lf.sh", None),
            ("python crlf.py", None), // Python does not mind.
            ("./tool", Some("tool")), // The kernel looks for an interpreter called "python\r".
            ("source plain", Some("plain")),
            ("cat plain", None),
            ("python -c 'print(1)'", None),
            ("bash missing.sh", None),
        ] {
            let found = windows_script(command, app.path());
            assert_eq!(
                found.as_deref(),
                expected.map(std::path::Path::new),
                "{command}"
            );
        }
    }
}
