//! `stack.toml` and its lock to two images: find them, or make them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;

use debian::cache::DownloadCache;
use serde::{Deserialize, Serialize};
use store::{Store, StoreError, Tree};

use crate::assemble::{AssembleError, Extras, finish, run_scripts};
use crate::configure::Surroundings;
use crate::definition::Definition;
use crate::dpkg_database;
use crate::excludes::Filter;
use crate::image::{About, StackImage, StoreImageError, image_name, store_image};
use crate::inputs::{
    DEFINITION, KEYRING, LOCK, LockUse, StackFolder, StackFolderError, StackInputs,
};
use crate::lock::{ImageKind, Lock};
use crate::packages::{Difference, PackagesError, deb_path, fetch_packages, resolve_afresh};
use crate::progress::{Event, Progress};
use crate::unpack::{Plan, UnpackDebError, UnpackedTree, unpack_trees};

/// Where the build image keeps what it is made of, for whoever resolves more packages in it.
pub const STACK_FOLDER_IN_BUILD_IMAGE: &str = "usr/share/longshore/stack";

/// The run image's dpkg status in that folder.
pub const RUN_STATUS: &str = "run.dpkg-status";

/// The kind of the store's notes about stacks.
const NOTE: &str = "stacks";

/// A stack in the store.
#[derive(Debug, Clone)]
pub struct Stack {
    /// Its definition.
    pub definition: Definition,
    /// Names what it was made of.
    pub key: String,
    /// The image that buildpacks run in.
    pub build: StackImage,
    /// The image that apps run in.
    pub run: StackImage,
    /// The build image's files.
    pub build_tree: Tree,
    /// The run image's files.
    pub run_tree: Tree,
    /// How its packages differ from the lock's, because the mirror no longer had those.
    pub differences: Vec<Difference>,
    /// Whether it was made just now.
    pub origin: Origin,
}

/// Where a stack comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// It was in the store.
    Found,
    /// It was made.
    Made,
}

/// What the store remembers of a stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Note {
    build: StackImage,
    run: StackImage,
    differences: Vec<Difference>,
}

/// Finds the stack in the store, or makes it.
///
/// The caller holds the store ([`Store::hold`]).
pub fn create(
    inputs: &StackInputs<'_>,
    store: &Store,
    progress: Progress<'_>,
) -> Result<Stack, StackError> {
    let folder = StackFolder::read(inputs.folder)?;
    match find(&folder, inputs.lock_use, store)? {
        Some(stack) => Ok(stack),
        None => make(inputs, folder, store, progress),
    }
}

/// The name of the run image that a stack of this folder has in the store, whether it is there or not.
pub fn run_image_name(folder: &Path) -> Result<String, StackError> {
    let folder = StackFolder::read(folder)?;
    let suite = &folder.definition.suite;
    Ok(image_name(suite, ImageKind::Run, &folder.key()))
}

/// Resolves the packages afresh and says what the lock is to be. The caller writes it to `stack.lock`.
pub fn lock(
    inputs: &StackInputs<'_>,
    store: &Store,
    progress: Progress<'_>,
) -> Result<Lock, StackError> {
    let folder = StackFolder::read(inputs.folder)?;
    let (lock, _) = resolve_afresh(inputs, &folder, &downloads(store), progress)?;
    Ok(lock)
}

fn downloads(store: &Store) -> DownloadCache {
    // The cache adds the digest's kind itself, as the store does.
    let downloads = store.downloads();
    DownloadCache::new(downloads.parent().unwrap_or(&downloads))
}

fn find(
    folder: &StackFolder,
    lock_use: LockUse,
    store: &Store,
) -> Result<Option<Stack>, StackError> {
    let key = folder.key();
    let Some(note) = store.note::<Note>(NOTE, &key)? else {
        return Ok(None);
    };
    let Note {
        build,
        run,
        differences,
    } = note;
    if lock_use == LockUse::Require && (folder.lock.is_none() || !differences.is_empty()) {
        return Ok(None);
    }
    let (Some(build_tree), Some(run_tree)) = (tree(&build, store)?, tree(&run, store)?) else {
        return Ok(None);
    };
    Ok(Some(Stack {
        definition: folder.definition.clone(),
        key,
        build,
        run,
        build_tree,
        run_tree,
        differences,
        origin: Origin::Found,
    }))
}

/// The image's files, if all of the image is there.
fn tree(image: &StackImage, store: &Store) -> Result<Option<Tree>, StoreError> {
    let complete = store
        .image(&image.name)?
        .is_some_and(|named| named.manifest == image.manifest)
        && store.read_blob(&image.manifest)?.is_some()
        && store.layer(&image.layer.diff_id)?.is_some();
    if complete {
        store.unpacked(&image.layer).map(Some)
    } else {
        Ok(None)
    }
}

fn make(
    inputs: &StackInputs<'_>,
    folder: StackFolder,
    store: &Store,
    progress: Progress<'_>,
) -> Result<Stack, StackError> {
    let cache = downloads(store);
    let packages = fetch_packages(inputs, &folder, &cache, progress)?;
    let scratch = store.temporary("stack")?;
    // Set-user-ID programs stand in there for a while.
    std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o700))
        .map_err(StackError::Scratch)?;
    let plans = ImageKind::ALL
        .iter()
        .map(|image| {
            let root = scratch.folder(&image.to_string())?;
            let debs = packages
                .lock
                .of(*image)
                .map(|package| deb_path(package, &cache))
                .collect();
            Ok(Plan { root, debs })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    for plan in &plans {
        std::fs::set_permissions(&plan.root, std::fs::Permissions::from_mode(0o755))
            .map_err(StackError::Scratch)?;
    }
    let filter = Filter::new(&folder.definition.files);
    let trees = unpack_trees(&plans, &filter, inputs.threads.get(), progress)?;

    let maker = Maker {
        inputs,
        folder: &folder,
        lock: &packages.lock,
        filter: &filter,
        store,
        progress,
        key: folder.key(),
    };
    let ([build_plan, run_plan], Ok([build_tree, run_tree])) =
        (&plans[..], <[UnpackedTree; 2]>::try_from(trees))
    else {
        unreachable!("one plan and one tree for each of the two images");
    };
    let (build, run) = maker.make_both(&build_plan.root, build_tree, &run_plan.root, run_tree)?;
    let note = Note {
        build,
        run,
        differences: packages.differences,
    };
    store.write_note(NOTE, &maker.key, &note)?;
    let stack = find(&folder, LockUse::Prefer, store)?.ok_or(StackError::Vanished)?;
    Ok(Stack {
        origin: Origin::Made,
        ..stack
    })
}

/// What making one image needs of everything else.
struct Maker<'a> {
    inputs: &'a StackInputs<'a>,
    folder: &'a StackFolder,
    lock: &'a Lock,
    filter: &'a Filter,
    store: &'a Store,
    progress: Progress<'a>,
    key: String,
}

impl Maker<'_> {
    /// Side by side: maintainer scripts run one after the other within an image, and take most of the time.
    fn make_both(
        &self,
        build_root: &Path,
        mut build: UnpackedTree,
        run_root: &Path,
        mut run: UnpackedTree,
    ) -> Result<(StackImage, StackImage), StackError> {
        thread::scope(|scope| {
            let run = scope.spawn(move || {
                self.configure(ImageKind::Run, run_root, &mut run)?;
                let status = std::fs::read(run_root.join(dpkg_database::FOLDER).join("status"))
                    .map_err(StackError::Scratch)?;
                let image = self.store(ImageKind::Run, run_root, &mut run, Vec::new())?;
                Ok::<_, StackError>((image, status))
            });
            let configured = self.configure(ImageKind::Build, build_root, &mut build);
            let (run, status) = run
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            configured?;
            let files = self.stack_files(status);
            let build = self.store(ImageKind::Build, build_root, &mut build, files)?;
            Ok((build, run))
        })
    }

    fn configure(
        &self,
        image: ImageKind,
        root: &Path,
        tree: &mut UnpackedTree,
    ) -> Result<(), StackError> {
        let surroundings = Surroundings {
            helper: &self.inputs.helper,
            architecture: &self.folder.definition.architecture,
            date: self.lock.date,
        };
        let each_line = |line: &str| (self.progress)(Event::Configuring { image, line });
        run_scripts(root, tree, &surroundings, &each_line)
            .map_err(|source| StackError::Assemble { image, source })
    }

    fn store(
        &self,
        image: ImageKind,
        root: &Path,
        tree: &mut UnpackedTree,
        files: Vec<(String, Vec<u8>)>,
    ) -> Result<StackImage, StackError> {
        let definition = &self.folder.definition;
        let extras = Extras {
            definition,
            filter: self.filter,
            files,
        };
        finish(root, image, &mut tree.owners, &extras, self.lock.date)
            .map_err(|source| StackError::Assemble { image, source })?;
        (self.progress)(Event::Writing { image });
        let about = About {
            definition,
            kind: image,
            date: self.lock.date,
            key: &self.key,
        };
        Ok(store_image(
            self.store,
            root,
            &tree.owners,
            &about,
            self.inputs.threads,
        )?)
    }

    fn stack_files(&self, run_status: Vec<u8>) -> Vec<(String, Vec<u8>)> {
        [
            (DEFINITION, self.folder.definition_text.clone().into_bytes()),
            (LOCK, self.lock.to_text().into_bytes()),
            (KEYRING, self.folder.keyring_bytes.clone()),
            (RUN_STATUS, run_status),
        ]
        .map(|(name, bytes)| (format!("{STACK_FOLDER_IN_BUILD_IMAGE}/{name}"), bytes))
        .into()
    }
}

/// Why there is no stack.
#[derive(Debug, thiserror::Error)]
pub enum StackError {
    /// The stack's folder.
    #[error(transparent)]
    Folder(#[from] StackFolderError),
    /// The packages.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// A package is not what it should be.
    #[error(transparent)]
    Unpack(#[from] UnpackDebError),
    /// An image's tree.
    #[error("could not make the {image} image: {source}")]
    Assemble {
        /// The image.
        image: ImageKind,
        /// Why.
        source: AssembleError,
    },
    /// An image in the store.
    #[error(transparent)]
    Image(#[from] StoreImageError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The folder of unfinished work.
    #[error("could not use the store's folder for unfinished work: {0}")]
    Scratch(#[source] std::io::Error),
    /// Somebody emptied the store meanwhile.
    #[error(
        "the stack was removed from the store while it was made; hold the store, and try again"
    )]
    Vanished,
}
