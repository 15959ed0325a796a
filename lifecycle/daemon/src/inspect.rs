//! What a daemon says of an image without exporting it. It is enough to decide what can be used again, and not enough to write the
//! image elsewhere: keys of the configuration that the daemon does not know are missing, and layers have no sizes.

use fetch::Budget;
use oci_image::{BlobDigest, ContainerConfig, DiffId, Digest, ImageConfig, Reference, RootFs};
use reqwest::Method;
use serde::Deserialize;

use crate::{
    client::Daemon,
    error::DaemonError,
    request::{Call, Reply},
};

/// What dockerd says of an image's configuration that is a container's matter: neither the image specification has these keys, nor Docker's
/// documentation of images.
const OF_CONTAINERS: [&str; 9] = [
    "Hostname",
    "Domainname",
    "AttachStdin",
    "AttachStdout",
    "AttachStderr",
    "Tty",
    "OpenStdin",
    "StdinOnce",
    "Image",
];

/// An image as a daemon describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspected {
    /// The daemon's id of it: the digest of its configuration or, with containerd's image store, of its manifest.
    pub id: BlobDigest,
    /// The names that lead to it.
    pub tags: Vec<String>,
    /// As much of the configuration as the daemon says; no history.
    pub config: ImageConfig,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    id: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    author: Option<String>,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
    #[serde(default)]
    os: String,
    #[serde(default)]
    config: Option<ContainerConfig>,
    #[serde(rename = "RootFS", default)]
    root_fs: Layers,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Layers {
    #[serde(default)]
    layers: Option<Vec<DiffId>>,
}

impl Daemon {
    /// What the daemon says of the image of this name or id; `None` if it has none.
    pub fn inspect(&self, name: &str) -> Result<Option<Inspected>, DaemonError> {
        let budget = self.budget();
        self.block_on(async {
            let call = self.inspection(name, &budget).await?;
            self.inspected(&call, &budget).await
        })
    }

    /// The question.
    pub(crate) async fn inspection(
        &self,
        name: &str,
        budget: &Budget,
    ) -> Result<Call, DaemonError> {
        // A name becomes part of a path: nothing else may get there. Ids pass, they look like names.
        name.parse::<Reference>().map(drop)?;
        self.call(Method::GET, &["images", name, "json"], &[], budget)
            .await
    }

    /// The answer.
    pub(crate) async fn inspected(
        &self,
        call: &Call,
        budget: &Budget,
    ) -> Result<Option<Inspected>, DaemonError> {
        match self.http().ask(call, budget).await {
            Ok(reply) => inspected(&reply).map(Some),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn inspected(reply: &Reply) -> Result<Inspected, DaemonError> {
    let Answer {
        id,
        repo_tags,
        created,
        author,
        architecture,
        variant,
        os,
        config,
        root_fs,
    } = reply.json()?;
    let id = parse_id(&id).ok_or_else(|| DaemonError::Protocol {
        asked: reply.asked.clone(),
        problem: "the image's Id is no digest".to_owned(),
    })?;
    let known = |text: &String| !text.is_empty();
    let mut config = config.unwrap_or_default();
    config
        .extra
        .retain(|name, _| !OF_CONTAINERS.contains(&name.as_str()));
    Ok(Inspected {
        id,
        tags: repo_tags.unwrap_or_default(),
        config: ImageConfig {
            variant: variant.filter(known),
            created: created.filter(known),
            author: author.filter(known),
            config,
            rootfs: RootFs {
                diff_ids: root_fs.layers.unwrap_or_default(),
                ..RootFs::default()
            },
            ..ImageConfig::new(&os, &architecture)
        },
    })
}

/// Podman leaves `sha256:` out in some answers.
pub(crate) fn parse_id(text: &str) -> Option<BlobDigest> {
    text.parse()
        .or_else(|_| Digest::from_hex(text))
        .ok()
        .map(BlobDigest::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{asked::Asked, host::Host};
    use reqwest::header::HeaderMap;
    use serde_json::json;

    fn reply(body: &str) -> Reply {
        let host = Host::of_socket("/s".into());
        Reply {
            asked: Asked::new(&Method::GET, "/images/x/json", &host),
            headers: HeaderMap::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn inspected_docker() {
        let digest = Digest::of(b"");
        let body = json!({
            "Id": digest, "RepoTags": ["x:latest"], "Created": "1980-01-01T00:00:01Z", "Author": "", "Architecture": "amd64", "Os": "linux",
            "Config": {"Hostname": "", "User": "1000", "Labels": null, "Healthcheck": {"Test": ["NONE"]}},
            "RootFS": {"Type": "layers", "Layers": [digest]}, "Size": 5,
        });
        let found = inspected(&reply(&body.to_string())).unwrap();
        assert_eq!(found.id, BlobDigest::new(digest));
        assert_eq!(found.tags, ["x:latest"]);
        let ImageConfig {
            config,
            rootfs,
            author,
            created,
            ..
        } = found.config;
        assert_eq!(rootfs.diff_ids, [DiffId::new(digest)]);
        assert_eq!(
            (author, created.as_deref()),
            (None, Some("1980-01-01T00:00:01Z"))
        );
        let expected = json!({"Healthcheck": {"Test": ["NONE"]}});
        assert_eq!(json!(config.extra), expected, "no Hostname");
        assert_eq!(config.user, "1000");
    }

    #[test]
    fn inspected_refuses() {
        for body in ["{}", "[]", "", r#"{"Id":"../x"}"#] {
            let error = inspected(&reply(body)).unwrap_err();
            assert!(matches!(error, DaemonError::Protocol { .. }), "{error}");
        }
    }
}
