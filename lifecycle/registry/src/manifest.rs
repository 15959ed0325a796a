//! Manifests by tag or digest: read with their digest held against what was asked for and what the registry announces.

use fetch::Budget;
use oci_image::{BlobDigest, Digest, LONGEST_MANIFEST, Reference};
use reqwest::{
    Method,
    header::{ACCEPT, HeaderValue},
};

use crate::{
    asked::Asked,
    auth::Access,
    error::RegistryError,
    failure::Failure,
    host::{Holding, Host},
    request::{Call, Http, Reply, Target},
};

/// What the registry announces of a manifest or blob (OCI distribution specification 1.1, "Pulling manifests").
pub(crate) const CONTENT_DIGEST: &str = "docker-content-digest";

/// The documents that can be read; schema 1 is named so that the registry does not convert to it silently where it still could.
const MANIFEST_TYPES: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest or an index as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) digest: BlobDigest,
    pub(crate) bytes: Vec<u8>,
    pub(crate) asked: Asked,
}

pub(crate) fn manifest_path(repository: &str, identifier: &str) -> Target {
    Target::Path(format!("/v2/{repository}/manifests/{identifier}"))
}

/// A call for a manifest.
pub(crate) fn manifest_call<'a>(
    host: &'a Host,
    access: &'a Access,
    method: Method,
    identifier: &str,
) -> Call<'a> {
    let target = manifest_path(&access.repository, identifier);
    let mut call = Call::new(host, access, method, target);
    call.headers
        .insert(ACCEPT, HeaderValue::from_static(MANIFEST_TYPES));
    call.cap = Some(LONGEST_MANIFEST);
    call
}

impl Http {
    /// The manifest of a reference; `None` if the registry has none.
    pub(crate) async fn manifest(
        &self,
        host: &Host,
        access: &Access,
        reference: &Reference,
        budget: &Budget,
    ) -> Result<Option<Fetched>, RegistryError> {
        let call = manifest_call(host, access, Method::GET, &reference.identifier());
        let expected = reference.digest().copied();
        let found = self
            .ask(&call, budget, |reply| {
                fetched(host, &access.repository, expected, reply)
            })
            .await?;
        if found.is_some() {
            host.found(&access.repository, Holding::Images);
        }
        Ok(found)
    }
}

fn fetched(
    host: &Host,
    repository: &str,
    expected: Option<BlobDigest>,
    reply: Reply,
) -> Result<Option<Fetched>, Failure> {
    match reply.status {
        200 => {}
        // Another server that a redirect led to cannot say that the registry has no such image.
        404 if host.is_origin_of(&reply.url) => {
            // Not only no such image: no such repository (OCI distribution specification 1.1, "Error codes").
            if reply.words().has(&["NAME_UNKNOWN"]) {
                host.found(repository, Holding::Nothing);
            }
            return Ok(None);
        }
        _ => return Err(reply.refused("pull").into()),
    }
    let found = BlobDigest::new(Digest::of(&reply.body));
    let announced: Option<BlobDigest> = reply
        .header(CONTENT_DIGEST)
        .and_then(|text| text.parse().ok());
    for wanted in [expected, announced].into_iter().flatten() {
        if wanted != found {
            let error = RegistryError::WrongDigest {
                asked: reply.asked.clone(),
                expected: wanted.digest(),
                found: found.digest(),
            };
            return Err(Failure::once_more(reply.asked, error));
        }
    }
    Ok(Some(Fetched {
        digest: found,
        bytes: reply.body,
        asked: reply.asked,
    }))
}
