//! The client for registries as this machine's user has it: who is logged in where, what is trusted, which proxies there are.

use std::cell::OnceCell;
use std::path::PathBuf;

use fetch::Config;
use oci_image::{ParseReferenceError, Reference};
use registry::{CredentialFile, Credentials, Helpers, Registry, RegistryError, Settings};

use crate::commands::Context;
use crate::errors;
use crate::failure::{Exit, Failure, chain};
use crate::host::Environment;

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
    let settings = Settings {
        http,
        credentials: credentials(&context.env)?,
        insecure: insecure.to_vec(),
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

/// What docker, podman and skopeo logged in, after what a CI system says for this run.
fn credentials(env: &Environment) -> Result<Credentials, Failure> {
    let helpers = Helpers {
        path: env.get("PATH").cloned().unwrap_or_default(),
        ..Helpers::default()
    };
    let mut credentials = Credentials::none().with_helpers(helpers);
    if let Some(text) = env.text("CNB_REGISTRY_AUTH") {
        credentials = credentials
            .with_cnb_registry_auth(&text)
            .map_err(|error| failure(&error.into()))?;
    }
    for file in credential_files(env) {
        credentials = credentials
            .with_file(&file)
            .map_err(|error| failure(&error.into()))?;
    }
    Ok(credentials)
}

/// containers-auth.json(5) and Docker's command-line reference, "Configuration files"; what is named comes before what is usual.
fn credential_files(env: &Environment) -> Vec<CredentialFile> {
    let home = env.path("HOME");
    let below = |base: Option<PathBuf>, path: &str| base.map(|base| base.join(path));
    let docker = env.path("DOCKER_CONFIG");
    let candidates = [
        (env.path("REGISTRY_AUTH_FILE"), "REGISTRY_AUTH_FILE"),
        (below(docker.clone(), "config.json"), "DOCKER_CONFIG"),
        (
            below(env.path("XDG_RUNTIME_DIR"), "containers/auth.json"),
            "podman's and skopeo's logins",
        ),
        (
            below(
                env.path("XDG_CONFIG_HOME")
                    .or_else(|| below(home.clone(), ".config")),
                "containers/auth.json",
            ),
            "podman's and skopeo's logins",
        ),
        (
            below(home.filter(|_| docker.is_none()), ".docker/config.json"),
            "docker's logins",
        ),
    ];
    let file = |(path, origin): (Option<PathBuf>, &str)| {
        Some(CredentialFile {
            path: path?,
            origin: origin.to_owned(),
        })
    };
    candidates.into_iter().filter_map(file).collect()
}

/// The words and the exit code for what a registry did.
pub(crate) fn failure(error: &RegistryError) -> Failure {
    let (exit, title) = match error {
        RegistryError::Unauthorized(_) => (Exit::Credentials, "A registry wants credentials"),
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
    fn credential_files_named_before_usual() {
        let env = Environment::of([
            ("HOME", "/h"),
            ("REGISTRY_AUTH_FILE", "/named.json"),
            ("XDG_RUNTIME_DIR", "/run/user/1"),
        ]);
        let paths: Vec<String> = credential_files(&env)
            .iter()
            .map(|file| file.path.display().to_string())
            .collect();
        assert_eq!(
            paths,
            [
                "/named.json",
                "/run/user/1/containers/auth.json",
                "/h/.config/containers/auth.json",
                "/h/.docker/config.json"
            ]
        );
        let env = Environment::of([("HOME", "/h"), ("DOCKER_CONFIG", "/d")]);
        let files = credential_files(&env);
        assert_eq!(files[0].path, PathBuf::from("/d/config.json"));
        assert!(
            files
                .iter()
                .all(|file| !file.path.starts_with("/h/.docker"))
        );
    }

    #[test]
    fn reference_says_where() {
        let failure = reference("--publish", "r.example/Team/app").unwrap_err();
        assert_eq!(failure.exit, Exit::Usage);
        assert!(failure.body.contains("column 11"), "{}", failure.body);
    }
}
