//! Which files a command and its children opened, by strace.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The wrapper words that make strace write opened files to a file. `-y` resolves what is relative to an open folder;
/// paths are those that the opening process sees.
pub fn wrapper(log: &Path) -> Vec<String> {
    let options = [
        "strace",
        "-f",
        "-y",
        "-qq",
        "--seccomp-bpf",
        "-e",
        "trace=open,openat,openat2,execve",
        "-o",
    ];
    let mut words: Vec<String> = options.map(str::to_owned).into();
    words.push(log.display().to_string());
    words
}

/// Every path whose opening for reading (or execution) succeeded, folders left out.
pub fn opened_files(log: &Path) -> BTreeSet<PathBuf> {
    let text = std::fs::read(log).expect("strace wrote its log");
    String::from_utf8_lossy(&text)
        .lines()
        .filter_map(opened_file)
        .collect()
}

/// `123 openat(AT_FDCWD</cwd>, "x", O_RDONLY|O_CLOEXEC) = 3</cwd/x>` says `/cwd/x`.
fn opened_file(line: &str) -> Option<PathBuf> {
    if line.contains("execve(") {
        let program = line.split_once("execve(\"")?.1.split_once('"')?.0;
        return line.ends_with(" = 0").then(|| PathBuf::from(program));
    }
    if ["O_DIRECTORY", "O_PATH", "O_CREAT", "O_WRONLY"]
        .iter()
        .any(|flag| line.contains(flag))
    {
        return None;
    }
    let result = line.rsplit_once(" = ")?.1;
    let path = result.split_once('<')?.1.strip_suffix('>')?;
    path.starts_with('/').then(|| PathBuf::from(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opened_file_by_kind_of_line() {
        let table = [
            (
                r#"12 openat(AT_FDCWD</srv>, "app.py", O_RDONLY|O_CLOEXEC) = 3</srv/app.py>"#,
                Some("/srv/app.py"),
            ),
            (
                r#"12 openat(AT_FDCWD</srv>, "none", O_RDONLY) = -1 ENOENT (No such file or directory)"#,
                None,
            ),
            (
                r#"12 openat(4</a>, "b", O_RDONLY|O_DIRECTORY) = 5</a/b>"#,
                None,
            ),
            (
                r#"12 execve("/usr/bin/tar", ["tar"], 0x7ff /* 3 vars */) = 0"#,
                Some("/usr/bin/tar"),
            ),
            (
                r"12 <... openat resumed>) = 3</srv/late.py>",
                Some("/srv/late.py"),
            ),
        ];
        for (line, expected) in table {
            assert_eq!(opened_file(line), expected.map(PathBuf::from), "{line}");
        }
    }
}
