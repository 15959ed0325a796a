//! Decides which layers of a buildpack come back, and how.

use cnb_spec::group::GroupElement;
use cnb_spec::id::LayerName;
use cnb_spec::labels::{CacheMetadata, LayerMetadata};
use oci_image::DiffId;

use super::RestoreInputs;
use super::needed::is_needed;
use crate::output::Output;

/// A layer that comes back.
#[derive(Debug)]
pub(super) struct LayerPlan<'a> {
    pub(super) element: &'a GroupElement,
    pub(super) name: LayerName,
    /// What its `.toml` says.
    pub(super) metadata: &'a LayerMetadata,
    /// Does it come back with its contents?
    pub(super) contents: Contents,
}

/// What comes back beside a layer's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Contents {
    /// Nothing: it is a launch layer, or not cached.
    None,
    /// What the cache has.
    Cached(DiffId),
    /// An empty folder in its place: this build will not look into it.
    LeftBehind(DiffId),
}

/// The layers of one buildpack that come back: first those that the previous image knows, then those that only the cache does.
pub(super) fn plan_layers<'a>(
    element: &'a GroupElement,
    inputs: &'a RestoreInputs,
    cache: &'a CacheMetadata,
    output: &Output,
) -> Vec<LayerPlan<'a>> {
    let id = element.id.as_str();
    let app_layers = inputs
        .metadata
        .of_buildpack(id)
        .map(|layers| &layers.layers);
    let cached_layers = cache.of_buildpack(id).map(|layers| &layers.layers);
    let cached = |name: &str| cached_layers?.get(name).filter(|layer| layer.cache);
    let known_to_image = |name: &str| app_layers.is_some_and(|layers| layers.contains_key(name));

    let mut plans = Vec::new();
    // What the previous image does not have, the new one cannot take over.
    let is_needed = |layer: &LayerMetadata, in_image: bool| {
        (layer.launch && !(in_image && layer.cache))
            || is_needed(element, layer, &inputs.plan, &inputs.group)
    };
    let mut add = |name: &str,
                   metadata: &'a LayerMetadata,
                   cached: Option<&LayerMetadata>,
                   in_image: bool| {
        let Ok(layer_name) = name.parse::<LayerName>() else {
            output.warn(format_args!(
                "Not restoring \"{id}:{name}\": it is not a layer's name"
            ));
            return;
        };
        let contents = match cached.map(|cached| cached.sha.parse()).transpose() {
            Ok(None) => Contents::None,
            Ok(Some(diff_id)) if is_needed(metadata, in_image) => Contents::Cached(diff_id),
            Ok(Some(diff_id)) => Contents::LeftBehind(diff_id),
            Err(error) => {
                output.warn(format_args!("Not restoring \"{id}:{name}\": {error}"));
                return;
            }
        };
        plans.push(LayerPlan {
            element,
            name: layer_name,
            metadata,
            contents,
        });
    };

    for (name, layer) in app_layers.into_iter().flatten() {
        let reason = match layer {
            layer if !layer.launch => "marked as launch=false",
            // Its buildpack makes it anew every time, since later buildpacks need its contents.
            layer if layer.build && !layer.cache => "marked as build=true, cache=false",
            layer if layer.cache && cached(name).is_none() => {
                "marked as cache=true, but not found in cache"
            }
            _ => "",
        };
        if !reason.is_empty() {
            output.debug(format_args!(
                "Not restoring metadata for \"{id}:{name}\", {reason}"
            ));
            continue;
        }
        output.info(format_args!(
            "Restoring metadata for \"{id}:{name}\" from app image"
        ));
        match cached(name) {
            // The image and the cache come from different builds.
            Some(cached) if cached.sha != layer.sha => {
                output.info(format_args!("Removing \"{id}:{name}\", wrong sha"));
                let (ours, theirs) = (&layer.sha, &cached.sha);
                output.debug(format_args!(
                    "Layer sha: \"{ours}\", cache sha: \"{theirs}\""
                ));
            }
            cached => add(name, layer, cached, true),
        }
    }
    for (name, layer) in cached_layers.into_iter().flatten() {
        if !layer.cache {
            output.debug(format_args!(
                "Not restoring \"{id}:{name}\" from cache, marked as cache=false"
            ));
            continue;
        }
        if layer.launch && (known_to_image(name) || !inputs.restores_from_cache_alone) {
            output.debug(format_args!(
                "Not restoring \"{id}:{name}\" from cache, marked as launch=true"
            ));
            continue;
        }
        output.info(format_args!(
            "Restoring metadata for \"{id}:{name}\" from cache"
        ));
        add(name, layer, Some(layer), false);
    }
    // A layer that changed from launch to cache is known to both.
    plans.dedup_by(|later, earlier| later.name == earlier.name);
    plans
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use cnb_spec::group::Group;
    use cnb_spec::labels::{BuildpackLayers, LayersMetadata};
    use cnb_spec::plan::Plan;

    use super::*;
    use crate::output::Level;

    const A: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    /// A layer's types as letters: l, b, c.
    fn layer(types: &str, sha: &str) -> LayerMetadata {
        LayerMetadata {
            sha: sha.to_owned(),
            data: serde_json::Value::Null,
            launch: types.contains('l'),
            build: types.contains('b'),
            cache: types.contains('c'),
        }
    }

    fn layers(layer: Option<LayerMetadata>) -> Vec<BuildpackLayers> {
        vec![BuildpackLayers {
            key: "x".into(),
            version: "1".into(),
            layers: layer
                .map(|layer| ("l".to_owned(), layer))
                .into_iter()
                .collect(),
            store: None,
        }]
    }

    fn element() -> GroupElement {
        GroupElement {
            id: "x".parse().unwrap(),
            version: "1".parse().unwrap(),
            api: "0.10".into(),
            homepage: String::new(),
        }
    }

    /// With a layer that the previous image has, or none.
    fn inputs(in_image: Option<LayerMetadata>) -> RestoreInputs {
        RestoreInputs {
            group: Group {
                group: vec![element()],
                ..Group::default()
            },
            metadata: LayersMetadata {
                buildpacks: layers(in_image),
                ..LayersMetadata::default()
            },
            layers_dir: PathBuf::new(),
            skip_layers: false,
            restores_sbom: true,
            restores_from_cache_alone: true,
            plan: Plan::default(),
        }
    }

    #[test]
    fn plan_layers_every_transition() {
        let element = element();
        let nothing = None;
        let metadata = Some("metadata");
        let contents = Some("contents");
        for (app, cache, before_0_14, since_0_14) in [
            (Some(layer("l", A)), None, metadata, metadata),
            (Some(layer("lb", A)), None, nothing, nothing),
            (Some(layer("lc", A)), None, nothing, nothing),
            (
                Some(layer("lc", A)),
                Some(layer("lc", A)),
                contents,
                contents,
            ),
            (Some(layer("lc", A)), Some(layer("lc", B)), nothing, nothing),
            (
                Some(layer("lbc", A)),
                Some(layer("lbc", A)),
                contents,
                contents,
            ),
            (None, Some(layer("c", A)), contents, contents),
            (None, Some(layer("bc", A)), contents, contents),
            (None, Some(layer("lc", A)), nothing, contents),
            (None, Some(layer("b", A)), nothing, nothing),
            (None, Some(layer("c", "sha256:x")), nothing, nothing),
            (
                Some(layer("l", A)),
                Some(layer("lc", A)),
                contents,
                contents,
            ),
            (None, None, nothing, nothing),
        ] {
            for (restores_from_cache_alone, expected) in [(false, before_0_14), (true, since_0_14)]
            {
                let inputs = RestoreInputs {
                    restores_from_cache_alone,
                    ..inputs(app.clone())
                };
                let cached = CacheMetadata {
                    buildpacks: layers(cache.clone()),
                    ..CacheMetadata::default()
                };
                let output = Output::new(Level::Error, |_, _| {});
                let plans = plan_layers(&element, &inputs, &cached, &output);
                let found = plans.first().map(|plan| match plan.contents {
                    Contents::None => "metadata",
                    Contents::Cached(_) => "contents",
                    Contents::LeftBehind(_) => "left",
                });
                assert_eq!(
                    found, expected,
                    "{app:?} {cache:?} {restores_from_cache_alone}"
                );
                assert!(plans.len() < 2);
            }
        }
    }

    #[test]
    fn plan_layers_leaves_what_nobody_needs() {
        let element = element();
        let left = Some(Contents::LeftBehind(A.parse().unwrap()));
        let cached = Some(Contents::Cached(A.parse().unwrap()));
        for (in_image, in_cache, expected) in [
            (None, "c", left),
            (Some("lc"), "lc", left),
            // The image would have to be made of it.
            (None, "lc", cached),
            // Without a namespace, nobody knows who comes after it.
            (Some("lbc"), "lbc", cached),
        ] {
            let layer = |types: &str| LayerMetadata {
                data: serde_json::json!({"restore": {"unless": {"name": "all"}}}),
                ..layer(types, A)
            };
            let plan = "[[entries]]\n[[entries.requires]]\nname = 'all'\n";
            let inputs = RestoreInputs {
                plan: toml::from_str(plan).unwrap(),
                ..inputs(in_image.map(layer))
            };
            let cache = CacheMetadata {
                buildpacks: layers(Some(layer(in_cache))),
                ..CacheMetadata::default()
            };
            let output = Output::new(Level::Error, |_, _| {});
            let plans = plan_layers(&element, &inputs, &cache, &output);
            let found = plans.first().map(|plan| plan.contents);
            assert_eq!(found, expected, "{in_image:?} {in_cache}");
        }
    }
}
