//! From a configuration to the HTTP library's client: TLS on our own roots, proxies.

use std::sync::Arc;

use rustls::sign::SingleCertAndKey;
use url::Url;

use crate::{
    config::{Config, Proxies},
    error::FetchError,
    names::Names,
};

/// A builder of HTTP clients that trust, go through proxies and introduce themselves as `config` says. They follow no redirects
/// and try nothing twice; how long a silence may last is left to the caller, who knows whether something is being sent.
pub fn client_builder(config: &Config) -> Result<reqwest::ClientBuilder, FetchError> {
    let start = |cause: String| FetchError::Start { cause };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| start(error.to_string()))?
        .with_root_certificates(config.roots.store());
    let tls = match &config.identity {
        Some(identity) => {
            let pair = SingleCertAndKey::from(Arc::clone(&identity.0));
            tls.with_client_cert_resolver(Arc::new(pair))
        }
        None => tls.with_no_client_auth(),
    };
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(config.names.clone().unwrap_or_else(Names::of_system))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .no_proxy()
        .user_agent(&config.user_agent)
        .connect_timeout(config.connect_time);
    for proxy in proxies(&config.proxies)? {
        builder = builder.proxy(proxy);
    }
    Ok(builder)
}

fn proxies(proxies: &Proxies) -> Result<Vec<reqwest::Proxy>, FetchError> {
    let Proxies {
        http,
        https,
        all,
        no_proxy,
    } = proxies;
    // The library's `*` covers names but not addresses.
    if no_proxy
        .as_deref()
        .is_some_and(|hosts| hosts.split(',').any(|host| host.trim() == "*"))
    {
        return Ok(Vec::new());
    }
    let excepted = no_proxy.as_deref().and_then(reqwest::NoProxy::from_string);
    let mut made = Vec::new();
    let mut add = |variable: &'static str,
                   value: &Option<String>,
                   make: fn(&str) -> reqwest::Result<reqwest::Proxy>| {
        let Some(value) = value
            .as_deref()
            .map(str::trim)
            .filter(|value| !value.is_empty())
        else {
            return Ok(());
        };
        // curl's habit: `proxy.example:3128` means http.
        let address = if value.contains("://") {
            value.to_owned()
        } else {
            format!("http://{value}")
        };
        // The library would only fail at the first request, without naming the setting.
        let parsed: Url = address
            .parse()
            .map_err(|cause: url::ParseError| FetchError::Proxy {
                variable,
                cause: cause.to_string(),
            })?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(FetchError::Proxy {
                variable,
                cause: format!("'{}:' proxies are not supported", parsed.scheme()),
            });
        }
        let proxy = make(&address).map_err(|error| FetchError::Proxy {
            variable,
            cause: error.without_url().to_string(),
        })?;
        made.push(proxy.no_proxy(excepted.clone()));
        Ok(())
    };
    // The library asks them in this order, so the general one comes last.
    add("HTTP_PROXY", http, |address| reqwest::Proxy::http(address))?;
    add("HTTPS_PROXY", https, |address| {
        reqwest::Proxy::https(address)
    })?;
    add("ALL_PROXY", all, |address| reqwest::Proxy::all(address))?;
    Ok(made)
}
