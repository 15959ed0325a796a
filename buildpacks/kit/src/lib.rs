//! What Longshore's buildpacks share: messages for people, the log, the app's control files, the tools they call (pip, uv, Python), and the frame of a program.

pub mod app_file;
pub mod bytecode;
pub mod civil_time;
pub mod command;
pub mod diagnosis;
pub mod digest;
pub mod elf;
pub mod interpreter;
pub mod layers;
pub mod message;
pub mod network;
pub mod output;
pub mod program;
pub mod project_toml;
pub mod redact;
pub mod sbom;
pub mod stack;
pub mod toml_file;
pub mod tool_environment;
pub mod uv;
pub mod variables;

pub use app_file::{AppFile, ReadAppFileError};
pub use message::{Explain, Message};
pub use output::Output;
pub use project_toml::{ProjectToml, ProjectTomlError};
pub use toml_file::{TomlFile, TomlFileError};
pub use variables::Variables;
