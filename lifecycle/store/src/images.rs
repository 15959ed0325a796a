//! Named images: a name leads to a manifest, as a tag does in a registry.

use std::path::PathBuf;

use oci_image::BlobDigest;
use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::{Store, disk};

/// An image's name and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedImage {
    /// The name, with its tag.
    pub name: String,
    /// The manifest.
    pub manifest: BlobDigest,
}

impl Store {
    /// The image of this name.
    pub fn image(&self, name: &str) -> Result<Option<NamedImage>, StoreError> {
        disk::read_json(&self.image_path(name))
    }

    /// Gives an image its name: the last step of a build, after everything the manifest leads to is there.
    pub fn name_image(&self, image: &NamedImage) -> Result<(), StoreError> {
        disk::write_json(&self.image_path(&image.name), image)
    }

    /// Takes a name away; the blobs go with the next prune.
    pub fn forget_image(&self, name: &str) -> Result<(), StoreError> {
        disk::remove(&self.image_path(name))
    }

    /// Every named image, sorted by name.
    pub fn images(&self) -> Result<Vec<NamedImage>, StoreError> {
        let folder = self.data.join("images");
        let mut images = Vec::new();
        for name in disk::names(&folder)? {
            images.extend(disk::read_json::<NamedImage>(&folder.join(name))?);
        }
        images.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(images)
    }

    fn image_path(&self, name: &str) -> PathBuf {
        self.data
            .join("images")
            .join(format!("{}.json", escaped(name)))
    }
}

/// A name as a file name: every byte but letters, digits, `.`, `_` and `-` as `%XX`. No dot leads, so no name is hidden.
fn escaped(name: &str) -> String {
    let plain = |index: usize, byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || (byte == b'.' && index > 0)
    };
    let escape = |(index, byte): (usize, u8)| {
        if plain(index, byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    name.bytes().enumerate().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_image::Digest;

    #[test]
    fn escaped_no_separator_survives() {
        assert_eq!(
            escaped("localhost:5000/a/b:v1"),
            "localhost%3A5000%2Fa%2Fb%3Av1"
        );
        assert_eq!(escaped("../x"), "%2E.%2Fx");
    }

    #[test]
    fn images_come_back_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("data"), &folder.path().join("cache")).unwrap();
        let image = |name: &str, bytes: &[u8]| NamedImage {
            name: name.to_owned(),
            manifest: BlobDigest::new(Digest::of(bytes)),
        };
        store.name_image(&image("b:latest", b"1")).unwrap();
        store.name_image(&image("a:latest", b"2")).unwrap();
        store.name_image(&image("a:latest", b"3")).unwrap();
        assert_eq!(
            store.images().unwrap(),
            [image("a:latest", b"3"), image("b:latest", b"1")]
        );
        store.forget_image("a:latest").unwrap();
        assert_eq!(store.image("a:latest").unwrap(), None);
    }
}
