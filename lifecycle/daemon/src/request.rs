//! Requests: attempts within the time budget, silence noticed, the system's errors sorted by what to do about them.

use std::{io, time::Duration};

use fetch::{Budget, RequestProblem, RetryPolicy, Tries, cause_of};
use reqwest::{Method, Response, header::HeaderMap};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::{
    asked::Asked,
    endpoint::NamedBy,
    error::{DaemonError, Unreachable},
    host::Host,
};

/// The longest answer that is read into memory: a list of images, or of what a load says.
pub(crate) const LONGEST_ANSWER: u64 = 64 << 20;

/// More is not read of an error's body.
const LONGEST_ERROR: u64 = 64 << 10;

/// Characters shown of what a daemon says.
const LONGEST_MESSAGE: usize = 500;

/// What Go's server says to whoever speaks to it without TLS, though it wants that.
const SPOKEN_TO_WITHOUT_TLS: &str = "HTTP request to an HTTPS server";

/// The HTTP client and what it needs to know.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) client: reqwest::Client,
    pub(crate) host: Host,
    pub(crate) named_by: NamedBy,
    pub(crate) retry: RetryPolicy,
    pub(crate) idle_time: Duration,
}

/// A request without a body.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) asked: Asked,
}

/// A whole answer that is not an error.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) asked: Asked,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A failed attempt.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Another attempt may succeed.
    Transient(String),
    /// It will not.
    Final(DaemonError),
}

impl From<DaemonError> for Failure {
    fn from(error: DaemonError) -> Self {
        Self::Final(error)
    }
}

impl Reply {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, DaemonError> {
        serde_json::from_slice(&self.body).map_err(|error| DaemonError::Protocol {
            asked: self.asked.clone(),
            problem: error.to_string(),
        })
    }
}

/// The error that it is when a request is still running when no time is left.
pub(crate) fn out_of_time(asked: &Asked, budget: &Budget) -> DaemonError {
    DaemonError::GaveUp {
        asked: asked.clone(),
        cause: used_up(budget),
        attempts: 1,
        elapsed: budget.elapsed(),
    }
}

fn used_up(budget: &Budget) -> String {
    format!(
        "the time limit of {:.0} s is used up",
        budget.total().as_secs_f64()
    )
}

impl Http {
    /// A request for a path, given in parts, and a query.
    pub(crate) fn call(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> Call {
        let mut url = self.host.url();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(path.iter().flat_map(|part| part.split('/')));
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let asked = Asked::new(&method, url.path(), &self.host);
        Call { method, url, asked }
    }

    /// Makes attempts until there is an answer, or patience or the budget ends.
    pub(crate) async fn ask(&self, call: &Call, budget: &Budget) -> Result<Reply, DaemonError> {
        let mut tries = Tries::new(&self.retry);
        loop {
            let attempt = tokio::time::timeout(budget.left(), self.attempt(call)).await;
            let failure =
                attempt.unwrap_or_else(|_| Err(Failure::Final(out_of_time(&call.asked, budget))));
            match failure {
                Ok(reply) => return Ok(reply),
                Err(failure) => self.pause(&mut tries, failure, &call.asked, budget).await?,
            }
        }
    }

    /// Waits before the next attempt, or says why there is none.
    pub(crate) async fn pause(
        &self,
        tries: &mut Tries<'_>,
        failure: Failure,
        asked: &Asked,
        budget: &Budget,
    ) -> Result<(), DaemonError> {
        let cause = match failure {
            Failure::Final(error) => return Err(error),
            Failure::Transient(cause) => cause,
        };
        tries.made += 1;
        let cause = match tries.next_wait(false, None, fastrand::f64()) {
            Some(wait) if wait < budget.left() => {
                tokio::time::sleep(wait).await;
                return Ok(());
            }
            None => cause,
            Some(_) => format!("{cause}; {}", used_up(budget)),
        };
        Err(DaemonError::GaveUp {
            asked: asked.clone(),
            cause,
            attempts: tries.made,
            elapsed: budget.elapsed(),
        })
    }

    async fn attempt(&self, call: &Call) -> Result<Reply, Failure> {
        let mut request = self.client.request(call.method.clone(), call.url.clone());
        if call.method == Method::POST {
            request = request.body(Vec::new());
        }
        let response = tokio::time::timeout(self.idle_time, request.send())
            .await
            .map_err(|_| self.silence())?
            .map_err(|error| self.failure(error))?;
        self.whole(response, &call.asked, Some(self.idle_time))
            .await
    }

    /// The whole answer, or the error that it is. Some answers take their time to come: then no silence is too long.
    pub(crate) async fn whole(
        &self,
        response: Response,
        asked: &Asked,
        silence: Option<Duration>,
    ) -> Result<Reply, Failure> {
        let mut response = self.accepted(response, asked).await?;
        let mut body = Vec::new();
        while let Some(piece) = self.piece(&mut response, silence).await? {
            body.extend_from_slice(&piece);
            if body.len() as u64 > LONGEST_ANSWER {
                let problem = format!("it is longer than {LONGEST_ANSWER} bytes");
                return Err(Failure::Final(DaemonError::Protocol {
                    asked: asked.clone(),
                    problem,
                }));
            }
        }
        Ok(Reply {
            asked: asked.clone(),
            headers: response.headers().clone(),
            body,
        })
    }

    /// The answer if it is a good one; its body has not been read.
    pub(crate) async fn accepted(
        &self,
        mut response: Response,
        asked: &Asked,
    ) -> Result<Response, Failure> {
        let status = response.status().as_u16();
        if (200..300).contains(&status) {
            return Ok(response);
        }
        let mut body = Vec::new();
        while (body.len() as u64) < LONGEST_ERROR {
            match self.piece(&mut response, Some(self.idle_time)).await {
                Ok(Some(piece)) => body.extend_from_slice(&piece),
                _ => break,
            }
        }
        let message = message(&body);
        if status == 400 && message.contains(SPOKEN_TO_WITHOUT_TLS) {
            return Err(self.unreachable(Unreachable::WantsTls));
        }
        // A daemon's own 500 is about the request; what stands before it says 502 and its kin while it is being restarted.
        if matches!(status, 429 | 502..=504) {
            let cause = format!("the daemon answered {status}: {message}");
            return Err(Failure::Transient(cause));
        }
        Err(Failure::Final(DaemonError::Refused {
            asked: asked.clone(),
            status,
            message,
        }))
    }

    /// The next piece of a body.
    pub(crate) async fn piece(
        &self,
        response: &mut Response,
        silence: Option<Duration>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let piece = match silence {
            Some(longest) => tokio::time::timeout(longest, response.chunk())
                .await
                .map_err(|_| self.silence())?,
            None => response.chunk().await,
        };
        piece
            .map(|piece| piece.map(|bytes| bytes.to_vec()))
            .map_err(|error| self.failure(error))
    }

    fn silence(&self) -> Failure {
        Failure::Transient(format!(
            "the daemon fell silent for {:.1} s",
            self.idle_time.as_secs_f64()
        ))
    }

    /// Sorts an error of the HTTP library.
    pub(crate) fn failure(&self, error: reqwest::Error) -> Failure {
        let is_connect = error.is_connect();
        if is_connect && let Some(reason) = reason_of_system(&error) {
            return self.unreachable(reason);
        }
        match RequestProblem::of(error) {
            RequestProblem::Untrusted { cause } | RequestProblem::InvalidCertificate { cause } => {
                self.unreachable(Unreachable::Unverified { cause })
            }
            RequestProblem::Identity { cause } => self.unreachable(Unreachable::Identity { cause }),
            RequestProblem::Transient { cause } if is_connect => {
                self.unreachable(Unreachable::Other { cause })
            }
            RequestProblem::Transient { cause } => Failure::Transient(cause),
        }
    }

    fn unreachable(&self, reason: Unreachable) -> Failure {
        Failure::Final(DaemonError::Unreachable {
            daemon: format!("{}{}", self.host, self.named_by.behind()),
            reason,
        })
    }
}

/// What the system said of a connection, where that says what to do.
fn reason_of_system(error: &reqwest::Error) -> Option<Unreachable> {
    match cause_of::<io::Error>(error)?.kind() {
        io::ErrorKind::NotFound => Some(Unreachable::NoSocket),
        io::ErrorKind::ConnectionRefused => Some(Unreachable::Refused),
        io::ErrorKind::PermissionDenied => Some(Unreachable::Forbidden),
        _ => None,
    }
}

/// What an error's body says: `{"message": "…"}`, or podman's `{"cause": "…", "message": "…"}`.
fn message(body: &[u8]) -> String {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let text = match value.as_ref().and_then(|value| value["message"].as_str()) {
        Some(message) => message.to_owned(),
        None => String::from_utf8_lossy(body).into_owned(),
    };
    printable(&text)
}

/// It comes from outside: one line of readable length.
pub(crate) fn printable(text: &str) -> String {
    let line: String = text
        .trim()
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(LONGEST_MESSAGE)
        .collect();
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_forms() {
        for (body, expected) in [
            (
                &br#"{"message":"No such image: x"}"#[..],
                "No such image: x",
            ),
            (br#"{"cause":"x","message":"y\nz","response":500}"#, "y z"),
            (b"404 page not found\n", "404 page not found"),
            (b"", ""),
        ] {
            assert_eq!(message(body), expected);
        }
    }
}
