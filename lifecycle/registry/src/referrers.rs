//! Referrers: signatures, SBOMs and provenance that name an image as their `subject` (OCI distribution specification 1.1, "Listing
//! referrers"). Registries that do not know subjects keep the list as an index under the tag `sha256-<hex>`.

use std::{collections::BTreeMap, sync::Arc};

use fetch::Budget;
use oci_image::{BlobDigest, BlobRef, Document, LONGEST_MANIFEST, Reference};
use reqwest::{
    Method,
    header::{ACCEPT, HeaderValue, LINK},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::{
    address,
    auth::Access,
    blob::{Destination, Proof},
    body::Blob,
    client::{Registry, access},
    error::RegistryError,
    failure::Failure,
    host::Host,
    manifest::Fetched,
    push_manifest::Stored,
    request::{Call, Reply, Target, query},
    scopes::Right,
};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// The configuration of what has none (OCI image specification 1.1, "Guidance for an Empty Descriptor").
const EMPTY: &str = "application/vnd.oci.empty.v1+json";

/// Pages of a list that are read.
const MOST_PAGES: usize = 100;

/// How often the fallback list is written again because somebody else wrote it meanwhile.
const MOST_ROUNDS: u32 = 5;

/// Something that refers to an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// The manifest's type.
    pub media_type: String,
    /// The manifest's digest.
    pub digest: BlobDigest,
    /// The manifest's size.
    pub size: u64,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its annotations.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// Something to attach to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// What it is: `application/vnd.cyclonedx+json`.
    pub artifact_type: String,
    /// Its content: each a media type and bytes.
    pub content: Vec<(String, Vec<u8>)>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
}

impl Registry {
    /// What refers to the image with this digest; of one type only, if one is given.
    pub fn referrers(
        &self,
        repository: &Reference,
        digest: &BlobDigest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Referrer>, RegistryError> {
        let host = self.host(repository)?;
        let access = access(repository, Right::Pull);
        let budget = self.budget();
        let listed = self.block_on(async {
            let listed = self.listed(&host, &access, digest, artifact_type, &budget);
            match listed.await? {
                Some(listed) => Ok(listed),
                None => Ok(self
                    .fallback(&host, &access, repository, digest, &budget)
                    .await?
                    .1),
            }
        });
        // Filtering is the registry's choice.
        listed.map(|mut listed: Vec<Referrer>| {
            listed.retain(|referrer| {
                artifact_type.is_none() || referrer.artifact_type.as_deref() == artifact_type
            });
            listed
        })
    }

    /// Attaches something to the image `subject` of a repository, and gives the digest of its manifest.
    pub fn attach(
        &self,
        repository: &Reference,
        subject: BlobRef,
        artifact: &Artifact,
    ) -> Result<BlobDigest, RegistryError> {
        let host = self.host(repository)?;
        let access = access(repository, Right::Push);
        let budget = self.budget();
        let to = Destination {
            host: &host,
            access: &access,
            mounts: &[],
            budget: &budget,
        };
        let empty = Document::new(b"{}".to_vec());
        let content: Vec<(&str, Document)> = artifact
            .content
            .iter()
            .map(|(kind, bytes)| (kind.as_str(), Document::new(bytes.clone())))
            .collect();
        let manifest = manifest_of(artifact, subject, &empty, &content);
        self.block_on(async {
            for document in content.iter().map(|(_, document)| document).chain([&empty]) {
                let blob = Blob::of_bytes(document.digest, Arc::from(&document.bytes[..]));
                self.inner().ensure(&to, &blob, Proof::Look).await?;
            }
            if !self.inner().put_referrer(&to, &manifest).await? {
                let referrer = Referrer {
                    media_type: MANIFEST.to_owned(),
                    digest: manifest.digest,
                    size: manifest.bytes.len() as u64,
                    artifact_type: Some(artifact.artifact_type.clone()),
                    annotations: artifact.annotations.clone(),
                };
                self.add_to_fallback(&to, repository, &subject.digest, referrer)
                    .await?;
            }
            Ok(manifest.digest)
        })
    }

    /// The registry's own list; `None` if it has no such API.
    async fn listed(
        &self,
        host: &Host,
        access: &Access,
        digest: &BlobDigest,
        artifact_type: Option<&str>,
        budget: &Budget,
    ) -> Result<Option<Vec<Referrer>>, RegistryError> {
        let mut path = format!("/v2/{}/referrers/{digest}", access.repository);
        if let Some(kind) = artifact_type {
            path = format!("{path}?{}", query(&[("artifactType", kind)]));
        }
        let mut target = Target::Path(path);
        let mut all = Vec::new();
        for _ in 0..MOST_PAGES {
            let mut call = Call::new(host, access, Method::GET, target);
            call.headers.insert(ACCEPT, HeaderValue::from_static(INDEX));
            call.cap = Some(LONGEST_MANIFEST);
            let page = self
                .http()
                .ask(&call, budget, |reply| page(host, &reply))
                .await?;
            let Some((mut listed, next)) = page else {
                return Ok(None);
            };
            all.append(&mut listed);
            match next {
                Some(next) => target = Target::Url(next),
                None => break,
            }
        }
        Ok(Some(all))
    }

    /// The list under the fallback tag, and the document as it is stored.
    async fn fallback(
        &self,
        host: &Host,
        access: &Access,
        repository: &Reference,
        digest: &BlobDigest,
        budget: &Budget,
    ) -> Result<(Option<Fetched>, Vec<Referrer>), RegistryError> {
        let tag = fallback_tag(repository, digest);
        let fetched = self.http().manifest(host, access, &tag, budget).await?;
        let Some(fetched) = fetched else {
            return Ok((None, Vec::new()));
        };
        let value: Value = serde_json::from_slice(&fetched.bytes).unwrap_or_default();
        let listed = referrers_of(&value).ok_or_else(|| RegistryError::Protocol {
            asked: fetched.asked.clone(),
            problem: "the list of referrers is not an index".to_owned(),
        })?;
        Ok((Some(fetched), listed))
    }

    /// Adds to the list under the fallback tag. Registries have no "write if unchanged", so it is looked at again afterwards.
    async fn add_to_fallback(
        &self,
        to: &Destination<'_>,
        repository: &Reference,
        subject: &BlobDigest,
        referrer: Referrer,
    ) -> Result<(), RegistryError> {
        let tag = fallback_tag(repository, subject);
        for _ in 0..MOST_ROUNDS {
            let (_, mut listed) = self
                .fallback(to.host, to.access, repository, subject, to.budget)
                .await?;
            if listed.iter().any(|known| known.digest == referrer.digest) {
                return Ok(());
            }
            listed.push(referrer.clone());
            let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed});
            let index = Document::new(index.to_string().into_bytes());
            if let Stored::BlobsMissing(error) = self.inner().put_manifest(to, &tag, &index).await?
            {
                return Err(error);
            }
        }
        let call =
            crate::manifest::manifest_call(to.host, to.access, Method::PUT, &tag.identifier());
        Err(RegistryError::NotStored {
            asked: call.asked(),
            digest: referrer.digest,
        })
    }
}

fn manifest_of(
    artifact: &Artifact,
    subject: BlobRef,
    empty: &Document,
    content: &[(&str, Document)],
) -> Document {
    let descriptor = |kind: &str, digest: BlobDigest, size: u64| json!({"mediaType": kind, "digest": digest, "size": size});
    let of = |kind: &str, document: &Document| {
        descriptor(kind, document.digest, document.bytes.len() as u64)
    };
    let layers: Vec<Value> = content
        .iter()
        .map(|(kind, document)| of(kind, document))
        .collect();
    // A manifest without layers is not allowed; the empty blob stands for none.
    let layers = if layers.is_empty() {
        vec![of(EMPTY, empty)]
    } else {
        layers
    };
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": artifact.artifact_type,
        "config": of(EMPTY, empty),
        "layers": layers,
        "subject": descriptor(MANIFEST, subject.digest, subject.size),
    });
    if !artifact.annotations.is_empty() {
        manifest["annotations"] = json!(artifact.annotations);
    }
    Document::new(manifest.to_string().into_bytes())
}

/// OCI distribution specification 1.1, "Referrers Tag Schema".
fn fallback_tag(repository: &Reference, digest: &BlobDigest) -> Reference {
    repository
        .with_tag(&format!("sha256-{}", digest.hex()))
        .expect("seven letters and 64 digits are a tag")
}

type Page = (Vec<Referrer>, Option<Url>);

fn page(host: &Host, reply: &Reply) -> Result<Option<Page>, Failure> {
    match reply.status {
        200 => {}
        // Registries without this API answer one of these.
        400 | 404 | 405 | 406 => return Ok(None),
        _ => return Err(reply.refused("pull").into()),
    }
    let value: Option<Value> = serde_json::from_slice(&reply.body).ok();
    let Some(listed) = value.as_ref().and_then(referrers_of) else {
        // Some answer every unknown path with their front page.
        return Ok(None);
    };
    let next = reply.header(LINK.as_str()).and_then(next_page);
    let next = next.and_then(|next| reply.url.join(next).ok());
    let next = match next {
        Some(next) if address::problem(&host.url("/v2/")?, &next).is_some() => None,
        next => next,
    };
    Ok(Some((listed, next)))
}

/// `</v2/…?n=…>; rel="next"`
fn next_page(link: &str) -> Option<&str> {
    let (address, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("rel=\"next\"").then_some(address)
}

/// The entries of an index; those that are no descriptors are left out.
fn referrers_of(index: &Value) -> Option<Vec<Referrer>> {
    let entries = index.get("manifests")?.as_array()?;
    Some(
        entries
            .iter()
            .filter_map(|entry| serde_json::from_value(entry.clone()).ok())
            .collect(),
    )
}
