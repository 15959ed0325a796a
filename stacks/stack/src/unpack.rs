//! From .deb files to one tree: every package unpacked, dpkg's database written, all of it as `dpkg --unpack` leaves it.
//!
//! Packages of both images are unpacked at once, by all threads, the large ones first; decompression is most of the work.
//! Two threads may make the same folder. Whose mode and owner it gets must not depend on who was first, so afterwards each folder gets
//! those of the first package, by name, that has it.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use debian::deb::{Conffiles, Control, Deb, DebError, UnpackedDeb};
use oci_image::archive::{Entry, Kind};
use oci_image::unpack::{Placement, UnpackOptions, open_root};
use oci_image::{Owner, Owners, TreePath};

use crate::dpkg_database;
use crate::excludes::Filter;
use crate::progress::{Event, Progress};

/// A tree to make: its folder, which is empty, and its packages, sorted by name.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) root: PathBuf,
    pub(crate) debs: Vec<DebPath>,
}

/// A verified .deb in the download cache.
#[derive(Debug, Clone)]
pub(crate) struct DebPath {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// A tree as `dpkg --unpack` leaves it.
#[derive(Debug)]
pub(crate) struct UnpackedTree {
    pub(crate) controls: Vec<Control>,
    pub(crate) owners: Owners,
}

/// What one package brought.
struct Brought {
    control: Control,
    /// Every path of the archive, in its order; dpkg lists also those that are left out.
    unpacked: UnpackedDeb,
    folders: Vec<(TreePath, u32, Owner)>,
    owners: Owners,
}

/// The package that every other one's files need: it holds the links `/bin -> usr/bin` and their like.
const FIRST: &str = "base-files";

/// Unpacks all trees.
pub(crate) fn unpack_trees(
    plans: &[Plan],
    filter: &Filter,
    threads: usize,
    progress: Progress<'_>,
) -> Result<Vec<UnpackedTree>, UnpackDebError> {
    let mut jobs: Vec<(usize, usize)> = plans
        .iter()
        .enumerate()
        .flat_map(|(tree, plan)| (0..plan.debs.len()).map(move |deb| (tree, deb)))
        .collect();
    let deb = |&(tree, deb): &(usize, usize)| &plans[tree].debs[deb];
    jobs.sort_by_key(|job| std::cmp::Reverse((deb(job).name == FIRST, deb(job).size)));
    let first = jobs.iter().filter(|job| deb(job).name == FIRST).count();
    let total = jobs.len();

    let done = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    let work = |job: (usize, usize)| {
        let result = unpack_deb(deb(&job), &plans[job.0].root, filter);
        let failed = result.is_err();
        results
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(job, result);
        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
        progress(Event::Unpacking { done, total });
        !failed
    };
    let (head, tail) = jobs.split_at(first);
    if head.iter().all(|job| work(*job)) {
        let queue = Mutex::new(tail.iter());
        let next = || {
            let mut queue = queue
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            queue.next().copied()
        };
        std::thread::scope(|scope| {
            for _ in 0..threads.max(1) {
                scope.spawn(|| while next().is_some_and(work) {});
            }
        });
    }

    let mut brought: Vec<Vec<Brought>> = plans.iter().map(|_| Vec::new()).collect();
    let results = results
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    for ((tree, _), result) in results {
        brought[tree].push(result?);
    }
    plans
        .iter()
        .zip(brought)
        .map(|(plan, packages)| join(&plan.root, packages, filter))
        .collect()
}

fn unpack_deb(deb: &DebPath, root: &Path, filter: &Filter) -> Result<Brought, UnpackDebError> {
    let failed = |source| UnpackDebError::Deb {
        package: deb.name.clone(),
        source: Box::new(source),
    };
    let opened = Deb::open(&deb.path).map_err(failed)?;
    let (mut paths, mut folders) = (Vec::new(), Vec::new());
    let mut owners = Owners::new(Owner::ROOT);
    let open = open_root(root).map_err(|source| UnpackDebError::Tree {
        path: root.to_owned(),
        source,
    })?;
    let options = UnpackOptions::debian_package().placed_by(|entry: &Entry| {
        paths.push(entry.path.clone());
        if entry.kind == Kind::Directory {
            folders.push((entry.path.clone(), entry.mode, entry.owner));
        }
        place(entry, filter)
    });
    let unpacked = opened
        .unpack(
            open.as_fd(),
            &mut owners,
            Conffiles::BesideTheirPlace,
            options,
        )
        .map_err(failed)?;
    Ok(Brought {
        control: opened.control().clone(),
        unpacked: UnpackedDeb { paths, ..unpacked },
        folders,
        owners,
    })
}

fn place(entry: &Entry, filter: &Filter) -> Placement {
    let absolute = [b"/", entry.path.as_bytes()].concat();
    let stays = match &entry.kind {
        // Those that turn out to be empty go afterwards.
        Kind::Directory => true,
        Kind::Symlink { .. } => filter.may_lead_to_included(&absolute),
        _ => false,
    };
    if !stays && filter.leaves_out(&absolute) {
        Placement::Skip
    } else {
        Placement::AsIs
    }
}

/// Brings together what the packages of one tree brought.
fn join(
    root: &Path,
    packages: Vec<Brought>,
    filter: &Filter,
) -> Result<UnpackedTree, UnpackDebError> {
    let failed = |path: &TreePath| {
        let path = root.join(path.as_path());
        move |source| UnpackDebError::Tree { path, source }
    };
    let mut owners = Owners::new(Owner::ROOT);
    for package in &packages {
        owners.absorb(package.owners.clone());
    }
    let mut folders = BTreeMap::new();
    for (path, mode, owner) in packages.iter().flat_map(|package| &package.folders) {
        folders.entry(path.clone()).or_insert((*mode, *owner));
    }
    for (path, (mode, owner)) in folders.iter().rev() {
        settle_folder(root, path, *mode, *owner, &mut owners, filter).map_err(failed(path))?;
    }
    restore_modes(root, &mut owners)?;
    let database: Vec<_> = packages
        .iter()
        .map(|package| (&package.control, &package.unpacked))
        .collect();
    dpkg_database::write(root, &database).map_err(failed(&TreePath::root()))?;
    Ok(UnpackedTree {
        controls: packages
            .into_iter()
            .map(|package| package.control)
            .collect(),
        owners,
    })
}

/// Gives a folder the first package's mode and owner, or takes it away if it was left out and nothing is in it.
fn settle_folder(
    root: &Path,
    path: &TreePath,
    mode: u32,
    owner: Owner,
    owners: &mut Owners,
    filter: &Filter,
) -> io::Result<()> {
    // A folder that is reached through a link of the image has its own path too, or is not the package's.
    let through_link = path.ancestors().any(|part| {
        fs::symlink_metadata(root.join(part.as_path())).is_ok_and(|meta| meta.is_symlink())
    });
    if through_link || path.is_root() {
        return Ok(());
    }
    let on_disk = root.join(path.as_path());
    if filter.leaves_out(&[b"/", path.as_bytes()].concat()) {
        match fs::remove_dir(&on_disk) {
            Ok(()) => {
                owners.forget(path);
                return Ok(());
            }
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
            Err(error) => return Err(error),
        }
    }
    fs::set_permissions(&on_disk, Permissions::from_mode(mode))?;
    owners.set_owner(path, owner);
    owners.set_mode(path, mode, mode);
    Ok(())
}

/// Puts set-user-ID bits and their like on disk while the maintainer scripts run: they look at them, and the kernel takes them away
/// where a script gives a file to someone else. The tree is in a folder that is private to the caller.
fn restore_modes(root: &Path, owners: &mut Owners) -> Result<(), UnpackDebError> {
    let differing: Vec<(TreePath, u32)> = owners
        .iter()
        .filter_map(|(path, facts)| Some((path.clone(), facts.mode?.meant)))
        .collect();
    for (path, meant) in differing {
        let on_disk = root.join(path.as_path());
        fs::set_permissions(&on_disk, Permissions::from_mode(meant)).map_err(|source| {
            UnpackDebError::Tree {
                path: on_disk,
                source,
            }
        })?;
        owners.set_mode(&path, meant, meant);
    }
    Ok(())
}

/// What lies below the error's own words: that the disk is full, say.
fn root_cause(error: &DebError) -> String {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error.problem);
    let mut last = None;
    while let Some(current) = cause {
        last = Some(current.to_string());
        cause = current.source();
    }
    let said = error.to_string();
    last.filter(|text| !said.contains(text))
        .map_or_else(String::new, |text| format!(": {text}"))
}

/// Why packages could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackDebError {
    /// The file is not a good package, or its files could not be unpacked.
    #[error("the package {package}: {source}{}", root_cause(source))]
    Deb {
        /// Its name.
        package: String,
        /// Why.
        source: Box<DebError>,
    },
    /// The tree could not be worked on.
    #[error("could not make {path}: {source}", path = path.display())]
    Tree {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
