//! Which layers a daemon has. A graph driver keeps a layer by its chain: itself and all below it. The API does not list chains, but the
//! images that have them: as many layers as an image shares with ours from the bottom on are there.
//!
//! Containerd's image store keeps blobs, and the API lists none of them. Since Docker 28 it says of a manifest whether all its blobs are there: so
//! who knows the manifest of an image that was loaded before knows blobs that need not be sent.

use std::{collections::BTreeSet, sync::Arc};

use fetch::Budget;
use oci_image::{BlobDigest, DiffId, Image};
use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{client::Daemon, error::DaemonError, inspect::parse_id};

/// So many images are looked at, the newest first. Each costs a daemon about a millisecond.
const MOST_IMAGES: usize = 500;

/// So many of them at the same time.
const AT_ONCE: usize = 8;

/// What the list of images says of one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    created: i64,
}

impl Daemon {
    /// How many of these layers, from the lowest on, the daemon has. Names that probably lead to them are looked at first.
    pub(crate) async fn present(
        &self,
        wanted: &[DiffId],
        likely: &[String],
        budget: &Budget,
    ) -> Result<usize, DaemonError> {
        let mut present = 0;
        for name in likely {
            let call = self.inspection(name, budget).await?;
            if let Some(found) = self.inspected(&call, budget).await? {
                present = present.max(shared(wanted, &found.config.rootfs.diff_ids));
            }
        }
        if present == wanted.len() {
            return Ok(present);
        }
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let mut looks = JoinSet::new();
        for id in self.listed(budget).await? {
            let (daemon, turns, budget) = (self.clone(), Arc::clone(&turns), *budget);
            looks.spawn(async move {
                // It is closed by nobody; without a turn nothing would be wrong either.
                let _turn = turns.acquire().await;
                let call = daemon.inspection(&id.to_string(), &budget).await?;
                daemon.inspected(&call, &budget).await
            });
        }
        while let Some(looked) = looks.join_next().await {
            // A look that panicked found nothing; that only costs sending more.
            let Ok(found) = looked else { continue };
            if let Some(found) = found? {
                present = present.max(shared(wanted, &found.config.rootfs.diff_ids));
            }
            if present == wanted.len() {
                break;
            }
        }
        Ok(present)
    }

    /// The blobs of those of these images that are there with all that belongs to them.
    pub(crate) async fn present_blobs(
        &self,
        previous: &[&Image],
        budget: &Budget,
    ) -> Result<BTreeSet<BlobDigest>, DaemonError> {
        let mut blobs = BTreeSet::new();
        for image in previous {
            let manifest = image.documents().manifest.digest;
            if self.has_content(manifest, budget).await? {
                blobs.extend(image.layers().iter().map(|layer| layer.digest));
            }
        }
        Ok(blobs)
    }

    /// Are all blobs of this manifest there? Daemons before Docker 28 do not say.
    pub(crate) async fn has_content(
        &self,
        manifest: BlobDigest,
        budget: &Budget,
    ) -> Result<bool, DaemonError> {
        let id = manifest.to_string();
        let path = &["images", &id, "json"];
        let query = [("manifests", "1")];
        let call = self.call(Method::GET, path, &query, budget).await?;
        let image: Value = match self.http().ask(&call, budget).await {
            Ok(reply) => reply.json()?,
            Err(error) if error.is_not_found() => return Ok(false),
            Err(error) => return Err(error),
        };
        let manifests = image["Manifests"].as_array();
        Ok(manifests
            .into_iter()
            .flatten()
            .any(|manifest| manifest["ID"] == *id && manifest["Available"] == true))
    }

    async fn listed(&self, budget: &Budget) -> Result<Vec<BlobDigest>, DaemonError> {
        let call = self
            .call(Method::GET, &["images", "json"], &[], budget)
            .await?;
        let mut listed: Vec<Listed> = self.http().ask(&call, budget).await?.json()?;
        listed.sort_by_key(|image| std::cmp::Reverse(image.created));
        Ok(listed
            .iter()
            .filter_map(|image| parse_id(&image.id))
            .take(MOST_IMAGES)
            .collect())
    }
}

/// How many layers both have, from the lowest on.
fn shared(wanted: &[DiffId], found: &[DiffId]) -> usize {
    wanted
        .iter()
        .zip(found)
        .take_while(|(wanted, found)| wanted == found)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_image::Digest;

    #[test]
    fn shared_only_from_the_bottom() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|text| DiffId::new(Digest::of(text)));
        for (wanted, found, expected) in [
            (&[a, b][..], &[a, b, c][..], 2),
            (&[a, b], &[a, c], 1),
            (&[a, b], &[b], 0),
            (&[], &[a], 0),
            (&[a], &[], 0),
        ] {
            assert_eq!(shared(wanted, found), expected);
        }
    }
}
