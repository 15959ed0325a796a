//! Requirements that are files or folders of the app: `./pkg`, `packages/x-1.0.tar.gz`, a bare `x.whl`, `name @ file:///…`, `-e .`.
//!
//! pip takes a requirement for a path where it begins with a dot, holds a slash, or ends like an archive and is a file. Paths are
//! relative to the current folder, which is the app's, not to the requirements file.
//! Behind the path may stand extras (`./pkg[all]`) and a marker (`; python_version > "3.8"`).

use std::path::{Path, PathBuf};

/// What pip accepts as an archive, longest first.
const ARCHIVES: [&str; 9] = [
    ".tar.bz2",
    ".tar.gz",
    ".tar.xz",
    ".tar.lzma",
    ".whl",
    ".zip",
    ".tgz",
    ".tbz",
    ".tar",
];

/// A requirement that is a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LocalRequirement {
    /// As written, without extras and marker.
    pub(crate) written: String,
    /// Absolute.
    pub(crate) path: PathBuf,
    /// `[all] ; python_version > "3.8"`, or nothing.
    pub(crate) rest: String,
}

/// The path in `requirement`, where it is one.
pub(crate) fn local_requirement(requirement: &str, app_dir: &Path) -> Option<LocalRequirement> {
    let (body, marker) = split_marker(requirement);
    let target = match body.split_once('@') {
        // `name @ file:///path`, and nothing else of that form, is local.
        Some((name, url)) if is_name_with_extras(name) => {
            url.trim().starts_with("file:").then_some(url.trim())?
        }
        _ => body,
    };
    let (written, extras) = split_extras(target);
    let is_url = written.contains("://") && !written.starts_with("file:");
    if is_url || is_vcs(written) {
        return None;
    }
    let plain = written
        .strip_prefix("file:")
        .map_or(written, |path| path.strip_prefix("//").unwrap_or(path));
    let plain = plain.split('#').next().unwrap_or(plain);
    let path = app_dir.join(plain);
    let is_archive = ARCHIVES.iter().any(|end| plain.ends_with(end)) && path.is_file();
    // In `name==1.0 ; …` no slash occurs before the version; a backslash or a drive letter is a path of Windows.
    let looks_like_path = plain.starts_with('.')
        || written.starts_with("file:")
        || plain.contains('\\')
        || plain
            .split(['=', '<', '>', '~', '!', ' '])
            .next()
            .is_some_and(|first| first.contains('/'));
    (is_archive || looks_like_path).then(|| LocalRequirement {
        written: written.to_owned(),
        path: tidy(&path),
        // With a blank: a `;` directly behind a path could belong to its name.
        rest: if marker.is_empty() {
            extras.to_owned()
        } else {
            format!("{extras} {}", marker.trim_start())
        },
    })
}

fn split_marker(requirement: &str) -> (&str, &str) {
    // A URL may hold `;`, so there the marker needs a blank before it (pip and PEP 508 agree).
    let separator = if requirement.contains("://") {
        " ;"
    } else {
        ";"
    };
    match requirement.find(separator) {
        Some(at) => (requirement[..at].trim(), &requirement[at..]),
        None => (requirement.trim(), ""),
    }
}

fn split_extras(target: &str) -> (&str, &str) {
    match target.rfind('[') {
        Some(at) if target.ends_with(']') && at > 0 => (&target[..at], &target[at..]),
        _ => (target, ""),
    }
}

fn is_name_with_extras(text: &str) -> bool {
    let name = text.trim().split('[').next().unwrap_or_default();
    !name.is_empty()
        && name.chars().all(|character| {
            character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.')
        })
}

/// `git+https://…`, `git+ssh://…`, `hg+…`
pub(crate) fn is_vcs(text: &str) -> bool {
    ["git+", "hg+", "svn+", "bzr+"]
        .iter()
        .any(|prefix| text.starts_with(prefix))
}

/// Removes `.` components; `..` stays, since it means something else behind a symbolic link.
fn tidy(path: &Path) -> PathBuf {
    path.components().collect()
}

/// The normalised name that a requirement begins with (PEP 503), where it begins with one.
pub(crate) fn requirement_name(requirement: &str) -> Option<String> {
    let end = requirement
        .find(|character: char| {
            !(character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '.'))
        })
        .unwrap_or(requirement.len());
    let (name, rest) = requirement.split_at(end);
    let rest = rest.trim_start();
    let is_requirement =
        rest.is_empty() || rest.starts_with(['=', '<', '>', '~', '!', '[', ';', '@', '(', '#']);
    (!name.is_empty() && is_requirement).then(|| normalise_name(name))
}

/// PEP 503: lower case, runs of `-`, `_` and `.` become one `-`.
pub(crate) fn normalise_name(name: &str) -> String {
    let mut result = String::new();
    for character in name.chars() {
        if matches!(character, '-' | '_' | '.') {
            if !result.ends_with('-') {
                result.push('-');
            }
        } else {
            result.extend(character.to_lowercase());
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_requirement_cases() {
        let app = tempfile::tempdir().unwrap();
        std::fs::write(app.path().join("x-1.0.tar.gz"), "").unwrap();
        let cases = [
            ("./pkg", Some(("pkg", ""))),
            (".", Some(("", ""))),
            (".[dev]", Some(("", "[dev]"))),
            (
                "./pkg[a,b] ; python_version>'3'",
                Some(("pkg", "[a,b] ; python_version>'3'")),
            ),
            ("x-1.0.tar.gz", Some(("x-1.0.tar.gz", ""))),
            ("packages/y.whl", Some(("packages/y.whl", ""))),
            ("y.whl", None),
            ("dash==3.0", None),
            ("dash", None),
            ("zope.interface>=5", None),
            ("dash @ https://h/x.whl", None),
            ("git+https://h/r.git#egg=x", None),
            ("https://h/x.whl", None),
        ];
        for (text, expected) in cases {
            let found = local_requirement(text, app.path());
            let found = found.map(|local| {
                (
                    local
                        .path
                        .strip_prefix(app.path())
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned(),
                    local.rest,
                )
            });
            assert_eq!(
                found,
                expected.map(|(path, rest)| (path.to_owned(), rest.to_owned())),
                "{text}"
            );
        }
    }

    #[test]
    fn local_requirement_absolute_paths_as_conda_and_windows_write_them() {
        let cases = [
            ("numpy @ file:///tmp/build/numpy", "/tmp/build/numpy"),
            ("file:///x/y.whl", "/x/y.whl"),
            (r"c:\work\pkg", r"/app/c:\work\pkg"),
        ];
        for (text, path) in cases {
            assert_eq!(
                local_requirement(text, Path::new("/app")).unwrap().path,
                Path::new(path),
                "{text}"
            );
        }
    }

    #[test]
    fn requirement_name_cases() {
        let cases = [
            ("Dash==3.0", Some("dash")),
            ("zope.interface", Some("zope-interface")),
            ("a__b[x]>=1", Some("a-b")),
            ("name @ https://h", Some("name")),
            ("./pkg", None),
            ("https://h/x.whl", None),
            ("git+https://h", None),
        ];
        for (text, expected) in cases {
            assert_eq!(requirement_name(text).as_deref(), expected, "{text}");
        }
    }
}
