//! What goes into a layer: folders from disk and single entries, in the order they are written.

use super::rules::{LAYER_TIME, TreeRules};
use crate::owners::Owner;
use crate::tree_path::TreePath;
use std::borrow::Cow;
use std::path::PathBuf;

/// The contents of a layer. They are read when the layer is written.
#[derive(Debug, Clone, Default)]
pub struct LayerContents<'a> {
    pub(super) parts: Vec<Part<'a>>,
}

#[derive(Debug, Clone)]
pub(super) enum Part<'a> {
    Single(Single<'a>),
    Tree {
        disk: PathBuf,
        at: TreePath,
        rules: TreeRules<'a>,
    },
}

/// An entry that does not come from disk.
#[derive(Debug, Clone)]
pub(super) struct Single<'a> {
    pub(super) path: TreePath,
    pub(super) mode: u32,
    pub(super) owner: Owner,
    pub(super) time: u64,
    pub(super) what: SingleKind<'a>,
}

#[derive(Debug, Clone)]
pub(super) enum SingleKind<'a> {
    Folder,
    File(Cow<'a, [u8]>),
    Symlink(Vec<u8>),
}

impl<'a> LayerContents<'a> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A folder, unless it was named before. The root is never written.
    #[must_use]
    pub fn folder(self, path: &TreePath, mode: u32, owner: Owner) -> Self {
        self.single(path, mode, owner, SingleKind::Folder)
    }

    /// The folders above `path`, mode 0755, those not named before.
    #[must_use]
    pub fn parents_of(mut self, path: &TreePath, owner: Owner) -> Self {
        for parent in path.ancestors().take(path.depth().saturating_sub(1)) {
            self = self.folder(&parent, 0o755, owner);
        }
        self
    }

    /// A file with this content.
    #[must_use]
    pub fn file(
        self,
        path: &TreePath,
        mode: u32,
        owner: Owner,
        content: impl Into<Cow<'a, [u8]>>,
    ) -> Self {
        self.single(path, mode, owner, SingleKind::File(content.into()))
    }

    /// A symbolic link. Its mode means nothing to Linux; 0755 is what the reference lifecycle writes, so that its layers and ours
    /// are the same bytes.
    #[must_use]
    pub fn symlink(self, path: &TreePath, target: &str, owner: Owner) -> Self {
        self.single(path, 0o755, owner, SingleKind::Symlink(target.into()))
    }

    /// The file or folder `disk` and everything below it, as `at` in the image.
    #[must_use]
    pub fn tree(mut self, disk: impl Into<PathBuf>, at: &TreePath, rules: TreeRules<'a>) -> Self {
        self.parts.push(Part::Tree {
            disk: disk.into(),
            at: at.clone(),
            rules,
        });
        self
    }

    fn single(mut self, path: &TreePath, mode: u32, owner: Owner, what: SingleKind<'a>) -> Self {
        let path = path.clone();
        self.parts.push(Part::Single(Single {
            path,
            mode,
            owner,
            time: LAYER_TIME,
            what,
        }));
        self
    }
}
