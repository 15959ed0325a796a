//! Many downloads at once, with progress reported on the caller's thread.

use std::{path::PathBuf, sync::Arc};

use tokio::{sync::mpsc, task::JoinSet};
use url::Url;

use crate::{client::Inner, error::FetchError, sink::Expected};

/// One file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Download {
    /// Where it is.
    pub url: Url,
    /// What it has to be.
    pub expected: Expected,
    /// Where it goes.
    pub destination: PathBuf,
}

/// How far one of the downloads is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The download's place in the list given.
    pub index: usize,
    /// Bytes of it that have come. The number falls back where a server cannot resume.
    pub received: u64,
    /// True once, when the file is complete, checked and in its place.
    pub done: bool,
}

/// Progress is worth telling every 64 KiB, not every network packet.
const TOLD_EVERY: u64 = 64 << 10;

pub(crate) async fn download_all(
    inner: &Arc<Inner>,
    downloads: Vec<Download>,
    progress: &mut dyn FnMut(Progress),
) -> Result<(), FetchError> {
    let mut waiting = downloads.into_iter().enumerate();
    let mut running = JoinSet::new();
    let (tell, mut told) = mpsc::unbounded_channel();
    let at_once = inner.config.parallel_downloads.max(1);
    // Dropping the set on an error aborts what still runs; temporary files go with their tasks.
    loop {
        while running.len() < at_once {
            let Some((index, download)) = waiting.next() else {
                break;
            };
            running.spawn(download_one(
                Arc::clone(inner),
                index,
                download,
                tell.clone(),
            ));
        }
        tokio::select! {
            biased;
            Some(event) = told.recv() => progress(event),
            finished = running.join_next() => match finished {
                None => break,
                Some(Ok(result)) => result?,
                Some(Err(join)) if join.is_panic() => std::panic::resume_unwind(join.into_panic()),
                Some(Err(join)) => return Err(FetchError::Start { cause: join.to_string() }),
            },
        }
    }
    while let Ok(event) = told.try_recv() {
        progress(event);
    }
    Ok(())
}

async fn download_one(
    inner: Arc<Inner>,
    index: usize,
    download: Download,
    tell: mpsc::UnboundedSender<Progress>,
) -> Result<(), FetchError> {
    let Download {
        url,
        expected,
        destination,
    } = download;
    let mut last = 0;
    let mut count = 0;
    let mut received = |bytes: u64| {
        count = bytes;
        if bytes < last || bytes - last >= TOLD_EVERY {
            last = bytes;
            // Nobody listens any more once another download failed.
            tell.send(Progress {
                index,
                received: bytes,
                done: false,
            })
            .ok();
        }
    };
    inner
        .download(&url, expected, &destination, &mut received)
        .await?;
    tell.send(Progress {
        index,
        received: count,
        done: true,
    })
    .ok();
    Ok(())
}
