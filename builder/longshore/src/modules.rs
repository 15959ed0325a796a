//! Buildpacks as layers, wherever they come from: what builders and buildpackages are put together of, and what a build adds to a builder.
//!
//! A layer holds one buildpack at `/cnb/buildpacks/<id with / as _>/<version>`, all of it root's, with the time of every layer and the modes that
//! git keeps (Distribution specification, "Buildpackage"; the same files give the same layer on every machine). Layers of buildpackages are
//! taken over as they are.

mod folder;
mod location;
mod ours;
mod package;

use std::collections::BTreeMap;
use std::path::Path;

use cnb_spec::distribution::{ModuleInfo, ModuleLayer, ModuleLayers, ModuleRef, OrderGroup};
use oci_image::{Layer, Owner, TreePath};

pub(crate) use folder::unpack_below;
pub(crate) use location::{Location, place_below};

use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::registries::Registries;

/// A buildpack and the layer that it is in.
#[derive(Debug, Clone)]
pub(crate) struct Module {
    pub(crate) info: ModuleInfo,
    pub(crate) label: ModuleLayer,
    pub(crate) layer: Layer,
}

/// Whose the files of builders are, but for the app's and the layers' folders.
pub(crate) const ROOT: Owner = Owner { uid: 0, gid: 0 };

impl Module {
    /// `longshore/python@0.1.0`
    pub(crate) fn full_name(&self) -> String {
        format!("{}@{}", self.info.id, self.info.version)
    }
}

/// Brings the buildpacks of a location here, the one that it is about first, with those that it consists of.
pub(crate) fn load(
    location: &Location,
    registries: &Registries<'_>,
    context: &Context,
) -> Result<Vec<Module>, Failure> {
    match location {
        Location::Ours(name) => ours::modules(name, context),
        Location::Folder(path) => Ok(vec![folder::module(path, context)?]),
        Location::Archive(path) => folder::module_of_archive(path, context).map(|it| vec![it]),
        Location::Image(name) => package::modules_of_image(name, registries, context),
    }
}

/// Adds buildpacks to others; the same one twice is once. Two that only have the same name are an error.
pub(crate) fn add(all: &mut Vec<Module>, more: Vec<Module>, from: &str) -> Result<(), Failure> {
    for module in more {
        let same = all.iter().find(|other| {
            other.info.id == module.info.id && other.info.version == module.info.version
        });
        match same {
            None => all.push(module),
            Some(other) if other.layer.diff_id == module.layer.diff_id => {}
            Some(_) => {
                let body = format!(
                    "{} comes twice with different files, the second time from {from}.\nGive one of them another version, or leave one out.",
                    module.full_name()
                );
                return Err(Failure::new(
                    Exit::Usage,
                    "Two buildpacks of one name",
                    body,
                ));
            }
        }
    }
    Ok(())
}

/// The label `io.buildpacks.buildpack.layers`.
pub(crate) fn layers_label(modules: &[Module]) -> ModuleLayers {
    let mut label = ModuleLayers::new();
    for module in modules {
        let versions = label.entry(module.info.id.to_string()).or_default();
        versions.insert(module.info.version.to_string(), module.label.clone());
    }
    label
}

/// An entry of an order that leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unresolved {
    /// Which one: the group, and the place in it.
    pub(crate) group: usize,
    pub(crate) position: usize,
    pub(crate) reason: String,
}

/// Every buildpack that an order names has to be there, and a version that is left out has to be clear. Gives the order with all versions.
pub(crate) fn resolve(
    order: &[OrderGroup],
    modules: &[Module],
) -> Result<Vec<OrderGroup>, Unresolved> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for module in modules {
        let known = versions.entry(module.info.id.as_str()).or_default();
        known.push(module.info.version.as_str());
    }
    let mut resolved = order.to_vec();
    for (group, entries) in resolved.iter_mut().enumerate() {
        for (position, entry) in entries.group.iter_mut().enumerate() {
            let version = version_of(entry, &versions);
            entry.version = version.map_err(|reason| Unresolved {
                group,
                position,
                reason,
            })?;
        }
    }
    Ok(resolved)
}

fn version_of(entry: &ModuleRef, versions: &BTreeMap<&str, Vec<&str>>) -> Result<String, String> {
    let (id, version) = (entry.id.as_str(), entry.version.as_str());
    match versions.get(id).map(Vec::as_slice) {
        None => {
            let known: Vec<&str> = versions.keys().copied().collect();
            Err(format!(
                "the order names {id:?}, which is not among the buildpacks; there are: {}",
                known.join(", ")
            ))
        }
        Some([only]) if version.is_empty() => Ok((*only).to_owned()),
        Some(several) if version.is_empty() => Err(format!(
            "the order names {id:?} without a version, but there are several: {}",
            several.join(", ")
        )),
        Some(known) if !known.contains(&version) => Err(format!(
            "the order names {id} {version}, but there is only {}",
            known.join(", ")
        )),
        Some(_) => Ok(version.to_owned()),
    }
}

/// Where a buildpack stands in an image.
fn folder_in_image(info: &ModuleInfo) -> TreePath {
    let path = format!(
        "cnb/buildpacks/{}/{}",
        info.id.escaped(),
        info.version.as_str()
    );
    TreePath::from_path(Path::new(&path)).expect("ids and versions are names of files")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cnb_spec::distribution::Descriptor;
    use oci_image::{BlobDigest, BlobSource, DiffId, Digest, LayerBlob};

    fn module(id: &str, version: &str, content: &[u8]) -> Module {
        let text = format!("api = '0.10'\n[buildpack]\nid = '{id}'\nversion = '{version}'\n");
        let descriptor: Descriptor = toml::from_str(&text).unwrap();
        let digest = Digest::of(content);
        let blob = LayerBlob {
            diff_id: DiffId::new(digest),
            digest: BlobDigest::new(digest),
            size: 0,
            uncompressed_size: 0,
        };
        Module {
            label: descriptor.layer(blob.diff_id.to_string()),
            info: descriptor.buildpack,
            layer: Layer::new(blob, BlobSource::Bytes(content.into())),
        }
    }

    fn order(text: &str) -> Vec<OrderGroup> {
        #[derive(serde::Deserialize)]
        struct File {
            order: Vec<OrderGroup>,
        }
        toml::from_str::<File>(text).unwrap().order
    }

    #[test]
    fn resolve_versions() {
        let modules = [
            module("a", "1", b""),
            module("b", "1", b""),
            module("b", "2", b""),
        ];
        let found = resolve(
            &order("[[order]]\ngroup = [{id = 'a'}, {id = 'b', version = '2'}]"),
            &modules,
        );
        assert_eq!(found.unwrap()[0].group[0].version, "1");
        for (group, expected) in [
            (
                "{id = 'c'}",
                "the order names \"c\", which is not among the buildpacks; there are: a, b",
            ),
            (
                "{id = 'b'}",
                "the order names \"b\" without a version, but there are several: 1, 2",
            ),
            (
                "{id = 'a', version = '9'}",
                "the order names a 9, but there is only 1",
            ),
        ] {
            let order = order(&format!("[[order]]\ngroup = [{group}]"));
            assert_eq!(resolve(&order, &modules).unwrap_err().reason, expected);
        }
    }

    #[test]
    fn add_the_same_once_and_others_never() {
        let mut all = vec![module("a", "1", b"x")];
        add(
            &mut all,
            vec![module("a", "1", b"x"), module("a", "2", b"x")],
            "here",
        )
        .unwrap();
        assert_eq!(all.len(), 2);
        let failure = add(&mut all, vec![module("a", "1", b"y")], "there").unwrap_err();
        assert_eq!(failure.title, "Two buildpacks of one name");
        assert!(failure.body.contains("from there"));
    }

    #[test]
    fn layers_label_by_id_and_version() {
        let label = layers_label(&[module("a/b", "1", b"x")]);
        assert_eq!(label["a/b"]["1"].api, "0.10");
        let path = folder_in_image(&module("a/b", "1", b"").info);
        assert_eq!(path.as_path(), Path::new("cnb/buildpacks/a_b/1"));
    }
}
