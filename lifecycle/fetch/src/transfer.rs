//! Brings one address into one sink: attempts, pauses, resuming with `Range`, within a total time.

use std::{
    future::Future,
    io,
    time::{Duration, Instant},
};

use reqwest::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, ETAG, HeaderMap, HeaderValue, IF_RANGE, LAST_MODIFIED, RANGE,
};
use url::Url;

use crate::{
    attempt::{Failure, Http, failure_of_request},
    config::Config,
    content_range::checked_content_range,
    error::FetchError,
    redact::redacted,
    retry::Tries,
    sink::Sink,
};

/// How a transfer ended well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The sink holds the whole answer, which came with these headers.
    Complete(Box<HeaderMap>),
    /// 304: the caller's copy is still right.
    NotModified,
}

/// One request with what stays the same over its attempts.
pub(crate) struct Transfer<'a> {
    pub(crate) http: &'a Http,
    pub(crate) config: &'a Config,
    pub(crate) url: &'a Url,
    /// Conditions, cache control.
    pub(crate) headers: HeaderMap,
}

impl Transfer<'_> {
    /// Runs attempts until the sink is full, the answer is final, or patience ends.
    pub(crate) async fn run<S: Sink>(
        &self,
        sink: &mut S,
        received: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Outcome, FetchError> {
        let begun = Instant::now();
        let mut tries = Tries::new(&self.config.retry);
        let mut kept = None;
        loop {
            tries.made += 1;
            let before = sink.len();
            let left = self.config.total_time.saturating_sub(begun.elapsed());
            let (cause, asked) = match within(left, self.attempt(sink, &mut kept, received)).await {
                Ok(outcome) => return Ok(outcome),
                Err(Failure::Final(error)) => return Err(with_attempts(error, tries.made)),
                Err(Failure::Transient { cause, wait }) => (cause, wait),
            };
            let attempts = tries.made;
            let gave_up = |cause| FetchError::GaveUp {
                url: redacted(self.url),
                cause,
                attempts,
                elapsed: begun.elapsed(),
            };
            let Some(wait) = tries.next_wait(sink.len() > before, asked, fastrand::f64()) else {
                return Err(gave_up(cause));
            };
            if begun.elapsed() + wait >= self.config.total_time {
                let limit = self.config.total_time.as_secs();
                return Err(gave_up(format!(
                    "{cause}; another attempt would exceed the time limit of {limit} s"
                )));
            }
            tokio::time::sleep(wait).await;
        }
    }

    async fn attempt<S: Sink>(
        &self,
        sink: &mut S,
        kept: &mut Option<Kept>,
        received: &mut (dyn FnMut(u64) + Send),
    ) -> Result<Outcome, Failure> {
        let mut headers = self.headers.clone();
        // A proxy that compresses on the way would make sizes and ranges meaningless.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let resumed_from = add_range(&mut headers, sink, kept.as_ref());
        let mut answer = match self.http.send(self.url, &headers).await {
            // The file became shorter than what we hold of it: begin again.
            Err(Failure::Final(FetchError::Status { status: 416, .. }))
                if resumed_from.is_some() =>
            {
                *kept = None;
                self.restart(sink)?;
                return Err(transient("the server has another version of the file now"));
            }
            other => other?,
        };
        let total = match (answer.response.status().as_u16(), resumed_from) {
            (304, _) => return Ok(Outcome::NotModified),
            (206, Some(offset)) => {
                let total = checked_content_range(answer.response.headers(), offset);
                let known = kept.as_ref().and_then(|kept| kept.total);
                if total.is_none() || (known.is_some() && known != total) {
                    *kept = None;
                    self.restart(sink)?;
                    return Err(transient(
                        "the server continued the file at another place than asked",
                    ));
                }
                total
            }
            (206, None) => return Err(transient("the server sent a part of the file, unasked")),
            _ => {
                self.restart(sink)?;
                answer.response.content_length()
            }
        };
        if let Some(total) = total {
            self.check_announced(total, sink)?;
        }
        *kept = Some(Kept::of(answer.response.headers(), total));

        while let Some(bytes) = answer
            .response
            .chunk()
            .await
            .map_err(|error| failure_of_request(self.url, error))?
        {
            if sink.len() + bytes.len() as u64 > sink.limit() {
                return Err(Failure::Final(self.too_large(sink)));
            }
            sink.write(&bytes)
                .map_err(|source| self.save_error(source))?;
            received(sink.len());
        }
        match total.or(sink.expected_size()) {
            Some(total) if sink.len() < total => Err(transient(&format!(
                "the answer ended after {} of {total} bytes",
                sink.len()
            ))),
            _ => Ok(Outcome::Complete(Box::new(
                answer.response.headers().clone(),
            ))),
        }
    }

    fn restart<S: Sink>(&self, sink: &mut S) -> Result<(), Failure> {
        sink.restart().map_err(|source| self.save_error(source))
    }

    /// Refuses before the first byte what cannot be right.
    fn check_announced<S: Sink>(&self, total: u64, sink: &S) -> Result<(), Failure> {
        let url = redacted(self.url);
        match sink.expected_size() {
            Some(expected) if expected != total => Err(Failure::Final(FetchError::WrongSize {
                url,
                expected,
                found: total,
            })),
            None if total > sink.limit() => Err(Failure::Final(FetchError::TooLarge {
                url,
                cap: sink.limit(),
            })),
            _ => Ok(()),
        }
    }

    fn too_large<S: Sink>(&self, sink: &S) -> FetchError {
        let url = redacted(self.url);
        match sink.expected_size() {
            Some(expected) => FetchError::WrongSize {
                url,
                expected,
                found: expected + 1,
            },
            None => FetchError::TooLarge {
                url,
                cap: sink.limit(),
            },
        }
    }

    /// The path is filled in by whoever knows it.
    fn save_error(&self, source: io::Error) -> Failure {
        Failure::Final(FetchError::Save {
            url: redacted(self.url),
            path: std::path::PathBuf::new(),
            source,
        })
    }
}

/// What identifies the version of the file of which the sink holds the beginning.
#[derive(Debug)]
struct Kept {
    validator: Option<HeaderValue>,
    total: Option<u64>,
}

impl Kept {
    fn of(headers: &HeaderMap, total: Option<u64>) -> Self {
        let strong = headers
            .get(ETAG)
            .filter(|tag| tag.as_bytes().starts_with(b"\""));
        Self {
            validator: strong.or_else(|| headers.get(LAST_MODIFIED)).cloned(),
            total,
        }
    }
}

/// Asks for the rest only if the pieces can be known to belong together: by a validator, or by the digest afterwards.
fn add_range<S: Sink>(headers: &mut HeaderMap, sink: &S, kept: Option<&Kept>) -> Option<u64> {
    let kept = kept?;
    let offset = sink.len();
    if offset == 0 || (kept.validator.is_none() && !sink.is_verified()) {
        return None;
    }
    headers.insert(
        RANGE,
        HeaderValue::from_str(&format!("bytes={offset}-")).ok()?,
    );
    if let Some(validator) = &kept.validator {
        headers.insert(IF_RANGE, validator.clone());
    }
    Some(offset)
}

async fn within<T>(
    left: Duration,
    attempt: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(left, attempt).await {
        Ok(done) => done,
        Err(_) => Err(transient("the time limit for one file was reached")),
    }
}

fn transient(cause: &str) -> Failure {
    Failure::Transient {
        cause: cause.to_owned(),
        wait: None,
    }
}

fn with_attempts(error: FetchError, made: u32) -> FetchError {
    match error {
        FetchError::Status {
            url,
            status,
            reason,
            ..
        } => FetchError::Status {
            url,
            status,
            reason,
            attempts: made,
        },
        other => other,
    }
}

/// Makes caches on the way ask the origin again.
pub(crate) fn no_cache() -> HeaderMap {
    HeaderMap::from_iter([(CACHE_CONTROL, HeaderValue::from_static("no-cache"))])
}
