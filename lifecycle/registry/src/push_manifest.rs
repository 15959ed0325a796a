//! Storing a manifest under a tag or its digest, and making sure that it is what the name leads to.

use fetch::Tries;
use oci_image::{BlobDigest, Digest, Document, Reference};
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde_json::Value;

use crate::{
    asked::Asked,
    blob::Destination,
    client::Inner,
    error::RegistryError,
    failure::Failure,
    manifest::{CONTENT_DIGEST, manifest_call, manifest_path},
    request::{Call, Reply},
    words::Words,
};

/// What an answer to `PUT` says about a manifest with a `subject` (OCI distribution specification 1.1, "Pushing manifests with
/// subject").
const OCI_SUBJECT: &str = "oci-subject";

/// What came of storing a manifest.
#[derive(Debug)]
pub(crate) enum Stored {
    Done,
    /// The registry does not have all that the manifest names.
    BlobsMissing(RegistryError),
}

/// How an answer to `PUT` is taken.
enum Put {
    Done { knows_subjects: bool },
    BlobsMissing(RegistryError),
}

impl Inner {
    /// Stores a manifest under a reference's tag or digest.
    pub(crate) async fn put_manifest(
        &self,
        to: &Destination<'_>,
        reference: &Reference,
        manifest: &Document,
    ) -> Result<Stored, RegistryError> {
        let identifier = reference.identifier();
        Ok(match self.put_and_look(to, &identifier, manifest).await? {
            Put::Done { .. } => Stored::Done,
            Put::BlobsMissing(error) => Stored::BlobsMissing(error),
        })
    }

    /// Stores a manifest with a `subject` under its digest; true if the registry lists it with the subject.
    pub(crate) async fn put_referrer(
        &self,
        to: &Destination<'_>,
        manifest: &Document,
    ) -> Result<bool, RegistryError> {
        let identifier = manifest.digest.to_string();
        match self.put_and_look(to, &identifier, manifest).await? {
            Put::Done { knows_subjects } => Ok(knows_subjects),
            Put::BlobsMissing(error) => Err(error),
        }
    }

    async fn put_and_look(
        &self,
        to: &Destination<'_>,
        identifier: &str,
        manifest: &Document,
    ) -> Result<Put, RegistryError> {
        let mut tries = Tries::new(&self.http.retry);
        loop {
            let put = self.put(to, identifier, manifest).await?;
            if matches!(put, Put::BlobsMissing(_))
                || self.has_manifest(to, identifier, &manifest.digest).await?
            {
                return Ok(put);
            }
            let asked = manifest_call(to.host, to.access, Method::HEAD, identifier).asked();
            let error = RegistryError::NotStored {
                asked: asked.clone(),
                digest: manifest.digest,
            };
            let Failure::Transient(transient) = Failure::once_more(asked, error) else {
                unreachable!("an error for another attempt is transient");
            };
            self.http
                .pause(&mut tries, transient, false, to.budget)
                .await?;
        }
    }

    async fn put(
        &self,
        to: &Destination<'_>,
        identifier: &str,
        manifest: &Document,
    ) -> Result<Put, RegistryError> {
        let target = manifest_path(&to.access.repository, identifier);
        let mut call = Call::new(to.host, to.access, Method::PUT, target);
        let kind = HeaderValue::from_str(&media_type(manifest));
        call.headers.insert(
            CONTENT_TYPE,
            kind.unwrap_or(HeaderValue::from_static(
                "application/vnd.oci.image.manifest.v1+json",
            )),
        );
        call.body = crate::body::Payload::Bytes(manifest.bytes.as_slice().into());
        let stored = self.http.ask(&call, to.budget, judge);
        match stored.await {
            Err(error) => self.why_refused(to, identifier, manifest, error).await,
            done => done,
        }
    }

    /// Does a name lead to a manifest?
    pub(crate) async fn has_manifest(
        &self,
        to: &Destination<'_>,
        identifier: &str,
        digest: &BlobDigest,
    ) -> Result<bool, RegistryError> {
        match self.digest_of(to, Method::HEAD, identifier).await? {
            Named::Digest(found) if found == *digest => return Ok(true),
            Named::Nothing => return Ok(false),
            // The registry does not say, or says something else: what it serves counts.
            Named::Digest(_) | Named::Unknown => {}
        }
        let named = self.digest_of(to, Method::GET, identifier).await?;
        Ok(matches!(named, Named::Digest(found) if found == *digest))
    }

    async fn digest_of(
        &self,
        to: &Destination<'_>,
        method: Method,
        identifier: &str,
    ) -> Result<Named, RegistryError> {
        let is_get = method == Method::GET;
        let call = manifest_call(to.host, to.access, method, identifier);
        self.http
            .ask(&call, to.budget, |reply| {
                Ok(match reply.status {
                    200 if is_get => Named::Digest(BlobDigest::new(Digest::of(&reply.body))),
                    200 => reply
                        .header(CONTENT_DIGEST)
                        .and_then(|text| text.parse().ok())
                        .map_or(Named::Unknown, Named::Digest),
                    404 => Named::Nothing,
                    _ if is_get => return Err(reply.refused("pull").into()),
                    _ => Named::Unknown,
                })
            })
            .await
    }

    /// A refusal of a tag: because it is taken for good? Registries say it in many ways, some without a word.
    async fn why_refused(
        &self,
        to: &Destination<'_>,
        tag: &str,
        manifest: &Document,
        error: RegistryError,
    ) -> Result<Put, RegistryError> {
        let (asked, status, words) = match error {
            RegistryError::Refused {
                asked,
                status,
                words,
            }
            | RegistryError::Denied {
                asked,
                status,
                words,
                ..
            } => (asked, status, words),
            other => return Err(other),
        };
        let told = is_about_overwriting(&words);
        if !told && !matches!(status, 405 | 409 | 412) {
            return Err(refusal(asked, status, words));
        }
        match self.digest_of(to, Method::HEAD, tag).await {
            Ok(Named::Digest(found)) if found == manifest.digest => Ok(Put::Done {
                knows_subjects: false,
            }),
            Ok(Named::Digest(_) | Named::Unknown) => Err(immutable(asked, tag, status, words)),
            _ if told => Err(immutable(asked, tag, status, words)),
            _ => Err(refusal(asked, status, words)),
        }
    }
}

/// What a name leads to.
#[derive(Debug)]
enum Named {
    Digest(BlobDigest),
    Nothing,
    Unknown,
}

fn judge(reply: Reply) -> Result<Put, Failure> {
    let words = reply.words();
    match reply.status {
        200..=202 => Ok(Put::Done {
            knows_subjects: reply.header(OCI_SUBJECT).is_some(),
        }),
        // Registries that have lost a blob say it with one of these, under one of these statuses.
        400 | 404 if words.has(&["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"]) => {
            Ok(Put::BlobsMissing(reply.refused("push")))
        }
        _ => Err(reply.refused("push").into()),
    }
}

fn is_about_overwriting(words: &Words) -> bool {
    words.say(&["immutable", "overwrit", "already exist"])
}

fn immutable(asked: Asked, tag: &str, status: u16, words: Words) -> RegistryError {
    RegistryError::TagImmutable {
        asked,
        tag: tag.to_owned(),
        status,
        words,
    }
}

fn refusal(asked: Asked, status: u16, words: Words) -> RegistryError {
    match status {
        403 => RegistryError::Denied {
            asked,
            status,
            words,
            right: "push",
        },
        _ => RegistryError::Refused {
            asked,
            status,
            words,
        },
    }
}

/// A manifest says what it is.
fn media_type(manifest: &Document) -> String {
    let value: Option<Value> = serde_json::from_slice(&manifest.bytes).ok();
    value
        .as_ref()
        .and_then(|value| value.get("mediaType")?.as_str())
        .unwrap_or("application/vnd.oci.image.manifest.v1+json")
        .to_owned()
}
