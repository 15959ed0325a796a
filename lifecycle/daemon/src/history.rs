//! What a daemon says of how an image came about. The answer does not mark steps that made no layer: it belongs to the layers where there are as
//! many steps as layers, as in all images that buildpacks make.

use fetch::Budget;
use oci_image::{BlobDigest, History};
use reqwest::Method;
use serde::Deserialize;

use crate::{client::Daemon, error::DaemonError};

/// One step, as `GET /images/{name}/history` has it, the newest first.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Step {
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    comment: String,
}

impl Daemon {
    /// An entry for each of the image's layers, the lowest first, without times; empty where the daemon's steps are not its layers.
    pub(crate) async fn history(
        &self,
        id: &BlobDigest,
        layers: usize,
        budget: &Budget,
    ) -> Result<Vec<History>, DaemonError> {
        let path = ["images", &id.to_string(), "history"];
        let call = self.call(Method::GET, &path, &[], budget).await?;
        let steps: Vec<Step> = self.http().ask(&call, budget).await?.json()?;
        Ok(of_layers(steps, layers))
    }
}

fn of_layers(steps: Vec<Step>, layers: usize) -> Vec<History> {
    if steps.len() != layers {
        return Vec::new();
    }
    let known = |text: String| (!text.is_empty()).then_some(text);
    let entries = steps.into_iter().rev().map(|step| History {
        created_by: known(step.created_by),
        comment: known(step.comment),
        ..History::default()
    });
    entries.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_layers_the_lowest_first_or_nothing() {
        let steps = || {
            let text = r#"[{"Id": "sha256:1", "CreatedBy": "app", "Comment": ""}, {"Id": "<missing>", "Comment": "base"}]"#;
            serde_json::from_str(text).unwrap()
        };
        let expected = [
            History {
                comment: Some("base".into()),
                ..History::default()
            },
            History {
                created_by: Some("app".into()),
                ..History::default()
            },
        ];
        assert_eq!(of_layers(steps(), 2), expected);
        assert_eq!(of_layers(steps(), 1), []);
    }
}
