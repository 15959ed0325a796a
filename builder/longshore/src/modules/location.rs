//! Where a buildpack is, as `uri` in builder.toml and package.toml, and `--buildpack`, say it.
//!
//! | written | is |
//! |---|---|
//! | `longshore:python-app` | a buildpack that this program carries |
//! | `../my-buildpack`, `file:///srv/my-buildpack` | a folder with buildpack.toml, a tar of it (also gzipped), or a buildpackage: a `.cnb` file or an OCI layout |
//! | `docker://registry.example/java:1`, `oci:DIR`, `docker-daemon:NAME` … | a buildpackage as an image |

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use oci_image::archive::{ReadLimits, Reader};

use crate::arguments::Place;
use crate::failure::{Exit, Failure};

/// Where a buildpack is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// In this program, under the part of its id after `longshore/`.
    Ours(String),
    /// A folder with buildpack.toml.
    Folder(PathBuf),
    /// A tar of such a folder.
    Archive(PathBuf),
    /// A buildpackage: a reference, or a place with its prefix.
    Image(String),
}

impl Location {
    /// Relative paths are below `base`. `wanted_by` is who names it, for people.
    pub(crate) fn of_uri(uri: &str, base: &Path, wanted_by: &str) -> Result<Self, Failure> {
        if let Some(name) = uri.strip_prefix("longshore:") {
            return Ok(Self::Ours(name.to_owned()));
        }
        if let Some(reference) = uri.strip_prefix("docker://") {
            return Ok(Self::Image(reference.trim_start_matches('/').to_owned()));
        }
        if let Some(place) = place_below(uri, base) {
            return Ok(Self::Image(place));
        }
        let path = match uri.strip_prefix("file://") {
            Some(path) => PathBuf::from(path),
            None if uri.contains("://") || uri.starts_with("urn:") => {
                return Err(no_downloads(uri, wanted_by));
            }
            None => base.join(uri),
        };
        Self::of_path(&path).map_err(|reason| {
            let body = format!(
                "{wanted_by}: {} {reason}.\nA buildpack is a folder with buildpack.toml, a tar of one, a .cnb file, or an image (docker://REF).",
                path.display()
            );
            Failure::new(Exit::Usage, "No buildpack there", body)
        })
    }

    fn of_path(path: &Path) -> Result<Self, String> {
        let cannot_be_read = |error: std::io::Error| format!("cannot be read: {error}");
        let image = |kind: &str| Ok(Self::Image(format!("{kind}:{}", path.display())));
        if path.metadata().map_err(cannot_be_read)?.is_dir() {
            return match path {
                path if path.join("buildpack.toml").is_file() => Ok(Self::Folder(path.to_owned())),
                path if path.join("oci-layout").is_file() => image("oci"),
                _ => Err("has no buildpack.toml".to_owned()),
            };
        }
        if is_layout_archive(path).map_err(cannot_be_read)? {
            return image("oci-archive");
        }
        Ok(Self::Archive(path.to_owned()))
    }
}

/// `oci:DIR` and its kin, with the path below `base`.
pub(crate) fn place_below(text: &str, base: &Path) -> Option<String> {
    let place = Place::parse(text)?;
    let (kind, _) = text.split_once(':')?;
    Some(match place.path() {
        Some(path) => format!("{kind}:{}", base.join(path).display()),
        None => text.to_owned(),
    })
}

fn no_downloads(uri: &str, wanted_by: &str) -> Failure {
    let body = format!(
        "{wanted_by}: {uri} would have to be downloaded without a digest to hold it against.\n\
         Download it and give the file, or give a buildpackage image: docker://REF."
    );
    Failure::new(Exit::Usage, "Not on this machine", body)
}

/// Whether a file is an OCI layout in a tar: one of its entries is `oci-layout`. A gzipped tar is none, as pack has it.
fn is_layout_archive(path: &Path) -> std::io::Result<bool> {
    let mut file = File::open(path)?;
    let mut start = [0; 2];
    if file.read(&mut start)? == 2 && start == [0x1f, 0x8b] {
        return Ok(false);
    }
    let mut reader = Reader::new(File::open(path)?, ReadLimits::default());
    while let Ok(Some(entry)) = reader.next_entry() {
        if entry.path.as_bytes() == b"oci-layout" {
            return Ok(true);
        }
        reader.skip_by_seeking()?;
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_uri_forms() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        std::fs::create_dir(base.join("bp")).unwrap();
        std::fs::write(base.join("bp/buildpack.toml"), "").unwrap();
        std::fs::write(base.join("bp.tgz"), b"\x1f\x8b").unwrap();
        let at = |uri: &str| Location::of_uri(uri, base, "builder.toml").map_err(|it| it.title);
        assert_eq!(
            at("longshore:python-app"),
            Ok(Location::Ours("python-app".into()))
        );
        assert_eq!(at("bp"), Ok(Location::Folder(base.join("bp"))));
        let absolute = format!("file://{}/bp", base.display());
        assert_eq!(at(&absolute), Ok(Location::Folder(base.join("bp"))));
        assert_eq!(at("bp.tgz"), Ok(Location::Archive(base.join("bp.tgz"))));
        assert_eq!(
            at("docker://r.example/a:1"),
            Ok(Location::Image("r.example/a:1".into()))
        );
        let layout = format!("oci:{}", base.join("layout").display());
        assert_eq!(at("oci:layout"), Ok(Location::Image(layout)));
        assert_eq!(at("missing"), Err("No buildpack there".to_owned()));
        assert_eq!(
            at("https://example.org/bp.tgz"),
            Err("Not on this machine".to_owned())
        );
    }
}
