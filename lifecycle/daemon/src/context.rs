//! Docker's contexts: daemons that a user has given names (`docker context create`), in the folder of Docker's `config.json`:
//!
//! ```text
//! config.json                          "currentContext": "remote"
//! contexts/meta/<id>/meta.json         {"Name": "remote", "Endpoints": {"docker": {"Host": "tcp://…", "SkipTLSVerify": false}}}
//! contexts/tls/<id>/docker/            ca.pem, cert.pem, key.pem, each if it was given
//! ```
//!
//! `<id>` is the SHA-256 of the name (<https://github.com/docker/cli/blob/v28.0.0/cli/context/store/doc.go>).

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use oci_image::Digest;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    endpoint::{Described, NamedBy},
    tls::{Authority, TlsFiles},
    variables::Variables,
};

/// The one that stands for `DOCKER_HOST` and the usual socket.
const DEFAULT: &str = "default";

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    current_context: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Deserialize, Default)]
struct Endpoints {
    docker: Option<DockerEndpoint>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "PascalCase")]
struct DockerEndpoint {
    host: String,
    #[serde(rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

/// The daemon of the context that `DOCKER_CONTEXT` names, else config.json; none where that is the default one.
pub(crate) fn chosen(variables: &Variables) -> Result<Option<Described>, ContextError> {
    let Some(folder) = variables.folder() else {
        return match &variables.context {
            Some(name) if name != DEFAULT => Err(ContextError::NoFolder { name: name.clone() }),
            _ => Ok(None),
        };
    };
    let config = folder.join("config.json");
    let (name, named_in) = match &variables.context {
        Some(name) => (name.clone(), "DOCKER_CONTEXT".to_owned()),
        None => {
            let found: Option<Config> = read(&config)?;
            let name = found.unwrap_or_default().current_context;
            (name, format!("currentContext in {}", config.display()))
        }
    };
    if name.is_empty() || name == DEFAULT {
        return Ok(None);
    }
    let id = Digest::of(name.as_bytes()).hex();
    let file = folder.join("contexts/meta").join(&id).join("meta.json");
    let meta: Option<Meta> = read(&file)?;
    let Some(meta) = meta else {
        return Err(ContextError::NotThere {
            name,
            named_in,
            file,
        });
    };
    let Some(endpoint) = meta.endpoints.docker else {
        return Err(ContextError::NoDaemon { name, file });
    };
    let tls = folder.join("contexts/tls").join(&id).join("docker");
    Ok(Some(described(&name, &file, endpoint, tls)))
}

fn described(name: &str, file: &Path, endpoint: DockerEndpoint, tls: PathBuf) -> Described {
    let DockerEndpoint {
        host,
        skip_tls_verify,
    } = endpoint;
    // Without files and without a wish not to verify, Docker speaks no TLS.
    let wants_tls = skip_tls_verify || tls.is_dir();
    Described {
        address: Some(host).filter(|host| !host.is_empty()),
        tls: wants_tls.then(|| TlsFiles {
            folder: tls,
            authority: Authority::IfThere,
            unverified: skip_tls_verify.then(|| format!("SkipTLSVerify in {}", file.display())),
        }),
        named_by: NamedBy::context(name, file),
    }
}

/// What a file of Docker's says; none if there is no such file.
fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ContextError> {
    let failed = |cause: String| ContextError::Unreadable {
        file: path.to_owned(),
        cause,
    };
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error.to_string())),
    };
    if text.trim_ascii().is_empty() {
        return Ok(None);
    }
    let parsed = serde_json::from_slice(&text);
    parsed.map(Some).map_err(|error| failed(error.to_string()))
}

/// Why a context cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContextError {
    /// Nobody knows where contexts are.
    #[error(
        "DOCKER_CONTEXT names the Docker context `{name}`, but neither DOCKER_CONFIG nor HOME says in which folder contexts are"
    )]
    NoFolder {
        /// Its name.
        name: String,
    },
    /// A file of Docker's is not what it should be.
    #[error(
        "{} says which Docker daemon is meant, and cannot be read: {cause}. With DOCKER_HOST set it is not needed",
        file.display()
    )]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        cause: String,
    },
    /// There is no context of that name.
    #[error(
        "there is no Docker context `{name}`, which {named_in} names: {} is not there. `docker context ls` shows those that are",
        file.display()
    )]
    NotThere {
        /// Its name.
        name: String,
        /// What names it.
        named_in: String,
        /// The file that would describe it.
        file: PathBuf,
    },
    /// It is for something else.
    #[error(
        "the Docker context `{name}` has no daemon: {} has no Endpoints.docker. Choose another in DOCKER_CONTEXT, or set DOCKER_HOST",
        file.display()
    )]
    NoDaemon {
        /// Its name.
        name: String,
        /// The file that describes it.
        file: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The context that is chosen with this `config.json` and this `DOCKER_CONTEXT`, where `remote` has these words.
    fn chosen_with(config: &str, variable: &str, meta: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), config).unwrap();
        let remote = folder
            .path()
            .join("contexts/meta")
            .join(Digest::of(b"remote").hex());
        fs::create_dir_all(&remote).unwrap();
        fs::write(remote.join("meta.json"), meta).unwrap();
        let variables = Variables::of(|name| match name {
            "DOCKER_CONFIG" => Some(folder.path().into()),
            "DOCKER_CONTEXT" => Some(variable.into()),
            _ => None,
        });
        let place = folder.path().display().to_string();
        let short = |text: String| {
            let id = Digest::of(b"remote").hex();
            text.replace(&place, "DIR").replace(&id, "ID")
        };
        let found = chosen(&variables).map_err(|error| short(error.to_string()))?;
        Ok(match found {
            None => "the default".to_owned(),
            Some(Described { address, tls, .. }) => {
                let tls = tls.map(|files| short(format!("{:?}", files.unverified)));
                format!("{address:?} {tls:?}")
            }
        })
    }

    #[test]
    fn chosen_table() {
        let meta = r#"{"Name": "remote", "Endpoints": {"docker": {"Host": "tcp://h:1", "SkipTLSVerify": false}}}"#;
        let remote = r#"{"auths": {}, "currentContext": "remote"}"#;
        let plain = "Some(\"tcp://h:1\") None";
        for (config, variable, meta, expected) in [
            ("{}", "", meta, "the default"),
            ("", "", meta, "the default"),
            (remote, "", meta, plain),
            ("{}", "remote", meta, plain),
            (remote, "default", meta, "the default"),
            // config.json is not needed then.
            ("{", "remote", meta, plain),
            (
                remote,
                "",
                r#"{"Endpoints": {"docker": {"SkipTLSVerify": true, "Host": "tcp://h:1"}}}"#,
                "Some(\"tcp://h:1\") Some(\"Some(\\\"SkipTLSVerify in DIR/contexts/meta/ID/meta.json\\\")\")",
            ),
            (
                remote,
                "",
                r#"{"Endpoints": {"docker": {"Host": ""}}}"#,
                "None None",
            ),
        ] {
            assert_eq!(
                chosen_with(config, variable, meta).as_deref(),
                Ok(expected),
                "{config} {variable}"
            );
        }
    }

    #[test]
    fn chosen_says_which_file_is_wrong() {
        let remote = r#"{"currentContext": "remote"}"#;
        let other = r#"{"currentContext": "other"}"#;
        let id = Digest::of(b"other").hex();
        for (config, variable, meta, expected) in [
            (
                other,
                "",
                "",
                format!(
                    "there is no Docker context `other`, which currentContext in DIR/config.json names: \
                     DIR/contexts/meta/{id}/meta.json is not there. `docker context ls` shows those that are"
                ),
            ),
            (
                "{}",
                "other",
                "",
                format!(
                    "there is no Docker context `other`, which DOCKER_CONTEXT names: \
                     DIR/contexts/meta/{id}/meta.json is not there. `docker context ls` shows those that are"
                ),
            ),
            (
                "[",
                "",
                "",
                "DIR/config.json says which Docker daemon is meant, and cannot be read: EOF while parsing a list at line 1 column 1. \
                 With DOCKER_HOST set it is not needed"
                    .to_owned(),
            ),
            (
                remote,
                "",
                r#"{"Endpoints": {"kubernetes": {}}}"#,
                "the Docker context `remote` has no daemon: DIR/contexts/meta/ID/meta.json has no Endpoints.docker. \
                 Choose another in DOCKER_CONTEXT, or set DOCKER_HOST"
                    .to_owned(),
            ),
        ] {
            assert_eq!(
                chosen_with(config, variable, meta),
                Err(expected),
                "{config} {variable}"
            );
        }
        let nowhere = Variables::of(|name| (name == "DOCKER_CONTEXT").then(|| "x".into()));
        let error = chosen(&nowhere).err().map(|error| error.to_string());
        assert_eq!(
            error.as_deref(),
            Some(
                "DOCKER_CONTEXT names the Docker context `x`, but neither DOCKER_CONFIG nor HOME says in which folder contexts are"
            )
        );
    }
}
