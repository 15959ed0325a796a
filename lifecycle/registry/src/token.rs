//! Fetching a bearer token (distribution's token specification): GET with user and password, or POST with a refresh token
//! (its OAuth 2 variant). The realm is an address that the registry names, so it is checked like any other of these.

use std::time::{Duration, Instant};

use reqwest::{
    Method,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue},
};
use serde::Deserialize;
use url::Url;

use crate::{
    address,
    asked::Asked,
    auth::Refusal,
    body::Payload,
    challenge::Bearer,
    error::RegistryError,
    failure::Failure,
    host::Host,
    login::Login,
    request::{Http, Plain},
    scopes::Scopes,
    words::Words,
};

/// No token is longer; some carry a hundred scopes.
const LONGEST_TOKEN: u64 = 1 << 20;

/// How long a token lives that does not say it (distribution's token specification).
const DEFAULT_LIFE: Duration = Duration::from_mins(1);

/// A bearer token.
#[derive(Clone)]
pub(crate) struct Token {
    value: String,
    renew_at: Instant,
    /// A new refresh token, where the server gives one with each token.
    pub(crate) refresh: Option<String>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl Token {
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.value)
    }

    /// A token that will have run out before a long upload ends is better renewed before it begins.
    pub(crate) fn is_fresh(&self, now: Instant) -> bool {
        now < self.renew_at
    }
}

/// What a token is asked for with.
pub(crate) struct TokenRequest<'a> {
    pub(crate) bearer: &'a Bearer,
    pub(crate) login: Option<&'a Login>,
    pub(crate) scopes: &'a Scopes,
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
}

/// Fetches a token. The inner error is the token server's no.
pub(crate) async fn fetch(
    http: &Http,
    host: &Host,
    request: &TokenRequest<'_>,
) -> Result<Result<Token, Refusal>, Failure> {
    let realm = checked_realm(host, request.bearer)?;
    let begun = Instant::now();
    let plain = match request.login {
        Some(Login::Identity(token)) => by_post(realm, request, token),
        _ => by_get(realm, request),
    };
    let reply = http.plain(host, plain, LONGEST_TOKEN).await?;
    match reply.status {
        200 => {}
        // What is wrong with the credentials or the scopes; anything else is the server's own trouble.
        400 | 401 | 403 | 404 => {
            return Ok(Err(Refusal {
                asked: reply.asked,
                challenges: Vec::new(),
                words: Words::of(&reply.body),
                used: None,
            }));
        }
        status => {
            return Err(Failure::Final(RegistryError::Refused {
                asked: reply.asked,
                status,
                words: Words::of(&reply.body),
            }));
        }
    }
    let unusable = |problem: &str| {
        let error = RegistryError::Protocol {
            asked: reply.asked.clone(),
            problem: problem.to_owned(),
        };
        Failure::once_more(reply.asked.clone(), error)
    };
    let answer: Answer = serde_json::from_slice(&reply.body)
        .map_err(|_| unusable("a token server has to answer with JSON"))?;
    let value = answer
        .token
        .filter(|token| !token.is_empty())
        .or(answer.access_token)
        .filter(|token| !token.is_empty())
        .ok_or_else(|| unusable("there is no token in the token server's answer"))?;
    if HeaderValue::from_str(&value).is_err() {
        return Err(unusable("the token has characters that no header can have"));
    }
    let life = answer
        .expires_in
        .map_or(DEFAULT_LIFE, Duration::from_secs)
        .min(Duration::from_hours(24));
    Ok(Ok(Token {
        value,
        renew_at: begun + life.mul_f64(0.8),
        refresh: answer
            .refresh_token
            .filter(|token| !token.is_empty() && matches!(request.login, Some(Login::Identity(_)))),
    }))
}

fn checked_realm(host: &Host, bearer: &Bearer) -> Result<Url, RegistryError> {
    let registry = host.url("/v2/")?;
    let asked = Asked::new(&Method::GET, &registry);
    let refuse = |to: String, problem| RegistryError::Address {
        asked: asked.clone(),
        to,
        purpose: "tokens",
        problem,
    };
    let realm = registry
        .join(&bearer.realm)
        .map_err(|_| refuse("that cannot be read".to_owned(), "it is not an address"))?;
    match address::problem(&registry, &realm) {
        Some(problem) => Err(refuse(fetch::redacted(&realm), problem)),
        None => Ok(realm),
    }
}

fn by_get(mut realm: Url, request: &TokenRequest<'_>) -> Plain {
    let mut query = realm.query_pairs_mut();
    if let Some(service) = &request.bearer.service {
        query.append_pair("service", service);
    }
    for scope in request.scopes.texts() {
        query.append_pair("scope", &scope);
    }
    drop(query);
    let mut headers = HeaderMap::new();
    let header = request.login.and_then(Login::basic_header);
    if let Some(mut value) = header.and_then(|text| HeaderValue::from_str(&text).ok()) {
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    Plain {
        method: Method::GET,
        url: realm,
        headers,
        body: Payload::None,
    }
}

fn by_post(realm: Url, request: &TokenRequest<'_>, refresh: &str) -> Plain {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "refresh_token")
        .append_pair("client_id", "longshore")
        .append_pair("scope", &request.scopes.texts().join(" "))
        .append_pair("refresh_token", refresh);
    if let Some(service) = &request.bearer.service {
        form.append_pair("service", service);
    }
    let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
    Plain {
        method: Method::POST,
        url: realm,
        headers: HeaderMap::from_iter([(CONTENT_TYPE, kind)]),
        body: Payload::Bytes(form.finish().into_bytes().into()),
    }
}
