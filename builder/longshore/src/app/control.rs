//! The app's control files, read before anything is downloaded: what is wrong with them is said now.
//!
//! The rules and the words are the buildpacks' own; a build under another platform says the same, only later.

use std::collections::BTreeMap;
use std::path::Path;

use buildpack_kit::{Explain as _, ProjectToml, Variables};

use super::requested_buildpacks::{self, RequestedBuildpack};
use super::selection::Patterns;
use crate::arguments::is_variable_name;
use crate::embedded;
use crate::errors;
use crate::failure::{Exit, Failure};
use crate::output::Output;

/// What project.toml says to the platform (project descriptor 0.2).
#[derive(Debug, Default)]
pub(crate) struct Project {
    pub(crate) patterns: Patterns,
    /// `[[io.buildpacks.build.env]]`, for /platform/env.
    pub(crate) build_env: Vec<(String, String)>,
    pub(crate) builder: Option<String>,
    /// Empty where they are the builder's.
    pub(crate) buildpacks: Vec<RequestedBuildpack>,
}

/// Reads project.toml's part for the platform.
pub(crate) fn project(app: &Path) -> Result<Project, Failure> {
    let read = ProjectToml::read(app).map_err(|error| errors::app(&error.explain()))?;
    read.map_or(Ok(Project::default()), |project| {
        platform_part(&project, app)
    })
}

/// The same from a descriptor elsewhere, which has to be there.
pub(crate) fn project_at(path: &Path) -> Result<Project, Failure> {
    // The parent of a plain name is nothing, which is no folder.
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let read =
        ProjectToml::read_named(folder, &name).map_err(|error| errors::app(&error.explain()))?;
    let project = read.ok_or_else(|| {
        let body = format!("--descriptor {}: there is no such file.", path.display());
        Failure::new(Exit::Usage, "No project descriptor", body)
    })?;
    platform_part(&project, folder)
}

fn platform_part(project: &ProjectToml, folder: &Path) -> Result<Project, Failure> {
    let list = |name: &str| -> Result<Option<Vec<String>>, Failure> {
        project
            .file()
            .get(&["io", "buildpacks", name])
            .map_err(|error| errors::app(&error.explain()))
    };
    let patterns = match (list("include")?, list("exclude")?) {
        (Some(_), Some(_)) => {
            let body = "[io.buildpacks] in 'project.toml' has both `include` and `exclude`; the project descriptor allows one.\nRemove one of them.";
            return Err(Failure::new(Exit::App, "Both include and exclude", body));
        }
        (Some(include), None) => Patterns::Include(include),
        (None, Some(exclude)) => Patterns::Exclude(exclude),
        (None, None) => Patterns::None,
    };
    if let Some(variable) = project
        .build_env()
        .iter()
        .find(|variable| !is_variable_name(&variable.name))
    {
        let body = format!(
            "'project.toml' line {}: {:?} is no name of a variable.\nNames in [[io.buildpacks.build.env]] have no '/' and no '='; write for example BP_CPYTHON_VERSION.",
            variable.line, variable.name
        );
        return Err(Failure::new(Exit::App, "Variable not understood", body));
    }
    let build_env = project
        .build_env()
        .iter()
        .map(|variable| (variable.name.clone(), variable.value.clone()))
        .collect();
    Ok(Project {
        patterns,
        build_env,
        builder: requested_buildpacks::builder(project)?,
        buildpacks: requested_buildpacks::buildpacks(project, folder)?,
    })
}

/// Asks each buildpack's own rules about the app, as far as they need nothing but its files.
pub(crate) fn check(
    app: &Path,
    variables: &BTreeMap<String, String>,
    output: &Output,
) -> Result<(), Failure> {
    let mut known = Variables::default();
    for (name, value) in variables {
        known.set(name, value);
    }
    buildpack_deps::check(app, &known).map_err(|error| errors::app(&error.explain()))?;
    buildpack_hooks::read(app).map_err(|error| errors::app(&error.explain()))?;
    buildpack_apt::PackageList::read(app)
        .map_err(|error| errors::app(&buildpack_apt::AptError::from(error).explain()))?;
    let reading = buildpack_procfile::read(app).map_err(|error| errors::app(&error.explain()))?;
    if let Some(warning) = reading.warning() {
        output.detail(&format!("{}: {}", warning.title(), warning.body()));
    }
    let suite = embedded::default_suite();
    buildpack_python::check(app, &known, suite.as_deref())
        .map(drop)
        .map_err(|error| errors::app(&error.explain()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project_of(text: &str) -> Result<Project, Failure> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("project.toml"), text).unwrap();
        project(folder.path())
    }

    #[test]
    fn project_patterns_and_variables() {
        let project =
            project_of("[io.buildpacks]\nexclude = ['data/']\n[[io.buildpacks.build.env]]\nname='A'\nvalue='1'\n").unwrap();
        assert_eq!(
            project.patterns,
            Patterns::Exclude(vec!["data/".to_owned()])
        );
        assert_eq!(project.build_env, [("A".to_owned(), "1".to_owned())]);
    }

    #[test]
    fn project_variable_that_would_be_a_file_elsewhere() {
        for name in ["/etc/passwd", "../../x", "..", "", "A=B"] {
            let text = format!("[[io.buildpacks.build.env]]\nname='{name}'\nvalue='1'\n");
            let failure = project_of(&text).unwrap_err();
            assert_eq!(
                (failure.exit, failure.title.as_str()),
                (Exit::App, "Variable not understood")
            );
            assert!(failure.body.contains("line 3"), "{}", failure.body);
        }
    }

    #[test]
    fn project_include_and_exclude() {
        let failure = project_of("[io.buildpacks]\ninclude=['a']\nexclude=['b']\n").unwrap_err();
        assert_eq!(failure.title, "Both include and exclude");
    }
    fn texts(project: &Project) -> Vec<&str> {
        let buildpacks = project.buildpacks.iter();
        buildpacks.map(|buildpack| &*buildpack.text).collect()
    }

    #[test]
    fn project_buildpacks_and_builder() {
        let project = project_of("").unwrap();
        assert_eq!((project.builder, project.buildpacks), (None, vec![]));
        let group = "[[io.buildpacks.group]]\nuri='../a'\nid='a'\n[[io.buildpacks.group]]\nid='b/c'\n[[io.buildpacks.group]]\nid='d'\nversion='1'\n";
        // Those before and behind the builder's count where the builder's do.
        let beside = "[[io.buildpacks.pre.group]]\nid='x'\n";
        let text = format!("[io.buildpacks]\nbuilder='r.example/b:1'\n{group}{beside}");
        let project = project_of(&text).unwrap();
        assert_eq!(project.builder.as_deref(), Some("r.example/b:1"));
        assert_eq!(texts(&project), ["../a", "b/c", "d@1"]);
        assert!(
            project.buildpacks[0]
                .by
                .starts_with("'project.toml' line 3")
        );
        let old = "[build]\nbuilder='b'\n[[build.buildpacks]]\nid='a'\n";
        let project = project_of(old).unwrap();
        assert_eq!(project.builder.as_deref(), Some("b"));
        assert_eq!(texts(&project), ["a"]);
    }

    #[test]
    fn project_buildpacks_beside_the_builders() {
        let text = "[[io.buildpacks.pre.group]]\nid='a'\n[[io.buildpacks.pre.group]]\nid='b'\n[[io.buildpacks.post.group]]\nid='c'\n";
        let project = project_of(text).unwrap();
        assert_eq!(texts(&project), ["b", "a", "from=builder", "c"]);
    }

    #[test]
    fn project_buildpacks_not_understood() {
        for (entry, expected) in [
            ("version = '1'", "neither `uri` nor `id`"),
            (
                "id = 'a'\n[io.buildpacks.group.script]\napi = '0.10'\ninline = 'true'",
                "is a script in the descriptor",
            ),
        ] {
            let failure = project_of(&format!("[[io.buildpacks.group]]\n{entry}\n")).unwrap_err();
            assert_eq!(
                (failure.exit, failure.title.as_str()),
                (Exit::App, "Buildpack not understood")
            );
            assert!(
                failure.body.starts_with("'project.toml' line "),
                "{}",
                failure.body
            );
            assert!(failure.body.contains(expected), "{}", failure.body);
        }
    }
}
