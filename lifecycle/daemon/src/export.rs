//! What a daemon exports of an image (`GET /images/{id}/get`, which is `docker save`): a tar with the configuration as it is and all layers.
//! It is fetched once, into a file that goes when nobody needs it any more.

use std::{
    fmt,
    fs::File,
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    sync::{Arc, Mutex, PoisonError},
};

use fetch::{Budget, Tries};
use oci_image::{
    BlobSource, Image, Layer, OpenBlob, Platform, ReadImageError, RemoteBlob, read_archive,
};
use reqwest::Method;
use tempfile::NamedTempFile;

use crate::{
    client::Daemon,
    contents::tar_of,
    error::DaemonError,
    inspect::Inspected,
    request::{Call, Failure, out_of_time},
};

/// An image's export, whether it has been fetched yet or not.
pub(crate) struct Export {
    daemon: Daemon,
    found: Inspected,
    fetched: Mutex<Option<Arc<Fetched>>>,
}

/// An export that is here.
pub(crate) struct Fetched {
    /// It goes with the last layer that is in it.
    _file: NamedTempFile,
    image: Image,
}

/// One layer in an export.
#[derive(Debug)]
struct ExportedLayer {
    export: Arc<Export>,
    place: usize,
    form: Form,
}

/// What is asked of a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// The bytes in the archive.
    Stored,
    /// The tar, however it is stored.
    Tar,
}

impl Export {
    pub(crate) fn new(daemon: &Daemon, found: &Inspected) -> Arc<Self> {
        Arc::new(Self {
            daemon: daemon.clone(),
            found: found.clone(),
            fetched: Mutex::default(),
        })
    }

    /// The image in the archive; its layers are only there as long as this is. A failed attempt is no reason not to make another.
    pub(crate) fn fetched(&self) -> Result<Arc<Fetched>, DaemonError> {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = &*fetched {
            return Ok(Arc::clone(here));
        }
        let here = Arc::new(self.fetch()?);
        *fetched = Some(Arc::clone(&here));
        Ok(here)
    }

    fn fetch(&self) -> Result<Fetched, DaemonError> {
        let Self { daemon, found, .. } = self;
        let budget = daemon.budget();
        // By its id: the name may lead elsewhere by now.
        let id = found.id.to_string();
        let path = &["images", &id, "get"];
        let call = daemon.block_on(daemon.call(Method::GET, path, &[], &budget))?;
        let file = daemon.block_on(daemon.export(&call, &budget))?;
        let unusable = |source| DaemonError::Export {
            asked: call.asked.clone(),
            source: Box::new(source),
        };
        let platform = Platform {
            os: &found.config.os,
            architecture: &found.config.architecture,
            variant: found.config.variant.as_deref(),
        };
        let image = read_archive(file.path(), None, platform).map_err(unusable)?;
        if image.config().rootfs.diff_ids != found.config.rootfs.diff_ids {
            return Err(unusable(ReadImageError::NotAnImage {
                path: file.path().to_owned(),
                reason: "its layers are not those of the image that was asked for".to_owned(),
            }));
        }
        Ok(Fetched { _file: file, image })
    }

    /// Where a layer's bytes are.
    pub(crate) fn source(self: &Arc<Self>, place: usize, form: Form) -> BlobSource {
        BlobSource::Remote(RemoteBlob::new(Arc::new(ExportedLayer {
            export: Arc::clone(self),
            place,
            form,
        })))
    }
}

impl Fetched {
    /// The image as it is in the archive.
    pub(crate) fn image(&self) -> &Image {
        &self.image
    }
}

impl OpenBlob for ExportedLayer {
    fn open(&self, _size: u64) -> io::Result<Box<dyn Read + Send>> {
        let fetched = self.export.fetched().map_err(io::Error::other)?;
        let layer = fetched
            .image
            .layers()
            .get(self.place)
            .ok_or(io::ErrorKind::NotFound)?;
        match self.form {
            Form::Stored => stored(layer),
            Form::Tar => tar_of(layer),
        }
    }
}

/// Without a second check: whoever opened the layer makes it.
fn stored(layer: &Layer) -> io::Result<Box<dyn Read + Send>> {
    match &layer.source {
        BlobSource::Part { path, offset } => {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(*offset))?;
            Ok(Box::new(file.take(layer.size)))
        }
        _ => Ok(Box::new(layer.open()?)),
    }
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Export({} of {:?})", self.found.id, self.daemon)
    }
}

impl Daemon {
    /// Fetches into a file, from the start after each failure: a daemon makes the archive anew each time.
    async fn export(&self, call: &Call, budget: &Budget) -> Result<NamedTempFile, DaemonError> {
        let mut tries = Tries::new(&self.http().retry);
        loop {
            let attempt = tokio::time::timeout(budget.left(), self.export_once(call)).await;
            let failure = match attempt {
                Ok(Ok(file)) => return Ok(file),
                Ok(Err(failure)) => failure,
                Err(_) => Failure::Final(out_of_time(&call.asked, budget)),
            };
            self.http()
                .pause(&mut tries, failure, &call.asked, budget)
                .await?;
        }
    }

    async fn export_once(&self, call: &Call) -> Result<NamedTempFile, Failure> {
        let http = self.http();
        let failed = |source| {
            Failure::Final(DaemonError::Scratch {
                folder: self.scratch().clone(),
                source,
            })
        };
        let mut file = tempfile::Builder::new()
            .prefix("longshore-export-")
            .tempfile_in(self.scratch())
            .map_err(failed)?;
        // A daemon writes the whole archive on its own disk before the first byte comes.
        let sent = http.client.get(call.url.clone()).send().await;
        let response = sent.map_err(|error| http.failure(error))?;
        let mut response = http.accepted(response, &call.asked).await?;
        while let Some(piece) = http.piece(&mut response, None).await? {
            file.write_all(&piece).map_err(failed)?;
        }
        file.flush().map_err(failed)?;
        Ok(file)
    }
}
