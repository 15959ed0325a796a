//! Pulling: from a reference to an [`Image`] whose layers are fetched when somebody reads them.

use std::sync::Arc;

use fetch::Budget;
use oci_image::{
    BlobDigest, BlobRef, BlobSource, Image, ImageDocument, LONGEST_CONFIG, LONGEST_MANIFEST,
    Manifest, Platform, ReadImageError, Reference, RemoteBlob,
};
use reqwest::Method;

use crate::{
    asked::Asked,
    auth::Access,
    blob_reader::{RemoteLayer, checked},
    client::{Registry, access},
    error::RegistryError,
    host::Host,
    manifest::Fetched,
    request::{Call, Target},
    scopes::Right,
};

/// How deep indexes may name indexes.
const DEEPEST_INDEX: usize = 4;

/// An image in a registry.
#[derive(Debug, Clone)]
pub struct Found {
    /// The image by the digest of what the name leads to: an index, where it is one.
    pub reference: Reference,
    /// The digest of the image's own manifest.
    pub manifest: BlobDigest,
    /// The image. Reading a layer fetches it.
    pub image: Image,
}

impl Registry {
    /// The image of a reference, for a platform; `None` if the registry has none of that name.
    pub fn image(
        &self,
        reference: &Reference,
        platform: Platform<'_>,
    ) -> Result<Option<Found>, RegistryError> {
        self.block_on(self.image_async(reference, platform))
    }

    async fn image_async(
        &self,
        reference: &Reference,
        platform: Platform<'_>,
    ) -> Result<Option<Found>, RegistryError> {
        let host = self.host(reference)?;
        let access = access(reference, Right::Pull);
        let budget = self.budget();
        let http = self.http();
        let Some(mut fetched) = http.manifest(&host, &access, reference, &budget).await? else {
            return Ok(None);
        };
        let named = reference.with_digest(fetched.digest);
        for _ in 0..DEEPEST_INDEX {
            match parsed(&fetched)? {
                Manifest::Image(document) => {
                    failpoint::reach("pull-manifest-read");
                    let image = self
                        .with_config(&host, &access, &named, &document, &budget)
                        .await?;
                    return Ok(Some(Found {
                        reference: named,
                        manifest: fetched.digest,
                        image,
                    }));
                }
                Manifest::Index(index) => {
                    let entry = index
                        .for_platform(platform)
                        .map_err(|source| unusable(&fetched.asked, source))?;
                    fetched = self
                        .child(&host, &access, reference, entry, &budget)
                        .await?;
                }
            }
        }
        let source = ReadImageError::TooDeep {
            digest: fetched.digest,
        };
        Err(unusable(&fetched.asked, source))
    }

    /// A manifest that an index names.
    async fn child(
        &self,
        host: &Host,
        access: &Access,
        reference: &Reference,
        entry: BlobRef,
        budget: &Budget,
    ) -> Result<Fetched, RegistryError> {
        let call = || {
            let target = Target::Path(format!(
                "/v2/{}/manifests/{}",
                access.repository, entry.digest
            ));
            Call::new(host, access, Method::GET, target).asked()
        };
        if entry.size > LONGEST_MANIFEST {
            return Err(RegistryError::TooLarge {
                asked: call(),
                cap: LONGEST_MANIFEST,
            });
        }
        let child = reference.with_digest(entry.digest);
        let fetched = self.http().manifest(host, access, &child, budget).await?;
        let fetched = fetched.ok_or_else(|| {
            let source = ReadImageError::Missing {
                digest: entry.digest,
            };
            unusable(&call(), source)
        })?;
        let found = fetched.bytes.len() as u64;
        if found != entry.size {
            return Err(RegistryError::WrongSize {
                asked: fetched.asked,
                expected: entry.size,
                found,
            });
        }
        Ok(fetched)
    }

    async fn with_config(
        &self,
        host: &Arc<Host>,
        access: &Access,
        reference: &Reference,
        document: &ImageDocument,
        budget: &Budget,
    ) -> Result<Image, RegistryError> {
        let config = document.config();
        let target = Target::Path(format!("/v2/{}/blobs/{}", access.repository, config.digest));
        let mut call = Call::new(host, access, Method::GET, target);
        if config.size > LONGEST_CONFIG {
            return Err(RegistryError::TooLarge {
                asked: call.asked(),
                cap: LONGEST_CONFIG,
            });
        }
        call.cap = Some(LONGEST_CONFIG);
        let bytes = self
            .http()
            .ask(&call, budget, |reply| match reply.status {
                200 => checked(reply.asked, config, reply.body),
                _ => Err(reply.refused("pull").into()),
            })
            .await?;
        let source = |layer: &BlobRef| {
            Ok::<_, ReadImageError>(BlobSource::Remote(RemoteBlob::new(Arc::new(RemoteLayer {
                registry: self.clone(),
                host: Arc::clone(host),
                access: access.clone(),
                repository: reference.clone(),
                blob: *layer,
            }))))
        };
        document
            .with_config(&bytes, source)
            .map_err(|source| unusable(&call.asked(), source))
    }
}

fn parsed(fetched: &Fetched) -> Result<Manifest, RegistryError> {
    Manifest::parse(fetched.digest, &fetched.bytes)
        .map_err(|source| unusable(&fetched.asked, source))
}

fn unusable(asked: &Asked, source: ReadImageError) -> RegistryError {
    RegistryError::Image {
        asked: asked.clone(),
        source: Box::new(source),
    }
}
