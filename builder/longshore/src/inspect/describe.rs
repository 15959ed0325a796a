//! An image in lines for people: what every image has, then what an app, a builder, a buildpackage or a lifecycle says in its labels.

use std::collections::BTreeMap;

use cnb_spec::distribution::{
    ApiVersions, BUILDER_METADATA, BUILDPACK_LAYERS, BUILDPACK_ORDER, BUILDPACKAGE_METADATA,
    BuilderMetadata, BuildpackageMetadata, LIFECYCLE_VERSION, LifecycleInfo, ModuleLayers,
    OrderGroup,
};
use cnb_spec::labels::{
    BASE_DISTRO_NAME, BASE_DISTRO_VERSION, LIFECYCLE_METADATA, LayersMetadata, STACK_ID,
};
use oci_image::ImageConfig;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Found;
use crate::output::size;

/// How deep composites are shown: one that contains itself would have no end.
const DEEPEST_ORDER: usize = 8;

/// All lines.
pub(super) fn describe(found: &Found) -> Vec<String> {
    let labels = &found.config().config.labels;
    let mut lines = image(found);
    if let Some(metadata) = label::<BuilderMetadata>(labels, BUILDER_METADATA) {
        if labels.contains_key(LIFECYCLE_VERSION) {
            lines.extend(lifecycle(&metadata.lifecycle));
        } else {
            lines.extend(builder(&metadata, labels));
        }
    }
    if let Some(metadata) = label::<BuildpackageMetadata>(labels, BUILDPACKAGE_METADATA) {
        lines.extend(buildpackage(&metadata, labels));
    }
    lines.extend(app(found));
    lines.push("Layers:".to_owned());
    let layers = found
        .image
        .layers()
        .iter()
        .zip(layer_history(found.config()));
    lines.extend(layers.map(|(layer, history)| {
        format!("  {:>9}  {}  {history}", size(layer.size), layer.diff_id)
    }));
    lines
}

fn label<T: DeserializeOwned>(labels: &BTreeMap<String, String>, name: &str) -> Option<T> {
    serde_json::from_str(labels.get(name)?).ok()
}

fn image(found: &Found) -> Vec<String> {
    let config = found.config();
    let labels = &config.config.labels;
    let layers = found.image.layers();
    let total: u64 = layers.iter().map(|layer| layer.size).sum();
    let documents = found.image.documents();
    let mut lines = vec![
        format!("Name:       {}", found.name),
        format!("Digest:     {}", documents.manifest.digest),
        format!("Platform:   {}/{}", config.os, config.architecture),
        format!(
            "Size:       {} compressed, {} layers",
            size(total),
            layers.len()
        ),
        format!("User:       {}", config.config.user),
        format!("Starts:     {}", config.config.entrypoint.join(" ")),
    ];
    let say = |what: &str, name: &str| labels.get(name).map(|value| format!("{what:<12}{value}"));
    lines.extend(say("Stack:", STACK_ID));
    let distro = (
        labels.get(BASE_DISTRO_NAME),
        labels.get(BASE_DISTRO_VERSION),
    );
    if let (Some(name), Some(version)) = distro {
        lines.push(format!("System:     {name} {version}"));
    }
    lines.extend(say("Python:", "io.longshore.python"));
    lines
}

fn builder(metadata: &BuilderMetadata, labels: &BTreeMap<String, String>) -> Vec<String> {
    let mut lines = Vec::new();
    if !metadata.description.is_empty() {
        lines.push(format!("Is:         {}", metadata.description));
    }
    lines.push(format!(
        "Made by:    {} {}",
        metadata.created_by.name, metadata.created_by.version
    ));
    lines.extend(lifecycle(&metadata.lifecycle));
    lines.push("Run images:".to_owned());
    for run_image in metadata.run_images() {
        lines.push(format!("  {}", run_image.image));
        lines.extend(
            run_image
                .mirrors
                .iter()
                .map(|mirror| format!("    mirror {mirror}")),
        );
    }
    let layers: ModuleLayers = label(labels, BUILDPACK_LAYERS).unwrap_or_default();
    lines.extend(buildpacks(&layers));
    let order: Vec<OrderGroup> = label(labels, BUILDPACK_ORDER).unwrap_or_default();
    lines.push("Detection order:".to_owned());
    lines.extend(groups(&order, &layers, 1));
    lines
}

fn lifecycle(lifecycle: &LifecycleInfo) -> Vec<String> {
    let apis = |kind: &str, versions: &ApiVersions| {
        let all: Vec<&str> = versions.supported.iter().map(String::as_str).collect();
        format!("  {kind} API {}", all.join(", "))
    };
    vec![
        format!("Lifecycle:  {}", lifecycle.version),
        apis("Platform", &lifecycle.apis.platform),
        apis("Buildpack", &lifecycle.apis.buildpack),
    ]
}

fn buildpackage(metadata: &BuildpackageMetadata, labels: &BTreeMap<String, String>) -> Vec<String> {
    let buildpack = &metadata.buildpack;
    let layers: ModuleLayers = label(labels, BUILDPACK_LAYERS).unwrap_or_default();
    let mut lines = vec![format!(
        "Buildpack:  {} {}",
        buildpack.id, buildpack.version
    )];
    lines.extend(buildpacks(&layers));
    let own = layers
        .get(buildpack.id.as_str())
        .and_then(|it| it.get(buildpack.version.as_str()));
    if let Some(own) = own.filter(|own| !own.order.is_empty()) {
        lines.push("Detection order:".to_owned());
        lines.extend(groups(&own.order, &layers, 1));
    }
    lines
}

fn buildpacks(layers: &ModuleLayers) -> Vec<String> {
    let all = layers.iter().flat_map(|(id, versions)| {
        versions
            .iter()
            .map(move |(version, layer)| (id, version, layer))
    });
    let lines = all.map(|(id, version, layer)| {
        format!("  {id} {version}  (API {}) {}", layer.api, layer.name)
            .trim_end()
            .to_owned()
    });
    std::iter::once("Buildpacks:".to_owned())
        .chain(lines)
        .collect()
}

/// Groups, and below each composite its own.
fn groups(order: &[OrderGroup], layers: &ModuleLayers, depth: usize) -> Vec<String> {
    let indent = "  ".repeat(depth);
    let mut lines = Vec::new();
    for (number, group) in order.iter().enumerate() {
        lines.push(format!("{indent}group {}:", number + 1));
        for entry in &group.group {
            let optional = if entry.optional { " (optional)" } else { "" };
            lines.push(
                format!("{indent}  {} {}{optional}", entry.id, entry.version)
                    .trim_end()
                    .to_owned(),
            );
            let composite = layers
                .get(entry.id.as_str())
                .and_then(|it| it.get(&entry.version));
            if let Some(composite) = composite.filter(|_| depth < DEEPEST_ORDER) {
                lines.extend(groups(&composite.order, layers, depth + 2));
            }
        }
    }
    lines
}

fn app(found: &Found) -> Vec<String> {
    let mut lines = Vec::new();
    let labels = &found.config().config.labels;
    if let Some(metadata) = label::<LayersMetadata>(labels, LIFECYCLE_METADATA) {
        let run_image = &metadata.run_image;
        let name = [&run_image.image, &run_image.reference]
            .into_iter()
            .find(|it| !it.is_empty());
        lines.extend(name.map(|name| format!("Base image: {name}")));
        let sbom = metadata.sbom.is_some_and(|layer| !layer.sha.is_empty());
        lines.push(format!(
            "SBOM:       {}",
            if sbom {
                "in /layers/sbom/launch"
            } else {
                "none"
            }
        ));
    }
    let label = found.build_label();
    if !label.processes.is_empty() {
        lines.push("Processes:".to_owned());
    }
    for process in &label.processes {
        let words = match &process.command {
            Value::Array(words) => words
                .iter()
                .filter_map(|word| word.as_str())
                .collect::<Vec<_>>()
                .join(" "),
            other => other.as_str().unwrap_or_default().to_owned(),
        };
        let line = format!("  {}: {} {}", process.name, words, process.args.join(" "));
        lines.push(line.trim_end().to_owned());
    }
    if !label.buildpacks.is_empty() {
        lines.push("Buildpacks:".to_owned());
    }
    let buildpacks = label.buildpacks.iter();
    lines.extend(buildpacks.map(|buildpack| format!("  {} {}", buildpack.id, buildpack.version)));
    lines
}

fn layer_history(config: &ImageConfig) -> impl Iterator<Item = &str> {
    let entries = config.history.iter().filter(|entry| !entry.empty_layer);
    entries
        .map(|entry| entry.created_by.as_deref().unwrap_or_default())
        .chain(std::iter::repeat(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use oci_image::Image;

    fn described(labels: &[(&str, &str)]) -> String {
        let mut config = ImageConfig::new("linux", "amd64");
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        config.config.labels = labels.collect();
        let found = Found {
            name: "x".to_owned(),
            image: Image::new(config),
        };
        describe(&found)[6..].join("\n")
    }

    #[test]
    fn describe_builder() {
        let metadata = r#"{"description":"d","stack":{"runImage":{"image":"run","mirrors":["m"]}},"lifecycle":{"version":"1","apis":{"platform":{"supported":["0.14","0.15"]},"buildpack":{"supported":["0.12"]}}},"createdBy":{"name":"p","version":"2"}}"#;
        let layers = r#"{"all":{"1":{"api":"0.10","layerDiffID":"a","order":[{"group":[{"id":"part","version":"2","optional":true}]}]}},"part":{"2":{"api":"0.9","layerDiffID":"b","name":"Part"}}}"#;
        let order = r#"[{"group":[{"id":"all","version":"1"}]}]"#;
        let found = described(&[
            (BUILDER_METADATA, metadata),
            (BUILDPACK_LAYERS, layers),
            (BUILDPACK_ORDER, order),
            (STACK_ID, "s"),
        ]);
        let expected = "Stack:      s
Is:         d
Made by:    p 2
Lifecycle:  1
  Platform API 0.14, 0.15
  Buildpack API 0.12
Run images:
  run
    mirror m
Buildpacks:
  all 1  (API 0.10)
  part 2  (API 0.9) Part
Detection order:
  group 1:
    all 1
      group 1:
        part 2 (optional)
Layers:";
        assert_eq!(found, expected);
    }

    #[test]
    fn describe_app_and_plain_image() {
        let metadata = r#"{"app":null,"buildpacks":null,"sbom":{"sha":"sha256:1"},"runImage":{"image":"run","reference":"r"}}"#;
        let build = r#"{"processes":[{"type":"web","command":["a","b"],"args":["c"]}],"buildpacks":[{"id":"x","version":"1"}]}"#;
        let found = described(&[
            (LIFECYCLE_METADATA, metadata),
            (cnb_spec::labels::BUILD_METADATA, build),
        ]);
        let expected = "Base image: run\nSBOM:       in /layers/sbom/launch\nProcesses:\n  web: a b c\nBuildpacks:\n  x 1\nLayers:";
        assert_eq!(found, expected);
        assert_eq!(described(&[]), "Layers:");
    }

    #[test]
    fn groups_of_a_composite_of_itself_end() {
        let layers: ModuleLayers = serde_json::from_str(r#"{"a":{"1":{"api":"0.10","layerDiffID":"a","order":[{"group":[{"id":"a","version":"1"}]}]}}}"#).unwrap();
        let order = layers["a"]["1"].order.clone();
        assert!(groups(&order, &layers, 1).len() < 20);
    }
}
