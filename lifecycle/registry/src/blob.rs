//! One blob into one repository: is it there, can another repository lend it, else send it; and is it really there then?

use fetch::{Budget, Tries};
use oci_image::{BlobDigest, Reference};
use reqwest::{Method, header::CONTENT_LENGTH};
use std::sync::PoisonError;

use crate::{
    asked::Asked,
    auth::Access,
    body::Blob,
    client::Inner,
    error::RegistryError,
    failure::{Failure, Transient},
    host::{Holding, Host},
    manifest::CONTENT_DIGEST,
    request::{Call, Reply, Target, query},
    upload::{self, Session, Upload},
};

/// How a blob came to be in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was there.
    Existed,
    /// Another repository of the registry lent it.
    Mounted {
        /// The repository.
        from: String,
    },
    /// It was sent.
    Uploaded {
        /// Its size.
        bytes: u64,
    },
}

/// Does a repository have a blob?
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Presence {
    Present,
    Absent(Asked),
    /// The registry does not say: some answer 403 or 405 to this question.
    Unknown,
}

/// What proves that a blob is in a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// A manifest that names it is about to be sent, and its sender looks again if blobs are missing. Of a registry that checks
    /// manifests its word is enough.
    Manifest,
    /// A look at it.
    Look,
    /// A look at it now: nothing that was seen before counts.
    NewLook,
}

/// The repository that a blob goes to, and others of the same registry that may have it.
#[derive(Debug, Clone)]
pub(crate) struct Destination<'a> {
    pub(crate) host: &'a Host,
    pub(crate) access: &'a Access,
    pub(crate) mounts: &'a [Reference],
    pub(crate) budget: &'a Budget,
}

impl Inner {
    /// Asks for a blob.
    pub(crate) async fn presence(
        &self,
        to: &Destination<'_>,
        digest: &BlobDigest,
        size: Option<u64>,
    ) -> Result<Presence, RegistryError> {
        let target = Target::Path(format!("/v2/{}/blobs/{digest}", to.access.repository));
        let call = Call::new(to.host, to.access, Method::HEAD, target);
        self.http
            .ask(&call, to.budget, |reply| {
                Ok(presence(to.host, &reply, digest, size))
            })
            .await
    }

    /// Makes sure that a blob is in a repository.
    pub(crate) async fn ensure(
        &self,
        to: &Destination<'_>,
        blob: &Blob,
        proof: Proof,
    ) -> Result<Outcome, RegistryError> {
        let repository = &to.access.repository;
        if proof != Proof::NewLook && to.host.has_seen(repository, blob.digest) {
            return Ok(Outcome::Existed);
        }
        let outcome = self.look_or_bring(to, blob, proof).await?;
        to.host.has_blob_in(repository, blob.digest);
        Ok(outcome)
    }

    async fn look_or_bring(
        &self,
        to: &Destination<'_>,
        blob: &Blob,
        proof: Proof,
    ) -> Result<Outcome, RegistryError> {
        let mut tries = Tries::new(&self.http.retry);
        let mut ask = match (proof, to.host.holding(&to.access.repository)) {
            (Proof::NewLook, _) | (_, Some(Holding::Images)) => true,
            (_, Some(Holding::Nothing)) => false,
            (_, None) => blob.size > self.ask_first_from,
        };
        let mut done = Outcome::Existed;
        loop {
            if ask {
                let found = self.presence(to, &blob.digest, Some(blob.size)).await?;
                if found == Presence::Present {
                    return Ok(done);
                }
            }
            done = self.bring(to, blob).await?;
            if proof == Proof::Manifest && to.host.checks_manifests() {
                return Ok(done);
            }
            // "201 Created" is not believed: registries behind proxies and on object storage were seen to lose what they took.
            let asked = match self.presence(to, &blob.digest, Some(blob.size)).await? {
                Presence::Present | Presence::Unknown => return Ok(done),
                Presence::Absent(asked) => asked,
            };
            let error = RegistryError::NotStored {
                asked: asked.clone(),
                digest: blob.digest,
            };
            let transient = Transient {
                asked,
                cause: error.to_string(),
                wait: None,
                error: Some(Box::new(error)),
            };
            self.http
                .pause(&mut tries, transient, false, to.budget)
                .await?;
            // Storage that needs a moment may have it by now.
            ask = true;
        }
    }

    async fn bring(&self, to: &Destination<'_>, blob: &Blob) -> Result<Outcome, RegistryError> {
        failpoint::reach("push-before-blob");
        let mut session = None;
        for from in to.mounts {
            match self.mount(to, blob.digest, from).await? {
                Mount::Done => {
                    if let Some(Session { url, .. }) = session {
                        upload::cancel(&self.http, to.host, to.access, url, to.budget).await;
                    }
                    return Ok(Outcome::Mounted {
                        from: from.in_registry(),
                    });
                }
                // A registry that cannot mount opens an upload instead.
                Mount::Opened(opened) if session.is_none() => session = Some(opened),
                Mount::Opened(Session { url, .. }) => {
                    upload::cancel(&self.http, to.host, to.access, url, to.budget).await;
                }
                Mount::Refused => {}
            }
        }
        let opened = session.or_else(|| prepared(to.host, &to.access.repository));
        let upload = Upload {
            http: &self.http,
            host: to.host,
            access: to.access,
            blob,
            chunk_size: self.chunk_size,
            budget: to.budget,
        };
        upload.run(opened).await?;
        failpoint::reach("push-blob-acknowledged");
        Ok(Outcome::Uploaded { bytes: blob.size })
    }

    /// Lets another repository of the registry lend a blob (OCI distribution specification 1.1, "Mounting a blob from another
    /// repository").
    pub(crate) async fn mount(
        &self,
        to: &Destination<'_>,
        digest: BlobDigest,
        from: &Reference,
    ) -> Result<Mount, RegistryError> {
        let repository = from.repository();
        if from.registry() != to.host.registry || repository == to.access.repository {
            return Ok(Mount::Refused);
        }
        let access = Access {
            needed: to.access.needed.clone().and_pull(repository),
            ..to.access.clone()
        };
        let query = query(&[("mount", &digest.to_string()), ("from", repository)]);
        let target = Target::Path(format!(
            "/v2/{}/blobs/uploads/?{query}",
            to.access.repository
        ));
        let call = Call::new(to.host, &access, Method::POST, target);
        let mounted = self.http.ask(&call, to.budget, |reply| match reply.status {
            201 => Ok(Mount::Done),
            202 => Session::opened(to.host, &reply).map(Mount::Opened),
            status if status < 500 => Ok(Mount::Refused),
            _ => Err(Failure::Final(reply.refused("push"))),
        });
        match mounted.await {
            // Reading the other repository may not be allowed; sending the blob may.
            Err(error) if error.is_about_rights() => Ok(Mount::Refused),
            other => other,
        }
    }
}

/// What came of asking for a mount.
#[derive(Debug)]
pub(crate) enum Mount {
    Done,
    Opened(Session),
    Refused,
}

/// An upload that was opened to see whether pushing is allowed.
fn prepared(host: &Host, repository: &str) -> Option<Session> {
    let mut sessions = host.sessions.lock().unwrap_or_else(PoisonError::into_inner);
    sessions.get_mut(repository)?.pop().map(Session::at)
}

fn presence(host: &Host, reply: &Reply, digest: &BlobDigest, size: Option<u64>) -> Presence {
    let is_other = |found: Option<&str>, wanted: String| found.is_some_and(|found| found != wanted);
    match reply.status {
        200 if is_other(reply.header(CONTENT_DIGEST), digest.to_string()) => Presence::Unknown,
        200 => {
            let length = reply.header(CONTENT_LENGTH.as_str());
            match size {
                // It may be cut off, or a proxy may have no length for an answer without a body.
                Some(size) if is_other(length, size.to_string()) => Presence::Unknown,
                _ => Presence::Present,
            }
        }
        404 if host.is_origin_of(&reply.url) => Presence::Absent(reply.asked.clone()),
        _ => Presence::Unknown,
    }
}
