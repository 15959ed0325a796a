//! The client for registries as this machine's user has it: who is logged in where, what is trusted, which proxies there are.

use std::cell::OnceCell;

use fetch::Config;
use oci_image::{ParseReferenceError, Reference};
use registry::{Credentials, Registry, RegistryError, Settings};

use crate::commands::Context;
use crate::errors;
use crate::failure::{Exit, Failure, chain};

/// The client of one build, made when something is in a registry: what is wrong with somebody's logins is no matter of other builds.
#[derive(Debug)]
pub(crate) struct Registries<'a> {
    context: &'a Context,
    insecure: &'a [String],
    client: OnceCell<Registry>,
}

impl<'a> Registries<'a> {
    pub(crate) fn new(context: &'a Context, insecure: &'a [String]) -> Self {
        Self {
            context,
            insecure,
            client: OnceCell::new(),
        }
    }

    pub(crate) fn client(&self) -> Result<&Registry, Failure> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = connect(self.context, self.insecure)?;
        Ok(self.client.get_or_init(|| client))
    }
}

/// Makes the client. Nothing is asked yet.
pub(crate) fn connect(context: &Context, insecure: &[String]) -> Result<Registry, Failure> {
    let http = Config {
        roots: context.trust.clone(),
        proxies: context.network.fetch_proxies(),
        ..Config::default()
    };
    let credentials = Credentials::of_user(|name| context.env.get(name).cloned());
    let settings = Settings {
        http,
        credentials: credentials.map_err(|error| failure(&error.into()))?,
        insecure: insecure.to_vec(),
        certificate_folders: registry::certificate_folders(|name| context.env.get(name).cloned()),
        ..Settings::default()
    };
    Registry::new(settings).map_err(|error| failure(&error))
}

/// Reads the name of an image in a registry.
pub(crate) fn reference(option: &str, text: &str) -> Result<Reference, Failure> {
    text.parse().map_err(|error: ParseReferenceError| {
        let body = format!("{option}: {error}.\nWrite for example registry.example/team/app:v2.");
        Failure::new(Exit::Usage, "Not the name of an image in a registry", body)
    })
}

/// The words and the exit code for what a registry did.
pub(crate) fn failure(error: &RegistryError) -> Failure {
    let (exit, title) = match error {
        RegistryError::Unauthorized(_) => (Exit::Credentials, "A registry wants credentials"),
        RegistryError::Identity { .. } => {
            (Exit::Credentials, "A registry wants a client certificate")
        }
        RegistryError::Certificates(_) => (
            Exit::Credentials,
            "Certificates for a registry cannot be used",
        ),
        RegistryError::Denied { .. } => (Exit::Credentials, "A registry denies access"),
        RegistryError::Credentials(_) => (Exit::Credentials, "Credentials cannot be had"),
        RegistryError::Untrusted { .. } | RegistryError::InvalidCertificate { .. } => {
            (Exit::Registry, "A registry's certificate is not trusted")
        }
        RegistryError::WrongDigest { .. } | RegistryError::WrongSize { .. } => (
            Exit::Verification,
            "What a registry sent is not what it should be",
        ),
        RegistryError::NotFound { .. } => (Exit::Registry, "A registry does not have it"),
        RegistryError::TagImmutable { .. } => (Exit::Registry, "The tag may not be overwritten"),
        RegistryError::Full { .. } => (Exit::Registry, "A registry is full"),
        RegistryError::Source { source, .. } => {
            return errors::storage("a layer could not be read", source);
        }
        RegistryError::GaveUp { .. }
        | RegistryError::Refused { .. }
        | RegistryError::Redirect { .. }
        | RegistryError::Address { .. }
        | RegistryError::OwnNetwork { .. }
        | RegistryError::TooLarge { .. }
        | RegistryError::Image { .. }
        | RegistryError::Protocol { .. }
        | RegistryError::NotStored { .. }
        | RegistryError::Start(_) => (Exit::Registry, "A registry could not be used"),
    };
    Failure::new(exit, title, chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_says_where() {
        let failure = reference("--publish", "r.example/Team/app").unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.body.contains("column 11"), "{}", failure.body);
    }
}
