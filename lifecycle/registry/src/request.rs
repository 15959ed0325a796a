//! Requests: attempts within the time budget, answers to 401, redirects followed by hand, silence noticed.
//!
//! Credentials go to the registry's own origin and, on the way to a token, to the realm it names; never along with a redirect or
//! to an upload's `Location` elsewhere.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use fetch::{Budget, RedirectProblem, RequestProblem, RetryPolicy, Tries};
use oci_image::BlobDigest;
use reqwest::{
    Method, Response,
    header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION},
};
use url::Url;

use crate::{
    address,
    asked::Asked,
    auth::{Access, Refusal},
    body::{Payload, Progress},
    challenge::challenges,
    credentials::Credentials,
    error::RegistryError,
    failure::{Failure, Transient},
    host::{Host, Kind, Protocol},
    standing::OwnNetwork,
    words::{LONGEST_ERROR, Words},
};

/// A 401 is answered so often in one attempt: because nothing was sent, because a token had run out, and because the one that
/// another request fetched meanwhile had too.
const MOST_REFUSALS: u32 = 3;

/// A server that speaks TLS says so at once.
const TLS_PROBE: Duration = Duration::from_secs(3);

/// What requests to all registries need to know.
#[derive(Debug)]
pub(crate) struct Http {
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) retry: RetryPolicy,
    pub(crate) idle_time: Duration,
    /// For messages.
    pub(crate) certificate_folders: Vec<PathBuf>,
}

/// A request to a registry.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) host: &'a Host,
    pub(crate) access: &'a Access,
    pub(crate) method: Method,
    pub(crate) target: Target,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Payload,
    /// The longest body of a good answer; with none it does not matter.
    pub(crate) cap: Option<u64>,
}

/// Where a request goes.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    /// A path of the registry's API.
    Path(String),
    /// An address that the registry gave.
    Url(Url),
}

/// A request that is no registry's business: its own headers are all that is sent.
pub(crate) struct Plain {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Payload,
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) asked: Asked,
    pub(crate) url: Url,
    pub(crate) response: Response,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) asked: Asked,
    /// Who answered, after redirects.
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(host: &'a Host, access: &'a Access, method: Method, target: Target) -> Self {
        Self {
            host,
            access,
            method,
            target,
            headers: HeaderMap::new(),
            body: Payload::None,
            cap: None,
        }
    }

    fn url(&self, protocol: Protocol) -> Result<Url, RegistryError> {
        match &self.target {
            Target::Path(path) => self.host.url_with(protocol, path),
            Target::Url(url) => Ok(url.clone()),
        }
    }

    /// For messages.
    pub(crate) fn asked(&self) -> Asked {
        let url = match &self.target {
            Target::Path(path) => self.host.url(path),
            Target::Url(url) => Ok(url.clone()),
        };
        match url {
            Ok(url) => Asked::new(&self.method, &url),
            Err(_) => Asked::of_text(&self.host.registry),
        }
    }
}

impl Reply {
    pub(crate) fn words(&self) -> Words {
        Words::of(&self.body)
    }

    /// The error that an answer is.
    pub(crate) fn refused(&self, right: &'static str) -> RegistryError {
        let (asked, status, words) = (self.asked.clone(), self.status, self.words());
        match status {
            401 | 403 if words.are_about_space() => RegistryError::Full {
                asked,
                status,
                words,
            },
            403 => RegistryError::Denied {
                asked,
                status,
                words,
                right,
            },
            404 => RegistryError::NotFound {
                asked,
                status,
                words,
            },
            413 => RegistryError::Full {
                asked,
                status,
                words,
            },
            _ => RegistryError::Refused {
                asked,
                status,
                words,
            },
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Http {
    /// Makes attempts until `judge` takes an answer, the answer is final, or patience or the budget ends.
    pub(crate) async fn ask<T>(
        &self,
        call: &Call<'_>,
        budget: &Budget,
        judge: impl Fn(Reply) -> Result<T, Failure>,
    ) -> Result<T, RegistryError> {
        let mut tries = Tries::new(&self.retry);
        loop {
            let transient = match self.once(call, budget).await.and_then(&judge) {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Transient(transient)) => transient,
            };
            self.pause(&mut tries, transient, false, budget).await?;
        }
    }

    /// One attempt.
    pub(crate) async fn once(&self, call: &Call<'_>, budget: &Budget) -> Result<Reply, Failure> {
        within(budget, call, self.attempt(call)).await
    }

    async fn attempt(&self, call: &Call<'_>) -> Result<Reply, Failure> {
        let Opened {
            asked,
            url,
            mut response,
        } = self.open(call).await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let body = match call.cap {
            Some(cap) if status < 300 => self.body(&mut response, cap, &asked).await?,
            // What it says about a refusal is shown as far as it comes; a good answer's matters not at all.
            _ => self.some_body(&mut response).await,
        };
        Ok(Reply {
            asked,
            url,
            status,
            headers,
            body,
        })
    }

    /// Waits before the next attempt, or says why there is none.
    pub(crate) async fn pause(
        &self,
        tries: &mut Tries<'_>,
        transient: Transient,
        moved: bool,
        budget: &Budget,
    ) -> Result<(), RegistryError> {
        let Transient {
            asked,
            cause,
            wait,
            error,
        } = transient;
        tries.made += 1;
        let next = tries.next_wait(moved, wait, fastrand::f64());
        let cause = match next {
            Some(wait) if wait < budget.left() => {
                tokio::time::sleep(wait).await;
                return Ok(());
            }
            None => cause,
            Some(_) => format!(
                "{cause}; another attempt would exceed the time limit of {:.0} s",
                budget.total().as_secs_f64()
            ),
        };
        match error {
            Some(error) => Err(*error),
            None => Err(RegistryError::GaveUp {
                asked,
                cause,
                attempts: tries.made,
                elapsed: budget.elapsed(),
            }),
        }
    }

    /// Sends a request and answers what the registry asks before it answers: credentials, another address.
    pub(crate) async fn open(&self, call: &Call<'_>) -> Result<Opened, Failure> {
        let mut access = call.access.clone();
        let mut refusals = 0;
        loop {
            let (mut opened, used) = self.follow(call, &access).await?;
            let status = opened.response.status().as_u16();
            if fetch::is_transient_status(status) {
                return Err(self.trouble(call, opened).await);
            }
            if status != 401 || !call.host.is_origin_of(&opened.url) {
                return Ok(opened);
            }
            let refusal = Refusal {
                challenges: challenges(opened.response.headers()),
                words: Words::of(&self.some_body(&mut opened.response).await),
                asked: opened.asked,
                used,
            };
            refusals += 1;
            if refusals > MOST_REFUSALS {
                return Err(self.refused(call.host, &access, refusal).await);
            }
            self.learn(call.host, &mut access, refusal).await?;
        }
    }

    /// Sends a request, following redirects; says which credentials the last address was shown.
    async fn follow(
        &self,
        call: &Call<'_>,
        access: &Access,
    ) -> Result<(Opened, Option<String>), Failure> {
        let protocol = self.protocol(call.host).await?;
        let first = call.url(protocol)?;
        let mut url = first.clone();
        let mut hops = 0;
        loop {
            let authorization = if call.host.is_origin_of(&url) {
                self.authorization(call.host, access).await?
            } else {
                None
            };
            let plain = Plain {
                method: call.method.clone(),
                url: url.clone(),
                headers: with_authorization(call.headers.clone(), authorization.as_deref()),
                body: call.body.clone(),
            };
            let sent = self.send(call.host, &plain).await;
            if let (Target::Path(_), None, 0) = (&call.target, call.host.protocol(), hops) {
                self.settle_protocol(call.host, protocol, &sent).await?;
                if call.host.protocol() == Some(Protocol::Https) {
                    return Box::pin(self.follow(call, access)).await;
                }
            }
            let response = sent?;
            let status = response.status().as_u16();
            let is_redirect = match status {
                301..=303 => matches!(call.method, Method::GET | Method::HEAD),
                307 | 308 => true,
                _ => false,
            };
            let asked = Asked::new(&call.method, &url);
            if !is_redirect {
                let opened = Opened {
                    asked,
                    url,
                    response,
                };
                return Ok((opened, authorization));
            }
            url = next_address(&asked, &first, &url, &response, hops)?;
            hops += 1;
        }
    }

    /// A request without credentials but its own, its whole answer, redirects of a GET included.
    pub(crate) async fn plain(
        &self,
        host: &Host,
        mut plain: Plain,
        cap: u64,
    ) -> Result<Reply, Failure> {
        let first = plain.url.clone();
        let mut hops = 0;
        loop {
            let mut response = self.send(host, &plain).await?;
            let asked = Asked::new(&plain.method, &plain.url);
            let status = response.status().as_u16();
            if matches!(status, 301 | 302 | 303 | 307 | 308) && plain.method == Method::GET {
                let next = next_address(&asked, &first, &plain.url, &response, hops)?;
                if next.origin() != plain.url.origin() {
                    plain.headers.remove(AUTHORIZATION);
                }
                plain.url = next;
                hops += 1;
                continue;
            }
            if fetch::is_transient_status(status) {
                let wait = fetch::retry_after(response.headers());
                let words = Words::of(&self.some_body(&mut response).await);
                return Err(busy(asked, status, &words, wait));
            }
            let headers = response.headers().clone();
            let body = if status < 300 {
                self.body(&mut response, cap, &asked).await?
            } else {
                self.some_body(&mut response).await
            };
            return Ok(Reply {
                asked,
                url: plain.url,
                status,
                headers,
                body,
            });
        }
    }

    async fn send(&self, host: &Host, plain: &Plain) -> Result<Response, Failure> {
        let Plain {
            method,
            url,
            headers,
            body,
        } = plain;
        let progress = Progress::default();
        let mut request = host
            .clients
            .of(host, url)
            .request(method.clone(), url.clone())
            .headers(headers.clone());
        if !matches!(*method, Method::GET | Method::HEAD | Method::DELETE) {
            request = request
                .header(CONTENT_LENGTH, body.len())
                .body(body.body(&progress));
        }
        let asked = Asked::new(method, url);
        let Some(sent) = watched(request.send(), &progress, self.idle_time).await else {
            return Err(Failure::transient(asked, self.silence()));
        };
        if let Ok(response) = &sent
            && host.is_at(url)
        {
            host.clients.standing.answered(response.remote_addr());
        }
        sent.map_err(
            |error| match (progress.take_source_error(), body.digest()) {
                (Some(source), Some(digest)) => Failure::Final(source_error(digest, source)),
                _ => self.failure(asked, error),
            },
        )
    }

    /// The whole body of an answer.
    async fn body(
        &self,
        response: &mut Response,
        cap: u64,
        asked: &Asked,
    ) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let too_large = || {
            Failure::Final(RegistryError::TooLarge {
                asked: asked.clone(),
                cap,
            })
        };
        if response.content_length().is_some_and(|length| length > cap) {
            return Err(too_large());
        }
        while let Some(piece) = self.piece(response, asked).await? {
            if bytes.len() as u64 + piece.len() as u64 > cap {
                return Err(too_large());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// The next piece of a body.
    pub(crate) async fn piece(
        &self,
        response: &mut Response,
        asked: &Asked,
    ) -> Result<Option<Vec<u8>>, Failure> {
        match tokio::time::timeout(self.idle_time, response.chunk()).await {
            Ok(Ok(piece)) => Ok(piece.map(|bytes| bytes.to_vec())),
            Ok(Err(error)) => Err(self.failure(asked.clone(), error)),
            Err(_) => Err(Failure::transient(asked.clone(), self.silence())),
        }
    }

    /// What comes of a body that only explains.
    pub(crate) async fn some_body(&self, response: &mut Response) -> Vec<u8> {
        let mut bytes = Vec::new();
        while (bytes.len() as u64) < LONGEST_ERROR {
            match tokio::time::timeout(self.idle_time, response.chunk()).await {
                Ok(Ok(Some(piece))) => bytes.extend_from_slice(&piece),
                _ => break,
            }
        }
        bytes
    }

    fn silence(&self) -> String {
        format!(
            "the server fell silent for {:.1} s",
            self.idle_time.as_secs_f64()
        )
    }

    /// Sorts an error of the HTTP library.
    fn failure(&self, asked: Asked, error: reqwest::Error) -> Failure {
        if let Some(found) = fetch::cause_of::<OwnNetwork>(&error) {
            let problem = found.to_string();
            return Failure::Final(RegistryError::OwnNetwork { asked, problem });
        }
        Failure::Final(match RequestProblem::of(error) {
            RequestProblem::Untrusted { cause } => RegistryError::Untrusted { asked, cause },
            RequestProblem::InvalidCertificate { cause } => {
                RegistryError::InvalidCertificate { asked, cause }
            }
            RequestProblem::Identity { cause } => RegistryError::Identity {
                asked,
                cause,
                folders: self.certificate_folders.clone(),
            },
            RequestProblem::Transient { cause } => return Failure::transient(asked, cause),
        })
    }

    /// A 5xx, or another answer that time may change; unless it says that there is no room.
    async fn trouble(&self, call: &Call<'_>, mut opened: Opened) -> Failure {
        let status = opened.response.status().as_u16();
        let wait = fetch::retry_after(opened.response.headers());
        let words = Words::of(&self.some_body(&mut opened.response).await);
        let stores = !matches!(call.method, Method::GET | Method::HEAD | Method::DELETE);
        if stores && (status == 507 || (status != 429 && words.are_about_space())) {
            return Failure::Final(RegistryError::Full {
                asked: opened.asked,
                status,
                words,
            });
        }
        busy(opened.asked, status, &words, wait)
    }

    async fn protocol(&self, host: &Host) -> Result<Protocol, Failure> {
        if let Some(known) = host.protocol() {
            return Ok(known);
        }
        if host.kind == Kind::Insecure && self.speaks_tls(host).await? {
            host.settle(Protocol::Https);
            return Ok(Protocol::Https);
        }
        Ok(Protocol::Http)
    }

    /// After the first request in plain http. A server that speaks TLS answers it with 400 or by hanging up.
    async fn settle_protocol(
        &self,
        host: &Host,
        used: Protocol,
        sent: &Result<Response, Failure>,
    ) -> Result<(), RegistryError> {
        let (answered, understood) = match sent {
            Ok(response) => (true, response.status().as_u16() != 400),
            Err(_) => (false, false),
        };
        if !understood && host.kind == Kind::Loopback && self.speaks_tls(host).await? {
            host.settle(Protocol::Https);
        } else if answered {
            host.settle(used);
        }
        Ok(())
    }

    /// A certificate that is not trusted is TLS as well: the next request says so.
    async fn speaks_tls(&self, host: &Host) -> Result<bool, RegistryError> {
        let plain = Plain {
            method: Method::GET,
            url: host.url_with(Protocol::Https, "/v2/")?,
            headers: HeaderMap::new(),
            body: Payload::None,
        };
        let probed = tokio::time::timeout(TLS_PROBE, self.send(host, &plain)).await;
        Ok(matches!(
            probed,
            Ok(Ok(_)
                | Err(Failure::Final(
                    RegistryError::Untrusted { .. }
                        | RegistryError::InvalidCertificate { .. }
                        | RegistryError::Identity { .. }
                )))
        ))
    }
}

/// One attempt, as long as the budget lasts.
pub(crate) async fn within<T>(
    budget: &Budget,
    call: &Call<'_>,
    attempt: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(budget.left(), attempt).await {
        Ok(done) => done,
        Err(_) => Err(Failure::transient(
            call.asked(),
            "there was no answer in time",
        )),
    }
}

/// Waits for an answer as long as something is being sent, and then for one silence.
async fn watched<T>(
    request: impl Future<Output = T>,
    progress: &Progress,
    idle_time: Duration,
) -> Option<T> {
    let mut request = std::pin::pin!(request);
    loop {
        let before = progress.sent();
        match tokio::time::timeout(idle_time, &mut request).await {
            Ok(answer) => return Some(answer),
            Err(_) if progress.sent() == before => return None,
            Err(_) => {}
        }
    }
}

/// A layer that comes from another registry fails with that registry's error.
fn source_error(digest: BlobDigest, source: io::Error) -> RegistryError {
    let source = match source.downcast::<RegistryError>() {
        Ok(error) => return error,
        Err(source) => source,
    };
    RegistryError::Source { digest, source }
}

fn with_authorization(mut headers: HeaderMap, authorization: Option<&str>) -> HeaderMap {
    let value = authorization.and_then(|text| HeaderValue::from_str(text).ok());
    if let Some(mut value) = value {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    headers
}

fn next_address(
    asked: &Asked,
    first: &Url,
    url: &Url,
    response: &Response,
    hops: u32,
) -> Result<Url, RegistryError> {
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|value| value.to_str().ok());
    let target = match location {
        Some(location) => fetch::redirect_target(url, location, hops),
        None => Err(RedirectProblem::Unreadable),
    };
    let shown = || match location.and_then(|location| url.join(location).ok()) {
        Some(to) => fetch::redacted(&to),
        None => "an unreadable address".to_owned(),
    };
    let to = target.map_err(|problem| RegistryError::Redirect {
        asked: asked.clone(),
        to: shown(),
        problem,
    })?;
    match address::problem(first, &to) {
        Some(problem) => Err(RegistryError::Address {
            asked: asked.clone(),
            to: fetch::redacted(&to),
            purpose: "a redirect",
            problem,
        }),
        None => Ok(to),
    }
}

/// A query of names and values.
pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    query.finish()
}

fn busy(asked: Asked, status: u16, words: &Words, wait: Option<Duration>) -> Failure {
    Failure::Transient(Transient {
        asked,
        cause: format!("the server answered {status}{words}"),
        wait,
        error: None,
    })
}
