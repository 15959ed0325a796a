//! `builder.toml`, as pack reads it, with where things stand in it, so that what is wrong is said with its line.
//!
//! ```toml
//! description = "…"
//! [[buildpacks]]
//! uri = "longshore:python-app"        # or a folder, tar, .cnb, docker://REF
//! [[order]]
//! group = [{ id = "longshore/python-app" }]
//! [build]
//! image = "longshore:build"           # the default stack's build image, made here; or any image
//! [[build.env]]
//! name = "BP_X"
//! value = "1"
//! suffix = "default"
//! [[run.images]]
//! image = "registry.example/run:1"
//! mirrors = []
//! [lifecycle]
//! uri = "lifecycle.tgz"               # left out: the one in this program
//! ```

use std::path::Path;

use cnb_spec::distribution::{ModuleRef, OrderGroup};
use cnb_spec::id::BuildpackId;
use cnb_spec::run_image::RunImage;
use cnb_spec::target::BuildpackTarget;
use serde::Deserialize;
use toml::Spanned;

use crate::arguments::is_variable_name;
use crate::failure::{Exit, Failure};

/// A builder, as its file says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) description: String,
    pub(crate) buildpacks: Vec<Wanted>,
    pub(crate) order: Vec<OrderGroup>,
    /// The line of each group's entries.
    order_lines: Vec<Vec<usize>>,
    /// `[stack] id`
    pub(crate) stack_id: String,
    pub(crate) build_image: String,
    pub(crate) run_images: Vec<RunImage>,
    /// Files below `/cnb/build-config/env`.
    pub(crate) build_env: Vec<(String, String)>,
    pub(crate) lifecycle: Option<String>,
    pub(crate) targets: Vec<BuildpackTarget>,
    /// The file, for people.
    pub(crate) path: String,
}

/// A buildpack that is to be in the builder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) uri: String,
    /// What it has to be, where the file says so.
    pub(crate) id: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) line: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    #[serde(default)]
    description: String,
    #[serde(default)]
    buildpacks: Vec<Spanned<FileBuildpack>>,
    #[serde(default)]
    extensions: Vec<Spanned<toml::Value>>,
    #[serde(default)]
    order: Vec<FileGroup>,
    #[serde(default)]
    order_extensions: Vec<Spanned<toml::Value>>,
    system: Option<Spanned<toml::Value>>,
    #[serde(default)]
    stack: FileStack,
    #[serde(default)]
    build: FileBuild,
    #[serde(default)]
    run: FileRun,
    #[serde(default)]
    lifecycle: FileLifecycle,
    #[serde(default)]
    targets: Vec<BuildpackTarget>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileBuildpack {
    id: Option<String>,
    version: Option<String>,
    uri: Option<String>,
    image: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileGroup {
    group: Vec<Spanned<FileEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileEntry {
    id: BuildpackId,
    #[serde(default)]
    version: String,
    #[serde(default)]
    optional: bool,
    #[serde(default)]
    exec_env: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct FileStack {
    id: String,
    build_image: String,
    run_image: String,
    run_image_mirrors: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileBuild {
    image: String,
    env: Vec<Spanned<FileVariable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileVariable {
    name: String,
    value: String,
    #[serde(default)]
    suffix: Suffix,
    #[serde(default)]
    delim: String,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Suffix {
    #[default]
    #[serde(rename = "")]
    None,
    Default,
    Override,
    Append,
    Prepend,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileRun {
    images: Vec<FileRunImage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRunImage {
    image: String,
    #[serde(default)]
    mirrors: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct FileLifecycle {
    uri: Option<String>,
    version: Option<Spanned<String>>,
}

impl Definition {
    /// Reads the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let body = format!("{}: {error}.\nGive a builder.toml.", path.display());
            Failure::new(Exit::Usage, "No builder.toml", body)
        })?;
        Self::parse(&text, &path.display().to_string())
    }

    fn parse(text: &str, path: &str) -> Result<Self, Failure> {
        let file: File = toml::from_str(text).map_err(|error| wrong(format!("{path}: {error}")))?;
        let line =
            |at: usize| text[..at].lines().count().max(1) + usize::from(text[..at].ends_with('\n'));
        let at_line =
            |at: usize, reason: &str| wrong(format!("{path} line {}: {reason}", line(at)));
        let not_supported = [
            (file.extensions.first(), "[[extensions]]"),
            (file.order_extensions.first(), "[[order-extensions]]"),
        ];
        for (found, key) in not_supported {
            if let Some(found) = found {
                let reason = format!(
                    "{key}: image extensions (Dockerfiles) are not supported.\nLeave them out; what an extension installs can stand in the build and run images."
                );
                return Err(at_line(found.span().start, &reason));
            }
        }
        if let Some(system) = &file.system {
            let reason = "[system] buildpacks are not supported in builders made here.\nWrite them into every group of the order.";
            return Err(at_line(system.span().start, reason));
        }
        if let (None, Some(version)) = (&file.lifecycle.uri, &file.lifecycle.version) {
            let reason = format!(
                "[lifecycle] version = {:?} would have to be downloaded.\nGive its archive: uri = \"lifecycle.tgz\"; or leave the table out for the lifecycle in this program.",
                version.get_ref()
            );
            return Err(at_line(version.span().start, &reason));
        }
        let buildpacks = file.buildpacks.iter().map(|entry| {
            let at = entry.span().start;
            wanted(entry.get_ref(), line(at)).map_err(|reason| at_line(at, &reason))
        });
        let buildpacks = buildpacks.collect::<Result<Vec<_>, _>>()?;
        let mut build_env = Vec::new();
        for variable in &file.build.env {
            let files = variable_files(variable.get_ref());
            build_env.extend(files.map_err(|reason| at_line(variable.span().start, &reason))?);
        }
        let order_lines = file.order.iter().map(|group| {
            let lines = group.group.iter().map(|entry| line(entry.span().start));
            lines.collect()
        });
        let order_lines = order_lines.collect();
        let build_image = one_of(&file.build.image, &file.stack.build_image)
            .map_err(|()| wrong(format!("{path}: [build] image and [stack] build-image differ.\nRemove the older, [stack] build-image.")))?;
        let run_images = run_images(file.run, &file.stack)
            .map_err(|reason| wrong(format!("{path}: {reason}")))?;
        Ok(Self {
            description: file.description,
            buildpacks,
            order: file.order.into_iter().map(order_group).collect(),
            order_lines,
            stack_id: file.stack.id,
            build_image,
            run_images,
            build_env,
            lifecycle: file.lifecycle.uri,
            targets: file.targets,
            path: path.to_owned(),
        })
    }

    /// `builder.toml line 12`
    pub(crate) fn order_entry(&self, group: usize, position: usize) -> String {
        let line = self
            .order_lines
            .get(group)
            .and_then(|lines| lines.get(position));
        line.map_or(self.path.clone(), |line| self.at_line(*line))
    }

    /// `builder.toml line 12`
    pub(crate) fn at_line(&self, line: usize) -> String {
        format!("{} line {line}", self.path)
    }
}

fn wrong(body: String) -> Failure {
    Failure::new(Exit::Usage, "builder.toml cannot be used", body)
}

fn wanted(entry: &FileBuildpack, line: usize) -> Result<Wanted, String> {
    let FileBuildpack {
        id,
        version,
        uri,
        image,
    } = entry;
    let uri = match (uri, image) {
        (Some(uri), None) => uri.clone(),
        (None, Some(image)) => format!("docker://{image}"),
        (Some(_), Some(_)) => {
            return Err("a buildpack has both `uri` and `image`; remove one".to_owned());
        }
        (None, None) => {
            return Err("a buildpack has neither `uri` nor `image`; say where it is: uri = \"../my-buildpack\"".to_owned());
        }
    };
    let (id, version) = (id.clone(), version.clone());
    Ok(Wanted {
        uri,
        id,
        version,
        line,
    })
}

/// The two ways of saying the same (pack RFC 96); both are fine when they agree.
fn one_of(newer: &str, older: &str) -> Result<String, ()> {
    match (newer, older) {
        (newer, "") => Ok(newer.to_owned()),
        ("", older) => Ok(older.to_owned()),
        (newer, older) if newer == older => Ok(newer.to_owned()),
        _ => Err(()),
    }
}

fn run_images(run: FileRun, stack: &FileStack) -> Result<Vec<RunImage>, String> {
    let images: Vec<RunImage> = run
        .images
        .into_iter()
        .map(|FileRunImage { image, mirrors }| RunImage { image, mirrors })
        .collect();
    match images.first() {
        Some(first) if !stack.run_image.is_empty() && first.image != stack.run_image => {
            Err("the first of [[run.images]] and [stack] run-image differ.\nRemove the older, [stack] run-image.".to_owned())
        }
        None if !stack.run_image.is_empty() => Ok(vec![RunImage {
            image: stack.run_image.clone(),
            mirrors: stack.run_image_mirrors.clone(),
        }]),
        _ => Ok(images),
    }
}

fn order_group(group: FileGroup) -> OrderGroup {
    let entry = |entry: Spanned<FileEntry>| {
        let FileEntry {
            id,
            version,
            optional,
            exec_env,
        } = entry.into_inner();
        ModuleRef {
            id,
            version,
            optional,
            exec_env,
        }
    };
    OrderGroup {
        group: group.group.into_iter().map(entry).collect(),
    }
}

/// A variable as files (Platform specification, "Build Config Directory"): `NAME`, or `NAME.<what to do>` with `NAME.delim`.
fn variable_files(variable: &FileVariable) -> Result<Vec<(String, String)>, String> {
    let FileVariable {
        name,
        value,
        suffix,
        delim,
    } = variable;
    if !is_variable_name(name) {
        return Err(format!("{name:?} is no name of a variable"));
    }
    let suffix = match suffix {
        Suffix::None => "",
        Suffix::Default => ".default",
        Suffix::Override => ".override",
        Suffix::Append | Suffix::Prepend if delim.is_empty() => {
            return Err(format!(
                "{name} is appended or prepended without `delim`; say what comes between: delim = \":\""
            ));
        }
        Suffix::Append => ".append",
        Suffix::Prepend => ".prepend",
    };
    let mut files = vec![(format!("{name}{suffix}"), value.clone())];
    if !delim.is_empty() {
        files.push((format!("{name}.delim"), delim.clone()));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Definition, String> {
        Definition::parse(text, "builder.toml").map_err(|failure| failure.body)
    }

    #[test]
    fn parse_everything() {
        let found = parse(
            "description = 'd'\n[[buildpacks]]\nid = 'a'\nuri = '../a'\n[[buildpacks]]\nimage = 'r.example/b'\n[[order]]\n[[order.group]]\nid = 'a'\noptional = true\n\
             [build]\nimage = 'base'\n[[build.env]]\nname = 'X'\nvalue = '1'\nsuffix = 'append'\ndelim = ':'\n[[run.images]]\nimage = 'run'\nmirrors = ['m']\n",
        )
        .unwrap();
        let uris: Vec<&str> = found.buildpacks.iter().map(|it| it.uri.as_str()).collect();
        assert_eq!(uris, ["../a", "docker://r.example/b"]);
        assert_eq!(found.buildpacks[1].line, 5);
        assert!(found.order[0].group[0].optional);
        assert_eq!(found.order_entry(0, 0), "builder.toml line 8");
        assert_eq!(
            found.build_env,
            [
                ("X.append".to_owned(), "1".to_owned()),
                ("X.delim".to_owned(), ":".to_owned())
            ]
        );
        assert_eq!(found.run_images[0].mirrors, ["m"]);
    }

    #[test]
    fn parse_of_old() {
        let found = parse(
            "[stack]\nid = 's'\nbuild-image = 'b'\nrun-image = 'r'\nrun-image-mirrors = ['m']\n",
        )
        .unwrap();
        assert_eq!(
            (
                found.build_image.as_str(),
                found.run_images[0].image.as_str()
            ),
            ("b", "r")
        );
    }

    #[test]
    fn parse_says_the_line() {
        for (text, expected) in [
            ("a = 1", "line 1"),
            (
                "[[buildpacks]]\nid = 'a'\n",
                "line 1: a buildpack has neither",
            ),
            ("\n[[extensions]]\nuri = 'x'\n", "line 2: [[extensions]]"),
            (
                "[build]\nimage = 'a'\n[stack]\nbuild-image = 'b'\n",
                "differ",
            ),
            (
                "[lifecycle]\nversion = '0.21.0'\n",
                "line 2: [lifecycle] version",
            ),
            (
                "[[build.env]]\nname = 'A/B'\nvalue = '1'\n",
                "line 1: \"A/B\" is no name",
            ),
            (
                "[[build.env]]\nname = 'A'\nvalue = '1'\nsuffix = 'append'\n",
                "without `delim`",
            ),
            (
                "[[order]]\n[[order.group]]\nid = '../x'\noptionl = true\n",
                "line 4",
            ),
        ] {
            let found = parse(text).unwrap_err();
            assert!(found.contains(expected), "{text:?}: {found}");
        }
    }
}
