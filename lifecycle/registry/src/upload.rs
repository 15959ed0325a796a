//! Sending one blob (OCI distribution specification 1.1, "Pushing blobs"): a session is opened with POST, then one PUT has the
//! whole blob. If that breaks off and the blob is large, it goes on in pieces from where the registry says that it is: the
//! `Range` of its answer counts, not what we believe to have sent. A session that is lost begins anew.

use std::time::Duration;

use fetch::{Budget, Tries};
use reqwest::{
    Method,
    header::{CONTENT_RANGE, CONTENT_TYPE, HeaderValue, LOCATION, RANGE},
};
use url::Url;

use crate::{
    address,
    auth::Access,
    body::{Blob, Payload},
    error::RegistryError,
    failure::Failure,
    host::Host,
    request::{Call, Http, Reply, Target},
};

/// What a registry may ask pieces to have at least.
const CHUNK_MIN_LENGTH: &str = "oci-chunk-min-length";

/// The most time that giving up an upload may take.
const CANCEL: Duration = Duration::from_secs(5);

/// An upload in the registry, as far as it is known.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    pub(crate) url: Url,
    /// Bytes that the registry has.
    offset: u64,
    /// The registry's wish for the size of pieces.
    least_chunk: u64,
}

/// How an upload goes on after an answer.
enum Step {
    Stored,
    /// The session is not there any more.
    Lost(Reply),
    /// The registry cannot take it whole, or not in pieces.
    OtherWay(Reply),
}

/// One upload of one blob.
pub(crate) struct Upload<'a> {
    pub(crate) http: &'a Http,
    pub(crate) host: &'a Host,
    pub(crate) access: &'a Access,
    pub(crate) blob: &'a Blob,
    pub(crate) chunk_size: u64,
    pub(crate) budget: &'a Budget,
}

impl Session {
    /// From the answer to a POST: where to go on.
    pub(crate) fn opened(host: &Host, reply: &Reply) -> Result<Self, Failure> {
        let wish = reply
            .header(CHUNK_MIN_LENGTH)
            .and_then(|text| text.parse().ok());
        let url = location(host, reply)?;
        host.opened_upload(&url);
        Ok(Self {
            url,
            offset: 0,
            least_chunk: wish.unwrap_or(0),
        })
    }

    /// One that was opened earlier.
    pub(crate) fn at(url: Url) -> Self {
        Self {
            url,
            offset: 0,
            least_chunk: 0,
        }
    }
}

impl Upload<'_> {
    /// Sends the blob. Whether the registry really has it then is another question.
    pub(crate) async fn run(&self, opened: Option<Session>) -> Result<(), RegistryError> {
        let mut session = opened;
        let done = self.attempts(&mut session).await;
        if let (Err(_), Some(session)) = (&done, session) {
            let budget = self.budget.at_most(CANCEL);
            cancel(self.http, self.host, self.access, session.url, &budget).await;
        }
        done
    }

    async fn attempts(&self, session: &mut Option<Session>) -> Result<(), RegistryError> {
        let mut tries = Tries::new(&self.http.retry);
        let mut in_pieces = false;
        let mut furthest = 0;
        loop {
            let mut current = match session.take() {
                Some(current) => current,
                None => self.open().await?,
            };
            let sent = if in_pieces {
                self.pieces(&mut current).await
            } else {
                self.whole(&current).await
            };
            let moved = current.offset > furthest;
            furthest = furthest.max(current.offset);
            let transient = match sent {
                Ok(Step::Stored) => return Ok(()),
                Ok(Step::Lost(reply)) => once_more(reply),
                Ok(Step::OtherWay(reply)) => {
                    let was_large = self.blob.size > self.chunk_size;
                    if !was_large {
                        return Err(reply.refused("push"));
                    }
                    in_pieces = !in_pieces;
                    once_more(reply)
                }
                Err(Failure::Final(error)) => {
                    *session = Some(current);
                    return Err(error);
                }
                Err(Failure::Transient(transient)) => {
                    *session = Some(current);
                    transient
                }
            };
            self.http
                .pause(&mut tries, transient, moved, self.budget)
                .await?;
            if self.blob.size > self.chunk_size {
                in_pieces |= session.is_some();
                *session = match session.take() {
                    Some(current) => self.resumed(current).await?,
                    None => None,
                };
            } else if let Some(current) = session.take() {
                // A small blob is sent again as a whole; what came of it is given up.
                let budget = self.budget.at_most(CANCEL);
                cancel(self.http, self.host, self.access, current.url, &budget).await;
            }
        }
    }

    /// Opens a session.
    pub(crate) async fn open(&self) -> Result<Session, RegistryError> {
        open(self.http, self.host, self.access, self.budget).await
    }

    /// All of it in one request.
    async fn whole(&self, session: &Session) -> Result<Step, Failure> {
        let payload = Payload::Part {
            blob: self.blob.clone(),
            from: 0,
            length: self.blob.size,
        };
        self.finish(session, payload).await
    }

    async fn finish(&self, session: &Session, body: Payload) -> Result<Step, Failure> {
        let mut url = session.url.clone();
        url.query_pairs_mut()
            .append_pair("digest", &self.blob.digest.to_string());
        let mut call = self.call(Method::PUT, url);
        call.body = body;
        let reply = self.http.once(&call, self.budget).await?;
        Self::step(reply)
    }

    /// The rest of it in pieces.
    async fn pieces(&self, session: &mut Session) -> Result<Step, Failure> {
        let chunk = self.chunk_size.max(session.least_chunk);
        while session.offset < self.blob.size {
            let from = session.offset;
            let length = chunk.min(self.blob.size - from);
            let mut call = self.call(Method::PATCH, session.url.clone());
            let range = format!("{from}-{}", from + length - 1);
            if let Ok(range) = HeaderValue::from_str(&range) {
                call.headers.insert(CONTENT_RANGE, range);
            }
            call.body = Payload::Part {
                blob: self.blob.clone(),
                from,
                length,
            };
            let reply = self.http.once(&call, self.budget).await?;
            if !matches!(reply.status, 200 | 201 | 202 | 204) {
                return Self::step(reply);
            }
            session.url = location(self.host, &reply)?;
            let has = offset(&reply).unwrap_or(from + length);
            // Less than before, or more than there is, is another upload's answer.
            if has <= from || has > from + length {
                return Ok(Step::Lost(reply));
            }
            session.offset = has;
        }
        self.finish(session, Payload::None).await
    }

    /// Where the registry is after something went wrong; `None` if it has forgotten the upload.
    async fn resumed(&self, session: Session) -> Result<Option<Session>, RegistryError> {
        let call = self.call(Method::GET, session.url.clone());
        self.http
            .ask(&call, self.budget, |reply| {
                if !matches!(reply.status, 200 | 202 | 204) {
                    return Ok(None);
                }
                let Some(offset) = offset(&reply).filter(|has| *has <= self.blob.size) else {
                    return Ok(None);
                };
                // Not every registry repeats the address here.
                let url = location(self.host, &reply).unwrap_or_else(|_| session.url.clone());
                Ok(Some(Session {
                    url,
                    offset,
                    least_chunk: session.least_chunk,
                }))
            })
            .await
    }

    fn step(reply: Reply) -> Result<Step, Failure> {
        let words = reply.words();
        match reply.status {
            200 | 201 | 204 => Ok(Step::Stored),
            404 | 416 => Ok(Step::Lost(reply)),
            400 if words.has(&[
                "BLOB_UPLOAD_UNKNOWN",
                "BLOB_UPLOAD_INVALID",
                "RANGE_INVALID",
            ]) =>
            {
                Ok(Step::Lost(reply))
            }
            // Our blob has its digest: it was damaged on the way.
            400 if words.has(&["DIGEST_INVALID", "SIZE_INVALID"]) => Ok(Step::Lost(reply)),
            405 | 413 if !words.are_about_space() => Ok(Step::OtherWay(reply)),
            _ => Err(reply.refused("push").into()),
        }
    }

    fn call(&self, method: Method, url: Url) -> Call<'_> {
        let mut call = Call::new(self.host, self.access, method, Target::Url(url));
        let kind = HeaderValue::from_static("application/octet-stream");
        call.headers.insert(CONTENT_TYPE, kind);
        call
    }
}

/// Opens an upload session.
pub(crate) async fn open(
    http: &Http,
    host: &Host,
    access: &Access,
    budget: &Budget,
) -> Result<Session, RegistryError> {
    let target = Target::Path(format!("/v2/{}/blobs/uploads/", access.repository));
    let call = Call::new(host, access, Method::POST, target);
    let opened = http.ask(&call, budget, |reply| match reply.status {
        202 => Session::opened(host, &reply),
        _ => Err(reply.refused("push").into()),
    });
    let opened = opened.await?;
    failpoint::reach("push-upload-opened");
    Ok(opened)
}

/// Gives an upload up, so that the registry need not keep it for days. Whether that works does not matter to the push.
pub(crate) async fn cancel(http: &Http, host: &Host, access: &Access, url: Url, budget: &Budget) {
    let call = Call::new(host, access, Method::DELETE, Target::Url(url));
    drop(http.once(&call, budget).await);
}

/// The next address of an upload: relative or absolute, its query kept, and checked like every address that a server names.
fn location(host: &Host, reply: &Reply) -> Result<Url, Failure> {
    let problem = |problem: &str| {
        let error = RegistryError::Protocol {
            asked: reply.asked.clone(),
            problem: problem.to_owned(),
        };
        Failure::once_more(reply.asked.clone(), error)
    };
    let text = reply
        .headers
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| problem("it does not say where the upload goes on (Location)"))?;
    let url = reply
        .url
        .join(text)
        .map_err(|_| problem("the upload's Location is not an address"))?;
    match address::problem(&host.url("/v2/")?, &url) {
        Some(problem) => Err(Failure::Final(RegistryError::Address {
            asked: reply.asked.clone(),
            to: fetch::redacted(&url),
            purpose: "an upload",
            problem,
        })),
        None => Ok(url),
    }
}

/// How much of the upload the registry has: `Range: 0-N`, with or without a unit. `0-0` is said of nothing at all as well as of
/// one byte; taken for nothing, the worst is a piece that is refused.
fn offset(reply: &Reply) -> Option<u64> {
    let text = reply.header(RANGE.as_str())?;
    let range = text.strip_prefix("bytes=").unwrap_or(text);
    let (first, last) = range.split_once('-')?;
    let last: u64 = last.parse().ok()?;
    match (first, last) {
        ("0", 0) => Some(0),
        ("0", last) => last.checked_add(1),
        _ => None,
    }
}

fn once_more(reply: Reply) -> crate::failure::Transient {
    let asked = reply.asked.clone();
    let error = reply.refused("push");
    crate::failure::Transient {
        asked,
        cause: error.to_string(),
        wait: None,
        error: Some(Box::new(error)),
    }
}
