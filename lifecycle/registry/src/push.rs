//! Pushing an image: blobs first, at the same time; then its manifest, under each tag. Who stops in between leaves blobs that
//! nothing names, never a tag that leads to half an image.

use std::{collections::BTreeSet, sync::Arc, sync::PoisonError};

use fetch::Budget;
use oci_image::{BlobDigest, BlobSource, Document, Documents, Image, Layer, Reference};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    auth::Access,
    blob::{Destination, Mount, Outcome, Presence, Proof},
    body::Blob,
    client::{Registry, access},
    error::RegistryError,
    host::Host,
    push_manifest::Stored,
    scopes::{Right, Scopes},
    upload,
};

/// How often blobs are looked through again that the registry says it does not have.
const MOST_ROUNDS: u32 = 4;

/// What is pushed where.
#[derive(Debug, Clone)]
pub struct Push<'a> {
    /// The names to give; they may be in several repositories and registries.
    pub tags: &'a [Reference],
    /// Repositories that may have some of the layers already: the run image's, say.
    pub mount_from: &'a [Reference],
    /// The manifest that the first name led to before, if somebody looked: an image that did not change is not looked through.
    pub previous: Option<BlobDigest>,
}

/// What a push did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The image's digest.
    pub digest: BlobDigest,
    /// For each layer of the image, the lowest first: what the first repository needed.
    pub layers: Vec<Outcome>,
}

impl Registry {
    /// Finds out whether pushing to a repository is allowed, before a build takes its time. The upload that this opens is used by
    /// the next blob, or given up when the last copy of this handle goes.
    pub fn check_push(&self, repository: &Reference) -> Result<(), RegistryError> {
        let Target { host, access } = self.target(repository, Right::Push, &[])?;
        let budget = self.budget();
        let session = self.block_on(upload::open(self.http(), &host, &access, &budget))?;
        let mut sessions = host.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        let prepared = sessions.entry(repository.repository().to_owned());
        prepared.or_default().push(session.url);
        Ok(())
    }

    /// Does a repository have a blob? A registry that does not say counts as one that has not.
    pub fn has_blob(
        &self,
        repository: &Reference,
        digest: &BlobDigest,
    ) -> Result<bool, RegistryError> {
        let target = self.target(repository, Right::Pull, &[])?;
        let budget = self.budget();
        let to = target.destination(&[], &budget);
        let found = self.block_on(self.inner().presence(&to, digest, None))?;
        Ok(found == Presence::Present)
    }

    /// Lets one repository have a blob of another of the same registry without a copy; false if that does not work.
    pub fn mount(
        &self,
        repository: &Reference,
        digest: &BlobDigest,
        from: &Reference,
    ) -> Result<bool, RegistryError> {
        let target = self.target(repository, Right::Push, &[])?;
        let budget = self.budget();
        let to = target.destination(&[], &budget);
        self.block_on(async {
            match self.inner().mount(&to, *digest, from).await? {
                Mount::Done => {
                    let found = self.inner().presence(&to, digest, None).await?;
                    Ok(!matches!(found, Presence::Absent(_)))
                }
                Mount::Opened(session) => {
                    upload::cancel(self.http(), to.host, to.access, session.url, &budget).await;
                    Ok(false)
                }
                Mount::Refused => Ok(false),
            }
        })
    }

    /// Makes sure that a layer is in a repository: there already, lent by another repository, or sent. For layers that are ready
    /// before the image is; [`Registry::push_image`] does this for all of them, and sends again what the registry lost meanwhile.
    pub fn push_layer(
        &self,
        repository: &Reference,
        layer: &Layer,
        mount_from: &[Reference],
    ) -> Result<Outcome, RegistryError> {
        let target = self.target(repository, Right::Push, mount_from)?;
        let mounts = mounts_for(layer, mount_from);
        let budget = self.budget();
        let to = target.destination(&mounts, &budget);
        let blob = Blob::of_layer(layer);
        self.block_on(self.inner().ensure(&to, &blob, Proof::Manifest))
    }

    /// Pushes an image under all of its names.
    pub fn push_image(&self, image: &Image, push: &Push<'_>) -> Result<Report, RegistryError> {
        let budget = self.budget();
        self.block_on(self.push_async(image, push, &budget))
    }

    /// Gives an image whose layers are in the registry already its names: its configuration is sent, then its manifest.
    pub fn push_manifest(
        &self,
        documents: &Documents,
        tags: &[Reference],
    ) -> Result<(), RegistryError> {
        let budget = self.budget();
        let Documents { config, manifest } = documents;
        self.block_on(async {
            for tags in by_repository(tags) {
                let target = self.target(tags[0], Right::Push, &[])?;
                let to = target.destination(&[], &budget);
                self.inner()
                    .ensure(&to, &of_document(config), Proof::Look)
                    .await?;
                for tag in tags {
                    let stored = self.inner().put_manifest(&to, tag, manifest).await?;
                    if let Stored::BlobsMissing(error) = stored {
                        return Err(error);
                    }
                }
            }
            Ok(())
        })
    }

    async fn push_async(
        &self,
        image: &Image,
        push: &Push<'_>,
        budget: &Budget,
    ) -> Result<Report, RegistryError> {
        let documents = image.documents();
        let digest = documents.manifest.digest;
        let mut mount_from = push.mount_from.to_vec();
        let mut first_outcomes = None;
        for tags in by_repository(push.tags) {
            let target = self.target(tags[0], Right::Push, &mount_from)?;
            let to = target.destination(&[], budget);
            let content = Content {
                image,
                documents: &documents,
                mount_from: &mount_from,
            };
            let unchanged = push.previous == Some(digest)
                && self
                    .inner()
                    .has_manifest(&to, &digest.to_string(), &digest)
                    .await?;
            let outcomes = if unchanged {
                image.layers().iter().map(|_| Outcome::Existed).collect()
            } else {
                self.blobs(&content, &target, budget, Proof::Manifest)
                    .await?
            };
            for tag in &tags {
                self.name(&content, &target, tag, budget).await?;
            }
            mount_from.push(tags[0].clone());
            first_outcomes.get_or_insert(outcomes);
        }
        Ok(Report {
            digest,
            layers: first_outcomes.unwrap_or_default(),
        })
    }

    /// Stores the manifest under a tag. A registry that misses blobs then, because it lost some or because another one's garbage
    /// collection ran, gets them again.
    async fn name(
        &self,
        content: &Content<'_>,
        target: &Target,
        tag: &Reference,
        budget: &Budget,
    ) -> Result<(), RegistryError> {
        let to = target.destination(&[], budget);
        let mut rounds = 0;
        loop {
            rounds += 1;
            failpoint::reach("push-before-tag");
            match self
                .inner()
                .put_manifest(&to, tag, &content.documents.manifest)
                .await?
            {
                Stored::Done => {
                    failpoint::reach("push-tag-given");
                    return Ok(());
                }
                Stored::BlobsMissing(error) if rounds == MOST_ROUNDS => return Err(error),
                Stored::BlobsMissing(_) => {
                    self.blobs(content, target, budget, Proof::NewLook).await?;
                }
            }
        }
    }

    /// All blobs of an image, each once, several at the same time. The first error stops the rest.
    async fn blobs(
        &self,
        content: &Content<'_>,
        target: &Target,
        budget: &Budget,
        proof: Proof,
    ) -> Result<Vec<Outcome>, RegistryError> {
        let Content {
            image,
            documents,
            mount_from,
        } = content;
        let places = Arc::new(Semaphore::new(self.inner().parallel_uploads));
        let mut running = JoinSet::new();
        let mut begin = |index: Option<usize>, blob: Blob, mounts: Vec<Reference>| {
            let (registry, target) = (self.clone(), target.clone());
            let (budget, places) = (*budget, Arc::clone(&places));
            running.spawn(async move {
                let _place = places.acquire_owned().await;
                let to = target.destination(&mounts, &budget);
                let outcome = registry.inner().ensure(&to, &blob, proof).await;
                (index, outcome)
            });
        };
        let mut seen = BTreeSet::new();
        for (index, layer) in image.layers().iter().enumerate() {
            if seen.insert(layer.digest) {
                begin(
                    Some(index),
                    Blob::of_layer(layer),
                    mounts_for(layer, mount_from),
                );
            }
        }
        begin(None, of_document(&documents.config), Vec::new());
        // A layer that stands in the image twice is there when it is asked for the second time.
        let mut outcomes = vec![Outcome::Existed; image.layers().len()];
        while let Some(ended) = running.join_next().await {
            let (index, outcome) = ended.unwrap_or_else(|ended| match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => unreachable!("nothing cancels an upload but the end of this set"),
            });
            let outcome = outcome?;
            match index {
                Some(index) => outcomes[index] = outcome,
                None => failpoint::reach("push-config-sent"),
            }
        }
        Ok(outcomes)
    }

    /// A repository, and what is wanted of it.
    fn target(
        &self,
        reference: &Reference,
        right: Right,
        mount_from: &[Reference],
    ) -> Result<Target, RegistryError> {
        let host = self.host(reference)?;
        let access = access(reference, right).wishing(&reading(&host, mount_from));
        Ok(Target { host, access })
    }
}

/// What goes into each repository.
struct Content<'a> {
    image: &'a Image,
    documents: &'a Documents,
    mount_from: &'a [Reference],
}

/// A repository, as requests go to it.
#[derive(Clone)]
struct Target {
    host: Arc<Host>,
    access: Access,
}

impl Target {
    fn destination<'a>(&'a self, mounts: &'a [Reference], budget: &'a Budget) -> Destination<'a> {
        Destination {
            host: &self.host,
            access: &self.access,
            mounts,
            budget,
        }
    }
}

fn of_document(document: &Document) -> Blob {
    Blob::of_bytes(document.digest, Arc::from(&document.bytes[..]))
}

/// The names of each repository together, in the order they came.
fn by_repository(tags: &[Reference]) -> Vec<Vec<&Reference>> {
    let mut groups: Vec<Vec<&Reference>> = Vec::new();
    for tag in tags {
        match groups.iter_mut().find(|group| group[0].is_beside(tag)) {
            Some(group) => group.push(tag),
            None => groups.push(vec![tag]),
        }
    }
    groups
}

/// Where a layer may be had: where it comes from, if that is known; else wherever the caller thinks.
fn mounts_for(layer: &Layer, mount_from: &[Reference]) -> Vec<Reference> {
    match &layer.source {
        BlobSource::Remote(blob) => match blob.repository() {
            Some(repository) => vec![repository.clone()],
            None => mount_from.to_vec(),
        },
        _ => mount_from.to_vec(),
    }
}

/// The rights that mounting will need: one token is fetched for all of it.
fn reading(host: &Host, mount_from: &[Reference]) -> Scopes {
    mount_from
        .iter()
        .filter(|from| from.registry() == host.registry)
        .fold(Scopes::default(), |scopes, from| {
            scopes.and_pull(from.repository())
        })
}
