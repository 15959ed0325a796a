//! The phases of the Cloud Native Buildpacks lifecycle, as a library.
//!
//! A build is five calls, in this order. Each takes a struct of values and a log ([`output::Output`]); what differs between Platform APIs is settled when the struct is made.
//!
//! | phase | call | reads | writes |
//! |---|---|---|---|
//! | analyze | [`analyze::analyze`] | the previous image, the run image | gives an `Analyzed`, for `analyzed.toml`; SBOM files of the previous image |
//! | detect | [`detect::detect`] | `order.toml`, the buildpacks' `bin/detect` | gives group and plan, for `group.toml` and `plan.toml` |
//! | restore | [`restore::restore`] | the cache | `<layer>.toml`, `store.toml`, cached layers |
//! | build | [`build::build`] | `group.toml`, `plan.toml`, the buildpacks' `bin/build` | `config/metadata.toml`, `sbom/` |
//! | export | [`export::export`] | the layers folder, the app, `config/metadata.toml` | the image, `report.toml`, the cache |
//!
//! [`rebase::rebase`] puts a finished image on a newer run image.
//!
//! Detect and build run other people's programs: start them as programs of their own (the `phases` crate: `detector`, `builder`), inside the sandbox or the build container. Analyze, restore and
//! export only read what was left behind, never through a link that leads out of the layers folder, and may run outside.
//!
//! Where images, caches and changed files are, three traits say:
//!
//! - [`images::ImageStore`]: opens images, takes new layers, makes the new image. Here: [`layouts::OciLayouts`].
//! - [`cache::LayerCache`]: keeps layers from build to build. Here: [`volume_cache::VolumeCache`]; for one build, since it holds a lock and is used up by its `commit`.
//! - [`contents::LayersView`]: where a layer's files are, or that they are the same as before. Here: [`contents::LayersFolder`].

pub mod analyze;
pub mod build;
pub mod buildpacks;
pub mod cache;
pub mod cache_image;
pub mod contents;
pub mod detect;
pub mod environment;
pub mod export;
pub mod files;
pub mod image_name;
pub mod images;
pub mod layouts;
pub mod output;
pub mod rebase;
pub mod restore;
pub mod restored_layer;
pub mod save;
pub mod volume_cache;

mod layers_dir;
mod programs;
mod unpack_below;

pub use programs::StartError;
pub use unpack_below::UnpackBelowError;

/// Every moment of restore and export at which tests let the program die, in the order in which a build first reaches them.
pub const FAILPOINTS: [&str; 12] = [
    // Layers have their `.toml`, and none its contents.
    "restore-metadata-written",
    "restore-layer-half-unpacked",
    // All of it is there; that it is what its digest says is not known yet.
    "restore-layer-unpacked",
    "restore-before-sbom",
    "export-layer-written",
    "export-before-image",
    "export-image-saved",
    "export-report-written",
    "cache-layer-written",
    "cache-layer-staged",
    "cache-metadata-staged",
    // The new state is in its place, the old one is still to be removed.
    "cache-exchanged",
];
