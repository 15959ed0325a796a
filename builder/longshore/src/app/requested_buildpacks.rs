//! The builder and the buildpacks that project.toml asks for, as pack reads them (project descriptor 0.2, and 0.1's spelling).
//!
//! ```toml
//! [io.buildpacks]
//! builder = "registry.example/builder:1"
//!
//! [[io.buildpacks.group]]            # all buildpacks, in this order
//! uri = "../my-buildpack"            # below the descriptor's folder
//! [[io.buildpacks.group]]            # one of the builder's
//! id = "sample/java"
//! version = "1.0"                    # may be left out
//!
//! [[io.buildpacks.pre.group]]        # or: before those of the builder, and `post` behind them
//! uri = "docker://registry.example/certificates:1"
//! ```
//! <https://github.com/buildpacks/spec/blob/main/extensions/project-descriptor.md>

use std::path::{Path, PathBuf};

use buildpack_kit::{Explain as _, ProjectToml};
use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use crate::errors;
use crate::failure::{Exit, Failure};

/// The builder's own order, at this place among buildpacks.
pub(crate) const FROM_BUILDER: &str = "from=builder";

/// A buildpack that a build shall use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestedBuildpack {
    /// A path, an image, `ID` or `ID@VERSION` of the builder, or [`FROM_BUILDER`].
    pub(crate) text: String,
    /// Relative paths are below it.
    pub(crate) base: PathBuf,
    /// What asks for it, for people.
    pub(crate) by: String,
}

impl RequestedBuildpack {
    /// `--buildpack`
    pub(crate) fn of_option(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            base: PathBuf::from("."),
            by: format!("--buildpack {text}"),
        }
    }
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    id: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    uri: String,
    script: Option<IgnoredAny>,
}

/// The builder that the descriptor names.
pub(crate) fn builder(project: &ProjectToml) -> Result<Option<String>, Failure> {
    first(
        project,
        &[&["io", "buildpacks", "builder"], &["build", "builder"]],
    )
}

/// The buildpacks that the descriptor in `folder` names, in order. Empty where it leaves them to the builder.
pub(crate) fn buildpacks(
    project: &ProjectToml,
    folder: &Path,
) -> Result<Vec<RequestedBuildpack>, Failure> {
    let group = entries(
        project,
        folder,
        &[&["io", "buildpacks", "group"], &["build", "buildpacks"]],
    )?;
    if !group.is_empty() {
        return Ok(group);
    }
    let mut before = entries(project, folder, &[&["io", "buildpacks", "pre", "group"]])?;
    let after = entries(project, folder, &[&["io", "buildpacks", "post", "group"]])?;
    if before.is_empty() && after.is_empty() {
        return Ok(Vec::new());
    }
    // pack puts one after the other in front of all: the last comes first.
    before.reverse();
    let builders = RequestedBuildpack {
        text: FROM_BUILDER.to_owned(),
        base: folder.to_owned(),
        by: project.file().name().to_owned(),
    };
    Ok([before, vec![builders], after].concat())
}

fn entries(
    project: &ProjectToml,
    folder: &Path,
    places: &[&[&str]],
) -> Result<Vec<RequestedBuildpack>, Failure> {
    let found: Option<Vec<Spanned<Entry>>> = first(project, places)?;
    let entries = found.unwrap_or_default().into_iter().map(|entry| {
        let line = project.line(&entry);
        let by = format!("'{}' line {line}", project.file().name());
        let text = text_of(entry.into_inner()).map_err(|reason| {
            let body = format!("{by}: {reason}");
            Failure::new(Exit::App, "Buildpack not understood", body)
        })?;
        Ok(RequestedBuildpack {
            text,
            base: folder.to_owned(),
            by,
        })
    });
    entries.collect()
}

/// How `--buildpack` would name it.
fn text_of(entry: Entry) -> Result<String, &'static str> {
    let Entry {
        id,
        version,
        uri,
        script,
    } = entry;
    match (&*id, &*version, &*uri) {
        ("", _, "") => Err(
            "the buildpack has neither `uri` nor `id`.\nGive its folder, file or image as uri, or the id of one of the builder's.",
        ),
        (_, _, "") if script.is_some() => Err(
            "the buildpack is a script in the descriptor, which Longshore does not run.\nPut it into a folder with buildpack.toml, bin/detect and bin/build, and name that with `uri`.",
        ),
        (_, "", "") => Ok(id),
        (_, _, "") => Ok(format!("{id}@{version}")),
        _ => Ok(uri),
    }
}

/// What stands at the first of these places that has something.
fn first<T: for<'de> Deserialize<'de>>(
    project: &ProjectToml,
    places: &[&[&str]],
) -> Result<Option<T>, Failure> {
    for place in places {
        let found = project.file().get(place);
        if let Some(found) = found.map_err(|error| errors::app(&error.explain()))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
