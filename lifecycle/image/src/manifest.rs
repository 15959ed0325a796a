//! Manifests and indexes as they come from outside: what a document is, which image of an index is meant, and how a manifest
//! and its configuration become an [`Image`]. The same for layouts, archives, the store and registries.

use crate::blobs::ReadImageError;
use crate::digest::{BlobDigest, DiffId};
use crate::image::{BlobSource, Image, Layer, LayerFormat};
use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde_json::Value;

/// The longest manifest or index that is read; registries refuse longer ones (OCI distribution specification 1.1, pushing manifests).
pub const LONGEST_MANIFEST: u64 = 4 << 20;

/// The longest configuration that is read.
pub const LONGEST_CONFIG: u64 = 16 << 20;

/// How deep indexes may name indexes.
pub(crate) const DEEPEST_INDEX: usize = 4;

/// Which platform an image has to be for, in Go's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Platform<'a> {
    /// The operating system.
    pub os: &'a str,
    /// The CPU architecture.
    pub architecture: &'a str,
    /// The architecture's variant (`v7`); without one, the architecture's usual one, and any other if there is no such image.
    pub variant: Option<&'a str>,
}

impl Platform<'static> {
    /// Linux on x86-64.
    pub const LINUX_AMD64: Self = Self {
        os: "linux",
        architecture: "amd64",
        variant: None,
    };
}

/// A document that a name or an index led to.
#[derive(Debug, Clone, PartialEq)]
pub enum Manifest {
    /// A list of images.
    Index(Box<Index>),
    /// One image.
    Image(Box<ImageDocument>),
}

/// A list of images (OCI image index, Docker manifest list).
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    digest: BlobDigest,
    index: ImageIndex,
}

/// The manifest of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageDocument {
    config: BlobRef,
    manifest: ImageManifest,
}

/// What a descriptor says of a blob: which bytes, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobRef {
    /// The digest of the bytes.
    pub digest: BlobDigest,
    /// Their number.
    pub size: u64,
}

impl BlobRef {
    fn of(descriptor: &Descriptor) -> Result<Self, ReadImageError> {
        Ok(Self {
            digest: descriptor.digest().as_ref().parse()?,
            size: descriptor.size(),
        })
    }
}

impl Manifest {
    /// Sorts out what the document with this digest is. The bytes have been verified.
    pub fn parse(digest: BlobDigest, bytes: &[u8]) -> Result<Self, ReadImageError> {
        let failed = |source| ReadImageError::Document { digest, source };
        let value: Value = serde_json::from_slice(bytes).map_err(failed)?;
        if value.get("schemaVersion").and_then(Value::as_u64) == Some(1) {
            return Err(ReadImageError::Schema1 { digest });
        }
        // One document that is both means different things to different programs (CVE-2021-41190).
        let has = |key: &str| value.get(key).is_some();
        let is_index = has("manifests");
        let says_index = match value.get("mediaType").and_then(Value::as_str) {
            Some(
                "application/vnd.oci.image.index.v1+json"
                | "application/vnd.docker.distribution.manifest.list.v2+json",
            ) => Some(true),
            Some(
                "application/vnd.oci.image.manifest.v1+json"
                | "application/vnd.docker.distribution.manifest.v2+json",
            ) => Some(false),
            _ => None,
        };
        let is_both = is_index && (has("layers") || has("config"));
        if is_both || says_index.is_some_and(|says| says != is_index) {
            return Err(ReadImageError::Ambiguous { digest });
        }
        if is_index {
            let index = serde_json::from_value(value).map_err(failed)?;
            return Ok(Self::Index(Box::new(Index { digest, index })));
        }
        let manifest: ImageManifest = serde_json::from_value(value).map_err(failed)?;
        Ok(Self::Image(Box::new(ImageDocument {
            config: BlobRef::of(manifest.config())?,
            manifest,
        })))
    }
}

impl Index {
    /// The image for a platform.
    pub fn for_platform(&self, wanted: Platform<'_>) -> Result<BlobRef, ReadImageError> {
        let candidates = || {
            self.index.manifests().iter().filter_map(|entry| {
                let platform = entry.platform().as_ref()?;
                let fits = platform.os().to_string() == wanted.os
                    && platform.architecture().to_string() == wanted.architecture;
                fits.then(|| {
                    let named = platform
                        .variant()
                        .as_deref()
                        .filter(|name| !name.is_empty());
                    (variant_number(wanted.architecture, named), entry)
                })
            })
        };
        let most = variant_number(wanted.architecture, wanted.variant);
        // A processor runs what was built for its predecessors; the nearest of them, and the first of equal ones.
        let runnable = candidates().filter(|(number, _)| *number <= most).fold(
            None,
            |best: Option<(u32, &Descriptor)>, next| match best {
                Some(best) if best.0 >= next.0 => Some(best),
                _ => Some(next),
            },
        );
        let any = || match wanted.variant {
            None => candidates().next().map(|(_, entry)| entry),
            Some(_) => None,
        };
        let only = || match &self.index.manifests()[..] {
            [only] => Some(only),
            _ => None,
        };
        let found = runnable.map(|(_, entry)| entry).or_else(any).or_else(only);
        BlobRef::of(found.ok_or_else(|| self.no_image_for(wanted))?)
    }

    fn no_image_for(&self, wanted: Platform<'_>) -> ReadImageError {
        let platforms = self.index.manifests().iter().map(Descriptor::platform);
        ReadImageError::Platform {
            digest: self.digest,
            wanted: format!("{}/{}", wanted.os, wanted.architecture),
            found: platforms
                .flatten()
                .map(|platform| format!("{}/{}", platform.os(), platform.architecture()))
                .collect(),
        }
    }
}

/// `v7` is 7. What is left out is what containerd's platforms.Normalize takes it for.
fn variant_number(architecture: &str, variant: Option<&str>) -> u32 {
    let usual = match architecture {
        "arm64" => 8,
        "arm" => 7,
        _ => 1,
    };
    variant
        .and_then(|variant| {
            variant
                .trim_start_matches('v')
                .split('.')
                .next()?
                .parse()
                .ok()
        })
        .unwrap_or(usual)
}

impl ImageDocument {
    /// The configuration.
    pub fn config(&self) -> BlobRef {
        self.config
    }

    /// The image with this configuration, and layers whose bytes are where `source` says.
    pub fn with_config<E: From<ReadImageError>>(
        &self,
        config: &[u8],
        source: impl Fn(&BlobRef) -> Result<BlobSource, E>,
    ) -> Result<Image, E> {
        let config = serde_json::from_slice(config).map_err(|source| ReadImageError::Document {
            digest: self.config.digest,
            source,
        })?;
        let layers = self
            .manifest
            .layers()
            .iter()
            .map(|descriptor| layer(descriptor, &source))
            .collect::<Result<_, E>>()?;
        let annotations = self
            .manifest
            .annotations()
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect();
        Ok(Image::from_parts(config, layers, annotations).map_err(ReadImageError::from)?)
    }
}

fn layer<E: From<ReadImageError>>(
    descriptor: &Descriptor,
    source: &impl Fn(&BlobRef) -> Result<BlobSource, E>,
) -> Result<Layer, E> {
    let blob = BlobRef::of(descriptor)?;
    let media_type = descriptor.media_type().to_string();
    let format =
        LayerFormat::of_media_type(&media_type).ok_or(ReadImageError::MediaType { media_type })?;
    let source = source(&blob)?;
    let BlobRef { digest, size } = blob;
    // The diffID is the configuration's to say; it is filled in with it.
    Ok(Layer {
        diff_id: DiffId::new(digest.digest()),
        digest,
        size,
        format,
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;
    use serde_json::json;

    fn parse(value: &Value) -> Result<Manifest, ReadImageError> {
        let bytes = value.to_string().into_bytes();
        Manifest::parse(BlobDigest::new(Digest::of(&bytes)), &bytes)
    }

    fn index(entries: &[(&str, Option<&str>)]) -> Value {
        let entries: Vec<Value> = entries
            .iter()
            .enumerate()
            .map(|(size, (platform, variant))| {
                let (os, architecture) = platform.split_once('/').unwrap();
                let mut platform = json!({"os": os, "architecture": architecture});
                if let Some(variant) = variant {
                    platform["variant"] = json!(variant);
                }
                json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": size,
                    "digest": Digest::of(b""), "platform": platform})
            })
            .collect();
        json!({"schemaVersion": 2, "manifests": entries})
    }

    #[test]
    fn for_platform_chooses_the_nearest_variant() {
        let arm = |variant| Platform {
            architecture: "arm",
            variant,
            ..Platform::LINUX_AMD64
        };
        let arms = [
            ("linux/amd64", None),
            ("linux/arm", Some("v5")),
            ("linux/arm", Some("v7")),
            ("linux/arm", Some("v6")),
        ];
        let levels = [
            ("unknown/unknown", None),
            ("linux/amd64", Some("v2")),
            ("linux/amd64", None),
        ];
        let v3 = Platform {
            variant: Some("v3"),
            ..Platform::LINUX_AMD64
        };
        for (entries, platform, expected) in [
            (&arms[..], arm(None), Some(2)),
            (&arms[..], arm(Some("v7")), Some(2)),
            (&arms[..], arm(Some("v6")), Some(3)),
            (&arms[..], arm(Some("v4")), None),
            (&levels[..], Platform::LINUX_AMD64, Some(2)),
            (&levels[..], v3, Some(1)),
            // Nothing was asked for in particular: better that one than none.
            (&levels[..2], Platform::LINUX_AMD64, Some(1)),
        ] {
            let Manifest::Index(index) = parse(&index(entries)).unwrap() else {
                panic!("an index");
            };
            let found = index.for_platform(platform).ok().map(|found| found.size);
            assert_eq!(found, expected, "{platform:?} of {entries:?}");
        }
    }

    #[test]
    fn parse_refuses() {
        let mut both = index(&[]);
        both["layers"] = json!([]);
        let mut disguised = index(&[]);
        disguised["mediaType"] = json!("application/vnd.docker.distribution.manifest.v2+json");
        for value in [both, disguised] {
            assert!(
                matches!(parse(&value), Err(ReadImageError::Ambiguous { .. })),
                "{value}"
            );
        }
        let old = parse(&json!({"schemaVersion": 1, "fsLayers": []}));
        assert!(matches!(old, Err(ReadImageError::Schema1 { .. })));
        assert!(matches!(
            parse(&json!([])),
            Err(ReadImageError::Document { .. })
        ));
    }
}
