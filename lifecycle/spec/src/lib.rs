//! The files and labels of the Cloud Native Buildpacks specification as types, and the rules that go with them, as
//! functions from values to values. No I/O: whoever has a file's text parses it here, and whoever wants a file gets its text.
//!
//! Reading is lenient, because third-party buildpacks of every Buildpack API from 0.7 to 0.12 are read: unknown keys are ignored and
//! where the specification and the reference implementation disagree, both forms are understood. Writing is exact.
//!
//! The launcher, which stands in every app image and has to be small, uses [`metadata`], [`process`], [`mod@env`], [`api`] and [`id`]
//! only; these use nothing but `serde` and `toml`.

pub mod analyzed;
pub mod api;
pub mod bom;
pub mod build_plan;
pub mod build_toml;
pub mod buildpack;
pub mod distribution;
pub mod env;
pub mod exec_env;
pub mod group;
pub mod id;
pub mod labels;
pub mod launch_toml;
pub mod layer_toml;
pub mod metadata;
pub mod order;
pub mod plan;
pub mod process;
pub mod project;
pub mod report;
pub mod run_image;
pub mod sbom;
pub mod target;
pub mod values;
