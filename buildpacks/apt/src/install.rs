//! From verified `.deb` files to a layer that programs and compilers find.

use std::fs;
use std::path::{Path, PathBuf};

use debian::deb::Script;
use debian::package::Package;
use libcnb::layer_env::LayerEnv;

use crate::alternatives::{self, Alternative};
use crate::environment;
use crate::errors::AptError;
use crate::scripts;
use crate::unpack;
use crate::{prefixes, tree};

/// The folder of libraries and headers on this architecture (Debian policy, "Multiarch").
const MULTIARCH: &str = "x86_64-linux-gnu";
const ARCHITECTURE: &str = "amd64";

/// A `.deb` to unpack.
#[derive(Clone, Debug)]
pub(crate) struct DebFile {
    /// What the index promises.
    pub(crate) package: Package,
    /// Where it is.
    pub(crate) path: PathBuf,
}

/// A layer that is ready.
#[derive(Debug)]
pub(crate) struct Installed {
    pub(crate) env: LayerEnv,
    /// What maintainer scripts would have done besides, a line a package.
    pub(crate) left_undone: Vec<String>,
}

/// Unpacks the packages into the empty layer, in the given order, and puts the tree in order.
pub(crate) fn install(debs: &[DebFile], layer: &Path) -> Result<Installed, AptError> {
    let mut offered: Vec<Alternative> = Vec::new();
    let mut left_undone = Vec::new();
    for deb in debs {
        let control = unpack::unpack(deb, layer)?;
        let (preinst, postinst) = (
            unpack::script(&control, Script::Preinst),
            unpack::script(&control, Script::Postinst),
        );
        let found = alternatives::offered(&postinst, ARCHITECTURE);
        let consequence = scripts::consequence(&[&preinst, &postinst], found.has_unread);
        left_undone.extend(consequence.map(|what| format!("{}: {what}", deb.package.name)));
        offered.extend(found.alternatives);
    }
    tree::settle(layer).map_err(AptError::layer("put the unpacked files in order"))?;
    for (link, target) in alternatives::best(offered) {
        tree::add_link(layer, &link, &target)
            .map_err(AptError::layer("make the links of alternatives"))?;
    }
    prefixes::rewrite(layer).map_err(AptError::layer("rewrite pkg-config files"))?;
    // Empty folders such as /var/log mean nothing in a layer, but /usr decides whether there is anything at all.
    fs::create_dir_all(layer.join("usr")).map_err(AptError::layer("make the layer's folder"))?;
    let env = environment::of_layer(layer, MULTIARCH)
        .map_err(AptError::layer("look for libraries in the layer"))?;
    left_undone.sort();
    Ok(Installed { env, left_undone })
}
