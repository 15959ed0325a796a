//! One image's tree, from unpacked packages to its final form.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use debian::deb::Control;
use oci_image::{Owner, Owners, TreePath};

use crate::accounts::add_user;
use crate::configure::{ConfigureError, Surroundings, configure};
use crate::definition::Definition;
use crate::dpkg_database::NEW_CONFFILE;
use crate::excludes::Filter;
use crate::files;
use crate::lock::ImageKind;
use crate::normalise::{NormaliseError, normalise};
use crate::unpack::UnpackedTree;

/// Where dpkg looks for what it is to leave out.
const DPKG_CONFIGURATION: &str = "etc/dpkg/dpkg.cfg.d/longshore";

/// Paths of Dash Enterprise and Heroku scripts lead to where CNB puts the app.
const APP_LINK: (&str, &str) = ("app", "workspace");

/// What is made beside the packages.
#[derive(Debug)]
pub(crate) struct Extras<'a> {
    pub(crate) definition: &'a Definition,
    pub(crate) filter: &'a Filter,
    /// Files by path, mode 0644.
    pub(crate) files: Vec<(String, Vec<u8>)>,
}

/// Runs the maintainer scripts.
pub(crate) fn run_scripts(
    root: &Path,
    tree: &mut UnpackedTree,
    surroundings: &Surroundings<'_>,
    each_line: &(dyn Fn(&str) + Sync),
) -> Result<(), AssembleError> {
    let controls: Vec<&Control> = tree.controls.iter().collect();
    let chowned = configure(
        root,
        &controls,
        known_owners(&tree.owners),
        surroundings,
        each_line,
    )?;
    move_conffiles(&tree.controls, &mut tree.owners);
    for (path, owner) in chowned {
        // What is not a path of the tree cannot have been recorded.
        if let Ok(path) = TreePath::from_path(&path) {
            tree.owners
                .set_owner(&path, Owner::new(owner.uid, owner.gid));
        }
    }
    Ok(())
}

/// Adds what is not of the packages and makes the tree final.
pub(crate) fn finish(
    root: &Path,
    image: ImageKind,
    owners: &mut Owners,
    extras: &Extras<'_>,
    date: crate::lock::Date,
) -> Result<(), AssembleError> {
    add(root, image, owners, extras, date).map_err(AssembleError::Add)?;
    normalise(root, owners, date)?;
    Ok(())
}

fn add(
    root: &Path,
    image: ImageKind,
    owners: &mut Owners,
    extras: &Extras<'_>,
    date: crate::lock::Date,
) -> io::Result<()> {
    let user = &extras.definition.user;
    add_user(root, user, date.days())?;
    let home = user.home.trim_start_matches('/');
    let folders: &[&str] = match image {
        ImageKind::Run => &[home, "workspace"],
        ImageKind::Build => &[home, "workspace", "layers", "platform"],
    };
    for folder in folders {
        files::make_folder(root, folder, 0o755)?;
        let path = TreePath::from_bytes(folder.as_bytes()).map_err(io::Error::other)?;
        if *folder != "platform" {
            owners.set_owner(&path, Owner::new(user.uid, user.gid));
        }
    }
    let (link, target) = APP_LINK;
    std::os::unix::fs::symlink(target, root.join(link))?;
    let configuration = extras.filter.dpkg_configuration();
    let own = [(DPKG_CONFIGURATION.to_owned(), configuration.into_bytes())];
    for (path, bytes) in own.iter().chain(&extras.files) {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        files::make_folder(root, folder, 0o755)?;
        files::write(&root.join(path), bytes, 0o644)?;
    }
    Ok(())
}

/// Owners that differ from root, as absolute paths; conffiles also under the name they will have.
fn known_owners(owners: &Owners) -> BTreeMap<PathBuf, sandbox::Owner> {
    let mut known = BTreeMap::new();
    for (path, facts) in owners.iter() {
        let Some(Owner { uid, gid }) = facts.owner else {
            continue;
        };
        let owner = sandbox::Owner { uid, gid };
        known.insert(Path::new("/").join(path.as_path()), owner);
        if let Some(place) = path.as_bytes().strip_suffix(NEW_CONFFILE)
            && let Ok(place) = TreePath::from_bytes(place)
        {
            known.insert(Path::new("/").join(place.as_path()), owner);
        }
    }
    known
}

/// dpkg has moved them into place; what is known of them moves along.
fn move_conffiles(controls: &[Control], owners: &mut Owners) {
    for place in controls.iter().flat_map(|control| &control.conffiles) {
        if let Ok(beside) = TreePath::from_bytes(&[place.as_bytes(), NEW_CONFFILE].concat())
            && owners.facts(&beside).is_some()
        {
            owners.rename(&beside, place);
        }
    }
}

/// Why an image's tree could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AssembleError {
    /// Maintainer scripts failed.
    #[error(transparent)]
    Configure(#[from] ConfigureError),
    /// The user, or a file of ours, could not be added.
    #[error("could not add the image's user and files: {0}")]
    Add(#[source] io::Error),
    /// The tree could not be normalised.
    #[error(transparent)]
    Normalise(#[from] NormaliseError),
}
