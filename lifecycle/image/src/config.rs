//! Image configurations (OCI image specification 1.1, config.md), sorted, with whatever else stands in them kept: Docker's
//! `Healthcheck`, `Shell` and `OnBuild`, and keys that nobody knows yet.

use crate::digest::DiffId;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Keys that this version does not know.
pub type Extra = BTreeMap<String, Value>;

/// An image's configuration.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct ImageConfig {
    /// The CPU architecture, in Go's names (`amd64`).
    pub architecture: String,
    /// The architecture's variant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// The operating system, in Go's names (`linux`).
    pub os: String,
    /// When it was created (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// How to start it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: ContainerConfig,
    /// What its layers unpack to.
    pub rootfs: RootFs,
    /// How its layers came about.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub history: Vec<History>,
    /// Keys beyond these.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ImageConfig {
    /// The configuration of an image without layers.
    pub fn new(os: &str, architecture: &str) -> Self {
        Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            ..Self::default()
        }
    }

    /// One entry a layer, the lowest first, for readers that count on it. They say nothing where the history does not fit the layers, as nobody can
    /// tell then which entry is for which layer.
    pub fn history_of_layers(&self) -> Vec<History> {
        let layers = self.rootfs.diff_ids.len();
        let entries = self.history.iter().filter(|entry| !entry.empty_layer);
        let entries: Vec<History> = entries.cloned().collect();
        if entries.len() == layers {
            return entries;
        }
        vec![History::default(); layers]
    }
}

/// How to start a container of an image.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// User, or user and group, by name or number.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub user: String,
    /// Ports such as `8000/tcp`.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub exposed_ports: BTreeMap<String, Value>,
    /// `NAME=value`, in order.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub env: Vec<String>,
    /// The program and its first arguments.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub entrypoint: Vec<String>,
    /// More arguments, or the program where there is no entrypoint.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub cmd: Vec<String>,
    /// Folders that hold data.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub volumes: BTreeMap<String, Value>,
    /// The folder it starts in.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub working_dir: String,
    /// Labels.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks it to end.
    #[serde(
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub stop_signal: String,
    /// Keys beyond these.
    #[serde(flatten)]
    pub extra: Extra,
}

impl ContainerConfig {
    /// The value of an environment variable; all after the first `=`.
    pub fn env_value(&self, name: &str) -> Option<&str> {
        self.env
            .iter()
            .find_map(|entry| entry.split_once('=').filter(|(found, _)| *found == name))
            .map(|(_, value)| value)
    }

    /// Sets an environment variable, in its place if it is there, else as the last.
    pub fn set_env(&mut self, name: &str, value: &str) {
        let entry = format!("{name}={value}");
        match self
            .env
            .iter()
            .position(|entry| entry.split('=').next() == Some(name))
        {
            Some(index) => self.env[index] = entry,
            None => self.env.push(entry),
        }
    }
}

/// What an image's layers unpack to, the lowest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootFs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The digests of the uncompressed tars.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<DiffId>,
}

impl Default for RootFs {
    fn default() -> Self {
        Self {
            kind: "layers".to_owned(),
            diff_ids: Vec::new(),
        }
    }
}

/// How a layer came about.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// By which command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// By whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// A remark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Whether there is no layer to it.
    #[serde(deserialize_with = "null_is_default", skip_serializing_if = "is_false")]
    pub empty_layer: bool,
    /// Keys beyond these.
    #[serde(flatten)]
    pub extra: Extra,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde asks for a reference"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// Docker writes `null` where Go's value is empty.
fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::canonical;

    #[test]
    fn docker_configuration_keeps_everything() {
        let docker = r#"{"architecture":"amd64","config":{"ArgsEscaped":true,"Cmd":null,"Env":["PATH=/bin","A=b=c"],"Healthcheck":{"Test":["NONE"]},
            "Image":"x","Labels":null,"OnBuild":null,"Volumes":{"/data":{}}},"container_config":{"Cmd":["x"]},"docker_version":"20.10",
            "history":[{"created_by":"x","empty_layer":true,"new":1}],"os":"linux","rootfs":{"diff_ids":null,"type":"layers"}}"#;
        let config: ImageConfig = serde_json::from_str(docker).unwrap();
        assert_eq!(config.config.env_value("A"), Some("b=c"));
        assert_eq!(
            String::from_utf8(canonical(&config)).unwrap(),
            concat!(
                r#"{"architecture":"amd64","config":{"ArgsEscaped":true,"Env":["PATH=/bin","A=b=c"],"Healthcheck":{"Test":["NONE"]},"#,
                r#""Image":"x","OnBuild":null,"Volumes":{"/data":{}}},"container_config":{"Cmd":["x"]},"docker_version":"20.10","#,
                r#""history":[{"created_by":"x","empty_layer":true,"new":1}],"os":"linux","rootfs":{"diff_ids":[],"type":"layers"}}"#
            )
        );
    }

    #[test]
    fn history_of_layers_fits_or_says_nothing() {
        let entry = |text: &str, empty_layer| History {
            created_by: Some(text.to_owned()),
            empty_layer,
            ..History::default()
        };
        let mut config = ImageConfig::new("linux", "amd64");
        config.history = vec![entry("a", false), entry("ENV", true)];
        config.rootfs.diff_ids = vec![DiffId::new(crate::Digest::of(b"a"))];
        assert_eq!(config.history_of_layers(), [entry("a", false)]);
        config.rootfs.diff_ids = config.rootfs.diff_ids.repeat(2);
        assert_eq!(config.history_of_layers(), vec![History::default(); 2]);
    }

    #[test]
    fn set_env_keeps_the_order() {
        let mut config = ContainerConfig {
            env: vec!["PATH=/bin".into(), "PATHS=x".into()],
            ..ContainerConfig::default()
        };
        config.set_env("PATH", "/cnb/process:/bin");
        config.set_env("NEW", "1");
        assert_eq!(config.env, ["PATH=/cnb/process:/bin", "PATHS=x", "NEW=1"]);
        assert_eq!(config.env_value("PATH"), Some("/cnb/process:/bin"));
    }
}
