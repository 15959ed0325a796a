//! The stack that is built on: which Debian it is, what its run image has, whose signatures count.
//!
//! Longshore's build images say so in `/usr/share/longshore/stack`. Another platform's Debian image has no such folder; then its own release,
//! its own keyring and its own packages stand in, with a notice: the run image may lack what the build image has.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use buildpack_kit::digest;
use serde::Deserialize;

/// Where a build image of ours describes its stack.
const STACK_FOLDER: &str = "usr/share/longshore/stack";

/// Where Debian keeps its archive's keys, new name first.
const SYSTEM_KEYRINGS: [&str; 2] = [
    "usr/share/keyrings/debian-archive-keyring.pgp",
    "usr/share/keyrings/debian-archive-keyring.gpg",
];

/// What is known of the stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stack {
    /// `trixie`
    pub(crate) suite: String,
    /// `main`
    pub(crate) components: Vec<String>,
    /// dpkg's status of the run image.
    pub(crate) status: String,
    /// Its digest.
    pub(crate) status_digest: String,
    /// The archive's keys.
    pub(crate) keyring: Vec<u8>,
    /// What had to stand in for something else.
    pub(crate) notices: Vec<String>,
}

#[derive(Deserialize)]
struct StackToml {
    suite: String,
    components: Vec<String>,
}

impl Stack {
    /// Reads what the image below `root` says; `root` is `/` but in tests.
    pub(crate) fn read(root: &Path) -> Result<Self, StackError> {
        let folder = root.join(STACK_FOLDER);
        let mut notices = Vec::new();
        let (suite, components) = match read_optional(&folder.join("stack.toml"))? {
            Some(bytes) => suite_of_stack(&folder, &bytes)?,
            None => (suite_of_image(root)?, vec!["main".to_owned()]),
        };
        let status = if let Some(status) = read_optional(&folder.join("run.dpkg-status"))? {
            status
        } else {
            notices.push(
                    "This build image does not say what its run image holds; packages that the build image has are taken to be there too."
                        .to_owned(),
                );
            read(&root.join("var/lib/dpkg/status"))?
        };
        let keyring = first(&folder.join("debian-archive-keyring.pgp"), root)?;
        let status_digest = digest::of_bytes(&status);
        let status = String::from_utf8_lossy(&status).into_owned();
        Ok(Self {
            suite,
            components,
            status,
            status_digest,
            keyring,
            notices,
        })
    }
}

fn suite_of_stack(folder: &Path, bytes: &[u8]) -> Result<(String, Vec<String>), StackError> {
    let path = folder.join("stack.toml");
    let text = String::from_utf8_lossy(bytes);
    let StackToml { suite, components } =
        toml::from_str(&text).map_err(|error| StackError::Parse {
            path,
            reason: error.to_string(),
        })?;
    Ok((suite, components))
}

/// `VERSION_CODENAME` of a Debian's `os-release`. A derivative's packages come from elsewhere, with other keys.
fn suite_of_image(root: &Path) -> Result<String, StackError> {
    let path = root.join("etc/os-release");
    let text = String::from_utf8_lossy(&read(&path)?).into_owned();
    let value = |key: &str| {
        let found = text
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        found.map(|value| value.trim_matches('"').to_owned())
    };
    match (value("ID").as_deref(), value("VERSION_CODENAME")) {
        (Some("debian"), Some(suite)) => Ok(suite),
        (id, _) => Err(StackError::NotDebian {
            found: id.unwrap_or("unknown").to_owned(),
        }),
    }
}

fn first(own: &Path, root: &Path) -> Result<Vec<u8>, StackError> {
    if let Some(keyring) = read_optional(own)? {
        return Ok(keyring);
    }
    for name in SYSTEM_KEYRINGS {
        if let Some(keyring) = read_optional(&root.join(name))? {
            return Ok(keyring);
        }
    }
    Err(StackError::NoKeyring)
}

fn read(path: &Path) -> Result<Vec<u8>, StackError> {
    fs::read(path).map_err(|source| StackError::Read {
        path: path.to_owned(),
        source,
    })
}

fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, StackError> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(StackError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Why the stack is unknown.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// A file of the build image.
    #[error("cannot read '{}': {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `stack.toml` is none.
    #[error("cannot use '{}': {reason}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Ubuntu, Alpine, …
    #[error("the build image is no Debian (ID={found} in /etc/os-release)")]
    NotDebian {
        /// `ID` of os-release.
        found: String,
    },
    /// Nobody to believe.
    #[error("the build image has no keyring of Debian's archive")]
    NoKeyring,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(files: &[(&str, &str)]) -> Result<Stack, StackError> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Stack::read(root.path())
    }

    #[test]
    fn read_of_our_own_build_image() {
        let stack = image(&[
            (
                "usr/share/longshore/stack/stack.toml",
                "id = 'x'\nsuite = 'trixie'\ncomponents = ['main']\n[run]\npackages = []\n",
            ),
            (
                "usr/share/longshore/stack/run.dpkg-status",
                "Package: libc6\n",
            ),
            (
                "usr/share/longshore/stack/debian-archive-keyring.pgp",
                "keys",
            ),
            ("var/lib/dpkg/status", "Package: gcc\n"),
        ]);
        let stack = stack.unwrap();
        assert_eq!(
            (
                stack.suite.as_str(),
                stack.status.as_str(),
                stack.keyring.as_slice()
            ),
            ("trixie", "Package: libc6\n", &b"keys"[..])
        );
        assert_eq!(stack.notices, Vec::<String>::new());
    }

    #[test]
    fn read_of_a_plain_debian() {
        let stack = image(&[
            (
                "etc/os-release",
                "ID=debian\nVERSION_CODENAME=\"bookworm\"\n",
            ),
            ("usr/share/keyrings/debian-archive-keyring.gpg", "keys"),
            ("var/lib/dpkg/status", "Package: gcc\n"),
        ]);
        let stack = stack.unwrap();
        assert_eq!(
            (stack.suite.as_str(), stack.components.join(" ").as_str()),
            ("bookworm", "main")
        );
        assert_eq!(stack.notices.len(), 1);
    }

    #[test]
    fn read_of_something_else() {
        let error =
            image(&[("etc/os-release", "ID=ubuntu\nVERSION_CODENAME=noble\n")]).unwrap_err();
        assert!(matches!(error, StackError::NotDebian { found } if found == "ubuntu"));
        let no_keys = image(&[
            ("etc/os-release", "ID=debian\nVERSION_CODENAME=x\n"),
            ("var/lib/dpkg/status", ""),
        ]);
        assert!(matches!(no_keys, Err(StackError::NoKeyring)));
    }
}
