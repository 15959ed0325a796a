//! What the buildpacks' layers bring to a start: environment folders, `exec.d` programs and `profile.d` scripts, in the spec's order.
//!
//! The order is always: buildpacks as they were run, then layers by name, then files by name.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use cnb_spec::env::{Action, EnvFile, LAUNCH_ROOT_DIRS, Vars, apply_env_files, prepend_path};

use crate::folder::{self, Kind};
use crate::metadata::Buildpack;

/// The layers of each buildpack.
#[derive(Debug)]
pub(crate) struct Layers {
    by_buildpack: Vec<Vec<Layer>>,
}

/// A layer's folder and the names in it.
#[derive(Debug)]
struct Layer {
    path: PathBuf,
    names: Vec<OsString>,
}

impl Layers {
    /// Lists the layers that are there. A buildpack without any has no folder.
    pub(crate) fn list(layers_dir: &Path, buildpacks: &[Buildpack]) -> Result<Self, LayersError> {
        let list = |buildpack: &Buildpack| list_layers(&layers_dir.join(buildpack.folder_name()));
        let by_buildpack = buildpacks.iter().map(list).collect::<Result<_, _>>()?;
        Ok(Self { by_buildpack })
    }

    /// Sets what the layers' folders and env files say, for a process of that type (empty: a command of the user's).
    pub(crate) fn set_environment(
        &self,
        process_type: &str,
        environment: &mut Vars,
    ) -> Result<(), LayersError> {
        for layers in &self.by_buildpack {
            for layer in layers {
                for (folder, variables) in LAUNCH_ROOT_DIRS
                    .iter()
                    .filter(|(folder, _)| layer.has(folder))
                {
                    let folder = layer.path.join(folder);
                    for variable in *variables {
                        prepend_path(environment, OsStr::new(variable), folder.as_os_str());
                    }
                }
            }
            for layer in layers {
                layer.apply_env_folder("env", "", environment)?;
                layer.apply_env_folder("env.launch", process_type, environment)?;
            }
        }
        Ok(())
    }

    /// The files of that folder of every layer, each layer's common ones before those for the process type.
    pub(crate) fn files(
        &self,
        folder: &str,
        process_type: &str,
    ) -> Result<Vec<PathBuf>, LayersError> {
        let mut files = Vec::new();
        for layer in self
            .by_buildpack
            .iter()
            .flatten()
            .filter(|layer| layer.has(folder))
        {
            let folder = layer.path.join(folder);
            let entries = list(&folder)?;
            let of_type = folder_named(&entries, process_type).map(|name| folder.join(name));
            push_files(&mut files, &folder, &entries);
            if let Some(folder) = of_type {
                push_files(&mut files, &folder, &list(&folder)?);
            }
        }
        Ok(files)
    }
}

impl Layer {
    fn has(&self, name: &str) -> bool {
        self.names.iter().any(|other| other == name)
    }

    /// Does what the folder's env files say, then those of its sub-folder for the process type.
    fn apply_env_folder(
        &self,
        folder: &str,
        process_type: &str,
        environment: &mut Vars,
    ) -> Result<(), LayersError> {
        if !self.has(folder) {
            return Ok(());
        }
        let folder = self.path.join(folder);
        let entries = list(&folder)?;
        apply_env_files(
            environment,
            &read_env_files(&folder, &entries)?,
            Action::Override,
        );
        if let Some(name) = folder_named(&entries, process_type) {
            let folder = folder.join(name);
            let files = read_env_files(&folder, &list(&folder)?)?;
            apply_env_files(environment, &files, Action::Override);
        }
        Ok(())
    }
}

type Entries = Vec<(OsString, Kind)>;

fn list_layers(buildpack_folder: &Path) -> Result<Vec<Layer>, LayersError> {
    let entries = list(buildpack_folder)?;
    let folders = entries
        .into_iter()
        .filter(|(_, kind)| *kind == Kind::Folder);
    let layer = |(name, _)| {
        let path = buildpack_folder.join(name);
        let names = list(&path)?.into_iter().map(|(name, _)| name).collect();
        Ok(Layer { path, names })
    };
    folders.map(layer).collect()
}

/// The name, if the folder has it. It may be a link to a folder, or no folder at all, which is listed as empty.
fn folder_named<'a>(entries: &'a Entries, name: &str) -> Option<&'a OsStr> {
    entries
        .iter()
        .map(|(entry, _)| entry.as_os_str())
        .find(|entry| *entry == name)
}

fn push_files(files: &mut Vec<PathBuf>, folder: &Path, entries: &Entries) {
    let of_folder = entries.iter().filter(|(_, kind)| *kind == Kind::Other);
    files.extend(of_folder.map(|(name, _)| folder.join(name)));
}

fn read_env_files(folder: &Path, entries: &Entries) -> Result<Vec<EnvFile>, LayersError> {
    let mut files = Vec::new();
    for (name, _) in entries.iter().filter(|(_, kind)| *kind == Kind::Other) {
        let path = folder.join(name);
        match folder::read_file(&path) {
            // A link to a folder is passed over, as folders are.
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {}
            Err(source) => return Err(LayersError { path, source }),
            Ok(value) if value.contains(&0) => {
                let reason = "it holds a NUL byte, which no environment variable can";
                return Err(LayersError {
                    path,
                    source: io::Error::new(io::ErrorKind::InvalidData, reason),
                });
            }
            Ok(value) => files.push(EnvFile {
                name: name.clone(),
                value,
            }),
        }
    }
    Ok(files)
}

fn list(folder: &Path) -> Result<Entries, LayersError> {
    folder::list(folder).map_err(|source| LayersError {
        path: folder.to_owned(),
        source,
    })
}

/// Why a layer could not be read.
#[derive(Debug)]
pub(crate) struct LayersError {
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}
