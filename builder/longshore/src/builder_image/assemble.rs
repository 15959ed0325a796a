//! The image itself: layers, labels, configuration.

use cnb_spec::distribution::{
    BUILDER_METADATA, BUILDPACK_LAYERS, BUILDPACK_ORDER, BuilderMetadata, CreatedBy,
    EXTENSION_LAYERS, OrderGroup,
};
use cnb_spec::run_image::{RunImage, Stack};
use oci_image::layer::LayerContents;
use oci_image::{History, Image, Layer, Owner, TreePath};
use serde::Serialize;
use std::path::Path;
use store::Durability;

use super::definition::Definition;
use crate::commands::Context;
use crate::errors;
use crate::failure::{Exit, Failure};
use crate::lifecycle_programs::Lifecycle;
use crate::modules::{self, Module, ROOT};

/// [`oci_image::layer::LAYER_TIME`] as configurations say it.
pub(crate) const LAYER_TIME_TEXT: &str = "1980-01-01T00:00:01Z";

/// What a builder is put together of.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    pub(super) definition: &'a Definition,
    pub(super) lifecycle: &'a Lifecycle,
    pub(super) modules: &'a [Module],
    pub(super) order: Vec<OrderGroup>,
}

/// `order.toml`
#[derive(Serialize)]
struct OrderToml<'a> {
    order: &'a [OrderGroup],
}

/// `run.toml`
#[derive(Serialize)]
struct RunToml<'a> {
    images: &'a [RunImage],
}

/// `stack.toml`
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct StackToml<'a> {
    run_image: &'a RunImage,
}

impl Parts<'_> {
    /// The builder on top of its build image.
    pub(super) fn image(&self, base: Image, context: &Context) -> Result<Image, Failure> {
        let user = build_user(&base, &self.definition.build_image)?;
        let folders = store(&folders(user), context)?;
        let files = store(&self.files(), context)?;
        let mut image = base.with_layer(folders, history("Folders"));
        image = image.with_layer(self.lifecycle.layer.clone(), history("Lifecycle"));
        for module in self.modules {
            // A layer may hold several buildpacks.
            let there = image
                .layers()
                .iter()
                .any(|layer| layer.diff_id == module.layer.diff_id);
            if !there {
                image = image.with_layer(module.layer.clone(), history(&module.full_name()));
            }
        }
        let image = image.with_layer(files, history("Order, run images and build configuration"));
        Ok(image.with_config(|config| {
            config.created = Some(LAYER_TIME_TEXT.to_owned());
            "/layers".clone_into(&mut config.config.working_dir);
            let labels = &mut config.config.labels;
            labels.insert(BUILDER_METADATA.to_owned(), label(&self.metadata()));
            labels.insert(
                BUILDPACK_LAYERS.to_owned(),
                label(&modules::layers_label(self.modules)),
            );
            labels.insert(BUILDPACK_ORDER.to_owned(), label(&self.order));
            labels.insert(EXTENSION_LAYERS.to_owned(), "{}".to_owned());
            if !self.definition.stack_id.is_empty() {
                labels.insert(
                    cnb_spec::labels::STACK_ID.to_owned(),
                    self.definition.stack_id.clone(),
                );
            }
        }))
    }

    fn metadata(&self) -> BuilderMetadata {
        BuilderMetadata {
            description: self.definition.description.clone(),
            buildpacks: self
                .modules
                .iter()
                .map(|module| module.info.clone())
                .collect(),
            extensions: Vec::new(),
            stack: Stack {
                run_image: self
                    .definition
                    .run_images
                    .first()
                    .cloned()
                    .unwrap_or_default(),
            },
            lifecycle: self.lifecycle.info.clone(),
            created_by: CreatedBy {
                name: "longshore".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            },
            images: self.definition.run_images.clone(),
        }
    }

    fn files(&self) -> LayerContents<'static> {
        let images = &self.definition.run_images;
        let stack = StackToml {
            run_image: images.first().unwrap_or(&NO_RUN_IMAGE),
        };
        let mut files = vec![
            ("cnb/order.toml".to_owned(), order_toml(&self.order)),
            ("cnb/run.toml".to_owned(), text(&RunToml { images })),
            ("cnb/stack.toml".to_owned(), text(&stack)),
        ];
        for (name, value) in &self.definition.build_env {
            files.push((format!("cnb/build-config/env/{name}"), value.clone()));
        }
        files.sort();
        files
            .into_iter()
            .fold(LayerContents::new(), |contents, (name, text)| {
                let at = path(&name);
                contents
                    .parents_of(&at, ROOT)
                    .file(&at, 0o644, ROOT, text.into_bytes())
            })
    }
}

static NO_RUN_IMAGE: RunImage = RunImage {
    image: String::new(),
    mirrors: Vec::new(),
};

/// The folders that platforms mount, or the lifecycle looks into, with their owners.
fn folders(user: Owner) -> LayerContents<'static> {
    let of_root = [
        "cnb",
        "cnb/build-config",
        "cnb/build-config/env",
        "cnb/buildpacks",
        "cnb/extensions",
        "platform",
        "platform/env",
    ];
    let contents = ["layers", "workspace"]
        .iter()
        .fold(LayerContents::new(), |contents, name| {
            contents.folder(&path(name), 0o755, user)
        });
    of_root.iter().fold(contents, |contents, name| {
        contents.folder(&path(name), 0o755, ROOT)
    })
}

/// CNB_USER_ID and CNB_GROUP_ID (Platform specification, "Build Image"): numbers, and not root's.
pub(crate) fn build_user(base: &Image, name: &str) -> Result<Owner, Failure> {
    let number = |variable: &str| -> Result<u32, Failure> {
        let value = base.config().config.env_value(variable);
        value.and_then(|value| value.parse().ok()).ok_or_else(|| {
            let body = format!(
                "The image {name} has {variable}={:?}, where a number belongs.\nGive an image that is made for builds: it says its user in CNB_USER_ID and CNB_GROUP_ID.",
                value.unwrap_or_default()
            );
            Failure::new(Exit::Usage, "Not a build image", body)
        })
    };
    let user = Owner {
        uid: number("CNB_USER_ID")?,
        gid: number("CNB_GROUP_ID")?,
    };
    if user.uid == 0 {
        let body = format!(
            "The image {name} has CNB_USER_ID=0: builds would run as root, which the lifecycle refuses.\nGive it another user."
        );
        return Err(Failure::new(Exit::Usage, "Not a build image", body));
    }
    Ok(user)
}

fn store(contents: &LayerContents<'_>, context: &Context) -> Result<Layer, Failure> {
    context
        .store_layer(contents, Durability::Lasting)
        .map_err(|error| errors::layer("a layer of the builder could not be written", &error))
}

fn history(what: &str) -> History {
    History {
        created: Some(LAYER_TIME_TEXT.to_owned()),
        created_by: Some(format!("longshore builder create: {what}")),
        ..History::default()
    }
}

/// The text of an `order.toml`.
pub(crate) fn order_toml(order: &[OrderGroup]) -> String {
    text(&OrderToml { order })
}

/// A label's JSON.
pub(crate) fn label(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("labels are plain data")
}

fn text(value: &impl Serialize) -> String {
    toml::to_string(value).expect("the builder's files are TOML")
}

fn path(text: &str) -> TreePath {
    TreePath::from_path(Path::new(text)).expect("names of variables and ours are names of files")
}
