//! One attempt: send the request, follow redirects, sort the answer into usable, worth another try, and final.

use std::{collections::BTreeMap, sync::Arc, sync::Mutex, time::Duration};

use reqwest::header::{HeaderMap, LOCATION};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use crate::{
    error::FetchError,
    problem::RequestProblem,
    redact::redacted,
    redirect::redirect_target,
    retry::{is_transient_status, retry_after},
};

/// The HTTP client and its limit of simultaneous requests to each host.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) client: reqwest::Client,
    pub(crate) per_host: usize,
    pub(crate) hosts: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

/// A usable answer: 200, 206 or 304. The host's place is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) response: reqwest::Response,
    _place: OwnedSemaphorePermit,
}

/// A failed attempt.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Another attempt may succeed.
    Transient {
        cause: String,
        wait: Option<Duration>,
    },
    /// It will not.
    Final(FetchError),
}

impl Http {
    pub(crate) async fn send(&self, url: &Url, headers: &HeaderMap) -> Result<Answer, Failure> {
        let mut url = url.clone();
        let mut hops = 0;
        loop {
            let place = self.place(&url).await;
            let response = self
                .client
                .get(url.clone())
                .headers(headers.clone())
                .send()
                .await
                .map_err(|error| failure_of_request(&url, error))?;
            match response.status().as_u16() {
                200 | 206 | 304 => {
                    return Ok(Answer {
                        response,
                        _place: place,
                    });
                }
                301 | 302 | 303 | 307 | 308 => {
                    url = follow(&url, &response, hops)?;
                    hops += 1;
                }
                _ => return Err(failure_of_status(&url, &response)),
            }
        }
    }

    async fn place(&self, url: &Url) -> OwnedSemaphorePermit {
        let host = format!(
            "{}:{}",
            url.host_str().unwrap_or_default(),
            url.port_or_known_default().unwrap_or_default()
        );
        let semaphore = {
            // A poisoned lock means that a thread panicked between two map operations: the map itself is whole.
            let mut hosts = self
                .hosts
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            Arc::clone(
                hosts
                    .entry(host)
                    .or_insert_with(|| Arc::new(Semaphore::new(self.per_host.max(1)))),
            )
        };
        semaphore
            .acquire_owned()
            .await
            .expect("the semaphore is never closed")
    }
}

fn follow(url: &Url, response: &reqwest::Response, hops: u32) -> Result<Url, Failure> {
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("http://[");
    redirect_target(url, location, hops).map_err(|problem| {
        let to = url
            .join(location)
            .map_or_else(|_| "an unreadable address".to_owned(), |to| redacted(&to));
        Failure::Final(FetchError::Redirect {
            url: redacted(url),
            to,
            problem,
        })
    })
}

fn failure_of_status(url: &Url, response: &reqwest::Response) -> Failure {
    let status = response.status();
    let reason = status
        .canonical_reason()
        .unwrap_or("(no usual name)")
        .to_owned();
    if is_transient_status(status.as_u16()) {
        let cause = format!("the server answered {} {reason}", status.as_u16());
        return Failure::Transient {
            cause,
            wait: retry_after(response.headers()),
        };
    }
    Failure::Final(FetchError::Status {
        url: redacted(url),
        status: status.as_u16(),
        reason,
        attempts: 1,
    })
}

/// Sorts an error of the HTTP library.
pub(crate) fn failure_of_request(url: &Url, error: reqwest::Error) -> Failure {
    match RequestProblem::of(error) {
        RequestProblem::Untrusted { cause } => Failure::Final(FetchError::UntrustedCertificate {
            url: redacted(url),
            cause,
        }),
        RequestProblem::InvalidCertificate { cause } => {
            Failure::Final(FetchError::InvalidCertificate {
                url: redacted(url),
                cause,
            })
        }
        RequestProblem::Identity { cause } => Failure::Final(FetchError::Identity {
            url: redacted(url),
            cause,
        }),
        RequestProblem::Transient { cause } => Failure::Transient { cause, wait: None },
    }
}
