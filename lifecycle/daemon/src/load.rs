//! Loading an image: an archive streamed into `POST /images/load`, then a look whether the daemon has the right image, then the names.
//!
//! The archive names nothing. A name moves from one image to another in one step of the daemon's, after the whole image is there and is the
//! right one; whatever goes wrong before leaves every name where it was.

use std::{collections::BTreeSet, sync::Arc};

use fetch::{Budget, Tries};
use oci_image::{BlobDigest, DiffId, Image, ImageName, LayerBlob};
use reqwest::{Method, header::CONTENT_TYPE};

use crate::{
    answer::error_in,
    archive::{Archive, Present, source_error},
    body::pipe,
    client::Daemon,
    engine::Store,
    error::DaemonError,
    request::{Call, Failure, out_of_time},
};

/// What is to be loaded beside the image itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load<'a> {
    /// The names that shall lead to it. With none, only its id does.
    pub names: &'a [ImageName],
    /// Layers whose uncompressed size is known, in any order: they need not be unpacked to be counted.
    pub known: &'a [LayerBlob],
    /// Images that the daemon may have exactly so, with the same manifest: the previous one, the run image. With containerd's image store
    /// their blobs are not sent again; graph drivers say themselves what they have.
    pub previous: &'a [&'a Image],
}

/// How far a load is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes given to the daemon. It begins again where the daemon has to be sent everything again.
    pub sent: u64,
    /// The size of all layers that are sent; the archive is a little larger.
    pub total: u64,
}

/// What a load came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The daemon's id of the image: the digest of its configuration or, with containerd's image store, of its manifest.
    pub id: BlobDigest,
    /// The layers that were sent, the lowest first.
    pub sent_layers: Vec<DiffId>,
    /// All bytes that were sent, of attempts that failed as well.
    pub sent_bytes: u64,
}

impl Daemon {
    /// Loads an image and gives it its names. Only the layers that the daemon lacks are sent, where it allows that.
    pub fn load(
        &self,
        image: &Image,
        load: &Load<'_>,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Loaded, DaemonError> {
        let budget = self.budget();
        let store = self.block_on(self.store(&budget))?;
        let documents = image.documents();
        let id = match store {
            Store::GraphDriver | Store::Podman => documents.config.digest,
            Store::Containerd => documents.manifest.digest,
        };
        let mut loading = Loading {
            daemon: self,
            store,
            budget,
            loaded: Loaded {
                id,
                sent_layers: Vec::new(),
                sent_bytes: 0,
            },
            progress,
        };
        if !loading.is_whole()? {
            loading.bring(image, load)?;
        }
        for name in load.names {
            failpoint::reach("load-before-name");
            self.block_on(self.tag(id, name, &budget))?;
            failpoint::reach("load-named");
        }
        Ok(loading.loaded)
    }

    async fn has(&self, id: BlobDigest, budget: &Budget) -> Result<bool, DaemonError> {
        let call = self.inspection(&id.to_string(), budget).await?;
        let found = self.inspected(&call, budget).await?;
        Ok(found.is_some_and(|found| found.id == id))
    }

    /// Does this name or id lead to the right image?
    async fn check(&self, name: &str, id: BlobDigest, budget: &Budget) -> Result<(), DaemonError> {
        let call = self.inspection(name, budget).await?;
        let found = self.inspected(&call, budget).await?.map(|found| found.id);
        if found == Some(id) {
            return Ok(());
        }
        Err(DaemonError::WrongImage {
            asked: call.asked,
            expected: id,
            found: found.map_or("none".to_owned(), |found| found.to_string()),
        })
    }

    /// Lets a name lead to the image.
    async fn tag(
        &self,
        id: BlobDigest,
        name: &ImageName,
        budget: &Budget,
    ) -> Result<(), DaemonError> {
        let target = [("repo", &*name.repository()), ("tag", name.tag())];
        let id_text = id.to_string();
        let path = &["images", &id_text, "tag"];
        let call = self.call(Method::POST, path, &target, budget).await?;
        self.http().ask(&call, budget).await?;
        self.check(&name.to_string(), id, budget).await
    }
}

/// A load that is going on.
struct Loading<'a> {
    daemon: &'a Daemon,
    store: Store,
    budget: Budget,
    loaded: Loaded,
    progress: &'a mut dyn FnMut(Progress),
}

impl Loading<'_> {
    /// Sends the archive; everything, if the daemon does not do with less.
    fn bring(&mut self, image: &Image, load: &Load<'_>) -> Result<(), DaemonError> {
        let present = self.present(image, load)?;
        if present != Present::Nothing {
            match self.send_all_but(&present, image, load) {
                Ok(()) if self.is_whole()? => return Ok(()),
                // A layer may have gone with the image that was seen to have it, and other daemons may want them all.
                Ok(()) | Err(DaemonError::Load { .. } | DaemonError::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.send_all_but(&Present::Nothing, image, load)?;
        let (daemon, id) = (self.daemon, self.loaded.id);
        daemon.block_on(daemon.check(&id.to_string(), id, &self.budget))
    }

    fn present(&self, image: &Image, load: &Load<'_>) -> Result<Present, DaemonError> {
        let daemon = self.daemon;
        match self.store {
            Store::Podman => Ok(Present::Nothing),
            Store::GraphDriver => {
                let likely: Vec<String> = load.names.iter().map(ToString::to_string).collect();
                let diff_ids = &image.config().rootfs.diff_ids;
                let count = daemon.block_on(daemon.present(diff_ids, &likely, &self.budget))?;
                Ok(match count {
                    0 => Present::Nothing,
                    count => Present::Lowest(count),
                })
            }
            Store::Containerd => {
                let blobs = daemon.present_blobs(load.previous, &self.budget);
                let blobs = daemon.block_on(blobs)?;
                let shared = image.layers().iter().map(|layer| layer.digest);
                let shared: BTreeSet<BlobDigest> =
                    shared.filter(|digest| blobs.contains(digest)).collect();
                Ok(if shared.is_empty() {
                    Present::Nothing
                } else {
                    Present::Blobs(shared)
                })
            }
        }
    }

    /// Does the daemon have the image and all that belongs to it? Graph drivers take no image without its layers.
    fn is_whole(&self) -> Result<bool, DaemonError> {
        let (daemon, id) = (self.daemon, self.loaded.id);
        match self.store {
            Store::GraphDriver | Store::Podman => daemon.block_on(daemon.has(id, &self.budget)),
            Store::Containerd => daemon.block_on(daemon.has_content(id, &self.budget)),
        }
    }

    fn send_all_but(
        &mut self,
        present: &Present,
        image: &Image,
        load: &Load<'_>,
    ) -> Result<(), DaemonError> {
        self.send(&Archive::of(image, present, self.store, load.known)?)
    }

    fn send(&mut self, archive: &Archive) -> Result<(), DaemonError> {
        let daemon = self.daemon;
        let query = [("quiet", "1")];
        let call = daemon.call(Method::POST, &["images", "load"], &query, &self.budget);
        let call = daemon.block_on(call)?;
        let mut tries = Tries::new(&daemon.http().retry);
        self.loaded.sent_layers.clone_from(archive.sent_layers());
        loop {
            let Err(failure) = self.attempt(archive, &call) else {
                return Ok(());
            };
            let http = daemon.http();
            daemon.block_on(http.pause(&mut tries, failure, &call.asked, &self.budget))?;
        }
    }

    /// One attempt. The archive is written here, and sent by the runtime's thread.
    fn attempt(&mut self, archive: &Archive, call: &Call) -> Result<(), Failure> {
        let before = self.loaded.sent_bytes;
        let (loaded, progress) = (&mut self.loaded, &mut self.progress);
        let mut went = |sent| {
            loaded.sent_bytes = before + sent;
            if sent >= archive.total() / 2 {
                failpoint::reach("load-half-sent");
            }
            progress(Progress {
                sent,
                total: archive.total(),
            });
        };
        let (mut sink, body) = pipe(&mut went);
        let (http, asked) = (Arc::clone(self.daemon.http()), call.asked.clone());
        let request = http
            .client
            .post(call.url.clone())
            .header(CONTENT_TYPE, "application/x-tar")
            .body(body);
        // How long a daemon is busy with what it has got says nothing: only the budget ends that.
        let limit = self.budget.left();
        let answering = async move {
            let response = request.send().await.map_err(|error| http.failure(error))?;
            http.whole(response, &asked, None).await
        };
        let answer = self
            .daemon
            .runtime()
            .spawn(async move { tokio::time::timeout(limit, answering).await });
        let unreadable = archive.write_to(&mut sink);
        match &unreadable {
            Some(_) => sink.break_off(),
            None => drop(sink),
        }
        let answer = self.daemon.block_on(answer);
        if let Some((layer, source)) = unreadable {
            return Err(Failure::Final(source_error(layer, source)));
        }
        let reply = match answer {
            Ok(Ok(reply)) => reply?,
            Ok(Err(_)) => return Err(Failure::Final(out_of_time(&call.asked, &self.budget))),
            Err(stopped) => return Err(Failure::Transient(stopped.to_string())),
        };
        match error_in(&reply.body) {
            Some(message) => Err(Failure::Final(DaemonError::Load {
                asked: reply.asked,
                message,
            })),
            None => Ok(()),
        }
    }
}
